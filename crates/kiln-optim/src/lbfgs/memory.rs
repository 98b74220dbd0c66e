//! What L-BFGS remembers: its last steps, with how the gradient changed in them.

use kiln_nn::StateDict;
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Tensor};

/// A product of two vectors, on the host.
pub(super) fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    a.mul(b)?.sum_all()?.item()
}

/// One step, (n,) each.
#[derive(Clone, Debug)]
struct Pair {
    step: Tensor,
    change: Tensor,
    /// 1 / (step · change)
    inverse: f64,
}

/// The iteration before.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub(super) direction: Tensor,
    pub(super) length: f64,
    pub(super) gradient: Tensor,
}

/// All that changes from step to step.
#[derive(Clone, Default, Debug)]
pub(super) struct Memory {
    pairs: Vec<Pair>,
    /// The scale of the first estimate of the inverse Hessian; 0 before there is one.
    scale: f64,
    pub(super) before: Option<Before>,
    pub(super) iterations: u64,
    pub(super) evaluations: u64,
}

impl Memory {
    /// Takes down the step that has led to this gradient, and gives the next direction: −H·gradient, by the two loops.
    pub(super) fn direction(&mut self, gradient: &Tensor, history: usize) -> Result<Tensor> {
        let Some(before) = &self.before else {
            self.scale = 1.0;
            return gradient.neg();
        };
        let change = gradient.sub(&before.gradient)?;
        let step = before.direction.mul_scalar(before.length)?;
        let curvature = dot(&change, &step)?;
        if curvature > 1e-10 {
            if self.pairs.len() >= history {
                self.pairs.remove(0);
            }
            self.scale = curvature / dot(&change, &change)?;
            self.pairs.push(Pair { step, change, inverse: 1.0 / curvature });
        }
        let mut direction = gradient.neg()?;
        let mut shares = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let share = dot(&pair.step, &direction)? * pair.inverse;
            direction = direction.sub(&pair.change.mul_scalar(share)?)?;
            shares.push(share);
        }
        direction = direction.mul_scalar(self.scale)?;
        for (pair, share) in self.pairs.iter().zip(shares.into_iter().rev()) {
            let other = dot(&pair.change, &direction)? * pair.inverse;
            direction = direction.add(&pair.step.mul_scalar(share - other)?)?;
        }
        Ok(direction)
    }

    /// Numbers of a vector in it.
    pub(super) fn size(&self) -> Option<usize> {
        self.before.as_ref().map(|before| before.gradient.elements())
    }

    /// Brings all vectors to this type and device.
    pub(super) fn convert(&mut self, dtype: DType, device: &Device) -> Result<()> {
        let pairs = self.pairs.iter_mut().flat_map(|pair| [&mut pair.step, &mut pair.change]);
        let before = self.before.iter_mut().flat_map(|before| [&mut before.direction, &mut before.gradient]);
        for tensor in pairs.chain(before) {
            if tensor.dtype() != dtype || tensor.device() != device {
                *tensor = tensor.to_dtype(dtype)?.to_device(device)?;
            }
        }
        Ok(())
    }
}

/// The names under which it is kept; PyTorch's where it has them.
impl Memory {
    pub(super) fn save(&self, state: &mut StateDict) -> Result<()> {
        let cpu = Device::cpu();
        for (name, count) in [("n_iter", self.iterations), ("func_evals", self.evaluations)] {
            state.insert(name.into(), Tensor::scalar(count as i64, &cpu)?);
        }
        state.insert("H_diag".into(), Tensor::scalar(self.scale, &cpu)?);
        if let Some(before) = &self.before {
            state.insert("d".into(), before.direction.clone());
            state.insert("t".into(), Tensor::scalar(before.length, &cpu)?);
            state.insert("prev_flat_grad".into(), before.gradient.clone());
        }
        if !self.pairs.is_empty() {
            let all = |of: &dyn Fn(&Pair) -> Tensor| {
                let rows: Vec<Tensor> = self.pairs.iter().map(of).collect();
                Tensor::stack(&rows.iter().collect::<Vec<_>>(), 0)
            };
            state.insert("old_stps".into(), all(&|pair| pair.step.clone())?);
            state.insert("old_dirs".into(), all(&|pair| pair.change.clone())?);
            let inverses: Vec<f64> = self.pairs.iter().map(|pair| pair.inverse).collect();
            state.insert("ro".into(), Tensor::from_slice(&inverses, [inverses.len()], &cpu)?);
        }
        Ok(())
    }

    pub(super) fn load(state: &StateDict) -> Result<Self> {
        let number = |name: &str| state.get(name).ok_or_else(|| missing(name))?.item();
        let mut memory = Memory {
            scale: number("H_diag")?,
            iterations: number("n_iter")? as u64,
            evaluations: number("func_evals")? as u64,
            ..Memory::default()
        };
        let Some(gradient) = state.get("prev_flat_grad") else { return Ok(memory) };
        let vector = |name: &str| match state.get(name) {
            Some(tensor) if tensor.dims().last() == Some(&gradient.elements()) && tensor.dtype().is_float() => {
                Ok(tensor.clone())
            }
            _ => Err(missing(name)),
        };
        memory.before = Some(Before { direction: vector("d")?, length: number("t")?, gradient: gradient.clone() });
        let Some(inverses) = state.get("ro") else { return Ok(memory) };
        let inverses = inverses.to_f64_vec()?;
        let (steps, changes) = (vector("old_stps")?, vector("old_dirs")?);
        if [&steps, &changes].iter().any(|rows| rows.rank() != 2 || rows.dims()[0] != inverses.len()) {
            return Err(missing("old_stps"));
        }
        for (at, inverse) in inverses.into_iter().enumerate() {
            let row = |rows: &Tensor| rows.slice(0, at..at + 1)?.squeeze(0)?.copied();
            memory.pairs.push(Pair { step: row(&steps)?, change: row(&changes)?, inverse });
        }
        Ok(memory)
    }
}

#[cold]
fn missing(name: &str) -> Error {
    let message = format!("`{name}` is missing or of another size in the state of Lbfgs; nothing was changed");
    Error::new(ErrorKind::Format, "optimizer.load_state_dict", message)
}
