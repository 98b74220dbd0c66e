//! Sorting rows, and binary search in them.

use super::OnGpu;
use super::dispatch::{by_number, by_size, by_type};
use super::operand::Operand;
use crate::counts::countable;
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::sort::{CHUNK, merge_row_runs, search, sort_keys, sort_row_chunks, sorted_rows};
use kiln_tensor::{BlendCall, DType, DistancesCall, KthCall, Order, Ran, Result, SearchCall, SortCall, View};

/// A dtype of the size of an element's key.
fn key_type(dtype: DType) -> DType {
    match dtype {
        DType::F64 | DType::I64 => DType::F64,
        _ => DType::F32,
    }
}

impl<M: Machine> Gpu<M> {
    /// The keys of a view's elements.
    fn keys(&self, x: &View<'_>, order: Order) -> Result<Operand<'_, M>> {
        let (numbers, descending) = (self.numbers(x)?, u32::from(order == Order::Descending));
        let keys = self.temporary(numbers.elements(), key_type(x.dtype))?;
        by_number!(x.dtype, T => {
            let kernel = sort_keys::<T> { keys: keys.write(), x: numbers.read(), descending };
            self.run(kernel, by_element(numbers.elements()))
        })?;
        Ok(keys)
    }

    /// The positions that sort each row of `width` keys. (Positions have the size of f32.)
    fn sorting(&self, keys: Operand<'_, M>, width: usize, key: DType) -> Result<Operand<'_, M>> {
        let count = keys.elements();
        let pair = || -> Result<_> { Ok((self.temporary(count, key)?, self.temporary(count, DType::F32)?)) };
        let mut sorted = pair()?;
        let (width_64, geometry) = (width as u64, by_element(count));
        by_type!(key, K => {
            let (keys_out, positions) = (sorted.0.write(), sorted.1.write());
            let chunks = sort_row_chunks::<K> { keys: keys_out, positions, from: keys.read(), width: width_64 };
            self.run(chunks, geometry)
        }; DType::F64 => u64, _ => u32)?;
        drop(keys);
        let mut run = CHUNK;
        while run < width {
            let merged = pair()?;
            by_type!(key, K => {
                let (keys, positions) = (merged.0.write(), merged.1.write());
                let (from_keys, from_positions) = (sorted.0.read(), sorted.1.read());
                let (width, run) = (width_64, run as u64);
                let merge = merge_row_runs::<K> { keys, positions, from_keys, from_positions, width, run };
                self.run(merge, by_element(count))
            }; DType::F64 => u64, _ => u32)?;
            (sorted, run) = (merged, 2 * run);
        }
        Ok(sorted.1)
    }
}

impl OnGpu for SortCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let SortCall { values, positions, x, order } = self;
        let Some(out) = values.or(*positions) else { return Ok(Ran::Done) };
        if out.elements() == 0 {
            return Ok(Ran::Done);
        }
        countable("sort", [x.layout.shape()])?;
        let last = |shape: &[usize]| shape.last().copied().unwrap_or(1);
        let (width, keep) = (last(x.layout.shape()), last(out.shape));
        let places = gpu.sorting(gpu.keys(x, *order)?, width, key_type(x.dtype))?;
        let (values, positions) = (gpu.target_of(values.as_ref()), gpu.target_of(positions.as_ref()));
        let rows = gpu.rows(x)?;
        by_size!(x.dtype, T => {
            let (values, to, x, positions) = (values.write(), positions.write(), rows.read(), places.read());
            let (width, keep, count) = (width as u64, keep as u64, out.elements() as u64);
            gpu.run(sorted_rows::<T> { values, places: to, x, positions, width, keep, count }, by_element(out.elements()))
        })?;
        Ok(Ran::Done)
    }
}

impl OnGpu for KthCall<'_> {
    fn run<M: Machine>(&self, _: &Gpu<M>) -> Result<Ran> {
        Ok(Ran::NotHere)
    }
}

impl OnGpu for DistancesCall<'_> {
    fn run<M: Machine>(&self, _: &Gpu<M>) -> Result<Ran> {
        Ok(Ran::NotHere)
    }
}

impl OnGpu for BlendCall<'_> {
    fn run<M: Machine>(&self, _: &Gpu<M>) -> Result<Ran> {
        Ok(Ran::NotHere)
    }
}

impl OnGpu for SearchCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let last = |shape: &[usize]| shape.last().copied().unwrap_or(1) as u64;
        let (width, count) = (last(self.sorted.layout.shape()), last(self.x.layout.shape()));
        let (y, sorted, x) = (gpu.target(&self.out), gpu.numbers(&self.sorted)?, gpu.numbers(&self.x)?);
        by_number!(self.x.dtype, T => {
            let (sorted, x, right) = (sorted.read(), x.read(), u32::from(self.right));
            gpu.run(search::<T> { y: y.write(), sorted, x, width, count, right }, by_element(y.elements()))
        })?;
        Ok(Ran::Done)
    }
}
