//! y = f(x), dx = dy·f′(x, y) and y = f(a, b), generated from kiln-math's list: a kernel for each operation and number type.
//!
//! Operands are row-major; whoever launches lays strided ones out first ([`crate::copy`]). An output may be one of the operands.

macro_rules! unary {
    ($module:ident $T:ident $suffix:literal: $({ $doc:literal, $op:ident, $method:ident, ($($param:ident),*) })+) => {
        #[doc = concat!("Operations of one operand, in ", $suffix, ".")]
        pub mod $module {
            $(mod $method {
                use crate::place::element;
                use cuda_std::*;
                use kiln_math::ops::{$op, Unary};

                kernel! {
                    #[name = concat!("unary_", stringify!($method), "_", $suffix)]
                    #[max_threads = crate::place::THREADS]
                    pub fn value(y: GlobalMut<$T>, x: Global<$T>, p: $T, q: $T) {
                        let i = element();
                        if i < y.len() {
                            y.set(i, $op::f(x.get(i), [p, q]));
                        }
                    }
                }

                kernel! {
                    #[name = concat!("unary_grad_", stringify!($method), "_", $suffix)]
                    #[max_threads = crate::place::THREADS]
                    pub fn gradient(dx: GlobalMut<$T>, x: Global<$T>, y: Global<$T>, dy: Global<$T>, p: $T, q: $T) {
                        let i = element();
                        if i < dx.len() {
                            dx.set(i, dy.get(i) * $op::df(x.get(i), y.get(i), [p, q]));
                        }
                    }
                }
            })+

            #[cfg(not(target_arch = "nvptx64"))]
            mod host {
                use crate::geometry::by_element;
                use cuda_std::{DeviceSlice, DeviceSliceMut, LaunchError, Launcher};
                use kiln_math::UnaryOp;

                /// y = f(x) under the operation's constants.
                ///
                /// # Errors
                /// The launcher's.
                pub fn value(
                    launcher: &dyn Launcher,
                    op: UnaryOp,
                    [p, q]: [$T; 2],
                    y: DeviceSliceMut<$T>,
                    x: DeviceSlice<$T>,
                ) -> Result<(), LaunchError> {
                    let geometry = by_element(y.len());
                    match op {
                        $(UnaryOp::$op => super::$method::value::launch(launcher, geometry, y, x, p, q),)+
                    }
                }

                /// dx = dy·f′(x, y), where y = f(x).
                ///
                /// # Errors
                /// The launcher's.
                pub fn gradient(
                    launcher: &dyn Launcher,
                    op: UnaryOp,
                    [p, q]: [$T; 2],
                    dx: DeviceSliceMut<$T>,
                    [x, y, dy]: [DeviceSlice<$T>; 3],
                ) -> Result<(), LaunchError> {
                    let geometry = by_element(dx.len());
                    match op {
                        $(UnaryOp::$op => super::$method::gradient::launch(launcher, geometry, dx, x, y, dy, p, q),)+
                    }
                }
            }
            #[cfg(not(target_arch = "nvptx64"))]
            pub use host::{gradient, value};
        }
    };
}

macro_rules! binary {
    ($module:ident $T:ident $suffix:literal: $({ $doc:literal, $op:ident, $method:ident })+) => {
        #[doc = concat!("Operations of two operands, in ", $suffix, ".")]
        pub mod $module {
            $(mod $method {
                use crate::place::element;
                use cuda_std::*;
                use kiln_math::ops::{$op, Binary};

                kernel! {
                    #[name = concat!("binary_", stringify!($method), "_", $suffix)]
                    #[max_threads = crate::place::THREADS]
                    pub fn value(y: GlobalMut<$T>, a: Global<$T>, b: Global<$T>) {
                        let i = element();
                        if i < y.len() {
                            y.set(i, $op::f(a.get(i), b.get(i)));
                        }
                    }
                }
            })+

            #[cfg(not(target_arch = "nvptx64"))]
            mod host {
                use crate::geometry::by_element;
                use cuda_std::{DeviceSlice, DeviceSliceMut, LaunchError, Launcher};
                use kiln_math::BinaryOp;

                /// y = f(a, b)
                ///
                /// # Errors
                /// The launcher's.
                pub fn value(
                    launcher: &dyn Launcher,
                    op: BinaryOp,
                    y: DeviceSliceMut<$T>,
                    a: DeviceSlice<$T>,
                    b: DeviceSlice<$T>,
                ) -> Result<(), LaunchError> {
                    let geometry = by_element(y.len());
                    match op {
                        $(BinaryOp::$op => super::$method::value::launch(launcher, geometry, y, a, b),)+
                    }
                }
            }
            #[cfg(not(target_arch = "nvptx64"))]
            pub use host::value;
        }
    };
}

macro_rules! unary_f32 { ($($list:tt)+) => { unary!(unary_f32 f32 "f32": $($list)+); }; }
macro_rules! unary_f64 { ($($list:tt)+) => { unary!(unary_f64 f64 "f64": $($list)+); }; }
macro_rules! binary_f32 { ($($list:tt)+) => { binary!(binary_f32 f32 "f32": $($list)+); }; }
macro_rules! binary_f64 { ($($list:tt)+) => { binary!(binary_f64 f64 "f64": $($list)+); }; }
kiln_math::for_each_unary!(unary_f32);
kiln_math::for_each_unary!(unary_f64);
kiln_math::for_each_binary!(binary_f32);
kiln_math::for_each_binary!(binary_f64);

/// Operations of two integers: sums and products wrap.
pub mod binary_i64 {
    use crate::place::element;
    use cuda_std::*;

    macro_rules! integers {
        ($($op:ident $method:ident |$a:ident, $b:ident| $e:expr;)+) => {
            $(kernel! {
                #[doc = concat!("y = ", stringify!($method), "(a, b)")]
                #[name = concat!("binary_", stringify!($method), "_i64")]
                #[max_threads = crate::place::THREADS]
                pub fn $method(y: GlobalMut<i64>, a: Global<i64>, b: Global<i64>) {
                    let i = element();
                    if i < y.len() {
                        let ($a, $b) = (a.get(i), b.get(i));
                        y.set(i, $e);
                    }
                }
            })+

            /// y = f(a, b); `None` for an operation that integers do not have.
            #[cfg(not(target_arch = "nvptx64"))]
            pub fn value(
                launcher: &dyn Launcher,
                op: kiln_math::BinaryOp,
                y: DeviceSliceMut<i64>,
                a: DeviceSlice<i64>,
                b: DeviceSlice<i64>,
            ) -> Option<Result<(), LaunchError>> {
                let geometry = crate::geometry::by_element(y.len());
                match op {
                    $(kiln_math::BinaryOp::$op => Some($method::launch(launcher, geometry, y, a, b)),)+
                    _ => None,
                }
            }
        };
    }
    integers! {
        Add add |a, b| a.wrapping_add(b);
        Sub sub |a, b| a.wrapping_sub(b);
        Mul mul |a, b| a.wrapping_mul(b);
        Maximum maximum |a, b| if a > b { a } else { b };
        Minimum minimum |a, b| if a < b { a } else { b };
    }
}
