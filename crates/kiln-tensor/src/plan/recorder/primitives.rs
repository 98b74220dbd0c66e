//! What is written down of each primitive, by its arguments.

use super::super::step::{note, unknown};
use super::{read_by_host, with};
use crate::profile::Work;
use crate::{
    ArgReduceOp, CompareOp, DeviceBuffer, Distribution, Epilogue, Out, ReduceOp, Result, ScatterOp, UnaryCall, View,
};
use kiln_math::{BinaryOp, IntegerOp, Law};

macro_rules! noted {
    ($($name:ident($($argument:ident: $type:ty),*) $(keeps $keeps:expr)?;)+) => {
        $(
            pub(crate) fn $name(work: Work $(, $argument: &$type)*) -> Result<()> {
                with(|recorder| {
                    recorder.work = Some(work);
                    note::$name(recorder, false $(|| $keeps)? $(, $argument)*)
                })
            }
        )+
    };
}
noted! {
    fill(out: Out<'_>, value: f64);
    copy(out: View<'_>, x: View<'_>);
    unary(call: UnaryCall, out: Out<'_>, x: View<'_>);
    binary(op: BinaryOp, out: Out<'_>, a: View<'_>, b: View<'_>);
    integers(op: IntegerOp, out: Out<'_>, a: View<'_>, b: View<'_>);
    compare(op: CompareOp, out: Out<'_>, a: View<'_>, b: View<'_>);
    select(out: Out<'_>, condition: View<'_>, a: View<'_>, b: View<'_>);
    reduce(op: ReduceOp, out: Out<'_>, x: View<'_>, axes: &[usize]);
    arg_reduce(op: ArgReduceOp, out: Out<'_>, x: View<'_>, axis: usize);
    matmul(out: Out<'_>, a: View<'_>, b: View<'_>, epilogue: Epilogue<'_>) keeps epilogue.accumulate;
    gather(out: Out<'_>, x: View<'_>, index: View<'_>, axis: usize);
    scatter(op: ScatterOp, out: Out<'_>, y: View<'_>, index: View<'_>, axis: usize) keeps true;
}

pub(crate) fn upload(_: Work, to: &DeviceBuffer, _: &usize, _: &&[u8]) -> Result<()> {
    with(|recorder| {
        if recorder.varies(*to) {
            return Err(unknown("upload"));
        }
        recorder.changes(*to);
        Ok(())
    })
}

pub(crate) fn download(_: Work, _: &&mut [u8], from: &DeviceBuffer, _: &usize) -> Result<()> {
    read_by_host(*from)
}
pub(crate) fn unary_grad(_: Work, _: &UnaryCall, _: &Out<'_>, _: &View<'_>, _: &View<'_>, _: &View<'_>) -> Result<()> {
    Err(unknown("unary_grad"))
}
pub(crate) fn random(_: Work, _: &Distribution, _: &Out<'_>, _: &View<'_>) -> Result<()> {
    Err(unknown("random"))
}
pub(crate) fn sample(_: Work, _: &Law, _: &Out<'_>, _: &View<'_>, _: &View<'_>, _: &View<'_>) -> Result<()> {
    Err(unknown("sample"))
}
