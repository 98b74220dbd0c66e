//! Attention, where its tiles fit the shared memory of a block.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::{Operand, float, sizes};
use crate::counts::{are_counted, countable};
use crate::gpu::Gpu;
use crate::machine::Machine;
use cuda_std::Geometry;
use gpu_kernels::attention::{
    FORWARD, GRAD_KEY, GRAD_QUERY, Incoming, KEY, MOST_SHARED, NO_WINDOW, QUERY, Scores, VALUE, attention,
    attention_delta, attention_grad_key, attention_grad_query, geometry, shared_bytes,
};
use gpu_kernels::geometry::by_lanes;
use gpu_kernels::number::GpuFloat;
use kiln_tensor::{Attention, AttentionCall, AttentionGradCall, DType, HeadOrder, Out, Ran, Result, View};

/// The operands in device memory. What is not there has no elements.
struct AttentionLaunch<'g, 'a, M: Machine> {
    gpu: &'g Gpu<M>,
    of: &'a Attention<'a>,
    /// What is computed in.
    dtype: DType,
    query: Operand<'g, M>,
    key: Operand<'g, M>,
    value: Operand<'g, M>,
    mask: Operand<'g, M>,
    slopes: Operand<'g, M>,
    places: Operand<'g, M>,
    stream: Operand<'g, M>,
}

impl<'g, 'a, M: Machine> AttentionLaunch<'g, 'a, M> {
    /// The operands; nothing where the kernels are not for them.
    fn new(gpu: &'g Gpu<M>, of: &'a Attention<'a>, tiles: [usize; 2]) -> Result<Option<Self>> {
        let dtype = float("attention", of.query.dtype)?;
        let [query, key, value] = [&of.query, &of.key, &of.value];
        countable("attention", [query, key, value].map(|x| x.layout.shape()))?;
        let [batch, heads, queries, width] = dims(query);
        let blocks = [batch, heads, queries.max(key.layout.shape()[2])].iter().copied().try_fold(1, usize::checked_mul);
        let fits = shared(dtype, [width, dims(value)[3]], tiles).is_some() && are_counted(blocks);
        if !fits || blocks.is_none() {
            return Ok(None);
        }
        Ok(Some(AttentionLaunch {
            gpu,
            of,
            dtype,
            query: gpu.numbers(query)?,
            key: gpu.numbers(key)?,
            value: gpu.numbers(value)?,
            mask: of.mask.as_ref().map_or_else(|| gpu.absent(), |mask| gpu.whole(mask.buffer, mask.dtype)),
            slopes: slopes(gpu, of, dtype)?,
            places: places(gpu, of)?,
            stream: gpu.rows_of(&of.dropout.map(|(_, stream)| stream))?,
        }))
    }

    /// With which outputs lie rows first.
    fn scores<T: GpuFloat>(&self, rows_first: u32) -> Scores<T> {
        let [_, heads, queries, width] = dims(&self.of.query);
        let [_, key_heads, keys, value_width] = dims(&self.of.value);
        let [heads, group, queries, keys, width, value_width] =
            sizes([heads, heads / key_heads, queries, keys, width, value_width]);
        let (reach, rate) = (&self.of.reach, self.of.dropout.map_or(0.0, |(rate, _)| rate));
        let layout = self.of.mask.as_ref().map(|mask| mask.layout);
        let strides = layout.map_or(&[][..], |layout| layout.strides());
        let mut mask_strides = [0; 4];
        mask_strides.iter_mut().zip(strides).for_each(|(to, &stride)| *to = stride as i64);
        let absent = self.gpu.absent();
        let (seen, added) = match self.of.mask.as_ref().map(|mask| mask.dtype) {
            Some(DType::Bool) => (&self.mask, &absent),
            _ => (&absent, &self.mask),
        };
        Scores {
            seen: seen.read(),
            added: added.read(),
            slopes: self.slopes.read(),
            places: self.places.read(),
            stream: self.stream.read(),
            mask_start: layout.map_or(0, |layout| layout.offset() as i64),
            mask_strides,
            scale: self.of.scale,
            kept_scale: kiln_math::draws::kept_scale(rate),
            rate: rate as f32,
            heads,
            group,
            queries,
            keys,
            width,
            value_width,
            window: reach.window.map_or(NO_WINDOW, |window| window.min(NO_WINDOW as usize - 1) as u32),
            causal: u32::from(reach.causal),
            rows_first,
        }
    }

    /// A block for each tile of queries, or of keys.
    fn geometry(&self, by: &View<'_>, tiles: [usize; 2]) -> Geometry {
        let [batch, heads, rows, _] = dims(by);
        let widths = [dims(&self.of.query)[3], dims(&self.of.value)[3]];
        geometry(batch * heads, rows, shared(self.dtype, widths, tiles).unwrap_or(u32::MAX))
    }

    /// From the gradient of the output, the sums that the forward pass has left, and Σ y·dy of each query.
    fn gradients(&self, call: &AttentionGradCall<'_>, [dy, log_sum, delta]: [&Operand<'_, M>; 3]) -> Result<()> {
        let (gpu, of) = (self.gpu, self.of);
        let computing = |out: &Out<'_>, run: &dyn Fn(&Operand<'_, M>) -> Result<()>| match out.elements() {
            0 => Ok(()),
            _ => gpu.computing(out, run),
        };
        by_float!(self.dtype, T => {
            let (query, key, value) = (self.query.read(), self.key.read(), self.value.read());
            let incoming = Incoming::<T> { dy: dy.read(), log_sum: log_sum.read(), delta: delta.read() };
            let [query_order, key_order, value_order] = call.orders;
            let keys = rows_first(KEY, key_order) | rows_first(VALUE, value_order);
            let scores = self.scores(rows_first(QUERY, query_order) | keys);
            computing(&call.dquery, &|dquery| {
                let dquery = dquery.write();
                let kernel = attention_grad_query::<T> { dquery, query, key, value, incoming, scores };
                gpu.run(kernel, self.geometry(&of.query, GRAD_QUERY))
            })?;
            computing(&call.dkey, &|dkey| computing(&call.dvalue, &|dvalue| {
                let (dkey, dvalue) = (dkey.write(), dvalue.write());
                let kernel = attention_grad_key::<T> { dkey, dvalue, query, key, value, incoming, scores };
                gpu.run(kernel, self.geometry(&of.key, GRAD_KEY))
            }))
        })
    }
}

/// The flag of an output, where it lies rows first.
fn rows_first(output: u32, order: HeadOrder) -> u32 {
    if order == HeadOrder::RowsFirst { output } else { 0 }
}

fn dims(view: &View<'_>) -> [usize; 4] {
    std::array::from_fn(|axis| view.layout.shape()[axis])
}

/// Bytes of shared memory for these tiles, where a block may have them.
fn shared(dtype: DType, widths: [usize; 2], tiles: [usize; 2]) -> Option<u32> {
    let bytes = by_float!(dtype, T => shared_bytes::<T>(widths, tiles));
    u32::try_from(bytes).ok().filter(|&bytes| bytes <= MOST_SHARED)
}

/// ALiBi's slopes in the type that is computed in.
fn slopes<'g, M: Machine>(gpu: &'g Gpu<M>, of: &Attention<'_>, dtype: DType) -> Result<Operand<'g, M>> {
    let Some(slopes) = of.slopes else { return Ok(gpu.absent()) };
    let bytes: Vec<u8> = match dtype {
        DType::F64 => slopes.iter().flat_map(|slope| slope.to_ne_bytes()).collect(),
        _ => slopes.iter().flat_map(|&slope| (slope as f32).to_ne_bytes()).collect(),
    };
    gpu.given(&bytes, dtype)
}

/// Of packed sequences each query's place, the first key that it can see, and where these end.
fn places<'g, M: Machine>(gpu: &'g Gpu<M>, of: &Attention<'_>) -> Result<Operand<'g, M>> {
    if of.reach.packed.is_none() {
        return Ok(gpu.absent());
    }
    let places = of.reach.places().into_iter();
    let numbers = places.flat_map(|query| [query.place, query.keys.start as i64, query.keys.end as i64]);
    gpu.given(&numbers.flat_map(i64::to_ne_bytes).collect::<Vec<u8>>(), DType::I64)
}

impl OnGpu for AttentionCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        if self.out.elements() == 0 && self.log_sum.elements() == 0 {
            return Ok(Ran::Done);
        }
        let Some(launch) = AttentionLaunch::new(gpu, &self.operands, FORWARD)? else { return Ok(Ran::NotHere) };
        let log_sum = gpu.target(&self.log_sum);
        gpu.computing(&self.out, |y| {
            by_float!(launch.dtype, T => {
                let (query, key, value) = (launch.query.read(), launch.key.read(), launch.value.read());
                let (y, log_sum, scores) = (y.write(), log_sum.write(), launch.scores::<T>(rows_first(QUERY, self.order)));
                let kernel = attention::<T> { y, log_sum, query, key, value, scores };
                gpu.run(kernel, launch.geometry(&self.operands.query, FORWARD))
            })
        })?;
        Ok(Ran::Done)
    }
}

impl OnGpu for AttentionGradCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        // The gradients of keys are written beside those of values, and there are none of a width of 0.
        let apart = self.dvalue.elements() == 0 && self.dkey.elements() > 0;
        // The tiles for the gradients of keys take more than those for queries.
        let launch = AttentionLaunch::new(gpu, &self.operands, GRAD_KEY)?;
        let Some(launch) = launch.filter(|_| !apart) else { return Ok(Ran::NotHere) };
        let rows = self.log_sum.layout.shape().elements();
        let (y, dy) = (gpu.numbers(&self.out)?, gpu.numbers(&self.dy)?);
        let (log_sum, delta) = (gpu.rows(&self.log_sum)?, gpu.temporary(rows, launch.dtype)?);
        let [width] = sizes([dims(&self.operands.value)[3]]);
        if rows > 0 {
            by_float!(launch.dtype, T => {
                let kernel = attention_delta::<T> { delta: delta.write(), y: y.read(), dy: dy.read(), width };
                gpu.run(kernel, by_lanes(rows))
            })?;
        }
        launch.gradients(self, [&dy, &log_sum, &delta])?;
        Ok(Ran::Done)
    }
}
