//! Sums of products.

use super::einsum::{Equation, Label, evaluate};
use crate::{Arithmetic, Error, IntoAxis, Result, Shape, axis_index};

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_products {
    ($callback:path) => {
        $callback! { products {
            /// The product summed over pairs of axes: the last n of this and the first n of `other` for a number n, or those named in
            /// pairs, `([axes of this], [axes of other])`. The others follow one another: of (2, 3, 4) and (4, 5) over 1 axis (2, 3, 5).
            /// NumPy's and PyTorch's `tensordot`.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let (a, b) = (Tensor::ones([2, 3, 4], DType::F32, &Device::cpu())?, Tensor::ones([4, 3, 5], DType::F32, &Device::cpu())?);
            /// let y = a.tensordot(&b, ([1, 2], [1, 0]))?;
            /// assert_eq!(y.dims(), [2, 5]);
            /// assert_eq!(y.to_vec::<f32>()?, [12.0; 10]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Axes out of range, named twice or of different sizes; more axes left than a tensor can have; dtypes or devices that differ, a
            /// dtype that is not a float type.
            fn tensordot(other: &Self, axes: impl $crate::TensordotAxes) -> Self;

            /// xᵢ·yⱼ as a matrix (m, n), of vectors (m,) and (n,).
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// let y = Tensor::from_slice(&[3.0f32, 4.0, 5.0], [3], &Device::cpu())?;
            /// assert_eq!(x.outer(&y)?.to_vec::<f32>()?, [3.0, 4.0, 5.0, 6.0, 8.0, 10.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Operands that are no vectors; dtypes or devices that differ, a dtype that is not a float type.
            fn outer(other: &Self) -> Self;

            /// Σ xᵢ·yᵢ of two vectors (n,), a scalar.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], [3], &Device::cpu())?;
            /// assert_eq!(x.dot(&x)?.item()?, 14.0);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Operands that are no vectors of one length; dtypes or devices that differ, a dtype that is not a float type.
            fn dot(other: &Self) -> Self;

            /// Σ xᵢ·yᵢ over all elements in row-major order, a scalar: [`dot`](Self::dot) of the flattened operands. NumPy's `vdot`.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::ones([2, 3], DType::F32, &Device::cpu())?;
            /// assert_eq!(x.vdot(&x.t()?)?.item()?, 6.0);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Operands of different numbers of elements; dtypes or devices that differ, a dtype that is not a float type.
            fn vdot(other: &Self) -> Self;

            /// The product summed over the last axis of both: of (…, k) and (…, k) all the other axes of this, then those of `other`. Where one is
            /// a scalar, the product. NumPy's and PyTorch's `inner`.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let (a, b) = (Tensor::ones([2, 3, 4], DType::F32, &Device::cpu())?, Tensor::ones([5, 4], DType::F32, &Device::cpu())?);
            /// assert_eq!(a.inner(&b)?.dims(), [2, 3, 5]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Last axes of different sizes; dtypes or devices that differ, a dtype that is not a float type.
            fn inner(other: &Self) -> Self;

            /// The product of a matrix (m, k) and a vector (k,): (m,).
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
            /// let x = Tensor::from_slice(&[1.0f32, -1.0], [2], &Device::cpu())?;
            /// assert_eq!(a.mv(&x)?.to_vec::<f32>()?, [-1.0, -1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Operands of other ranks, sizes that do not fit; dtypes or devices that differ, a dtype that is not a float type.
            fn mv(vector: &Self) -> Self;

            /// The product of matrices (m, k) and (k, n): (m, n). As `matmul`, which takes other ranks too.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
            /// assert_eq!(a.mm(&a)?.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Operands of other ranks, sizes that do not fit; dtypes or devices that differ, a dtype that is not a float type.
            fn mm(other: &Self) -> Self;

            /// The products of as many matrices, (b, m, k) and (b, k, n): (b, m, n). As `matmul`, which takes other ranks too.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let (a, b) = (Tensor::ones([7, 2, 3], DType::F32, &Device::cpu())?, Tensor::ones([7, 3, 4], DType::F32, &Device::cpu())?);
            /// assert_eq!(a.bmm(&b)?.dims(), [7, 2, 4]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Operands of other ranks, sizes that do not fit; dtypes or devices that differ, a dtype that is not a float type.
            fn bmm(other: &Self) -> Self;

            /// Kronecker's product: each element of this times all of `other`. Of (a₁, …) and (b₁, …) the shape is (a₁·b₁, …); the one of
            /// fewer axes has ones before them. NumPy's and PyTorch's `kron`.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let a = Tensor::from_slice(&[1.0f32, 10.0], [2], &Device::cpu())?;
            /// let b = Tensor::from_slice(&[1.0f32, 2.0, 3.0], [3], &Device::cpu())?;
            /// assert_eq!(a.kron(&b)?.to_vec::<f32>()?, [1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Operands with more than six axes above size 1 between them; dtypes or devices that differ, a dtype that is not a float type.
            fn kron(other: &Self) -> Self;
        } }
    };
}

/// The signatures of those that take any number of operands.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_product_functions {
    ($callback:path) => {
        $callback! { products {
            /// Einstein's summation: the product of all operands, summed over each letter that the output does not have.
            ///
            /// The equation names each operand's axes by letters, in order, with commas between operands: `"bij,bjk->bik"` is
            /// y\[b, i, k\] = Σⱼ x\[b, i, j\]·w\[b, j, k\]. NumPy's and PyTorch's `einsum`:
            /// * A letter that an operand has twice is its diagonal: `"ii->i"`; `"ii->"` is the trace.
            /// * `...` stands for the axes without a letter, which broadcast: `"...ij,...jk->...ik"`. Axes of one letter are equal, or 1.
            /// * Without `->` the output has the ellipsis, then the letters that are there once, in alphabetical order, capitals first.
            ///   Of an output without `...` the axes of an ellipsis are summed.
            ///
            /// Of several operands two at a time are multiplied, as one batched matrix product over views: of up to six in the order of the
            /// fewest multiplications, of more in a good one. Half types are computed in f32 and rounded once.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// # let cpu = Device::cpu();
            /// // Attention scores of queries and keys (batch, steps, heads, width): (batch, heads, steps, steps).
            /// let (q, k) = (Tensor::ones([2, 5, 3, 4], DType::F32, &cpu)?, Tensor::ones([2, 6, 3, 4], DType::F32, &cpu)?);
            /// let scores = Tensor::einsum("bqhd,bkhd->bhqk", &[&q, &k])?;
            /// assert_eq!(scores.dims(), [2, 3, 5, 6]);
            /// let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &cpu)?;
            /// assert_eq!(Tensor::einsum("ii", &[&a])?.item()?, 5.0);
            /// assert_eq!(Tensor::einsum("ij,jk,kl->il", &[&a, &a, &a])?.to_vec::<f32>()?, [37.0, 54.0, 81.0, 118.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An equation that cannot be read or does not fit the operands; axes of one letter of different sizes; a product of more axes than a
            /// tensor can have; dtypes or devices that differ, a dtype that is not a float type.
            fn einsum(equation: &str, operands: &[&Self]) -> Self;

            /// The product of a chain of matrices, in the order that takes the fewest multiplications (a good one for more than six). The first may
            /// be a row (k,), the last a column (k,). NumPy's and PyTorch's `linalg.multi_dot`.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// # let ones = |shape: [usize; 2]| Tensor::ones(shape, DType::F32, &Device::cpu());
            /// let (a, b, c) = (ones([10, 100])?, ones([100, 5])?, ones([5, 50])?);
            /// assert_eq!(Tensor::multi_dot(&[&a, &b, &c])?.dims(), [10, 50]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Fewer than two or more than 25 operands, other ranks, sizes that do not fit; dtypes or devices that differ, a dtype that is not a float
            /// type.
            fn multi_dot(operands: &[&Self]) -> Self;
        } }
    };
}

/// The axes of two operands that `tensordot` sums over in pairs: how many, or which.
pub trait TensordotAxes {
    /// The axes of each, in pairs.
    ///
    /// # Errors
    /// An axis out of range, more axes than there are, lists of different lengths.
    fn pairs(self, a: &Shape, b: &Shape) -> Result<[Vec<usize>; 2]>;
}

impl TensordotAxes for usize {
    fn pairs(self, a: &Shape, b: &Shape) -> Result<[Vec<usize>; 2]> {
        if self > a.rank().min(b.rank()) {
            let message = format!("{self} axes are summed over, {a} and {b} have {} and {}", a.rank(), b.rank());
            return Err(Error::shape("tensordot", message));
        }
        Ok([(a.rank() - self..a.rank()).collect(), (0..self).collect()])
    }
}
impl TensordotAxes for i32 {
    fn pairs(self, a: &Shape, b: &Shape) -> Result<[Vec<usize>; 2]> {
        let count = usize::try_from(self).map_err(|_| {
            Error::value("tensordot", format!("{self} axes cannot be summed over: a number of 0 or more is needed"))
        })?;
        count.pairs(a, b)
    }
}
impl<A: IntoAxis, B: IntoAxis> TensordotAxes for (&[A], &[B]) {
    fn pairs(self, a: &Shape, b: &Shape) -> Result<[Vec<usize>; 2]> {
        if self.0.len() != self.1.len() {
            let message =
                format!("{} axes of {a} and {} of {b} are no pairs: name as many of each", self.0.len(), self.1.len());
            return Err(Error::shape("tensordot", message));
        }
        let first = self.0.iter().map(|&axis| axis_index("tensordot", axis, a)).collect::<Result<_>>()?;
        let second = self.1.iter().map(|&axis| axis_index("tensordot", axis, b)).collect::<Result<_>>()?;
        Ok([first, second])
    }
}
impl<A: IntoAxis, B: IntoAxis, const N: usize> TensordotAxes for ([A; N], [B; N]) {
    fn pairs(self, a: &Shape, b: &Shape) -> Result<[Vec<usize>; 2]> {
        (&self.0[..], &self.1[..]).pairs(a, b)
    }
}

/// Fails unless the operands have these ranks.
fn expect_ranks<A: Arithmetic>(operation: &'static str, operands: [&A; 2], ranks: [usize; 2]) -> Result<()> {
    if operands.map(|operand| operand.shape().rank()) == ranks {
        return Ok(());
    }
    let name = |rank| ["a scalar", "a vector (n,)", "a matrix (m, n)", "a batch of matrices (b, m, n)"][rank];
    let (a, b) = (operands[0].shape(), operands[1].shape());
    let message = format!(
        "{} and {} are expected, got {a} and {b}: `matmul`, `tensordot` and `einsum` take other ranks",
        name(ranks[0]),
        name(ranks[1])
    );
    Err(Error::shape(operation, message))
}

/// Fails unless an axis of each, a and b, are of one size.
fn expect_equal<A: Arithmetic>(operation: &'static str, operands: [&A; 2], a: usize, b: usize) -> Result<()> {
    let (x, y) = (operands[0].shape(), operands[1].shape());
    if x[a] == y[b] {
        return Ok(());
    }
    let message = format!("axis {a} of {x} and axis {b} of {y} are summed over together: they must be equal");
    Err(Error::shape(operation, message))
}

/// The equation of two operands whose labels are these.
fn of_pair<A: Arithmetic>(
    operation: &'static str,
    x: &A,
    y: &A,
    operands: [Vec<Label>; 2],
    output: Vec<Label>,
) -> Result<A> {
    evaluate(operation, &Equation { operands: operands.into(), output }, &[x, y])
}

/// The first labels, as many as a shape has axes, from `start` on.
fn labels(start: usize, count: usize) -> Vec<Label> {
    (start..start + count).map(|label| label as Label).collect()
}

#[allow(missing_docs, clippy::missing_errors_doc)] // the list has them
mod functions {
    use super::*;

    pub fn einsum<A: Arithmetic>(equation: &str, operands: &[&A]) -> Result<A> {
        let shapes: Vec<&Shape> = operands.iter().map(|operand| operand.shape()).collect();
        evaluate("einsum", &Equation::parse(equation, &shapes)?, operands)
    }

    pub fn tensordot<A: Arithmetic>(x: &A, other: &A, axes: impl TensordotAxes) -> Result<A> {
        let (a, b) = (x.shape(), other.shape());
        let [of_a, of_b] = axes.pairs(a, b)?;
        let left = labels(0, a.rank());
        let mut right = labels(a.rank(), b.rank());
        for (i, (&m, &n)) in of_a.iter().zip(&of_b).enumerate() {
            if of_a[..i].contains(&m) || of_b[..i].contains(&n) {
                let message =
                    format!("axis {m} of {a} or axis {n} of {b} is named twice: each axis is summed over once");
                return Err(Error::shape("tensordot", message));
            }
            expect_equal("tensordot", [x, other], m, n)?;
            right[n] = left[m];
        }
        let alone = |labels: &[Label], axes: &[usize]| -> Vec<Label> {
            labels
                .iter()
                .copied()
                .enumerate()
                .filter(|(axis, _)| !axes.contains(axis))
                .map(|(_, label)| label)
                .collect()
        };
        let output = [alone(&left, &of_a), alone(&right, &of_b)].concat();
        of_pair("tensordot", x, other, [left, right], output)
    }

    pub fn outer<A: Arithmetic>(x: &A, other: &A) -> Result<A> {
        expect_ranks("outer", [x, other], [1, 1])?;
        of_pair("outer", x, other, [vec![0], vec![1]], vec![0, 1])
    }

    pub fn dot<A: Arithmetic>(x: &A, other: &A) -> Result<A> {
        expect_ranks("dot", [x, other], [1, 1])?;
        expect_equal("dot", [x, other], 0, 0)?;
        of_pair("dot", x, other, [vec![0], vec![0]], vec![])
    }

    pub fn vdot<A: Arithmetic>(x: &A, other: &A) -> Result<A> {
        let (a, b) = (x.shape(), other.shape());
        if a.elements() != b.elements() {
            let message =
                format!("{a} and {b} have {} and {} elements: as many are needed", a.elements(), b.elements());
            return Err(Error::shape("vdot", message));
        }
        let flat = |x: &A| x.reshape(Shape::new(&[a.elements()])?);
        of_pair("vdot", &flat(x)?, &flat(other)?, [vec![0], vec![0]], vec![])
    }

    pub fn inner<A: Arithmetic>(x: &A, other: &A) -> Result<A> {
        let (a, b) = (x.shape().rank(), other.shape().rank());
        let (left, mut right) = (labels(0, a), labels(a, b));
        if a == 0 || b == 0 {
            let output = [&left[..], &right].concat();
            return of_pair("inner", x, other, [left, right], output);
        }
        expect_equal("inner", [x, other], a - 1, b - 1)?;
        let output = [&left[..a - 1], &right[..b - 1]].concat();
        right[b - 1] = left[a - 1];
        of_pair("inner", x, other, [left, right], output)
    }

    pub fn mv<A: Arithmetic>(x: &A, vector: &A) -> Result<A> {
        expect_ranks("mv", [x, vector], [2, 1])?;
        expect_equal("mv", [x, vector], 1, 0)?;
        x.matmul(vector)
    }

    pub fn mm<A: Arithmetic>(x: &A, other: &A) -> Result<A> {
        expect_ranks("mm", [x, other], [2, 2])?;
        expect_equal("mm", [x, other], 1, 0)?;
        x.matmul(other)
    }

    pub fn bmm<A: Arithmetic>(x: &A, other: &A) -> Result<A> {
        expect_ranks("bmm", [x, other], [3, 3])?;
        expect_equal("bmm", [x, other], 2, 1)?;
        if x.shape()[0] != other.shape()[0] {
            let message =
                format!("{} and {} are batches of different sizes: `matmul` broadcasts", x.shape(), other.shape());
            return Err(Error::shape("bmm", message));
        }
        x.matmul(other)
    }

    pub fn kron<A: Arithmetic>(x: &A, other: &A) -> Result<A> {
        let rank = x.shape().rank().max(other.shape().rank());
        let before = |shape: &Shape| Shape::new(&[&vec![1; rank - shape.rank()], shape.dims()].concat());
        let (a, b) = (before(x.shape())?, before(other.shape())?);
        // Axes of size 1 are left out: those above are what counts.
        let above = |shape: &Shape| -> (Vec<usize>, Vec<usize>) {
            shape.iter().copied().enumerate().filter(|&(_, size)| size != 1).unzip()
        };
        let ((of_a, a_sizes), (of_b, b_sizes)) = (above(&a), above(&b));
        let (x, other) = (x.reshape(Shape::new(&a_sizes)?)?, other.reshape(Shape::new(&b_sizes)?)?);
        let left: Vec<Label> = of_a.iter().map(|axis| 2 * *axis as Label).collect();
        let right: Vec<Label> = of_b.iter().map(|axis| 2 * *axis as Label + 1).collect();
        let mut output = [&left[..], &right].concat();
        output.sort_unstable();
        let dims: Vec<usize> = a.iter().zip(b.iter()).map(|(m, n)| m.saturating_mul(*n)).collect();
        of_pair("kron", &x, &other, [left, right], output)?.reshape(Shape::new(&dims)?)
    }

    pub fn multi_dot<A: Arithmetic>(operands: &[&A]) -> Result<A> {
        let count = operands.len();
        if !(2..=25).contains(&count) {
            return Err(Error::value("multi_dot", format!("2 to 25 matrices are expected, got {count}")));
        }
        let mut output = Vec::new();
        let mut terms = Vec::with_capacity(count);
        for (i, operand) in operands.iter().enumerate() {
            let (label, shape) = (i as Label, operand.shape());
            terms.push(match shape.rank() {
                1 if i == 0 => vec![label + 1],
                1 if i + 1 == count => vec![label],
                2 => vec![label, label + 1],
                _ => {
                    let message = format!(
                        "operand {i} has shape {shape}: matrices are expected; the first and last may be vectors"
                    );
                    return Err(Error::shape("multi_dot", message));
                }
            });
            if i > 0 && operands[i - 1].shape().last() != shape.first() {
                let (a, b) = (operands[i - 1].shape(), shape);
                let message = format!(
                    "{a} and {b} cannot be multiplied: the last axis of the first must be as long as the first of the second"
                );
                return Err(Error::shape("multi_dot", message));
            }
        }
        if operands[0].shape().rank() == 2 {
            output.push(0);
        }
        if operands[count - 1].shape().rank() == 2 {
            output.push(count as Label);
        }
        evaluate("multi_dot", &Equation { operands: terms, output }, operands)
    }
}
pub use functions::*;
