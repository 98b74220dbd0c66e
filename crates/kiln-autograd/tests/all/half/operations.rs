//! Elementwise operations by their lists, views, reductions, products and softmax.

use super::{Case, between, indices, some};
use kiln_autograd::Var;
use kiln_math::{BinaryOp, UnaryOp};
use kiln_tensor::{AttentionOptions, DType, Device, Interpolation, Order, Shape, Tensor, UnaryCall};

/// Numbers of every size that both half types hold, and that f32 can square.
fn awkward() -> Tensor {
    let sizes = [0.0, 6e-8, 5e-5, 1e-3, 0.1, 0.9995, 1.0, 1.001, 2.5, 3.99, 8.0, 11.5, 17.0, 40.0, 80.0];
    let both: Vec<f64> = sizes.iter().flat_map(|&x| [x, -x]).collect();
    Tensor::from_slice(&both, [both.len()], &Device::cpu()).unwrap()
}

/// Every elementwise operation, on random and on awkward numbers.
pub(crate) fn elementwise() -> Vec<Case> {
    let mut cases = Vec::new();
    for &op in UnaryOp::ALL {
        let params = match op {
            UnaryOp::Affine => [0.7, 0.3],
            UnaryOp::Clamp => [-0.75, 1.25],
            UnaryOp::Powf => [1.5, 0.0],
            _ => [1.25, 0.0],
        };
        for x in [some([40], 1), between(0.01, 3.0, [40], 2), awkward()] {
            cases.push(Case::new(op.name(), &[x], move |v| v[0].unary(UnaryCall { op, params })));
        }
    }
    for &op in BinaryOp::ALL {
        let run = move |v: &[Var]| v[0].binary(op, &v[1]);
        cases.push(Case::new(op.name(), &[some([5, 8], 3), some([5, 8], 4)], run));
        cases.push(Case::new(op.name(), &[between(0.1, 2.0, [50, 8], 5), some([8], 6)], run));
        cases.push(Case::new(op.name(), &[between(0.1, 80.0, [1], 7), between(0.1, 3.0, [600], 8)], run));
    }
    cases
}

pub(crate) fn cases() -> Vec<Case> {
    [simple(), derived(), views(), reductions(), products(), attentions()].into_iter().flatten().collect()
}

fn simple() -> Vec<Case> {
    let (cpu, x) = (Device::cpu(), some([6, 7], 10));
    let mask: Vec<bool> = (0..42).map(|i| i % 3 == 0).collect();
    let mask = Tensor::from_slice(&mask, [6, 7], &cpu).unwrap();
    let stream = Tensor::from_slice(&[5i64, 0], [2], &cpu).unwrap();
    vec![
        Case::new("add_scalar", std::slice::from_ref(&x), |v| v[0].add_scalar(0.1)),
        Case::new("mul_scalar", std::slice::from_ref(&x), |v| v[0].mul_scalar(0.1)),
        Case::new("min", std::slice::from_ref(&x), |v| v[0].min(1)),
        Case::new("select", &[x.clone(), some([7], 11)], move |v| Var::select(&mask, &v[0], &v[1])),
        Case::new("dropout", std::slice::from_ref(&x), move |v| v[0].dropout(0.3, &stream)),
        Case::new("to_dtype there and back", std::slice::from_ref(&x), |v| {
            let other = if v[0].dtype() == DType::F64 { DType::F64 } else { DType::F32 };
            v[0].to_dtype(other)?.square()?.to_dtype(v[0].dtype())
        }),
        Case::new("index_select", std::slice::from_ref(&x), |v| v[0].index_select(0, &indices(&[3, 3, 0, 5, 3]))),
        Case::new("gather", std::slice::from_ref(&x), |v| {
            v[0].gather(0, &indices(&[3, 0, 3, 1, 2, 5]).reshape([3, 2])?)
        }),
        Case::new("slice_by", std::slice::from_ref(&x), |v| v[0].slice_by(0, 1..6, -2)),
        Case::new("index_add", &[some([4, 2], 13), some([300, 2], 12)], |v| {
            let index: Vec<i64> = (0..300).map(|i| i % 3).collect();
            v[0].index_add(0, &indices(&index), &v[1])
        }),
    ]
}

fn attentions() -> Vec<Case> {
    let operands = [some([2, 4, 6, 5], 60), some([2, 2, 9, 5], 61), some([2, 2, 9, 7], 62), some([6, 9], 63)];
    vec![
        Case::new("attention", &operands[..3], |v| {
            v[0].attention(&v[1], &v[2], None, &AttentionOptions::new().causal(true).alibi(true))
        }),
        Case::new("attention, masked", &operands, |v| {
            v[0].attention(&v[1], &v[2], Some(&v[3]), &AttentionOptions::new())
        }),
    ]
}

fn derived() -> Vec<Case> {
    let [x, y, z] = [some([6, 8], 13), some([8], 14), some([6, 1], 15)];
    let one = std::slice::from_ref(&x);
    vec![
        Case::new("lerp", &[x.clone(), y.clone()], |v| v[0].lerp(&v[1], 0.3)),
        Case::new("lerp_tensor", &[x.clone(), y.clone(), z.clone()], |v| v[0].lerp_tensor(&v[1], &v[2])),
        Case::new("clamp_tensors", &[x.clone(), y.clone(), z], |v| v[0].clamp_tensors(Some(&v[1]), Some(&v[2]))),
        Case::new("nan_to_num", one, |v| v[0].nan_to_num(0.0, None, None)),
        Case::new("prelu", &[x.clone(), y], |v| v[0].prelu(&v[1])),
        Case::new("glu", one, |v| v[0].glu(-1)),
        Case::new("reglu", one, |v| v[0].reglu(0)),
        Case::new("geglu", one, |v| v[0].geglu(-1)),
        Case::new("swiglu", one, |v| v[0].swiglu(-1)),
    ]
}

fn views() -> Vec<Case> {
    let x = &some([4, 6], 20);
    let one = std::slice::from_ref(x);
    vec![
        Case::new("reshape", one, |v| v[0].reshape([3, 8])),
        Case::new("flatten", one, |v| v[0].flatten(0)),
        Case::new("unsqueeze", one, |v| v[0].unsqueeze(1)),
        Case::new("squeeze", one, |v| v[0].unsqueeze(1)?.squeeze(1)),
        Case::new("permute", one, |v| v[0].permute(&[1, 0])),
        Case::new("transpose", one, |v| v[0].transpose(0, 1)),
        Case::new("t", one, |v| v[0].t()),
        Case::new("slice", one, |v| v[0].slice(1, 1..4)),
        Case::new("embed", one, |v| v[0].embed(1, 2, [4, 9])),
        Case::new("embed_by", one, |v| v[0].embed_by(1, 0..v[0].dims()[1] * 2, -2, [4, v[0].dims()[1] * 2])),
        Case::new("pad", one, |v| v[0].pad(&[(1, 2), (0, 1)], 0.1)),
        Case::new("crop", one, |v| v[0].crop(&[(1, 1), (2, 1)])),
        Case::new("broadcast_to", one, |v| v[0].broadcast_to([500, 4, 6])),
        Case::new("sum_to", &[some([500, 6], 21)], |v| v[0].sum_to(&Shape::new(&[6])?)),
        Case::new("concat", &[x.clone(), some([4, 2], 22)], |v| Var::concat(&[&v[0], &v[1], &v[0]], 1)),
        Case::new("stack", &[x.clone(), some([4, 6], 23)], |v| Var::stack(&[&v[0], &v[1]], 0)),
    ]
}

fn reductions() -> Vec<Case> {
    let equal = Tensor::ones([3, 3000], DType::F64, &Device::cpu()).unwrap();
    let large = between(1000.0, 60_000.0, [3, 200], 31);
    let mut cases = vec![
        Case::new("sum", &[some([5, 9000], 30)], |v| v[0].sum(1)),
        Case::new("sum_keepdim", &[some([900, 40], 30)], |v| v[0].sum_keepdim(0)),
        Case::new("sum_all", &[some([70, 300], 32)], |v| v[0].sum_all()),
        Case::new("mean", std::slice::from_ref(&large), |v| v[0].mean(1)),
        Case::new("mean_keepdim", std::slice::from_ref(&large), |v| v[0].mean_keepdim(1)),
        Case::new("mean_all", std::slice::from_ref(&large), |v| v[0].mean_all()),
        Case::new("max of equals", std::slice::from_ref(&equal), |v| v[0].max(1)),
        Case::new("max_keepdim", std::slice::from_ref(&large), |v| v[0].max_keepdim(0)),
        Case::new("min_keepdim of equals", &[equal], |v| v[0].min_keepdim(1)),
        Case::new("prod", &[between(0.7, 1.4, [4, 21], 33)], |v| v[0].prod(1)),
        Case::new("prod_keepdim", &[between(0.7, 1.4, [4, 21], 33)], |v| v[0].prod_keepdim(1)),
        Case::new("var", &[some([5, 300], 36)], |v| v[0].var(1, 1)),
        Case::new("std", &[between(10.0, 12.0, [5, 300], 37)], |v| v[0].std_keepdim(0, 0)),
        Case::new("norm", &[between(100.0, 1000.0, [5, 300], 38)], |v| v[0].norm(2.0, 1)),
        Case::new("norm of p = 3", &[some([5, 30], 39)], |v| v[0].norm(3.0, ..)),
        Case::new("normalized", &[some([5, 30], 40)], |v| v[0].normalized(2.0, 1, 1e-6)),
        Case::new("cosine_similarity", &[some([5, 30], 41), some([30], 42)], |v| {
            v[0].cosine_similarity(&v[1], 1, 1e-6)
        }),
        Case::new("cumsum", &[some([3, 700], 43)], |v| v[0].cumsum(1)),
        Case::new("cumprod", &[between(0.9, 1.1, [3, 40], 44)], |v| v[0].cumprod(1)),
        Case::new("logcumsumexp", &[some([3, 300], 45)], |v| v[0].logcumsumexp(1)),
        Case::new("linear_recurrence", &[between(-0.9, 0.9, [3, 40], 46), some([3, 40], 47)], |v| {
            v[0].linear_recurrence(&v[1], 1)
        }),
        Case::new("sort", &[some([3, 90], 48)], |v| v[0].sort(1, Order::Descending)),
        Case::new("quantile", &[some([3, 90], 49)], |v| v[0].quantile(0.3, 1, Interpolation::Linear)),
        Case::new("cummax", &[some([3, 90], 50)], |v| Ok(v[0].cummax(1)?.0)),
    ];
    for width in [7, 300] {
        let x = between(-6.0, 6.0, [4, width], 34);
        let sharp = between(-30.0, 30.0, [4, width], 35);
        for x in [x, sharp] {
            cases.push(Case::new("softmax", std::slice::from_ref(&x), |v| v[0].softmax(-1)));
            cases.push(Case::new("softmax of columns", std::slice::from_ref(&x), |v| v[0].softmax(0)));
            cases.push(Case::new("log_softmax", std::slice::from_ref(&x), |v| v[0].log_softmax(-1)));
            cases.push(Case::new("logsumexp", std::slice::from_ref(&x), |v| v[0].logsumexp(-1)));
            cases.push(Case::new("logsumexp_keepdim", &[x], |v| v[0].logsumexp_keepdim(0)));
        }
    }
    cases
}

fn products() -> Vec<Case> {
    let (a, b) = (some([5, 300], 40), some([300, 6], 41));
    let batches = [some([3, 5, 70], 42), some([70, 6], 43)];
    let mut cases = vec![
        Case::new("matmul", &[a.clone(), b], |v| v[0].matmul(&v[1])),
        Case::new("matmul, one matrix for all", &batches, |v| v[0].matmul(&v[1])),
        Case::new("matmul, one matrix on the left", &[some([6, 70], 44), some([40, 70, 3], 45)], |v| {
            v[0].matmul(&v[1])
        }),
        Case::new("matmul of vectors", &[some([300], 46), some([300], 47)], |v| v[0].matmul(&v[1])),
    ];
    for op in [None, Some(UnaryOp::Relu), Some(UnaryOp::Tanh), Some(UnaryOp::Sigmoid), Some(UnaryOp::Gelu)] {
        let inputs = [a.clone(), between(-0.3, 0.3, [6, 300], 48), some([6], 49)];
        cases.push(Case::new("linear", &inputs, move |v| v[0].linear(&v[1], Some(&v[2]), op.map(UnaryCall::from))));
    }
    cases
}
