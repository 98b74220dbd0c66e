//! Running averages of whole tensors, by one kernel.

use kiln_math::UpdateRule;
use kiln_math::update::{Average, CONSTANTS, Constants, MAX_STATES, Rule, Step};
use kiln_tensor::{DType, Device, Result, Tensor, UpdateTensors};

/// The constants of own · average + share · new, where `dtype` is computed in.
pub(crate) fn constants(own: f64, share: f64, dtype: DType) -> Constants<f64> {
    let step = Step { learning_rate: 0.0, weight_decay: 0.0, number: 1.0, smallest: dtype.smallest_normal() };
    Average { own, share }.constants(&step)
}

/// Rows of constants in a device's memory, in f32 or f64.
pub(crate) fn upload(rows: &[Constants<f64>], dtype: DType, device: &Device) -> Result<Tensor> {
    let shape = [rows.len(), CONSTANTS];
    match dtype {
        DType::F64 => Tensor::from_slice(rows.as_flattened(), shape, device),
        _ => Tensor::from_vec(rows.as_flattened().iter().map(|&constant| constant as f32).collect(), shape, device),
    }
}

/// One average and what it is averaged with; the row of its constants.
pub(crate) fn tensors<'t>(average: &'t mut Tensor, new: &'t Tensor, row: usize) -> UpdateTensors<'t> {
    UpdateTensors { parameter: average, gradient: new, states: [const { None }; MAX_STATES], row }
}

/// average ← own · average + share · new for all of these, in one pass and without denormal numbers. Where `apply` is false, nothing is
/// written.
pub(crate) fn average(pairs: Vec<(&mut Tensor, &Tensor)>, own: f64, share: f64, apply: Option<&Tensor>) -> Result<()> {
    let mut by_type = [(DType::F32, Vec::new()), (DType::F64, Vec::new())];
    for (average, new) in pairs {
        by_type[usize::from(average.dtype() == DType::F64)].1.push(tensors(average, new, 0));
    }
    for (dtype, mut of_type) in by_type {
        let Some(first) = of_type.first() else { continue };
        let rows = upload(&[constants(own, share, dtype)], dtype, first.gradient.device())?;
        Tensor::update(UpdateRule::Average, &rows, apply, &mut of_type)?;
    }
    Ok(())
}
