//! Convolutions, pools, norms, resampling and recurrent layers.

use super::{Case, between, some};
use kiln_autograd::RecurrentOptions;
use kiln_math::UnaryOp;
use kiln_tensor::{ConvOptions, Device, PoolOptions, Recurrence, RecurrentCell, Tensor, UnaryCall};

pub(crate) fn cases() -> Vec<Case> {
    [convolutions(), pools(), resampling(), norms(), recurrent()].into_iter().flatten().collect()
}

fn convolutions() -> Vec<Case> {
    let inputs = [some([2, 4, 6, 7], 50), some([3, 4, 3, 3], 51), some([3], 52)];
    let mut cases = vec![
        Case::new("conv without bias", &inputs[..2], |v| v[0].conv(&v[1], None, &ConvOptions::new(), None)),
        Case::new("conv_transpose", &[some([2, 3, 4, 5], 53), some([3, 4, 3, 3], 54), some([4], 55)], |v| {
            v[0].conv_transpose(&v[1], Some(&v[2]), &ConvOptions::new().stride(2))
        }),
        Case::new("conv_transpose without bias", &[some([2, 3, 4, 5], 53), some([3, 4, 3, 3], 54)], |v| {
            v[0].conv_transpose(&v[1], None, &ConvOptions::new())
        }),
    ];
    for op in [None, Some(UnaryOp::Relu), Some(UnaryOp::Tanh), Some(UnaryOp::Silu)] {
        cases.push(Case::new("conv", &inputs, move |v| {
            v[0].conv(&v[1], Some(&v[2]), &ConvOptions::new().padding(1), op.map(UnaryCall::from))
        }));
    }
    cases
}

fn pools() -> Vec<Case> {
    let x = between(-300.0, 300.0, [2, 3, 7, 8], 60);
    let one = std::slice::from_ref(&x);
    let positive = [between(0.5, 200.0, [2, 3, 7, 8], 61)];
    let options = || PoolOptions::new(3).stride(2).padding(1);
    vec![
        Case::new("max_pool", one, move |v| v[0].max_pool(&options())),
        Case::new("avg_pool", one, move |v| v[0].avg_pool(&options())),
        Case::new("avg_pool without padding", one, move |v| v[0].avg_pool(&options().count_include_pad(false))),
        Case::new("lp_pool", &positive, |v| v[0].lp_pool(2.0, &PoolOptions::new(3))),
        Case::new("lp_pool, cubes", &positive, |v| v[0].lp_pool(3.0, &PoolOptions::new(2))),
        Case::new("adaptive_avg_pool", one, |v| v[0].adaptive_avg_pool([3, 5])),
        Case::new("adaptive_max_pool", one, |v| v[0].adaptive_max_pool([3, 5])),
        Case::new("global_avg_pool", one, |v| v[0].global_avg_pool()),
        Case::new("global_avg_pool_keepdim", one, |v| v[0].global_avg_pool_keepdim()),
        Case::new("global_max_pool", one, |v| v[0].global_max_pool()),
        Case::new("global_max_pool_keepdim", one, |v| v[0].global_max_pool_keepdim()),
    ]
}

fn resampling() -> Vec<Case> {
    let x = some([2, 2, 5, 6], 70);
    let one = std::slice::from_ref(&x);
    vec![
        Case::new("upsample_nearest", one, |v| v[0].upsample_nearest([10, 18])),
        Case::new("upsample_nearest, uneven", one, |v| v[0].upsample_nearest([7, 9])),
        Case::new("upsample_bilinear", one, |v| v[0].upsample_bilinear([9, 11], false)),
        Case::new("upsample_bilinear, corners", one, |v| v[0].upsample_bilinear([9, 11], true)),
        Case::new("upsample_bicubic", one, |v| v[0].upsample_bicubic([9, 3], false)),
    ]
}

fn norms() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, (low, high)) in [(-2.0, 2.0), (250.0, 350.0), (-3000.0, 3000.0)].into_iter().enumerate() {
        let seed = 80 + 10 * number as u64;
        let x = between(low, high, [4, 6, 5], seed);
        let (weight, bias) = (some([6], seed + 1), some([6], seed + 2));
        let by_channel = [x.clone(), weight, bias];
        let last = [x, some([6, 5], seed + 3), some([6, 5], seed + 4)];
        for op in [None, Some(UnaryOp::Relu), Some(UnaryOp::Tanh), Some(UnaryOp::Silu)] {
            let call = op.map(UnaryCall::from);
            cases.push(Case::new("batch_norm", &by_channel, move |v| {
                Ok(v[0].batch_norm(Some(&v[1]), Some(&v[2]), 1e-5, call)?.0)
            }));
            cases.push(Case::new("batch_norm_with", &by_channel, move |v| {
                let computed = v[0].dtype().computed_in();
                let moments = Tensor::from_slice(
                    &[[300.0, 0.0, 1.0, -2.0, 250.0, 320.0], [1e5, 2.0, 1.0, 0.5, 900.0, 3.0]].concat(),
                    [2, 6],
                    &Device::cpu(),
                )?;
                v[0].batch_norm_with(&moments.to_dtype(computed)?, Some(&v[1]), Some(&v[2]), 1e-5, call)
            }));
        }
        cases.extend([
            Case::new("layer_norm", &last, |v| v[0].layer_norm(2, Some(&v[1]), Some(&v[2]), 1e-5)),
            Case::new("rms_norm", &last[..2], |v| v[0].rms_norm(2, Some(&v[1]), 1e-6)),
            // Twice a number is one of the same type: no sum is rounded.
            Case::new("add_layer_norm", &last, |v| {
                Ok(v[0].add_layer_norm(&v[0], 2, Some(&v[1]), Some(&v[2]), 1e-5)?.1)
            }),
            Case::new("add_rms_norm", &last[..2], |v| Ok(v[0].add_rms_norm(&v[0], 2, Some(&v[1]), 1e-6)?.1)),
            Case::new("group_norm", &by_channel, |v| v[0].group_norm(3, Some(&v[1]), Some(&v[2]), 1e-5)),
            Case::new("instance_norm", &by_channel, |v| v[0].instance_norm(Some(&v[1]), Some(&v[2]), 1e-5)),
            Case::new("local_response_norm", &by_channel[..1], |v| v[0].local_response_norm(3, 1e-4, 0.75, 2.0)),
        ]);
    }
    cases
}

fn recurrent() -> Vec<Case> {
    let mut cases = Vec::new();
    for &cell in RecurrentCell::ALL {
        let (width, own) = (cell.gates() * 4, cell.unit_weights() * 4);
        let mut inputs = vec![some([5, 2, width], 120), between(-0.5, 0.5, [width, 4], 121), some([2, 4], 122)];
        inputs.extend((own > 0).then(|| some([own], 123)));
        cases.push(Case::new("recurrent", &inputs, move |v| {
            let layer = Recurrence { h0: Some(&v[2]), unit_weights: v.get(3), ..Recurrence::new(cell, &v[1]) };
            v[0].clone().recurrent(&layer, RecurrentOptions { twice: true, ..RecurrentOptions::default() })
        }));
    }
    cases
}
