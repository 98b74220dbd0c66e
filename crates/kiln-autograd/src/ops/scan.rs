//! Cumulative operations.

use crate::{Backward, Function, Var};
use kiln_tensor::{Arithmetic, Result, ScanOp, Tensor};

/// y\[i\] = x\[0\] + … + x\[i\] along an axis, or from the end; dx is the sum of dy the other way.
struct Sum {
    axis: usize,
    from_end: bool,
}

impl Function for Sum {
    fn name(&self) -> &'static str {
        "cumsum"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.added_up(self.axis, !self.from_end)?)
    }
}

/// y\[i\] = x\[0\] · … · x\[i\] along an axis. dx\[i\] is the product of what comes before it times r\[i\] = dy\[i\] + x\[i + 1\]·r\[i + 1\]:
/// no division, so that zeros do no harm, in no order of derivative.
struct Product {
    x: Tensor,
    axis: usize,
}

impl Function for Product {
    fn name(&self) -> &'static str {
        "cumprod"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let x = pass.input(0, &self.x);
        let before = shifted(&x, self.axis, 1.0)?.scanned(ScanOp::Prod, self.axis)?;
        let rest = recurrence_from_end(&x, &dy, self.axis)?;
        pass.accumulate(0, before.mul(&rest)?)
    }
}

/// y\[i\] = ln(exp(x\[0\]) + … + exp(x\[i\])) along an axis: dx = exp(x − y)·r with r\[i\] = dy\[i\] + exp(y\[i\] − y\[i + 1\])·r\[i + 1\].
struct LogSumExp {
    x: Tensor,
    y: Tensor,
    axis: usize,
}

impl Function for LogSumExp {
    fn name(&self) -> &'static str {
        "logcumsumexp"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let (x, y, axis) = (pass.input(0, &self.x), pass.output(&self.y), self.axis);
        // Shares of sums so far: each is at most 1. A share of −∞ in −∞ is 0.
        let share = |part: &Var, sum: &Var| -> Result<Var> {
            let zero = Var::constant(Tensor::zeros((), part.dtype(), part.device())?);
            let present = part.tensor().gt(&Tensor::full((), f64::NEG_INFINITY, part.dtype(), part.device())?)?;
            let inside = Var::select(&present, &part.sub(sum)?, &zero)?.exp()?;
            Var::select(&present, &inside, &zero)
        };
        let before = shifted(&y, axis, f64::NEG_INFINITY)?;
        let rest = recurrence_from_end(&share(&before, &y)?, &dy, axis)?;
        pass.accumulate(0, share(&x, &y)?.mul(&rest)?)
    }
}

/// y\[i\] = a\[i\]·y\[i − 1\] + b\[i\] along an axis: db is r with r\[i\] = dy\[i\] + a\[i + 1\]·r\[i + 1\], da\[i\] = r\[i\]·y\[i − 1\].
struct Linear {
    a: Tensor,
    y: Tensor,
    axis: usize,
}

impl Function for Linear {
    fn name(&self) -> &'static str {
        "linear_recurrence"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let rest = recurrence_from_end(&pass.input(0, &self.a), &dy, self.axis)?;
        if pass.needs(0) {
            pass.accumulate(0, rest.mul(&shifted(&pass.output(&self.y), self.axis, 0.0)?)?)?;
        }
        pass.accumulate(1, rest)
    }
}

/// x moved on by one along the axis, with `first` in the first place.
fn shifted(x: &Var, axis: usize, first: f64) -> Result<Var> {
    let size = x.dims()[axis];
    if size == 0 {
        return Ok(x.clone());
    }
    let mut dims = x.dims().to_vec();
    dims[axis] = 1;
    let first = Var::constant(Tensor::full(dims.as_slice(), first, x.dtype(), x.device())?);
    Var::concat(&[&first, &x.slice(axis, 0..size - 1)?], axis)
}

/// r\[i\] = b\[i\] + a\[i + 1\]·r\[i + 1\] along the axis.
fn recurrence_from_end(a: &Var, b: &Var, axis: usize) -> Result<Var> {
    let factors = shifted(&a.flip(axis)?, axis, 0.0)?;
    factors.scanned_linear(&b.flip(axis)?, axis)?.flip(axis)
}

impl Var {
    /// The sums so far along the axis, or from the end.
    fn added_up(&self, axis: usize, from_end: bool) -> Result<Var> {
        let x = self.tensor();
        let y = if from_end { x.flip(axis)?.cumsum(axis)?.flip(axis)? } else { x.cumsum(axis)? };
        Ok(Var::record(&[self], y, |_| Sum { axis, from_end }))
    }

    /// x\[0\] ∘ … ∘ x\[i\] along the axis.
    pub(super) fn scanned(&self, op: ScanOp, axis: usize) -> Result<Var> {
        if op == ScanOp::Sum {
            return self.added_up(axis, false);
        }
        self.in_wide(|x| {
            let y = Arithmetic::scan(x.tensor(), op, axis)?;
            let saved = x.tensor().clone();
            Ok(if op == ScanOp::Prod {
                Var::record(&[x], y, |_| Product { x: saved, axis })
            } else {
                Var::record(&[x], y, |y| LogSumExp { x: saved, y: y.clone(), axis })
            })
        })
    }

    /// y\[i\] = a\[i\]·y\[i − 1\] + b\[i\] along the axis, where this is a.
    pub(super) fn scanned_linear(&self, b: &Var, axis: usize) -> Result<Var> {
        let dtype = self.dtype();
        if dtype != b.dtype() {
            return Ok(Var::constant(self.tensor().linear_scan(b.tensor(), axis)?)); // refused there
        }
        let (a, b) = (self.widened()?, b.widened()?);
        let y = a.tensor().linear_scan(b.tensor(), axis)?;
        Var::record(&[&a, &b], y, |y| Linear { a: a.tensor().clone(), y: y.clone(), axis }).to_dtype(dtype)
    }
}
