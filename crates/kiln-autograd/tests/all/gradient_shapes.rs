//! Every operation of `Var`, for every way that its operands may broadcast: each gradient has its variable's shape, in the first
//! and in the second order, and the value that differences give.

use kiln_autograd::{Backward, Function, RecurrentOptions, RecurrentOutput, Var, grad, grad_check};
use kiln_math::{BinaryOp, UnaryOp};
use kiln_tensor::{
    AttentionOptions, ConvOptions, CrossEntropyOptions, DType, Device, PoolOptions, Recurrence, RecurrentCell, Result,
    Shape, Tensor, UnaryCall,
};
use std::collections::BTreeSet;

/// Numbers between 0.2 and 1.7, none of them equal, none an integer or a half.
fn values(shape: &[usize], seed: usize) -> Tensor {
    let n: usize = shape.iter().product();
    let data: Vec<f64> = (0..n).map(|i| 0.213 + ((i * 37 + seed * 11 + 5) % 101) as f64 * 0.0147).collect();
    Tensor::from_slice(&data, shape, &Device::cpu()).unwrap()
}

type Operation = dyn Fn(&[Var]) -> Result<Var>;

/// An operation of two operands or more is given for each way of broadcasting; others for shapes that they treat differently.
struct Case {
    /// The method's name.
    op: &'static str,
    shapes: Vec<Vec<usize>>,
    f: Box<Operation>,
}

fn case(op: &'static str, shapes: &[&[usize]], f: impl Fn(&[Var]) -> Result<Var> + 'static) -> Case {
    Case { op, shapes: shapes.iter().map(|shape| shape.to_vec()).collect(), f: Box::new(f) }
}

/// What is wrong with a case, if anything is.
fn check(Case { op, shapes, f }: &Case) -> Result<()> {
    let name = format!("{op} of {shapes:?}");
    let inputs: Vec<Tensor> = shapes.iter().enumerate().map(|(seed, shape)| values(shape, seed)).collect();
    let vars: Vec<Var> = inputs.iter().map(|t| Var::variable(t.clone())).collect();
    let total = || f(&vars)?.square()?.sum_all();
    let gradients = total()?.backward()?;
    for (position, var) in vars.iter().enumerate() {
        if let Some(gradient) = gradients.of(var) {
            assert_eq!(gradient.shape(), var.shape(), "{name}: input {position}");
        }
        // Where this one alone is a variable, other parts of the rule run.
        let alone: Vec<Var> = (0..vars.len())
            .map(|at| if at == position { var.clone() } else { Var::constant(inputs[at].clone()) })
            .collect();
        let gradients = f(&alone)?.sum_all()?.backward()?;
        if let Some(gradient) = gradients.of(var) {
            assert_eq!(gradient.shape(), var.shape(), "{name}: input {position} alone");
        }
    }
    let slopes = grad(&total()?, &vars.iter().collect::<Vec<_>>())?;
    for (position, (slope, var)) in slopes.iter().zip(&vars).enumerate() {
        let Some(slope) = slope else { continue };
        assert_eq!(slope.shape(), var.shape(), "{name}: input {position}, recorded");
        let again = slope.sum_all().and_then(|y| grad(&y, &[var])).ok();
        if let Some(Some(second)) = again.and_then(|mut all| all.pop()) {
            assert_eq!(second.shape(), var.shape(), "{name}: input {position}, second order");
        }
    }
    grad_check(f, &inputs)
}

/// Pairs of shapes that broadcast: equal, more axes on either side, axes of 1 on either and on both sides, scalars, no elements.
const PAIRS: &[[&[usize]; 2]] = &[
    [&[2, 3], &[2, 3]],
    [&[2, 3], &[3]],
    [&[3], &[2, 3]],
    [&[2, 3], &[]],
    [&[], &[2, 3]],
    [&[2, 1], &[1, 3]],
    [&[3, 1, 2], &[4, 2]],
    [&[1, 1, 1], &[2]],
    [&[1], &[]],
    [&[0, 3], &[1, 3]],
    [&[2, 1], &[2, 0]],
];

fn elementwise() -> Vec<Case> {
    let mut cases = Vec::new();
    for &op in BinaryOp::ALL {
        for pair in PAIRS {
            cases.push(case(op.name(), pair, move |v| v[0].binary(op, &v[1])));
        }
        // Both operands one variable, once in a shape that is stretched.
        cases.push(case(op.name(), &[&[3]], move |v| v[0].binary(op, &v[0].broadcast_to([2, 3])?)));
    }
    for &op in UnaryOp::ALL {
        for shape in [&[2, 3][..], &[], &[0, 2], &[1]] {
            let call = UnaryCall { op, params: [0.55, 1.2] };
            // From 0.2 to 1.7 to where the operation is defined.
            let (low, high) = op.domain();
            let scale = if low <= 0.2 && high >= 1.7 { None } else { Some((high - low) / 1.5) };
            cases.push(case(op.name(), &[shape], move |v| match scale {
                None => v[0].unary(call),
                Some(scale) => v[0].affine(scale, low - 0.2 * scale)?.unary(call),
            }));
        }
    }
    cases.push(case("add_scalar", &[&[2, 3]], |v| v[0].add_scalar(2.0)));
    cases.push(case("mul_scalar", &[&[2, 3]], |v| v[0].mul_scalar(2.0)));
    // The condition broadcasts as well, and may be what stretches both.
    let condition = |shape: &[usize]| values(shape, 3).gt(&values(&[], 20)).unwrap();
    for pair in PAIRS {
        for stretched in [&[][..], &[2, 1, 1, 1]] {
            let condition = condition(stretched);
            cases.push(case("select", pair, move |v| Var::select(&condition, &v[0], &v[1])));
        }
    }
    cases
}

fn shapes() -> Vec<Case> {
    let x: &[&[usize]] = &[&[2, 3, 4]];
    let stretched: &[&[usize]] = &[&[2, 2, 4], &[1, 2, 4], &[2, 2, 1], &[2, 4], &[1, 1], &[4], &[1], &[]];
    let mut cases = vec![
        case("reshape", x, |v| v[0].reshape([4, 6])),
        case("flatten", x, |v| v[0].flatten(1)),
        case("unsqueeze", x, |v| v[0].unsqueeze(3)),
        case("squeeze", &[&[2, 1, 3]], |v| v[0].squeeze(1)),
        case("permute", x, |v| v[0].permute(&[2, 0, 1])),
        case("transpose", x, |v| v[0].transpose(0, 2)),
        case("t", &[&[2, 3]], |v| v[0].t()),
        case("slice", x, |v| v[0].slice(1, 1..3)),
        case("slice", x, |v| v[0].slice(1, 2..2)),
        case("pad", x, |v| v[0].pad(&[(1, 0), (0, 2)], 0.5)),
        case("crop", x, |v| v[0].crop(&[(1, 0), (0, 2)])),
        case("concat", &[&[2, 1], &[2, 3], &[2, 0]], |v| Var::concat(&[&v[0], &v[1], &v[2], &v[0]], 1)),
        case("stack", &[&[2, 3], &[2, 3]], |v| Var::stack(&[&v[0], &v[1]], 1)),
        case("to_dtype", x, |v| v[0].to_dtype(DType::F64)),
        case("sum_to", x, |v| v[0].sum_to(&Shape::new(&[3, 1])?)),
    ];
    // Middle indices of the second axis of (2, 5, 4), from every shape that broadcasts to them.
    for &shape in stretched {
        cases.push(case("embed", &[shape], |v| v[0].embed(1, 2, [2, 5, 4])));
        cases.push(case("embed_by", &[shape], |v| v[0].embed_by(1, 0..4, -2, [2, 5, 4])));
    }
    cases.push(case("embed", &[&[1, 5, 4]], |v| v[0].embed(1, 0, [2, 5, 4])));
    cases.push(case("embed", &[&[5, 1]], |v| v[0].embed(0, 1, [2, 5, 4])));
    for &shape in &[&[2, 3][..], &[1, 3], &[2, 1], &[3], &[1], &[]] {
        cases.push(case("broadcast_to", &[shape], |v| v[0].broadcast_to([4, 2, 3])));
    }
    cases
}

fn reductions() -> Vec<Case> {
    let mut cases = Vec::new();
    let x: &[&[usize]] = &[&[2, 3, 4]];
    for axes in [&[0isize, 2][..], &[-1], &[], &[0, 1, 2]] {
        cases.push(case("sum", x, move |v| v[0].sum(axes)));
        cases.push(case("sum_keepdim", x, move |v| v[0].sum_keepdim(axes)));
        cases.push(case("mean", x, move |v| v[0].mean(axes)));
        cases.push(case("mean_keepdim", x, move |v| v[0].mean_keepdim(axes)));
        cases.push(case("max", x, move |v| v[0].max(axes)));
        cases.push(case("max_keepdim", x, move |v| v[0].max_keepdim(axes)));
        cases.push(case("min", x, move |v| v[0].min(axes)));
        cases.push(case("min_keepdim", x, move |v| v[0].min_keepdim(axes)));
        cases.push(case("prod", x, move |v| v[0].prod(axes)));
        cases.push(case("prod_keepdim", x, move |v| v[0].prod_keepdim(axes)));
    }
    cases.push(case("global_max_pool", x, |v| v[0].global_max_pool()));
    cases.push(case("global_max_pool_keepdim", x, |v| v[0].global_max_pool_keepdim()));
    cases.push(case("global_avg_pool", x, |v| v[0].global_avg_pool()));
    cases.push(case("global_avg_pool_keepdim", x, |v| v[0].global_avg_pool_keepdim()));
    cases.push(case("sum_all", x, |v| v[0].sum_all()));
    cases.push(case("mean_all", x, |v| v[0].mean_all()));
    for axis in [-1, 0, 1] {
        cases.push(case("softmax", x, move |v| v[0].softmax(axis)));
        cases.push(case("log_softmax", x, move |v| v[0].log_softmax(axis)));
        cases.push(case("logsumexp", x, move |v| v[0].logsumexp(axis)));
        cases.push(case("logsumexp_keepdim", x, move |v| v[0].logsumexp_keepdim(axis)));
    }
    cases
}

fn indices() -> Vec<Case> {
    let index = |values: &[i64]| Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap();
    let x: &[&[usize]] = &[&[2, 3, 4]];
    let mut cases = Vec::new();
    for at in [&[2, 0, 2][..], &[]] {
        let index = index(at);
        cases.push(case("index_select", x, move |v| v[0].index_select(1, &index)));
    }
    let each = Tensor::from_slice(&[2i64, 0, 1, 1, 0, 0], [1, 3, 2], &Device::cpu()).unwrap();
    cases.push(case("gather", x, move |v| v[0].gather(1, &each)));
    cases.push(case("slice_by", x, |v| v[0].slice_by(2, 0..3, -2)));
    let at = index(&[4, 0, 4]);
    cases.push(case("index_add", &[&[2, 5, 4], &[2, 3, 4]], move |v| v[0].index_add(1, &at, &v[1])));
    let labels = index(&[3, 0]);
    let weights = values(&[2, 4], 5);
    for target in [labels, weights] {
        let again = target.clone();
        cases.push(case("cross_entropy", &[&[2, 4]], move |v| v[0].cross_entropy(&target)));
        cases.push(case("cross_entropy_from_probabilities", &[&[2, 4]], move |v| {
            v[0].cross_entropy_from_probabilities(&again)
        }));
    }
    let stream = Tensor::from_slice(&[7i64, 0], [2], &Device::cpu()).unwrap();
    cases.push(case("dropout", x, move |v| v[0].dropout(0.4, &stream)));
    cases
}

fn products() -> Vec<Case> {
    let pairs: &[[&[usize]; 2]] = &[
        [&[3, 4], &[4, 2]],
        [&[2, 3, 4], &[4, 2]],
        [&[3, 4], &[2, 4, 2]],
        [&[2, 1, 3, 4], &[5, 4, 2]],
        [&[1, 3, 4], &[2, 4, 1]],
        [&[4], &[4]],
        [&[4], &[2, 4, 3]],
        [&[2, 3, 4], &[4]],
        [&[3, 0], &[0, 2]],
        [&[0, 4], &[4, 2]],
    ];
    let mut cases: Vec<Case> = pairs.iter().map(|pair| case("matmul", pair, |v| v[0].matmul(&v[1]))).collect();
    for activation in [None, Some(UnaryOp::Tanh), Some(UnaryOp::Gelu)] {
        let call = activation.map(UnaryCall::from);
        for x in [&[2, 4][..], &[4], &[2, 3, 4], &[0, 4]] {
            cases.push(case("linear", &[x, &[3, 4], &[3]], move |v| v[0].linear(&v[1], Some(&v[2]), call)));
            cases.push(case("linear", &[x, &[3, 4]], move |v| v[0].linear(&v[1], None, call)));
        }
        for groups in [1, 2] {
            let weight: &[usize] = if groups == 1 { &[4, 2, 3] } else { &[4, 1, 3] };
            let options = ConvOptions::new().groups(groups).stride(2).padding(1);
            cases.push(case("conv", &[&[2, 2, 6], weight, &[4]], move |v| {
                v[0].conv(&v[1], Some(&v[2]), &options, call)
            }));
        }
    }
    let options = ConvOptions::new().stride(2);
    cases.push(case("conv_transpose", &[&[1, 2, 3, 2], &[2, 3, 2, 2], &[3]], move |v| {
        v[0].conv_transpose(&v[1], Some(&v[2]), &options)
    }));
    for rows in [3, 0] {
        cases.push(case("linear_cross_entropy", &[&[rows, 4], &[5, 4], &[5]], move |v| {
            let labels = Tensor::from_vec(vec![2i64; rows], [rows], &Device::cpu())?;
            v[0].linear_cross_entropy(&v[1], Some(&v[2]), &labels, None, CrossEntropyOptions::new())
        }));
    }
    // Masks of every way of broadcasting, among them those of no keys and no queries.
    for (queries, keys, mask) in
        [(3, 4, &[3, 4][..]), (3, 4, &[1, 1, 1, 4]), (3, 4, &[2, 3, 1]), (3, 4, &[]), (3, 0, &[1, 1]), (0, 4, &[4])]
    {
        let [query, key, value] = [&[1, 2, queries, 3], &[1, 1, keys, 3], &[1, 1, keys, 2]];
        cases.push(case("attention", &[query, key, value, mask], |v| {
            v[0].attention(&v[1], &v[2], Some(&v[3]), &AttentionOptions::new())
        }));
    }
    cases
}

fn windows() -> Vec<Case> {
    let image: &[&[usize]] = &[&[2, 2, 5, 4]];
    vec![
        case("max_pool", image, |v| v[0].max_pool(&PoolOptions::new(2).padding(1))),
        case("avg_pool", image, |v| v[0].avg_pool(&PoolOptions::new(2).stride(1).padding(1).ceil(true))),
        case("lp_pool", image, |v| v[0].lp_pool(3.0, &PoolOptions::new(2))),
        case("adaptive_max_pool", image, |v| v[0].adaptive_max_pool([3, 2])),
        case("adaptive_avg_pool", image, |v| v[0].adaptive_avg_pool([3, 2])),
        case("upsample_nearest", image, |v| v[0].upsample_nearest([10, 4])),
        case("upsample_nearest", image, |v| v[0].upsample_nearest([3, 7])),
        case("upsample_bilinear", image, |v| v[0].upsample_bilinear([7, 3], true)),
        case("upsample_bicubic", image, |v| v[0].upsample_bicubic([7, 3], false)),
    ]
}

fn norms() -> Vec<Case> {
    let mut cases = Vec::new();
    let moments = || values(&[2, 4], 1);
    for x in [&[3, 4][..], &[2, 4, 3], &[2, 4, 2, 2]] {
        let all: &[&[usize]] = &[x, &[4], &[4]];
        cases.push(case("batch_norm", all, |v| Ok(v[0].batch_norm(Some(&v[1]), Some(&v[2]), 1e-3, None)?.0)));
        cases.push(case("batch_norm", &all[..1], |v| Ok(v[0].batch_norm(None, None, 1e-3, None)?.0)));
        cases.push(case("batch_norm", &all[..2], |v| Ok(v[0].batch_norm(None, Some(&v[1]), 1e-3, None)?.0)));
        cases.push(case("batch_norm_with", all, move |v| {
            v[0].batch_norm_with(&moments(), Some(&v[1]), Some(&v[2]), 1e-3, Some(UnaryOp::Tanh.into()))
        }));
        cases.push(case("group_norm", all, |v| v[0].group_norm(2, Some(&v[1]), Some(&v[2]), 1e-3)));
        if x.len() > 2 {
            cases.push(case("instance_norm", all, |v| v[0].instance_norm(Some(&v[1]), Some(&v[2]), 1e-3)));
        }
        cases.push(case("local_response_norm", &all[..1], |v| v[0].local_response_norm(3, 0.5, 0.75, 1.0)));
    }
    let rows: &[&[usize]] = &[&[2, 3, 4], &[3, 4], &[3, 4]];
    cases.push(case("layer_norm", rows, |v| v[0].layer_norm(2, Some(&v[1]), Some(&v[2]), 1e-3)));
    cases.push(case("rms_norm", &rows[..2], |v| v[0].rms_norm(2, Some(&v[1]), 1e-3)));
    cases.push(case("add_layer_norm", rows, |v| Ok(v[0].add_layer_norm(&v[0], 2, Some(&v[1]), Some(&v[2]), 1e-3)?.1)));
    cases.push(case("add_rms_norm", &rows[..2], |v| Ok(v[0].add_rms_norm(&v[0], 2, Some(&v[1]), 1e-3)?.1)));
    cases
}

fn recurrences() -> Vec<Case> {
    let mut cases = Vec::new();
    // (T, N, G·H), (G·H, H), (N, H), (N, H)
    let lstm: &[&[usize]] = &[&[3, 2, 8], &[8, 2], &[2, 2], &[2, 2]];
    for output in [RecurrentOutput::Sequence, RecurrentOutput::Last, RecurrentOutput::WithCell] {
        cases.push(case("recurrent", lstm, move |v| {
            let layer = Recurrence::new(RecurrentCell::Lstm, &v[1]);
            let layer = Recurrence { h0: Some(&v[2]), c0: Some(&v[3]), ..layer };
            v[0].clone().recurrent(&layer, RecurrentOptions { output, twice: true })
        }));
    }
    cases.push(case("recurrent", &[&[3, 2, 6], &[6, 2], &[2, 2], &[2]], move |v| {
        let layer = Recurrence::new(RecurrentCell::Gru, &v[1]);
        let layer = Recurrence { h0: Some(&v[2]), unit_weights: Some(&v[3]), ..layer };
        v[0].clone().recurrent(&layer, RecurrentOptions { twice: true, ..RecurrentOptions::default() })
    }));
    cases
}

fn all() -> Vec<Case> {
    [elementwise(), shapes(), reductions(), indices(), products(), windows(), norms(), recurrences()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_gradient_has_the_shape_and_value_of_its_variable() {
    let wrong = |case: &Case| check(case).err().map(|error| format!("{} of {:?}: {error}", case.op, case.shapes));
    let faults: Vec<String> = all().iter().filter_map(wrong).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Public methods of `Var` that are no operations, or are checked elsewhere.
const OTHERS: &[&str] = &[
    "custom", // custom.rs
    // linalg.rs
    "inv",
    "solve",
    "det",
    "slogdet",
    "cholesky",
    "constant",
    "variable",
    "from_function",
    "tensor",
    "into_tensor",
    "detach",
    "origin",
    "requires_grad",
    "id",
    "shape",
    "dims",
    "dtype",
    "device",
    "item",
    "unary",
    "binary",
    "backward",
    "backward_with",
];

/// The names of the public methods in the `impl Var` blocks of a source file.
fn methods(source: &str, names: &mut BTreeSet<String>) {
    let mut inside = false;
    for line in source.lines() {
        inside = line == "impl Var {" || inside && line != "}";
        if let Some(rest) = line.strip_prefix("    pub fn ").filter(|_| inside) {
            names.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
}

fn sources(folder: &std::path::Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, names);
        } else {
            methods(&std::fs::read_to_string(&path).unwrap(), names);
        }
    }
}

/// An operation that is added must be in the table above.
#[test]
fn no_operation_is_left_out() {
    let mut names = BTreeSet::new();
    sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    assert!(names.len() > 60, "{names:?}");
    let checked: BTreeSet<&str> = all().iter().map(|case| case.op).chain(OTHERS.iter().copied()).collect();
    let missing: Vec<&String> = names.iter().filter(|name| !checked.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "add these to the cases of this file: {missing:?}");
}

/// A custom rule that does not sum over broadcast axes gets an error with its name.
#[test]
fn a_rule_that_gives_another_shape_is_refused() -> Result<()> {
    struct Stretch;
    impl Function for Stretch {
        fn name(&self) -> &'static str {
            "stretch"
        }
        fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
            pass.accumulate(0, dy)
        }
    }
    let x = Var::variable(values(&[3], 0));
    for x in [x.clone(), x.neg()?] {
        let y = Var::from_function(Stretch, x.tensor().broadcast_to([2, 3])?, &[&x]);
        let error = y.sum_all()?.backward().unwrap_err().to_string();
        assert_eq!(
            error,
            "backward: the rule of `stretch` gives its input 0 a gradient of shape (2, 3), the input has (3,): \
             a rule sums over the axes that its operation has stretched (`sum_to`)"
        );
    }
    Ok(())
}
