//! y = f(x), dx = dy·f′(x, y) and y = f(a, b), generated from kiln-math's list: a kernel for each operation and number type.
//!
//! Operands are row-major; whoever launches lays strided ones out first ([`crate::copy`]). An output may be one of the operands.

macro_rules! unary {
    ($({ $doc:literal, $op:ident, $method:ident, ($($param:ident),*) })+) => {
        /// Operations of one operand.
        pub mod unary {
            $(#[doc = $doc] pub mod $method {
                use crate::number::GpuFloat;
                use crate::place::{THREADS, element};
                use cuda_std::*;
                use kiln_math::ops::{$op, Unary};

                kernels! {
                    /// y = f(x) under the operation's constants.
                    #[name = concat!("unary_", stringify!($method))]
                    #[max_threads = THREADS]
                    pub fn value<T: GpuFloat>(y: GlobalMut<T>, x: Global<T>, constants: [T; 2]) for [f32, f64] {
                        let i = element();
                        if i < y.len() {
                            y.set(i, $op::f(x.get(i), constants));
                        }
                    }

                    /// dx = dy·f′(x, y), where y = f(x).
                    #[name = concat!("unary_grad_", stringify!($method))]
                    #[max_threads = THREADS]
                    pub fn gradient<T: GpuFloat>(
                        dx: GlobalMut<T>, x: Global<T>, y: Global<T>, dy: Global<T>, constants: [T; 2]
                    ) for [f32, f64] {
                        let i = element();
                        if i < dx.len() {
                            dx.set(i, dy.get(i) * $op::df(x.get(i), y.get(i), constants));
                        }
                    }
                }
            })+

            #[cfg(not(target_arch = "nvptx64"))]
            mod host {
                use super::*;
                use crate::geometry::by_element;
                use crate::number::GpuFloat;
                use cuda_std::*;
                use kiln_math::UnaryOp;

                /// The entries of each operation's kernels.
                pub const KERNELS: &[Families] = &[$($method::KERNELS),+];

                /// Launches y = f(x) under the operation's constants.
                ///
                /// # Errors
                /// The launcher's.
                pub fn value<T: GpuFloat>(
                    launcher: &dyn Launcher,
                    op: UnaryOp,
                    constants: [T; 2],
                    y: GlobalMut<T>,
                    x: Global<T>,
                ) -> Result<(), LaunchError>
                where
                    $($method::value<T>: Kernel),+
                {
                    let geometry = by_element(y.len());
                    match op {
                        $(UnaryOp::$op => $method::value { y, x, constants }.launch(launcher, geometry),)+
                    }
                }

                /// Launches dx = dy·f′(x, y), where y = f(x).
                ///
                /// # Errors
                /// The launcher's.
                pub fn gradient<T: GpuFloat>(
                    launcher: &dyn Launcher,
                    op: UnaryOp,
                    constants: [T; 2],
                    dx: GlobalMut<T>,
                    [x, y, dy]: [Global<T>; 3],
                ) -> Result<(), LaunchError>
                where
                    $($method::gradient<T>: Kernel),+
                {
                    let geometry = by_element(dx.len());
                    match op {
                        $(UnaryOp::$op => $method::gradient { dx, x, y, dy, constants }.launch(launcher, geometry),)+
                    }
                }
            }
            #[cfg(not(target_arch = "nvptx64"))]
            pub use host::{KERNELS, gradient, value};
        }
    };
}
kiln_math::for_each_unary!(unary);

/// The kernels' list and their launch, of operations of two operands.
macro_rules! launches_of_pairs {
    ($Op:ident, $Number:ident, $($op:ident $method:ident)+) => {
        #[cfg(not(target_arch = "nvptx64"))]
        mod host {
            use super::*;
            use crate::geometry::by_element;
            use crate::number::$Number;
            use cuda_std::*;
            use kiln_math::$Op;

            /// The entries of each operation's kernels.
            pub const KERNELS: &[Families] = &[$($method::KERNELS),+];

            /// Launches y = f(a, b).
            ///
            /// # Errors
            /// The launcher's.
            pub fn value<T: $Number>(
                launcher: &dyn Launcher,
                op: $Op,
                y: GlobalMut<T>,
                a: Global<T>,
                b: Global<T>,
            ) -> Result<(), LaunchError>
            where
                $($method::value<T>: Kernel),+
            {
                let geometry = by_element(y.len());
                match op {
                    $($Op::$op => $method::value { y, a, b }.launch(launcher, geometry),)+
                }
            }
        }
        #[cfg(not(target_arch = "nvptx64"))]
        pub use host::{KERNELS, value};
    };
}

macro_rules! binary {
    ($({ $doc:literal, $op:ident, $method:ident })+) => {
        /// Operations of two operands.
        pub mod binary {
            $(#[doc = $doc] pub mod $method {
                use crate::number::GpuFloat;
                use crate::place::{THREADS, element};
                use cuda_std::*;
                use kiln_math::ops::{$op, Binary};

                kernels! {
                    /// y = f(a, b)
                    #[name = concat!("binary_", stringify!($method))]
                    #[max_threads = THREADS]
                    pub fn value<T: GpuFloat>(y: GlobalMut<T>, a: Global<T>, b: Global<T>) for [f32, f64] {
                        let i = element();
                        if i < y.len() {
                            y.set(i, $op::f(a.get(i), b.get(i)));
                        }
                    }
                }
            })+

            launches_of_pairs!(BinaryOp, GpuFloat, $($op $method)+);
        }
    };
}
kiln_math::for_each_binary!(binary);

macro_rules! integers {
    ($({ $doc:literal, $op:ident, $method:ident })+) => {
        /// Operations of two integers, which wrap; truth values are u8 of 0 and 1.
        pub mod integers {
            $(#[doc = $doc] pub mod $method {
                use crate::number::GpuInteger;
                use crate::place::{THREADS, element, refuse};
                use cuda_std::*;
                use kiln_math::IntegerOp;

                kernels! {
                    /// y = f(a, b); an element of b that the operation refuses is a fault.
                    #[name = concat!("integers_", stringify!($method))]
                    #[max_threads = THREADS]
                    pub fn value<T: GpuInteger>(y: GlobalMut<T>, a: Global<T>, b: Global<T>) for [i64, i32, i8, u8] {
                        let i = element();
                        if i < y.len() {
                            let b = b.get(i);
                            if IntegerOp::$op.refuses(b) {
                                refuse("integers have no quotient by 0, and no negative power or shift");
                            }
                            y.set(i, a.get(i).$method(b));
                        }
                    }
                }
            })+

            launches_of_pairs!(IntegerOp, GpuInteger, $($op $method)+);
        }
    };
}
kiln_math::for_each_integer!(integers);
