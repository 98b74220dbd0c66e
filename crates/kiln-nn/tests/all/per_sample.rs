//! Norms of each sample's gradients: torch.func's values (tests/fixtures), those of one sample at a time, and what is refused.

use kiln_autograd::Var;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Result, Shape, Tensor};

fn cpu() -> Device {
    Device::cpu()
}

#[track_caller]
fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, {e} is expected");
    }
}

fn fixtures() -> StateDict {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/per_sample.safetensors");
    safetensors::read(path, &cpu()).unwrap()
}

fn check(name: &str, model: Sequential) {
    let values = fixtures();
    let get = |what: &str| &values[&format!("{name}/{what}")];
    let sample = Shape::new(&get("x").dims()[1..]).unwrap();
    for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5)] {
        let mut init = Init::new(1, &cpu()).dtype(dtype);
        let mut model = Sequential::from_architecture(&model.architecture(), &cpu()).unwrap().channels_first();
        model = model.build_with(sample, &mut init).unwrap();
        let prefix = format!("{name}/state/");
        let state =
            values.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())));
        model.load_state_dict(&state.collect(), true).unwrap();
        let typed = |t: &Tensor| if t.dtype().is_float() { t.to_dtype(dtype).unwrap() } else { t.clone() };
        let (x, target) = (typed(get("x")), typed(get("target")));
        let losses = |ctx: &Ctx| MeanSquaredError::new().per_sample(&model.forward(&x, ctx)?, &target);
        let norms = per_sample_norms(&model, Ctx::eval(), losses).unwrap();
        assert_eq!(norms.iter().len(), model.parameters().len());
        for (path, found) in norms.iter() {
            close(&format!("{name}/{path}"), found, get(&format!("norm/{path}")), tolerance);
        }
        close(&format!("{name}/total"), norms.total(), get("total"), tolerance);
    }
}

#[test]
fn values_are_those_of_torch_func() {
    let tanh = Activation::Tanh;
    check("mlp", Sequential::new().push(Dense::new(5).activation(tanh)).push_named("2", Dense::new(3).use_bias(false)));
    for name in ["short text", "long text"] {
        let model = Sequential::new().push(Embedding::new(9, 6).padding(0)).push(LayerNorm::new());
        check(name, model.push(Dense::new(5).activation(tanh)).push_named("4", Dense::new(3)));
    }
    let conv = Conv1d::new(4, 3).stride(2).padding(2).dilation(2).activation(Activation::Relu);
    check("conv1d", Sequential::new().push(conv).push_named("2", GroupNorm::new(2)).push_named("3", Conv1d::new(3, 2)));
    let model = Sequential::new()
        .push(Conv2d::new(6, [3, 2]).padding([1, 0]).groups(2))
        .push(BatchNorm2d::new().activation(tanh))
        .push_named("3", InstanceNorm::new().affine(true))
        .push_named("4", Conv2d::new(8, 3).stride(2))
        .push_named("5", DepthwiseConv2d::new(2));
    check("conv2d", model.checkpoint_every(2));
    let conv = Conv3d::new(3, 2).padding(1).activation(tanh);
    check("conv3d", Sequential::new().push(conv).push_named("2", Conv3d::new(2, [1, 2, 3])));
}

/// The norms by one backward pass for each sample.
fn one_by_one(model: &impl Module, samples: usize, losses: impl Fn(&Ctx) -> Result<Var>) -> Vec<f64> {
    let of_sample = |at: usize| {
        let loss = losses(&Ctx::train(4, 2)).unwrap().slice(0, at..at + 1).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();
        assert_eq!(gradients.len(), model.leaves().len());
        gradients.norm().unwrap()
    };
    (0..samples).map(of_sample).collect()
}

#[test]
fn tied_weights_dropout_and_frozen_parameters() -> Result<()> {
    let tokens = Tensor::from_slice(&[1i64, 2, 2, 0, 3, 1], [2, 3], &cpu())?;
    let labels = Tensor::from_slice(&[2i64, 2, 1, 3, 1, 0], [2, 3], &cpu())?;
    let mut init = Init::new(3, &cpu()).dtype(DType::F64);
    let mut embedding = Embedding::new(4, 5);
    embedding.build(&Shape::new(&[3])?, &mut init)?;
    let mut norm = RmsNorm::new().with_input(&[5], &mut init)?;
    norm.set_trainable(false);
    let hidden = Dense::with_sizes(5, 5, &mut init)?;
    let model = (embedding, norm, hidden);
    let losses = |ctx: &Ctx| {
        let x = ctx.layer(0, &model.0, Sequence::from(&Var::from(&tokens)))?.values;
        let x = ctx.layer("dropout", &Dropout::new(0.4), ctx.layer(1, &model.1, x)?)?;
        let y = model.0.logits(&ctx.layer(2, &model.2, x)?.tanh()?, ctx)?;
        SparseCategoricalCrossentropy::from_logits().per_sample(&y, &labels)
    };
    let norms = per_sample_norms(&model, Ctx::train(4, 2), losses)?;
    let expected = Tensor::from_slice(&one_by_one(&model, 2, losses), [2], &cpu())?;
    close("total", norms.total(), &expected, 1e-12);
    assert!(norms.of("1.weight").is_none() && norms.of("0.weight").is_some());
    Ok(())
}

#[test]
fn grouped_convolutions_by_products_between_pixels() -> Result<()> {
    let x: Vec<f64> = (0..3 * 4 * 9).map(|i| ((i * 37) % 101) as f64 / 50.0 - 1.0).collect();
    let x = Tensor::from_slice(&x, [3, 4, 3, 3], &cpu())?;
    // 4 positions: 2·4² products are no more than the 8·4 numbers of a group's gradient.
    let conv = Conv2d::new(8, 2).groups(2).activation(Activation::Silu);
    let model = Sequential::new().push(conv).push(Flatten::new()).push(Dense::new(1));
    let model = model.build_with([4, 3, 3], &mut Init::new(3, &cpu()).dtype(DType::F64))?;
    let losses = |ctx: &Ctx| model.forward(&x, ctx)?.square()?.mean(1);
    let norms = per_sample_norms(&model, Ctx::train(4, 2), losses)?;
    close("total", norms.total(), &Tensor::from_slice(&one_by_one(&model, 3, losses), [3], &cpu())?, 1e-12);
    Ok(())
}

#[test]
fn what_mixes_samples_or_is_not_known_is_refused() -> Result<()> {
    let x = Tensor::ones([4, 3, 2], DType::F32, &cpu())?;
    let refused = |layer: Box<dyn AnyLayer>, ctx: Ctx, part: &str| {
        let model = Sequential::new().push(Dense::new(3)).push_named("layer", layer).build([3, 2], &cpu(), 1).unwrap();
        let losses = |ctx: &Ctx| model.forward(&x, ctx)?.flatten(1)?.mean(1);
        let error = per_sample_norms(&model, ctx, losses).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let train = || Ctx::train(0, 0);
    refused(
        Box::new(BatchNorm1d::new()),
        train(),
        "model.layer (BatchNorm1d): per_sample_norms: in training, batch normalization mixes",
    );
    refused(Box::new(BatchNorm1d::new().affine(false)), train(), "mixes the samples");
    refused(
        Box::new(Lstm::new(2)),
        Ctx::eval(),
        "`layer.weight_ih_l0` is used by a layer whose gradients are not known by sample",
    );
    refused(Box::new(TimeDistributed::new(Dense::new(2))), Ctx::eval(), "`layer.layer.weight` sees 12 samples");
    let computed = "is used by a layer whose gradients are not known by sample";
    refused(Box::new(SpectralNorm::new(Dense::new(2))), train(), &format!("`layer.weight_orig` {computed}"));
    refused(Box::new(WeightNorm::new(Dense::new(2))), train(), &format!("`layer.weight_g` {computed}"));
    let model = Sequential::new().push(Dense::new(1)).build([3, 2], &cpu(), 1)?;
    let error = per_sample_norms(&model, train(), |ctx| model.forward(&x, ctx)).unwrap_err().to_string();
    assert!(error.contains("one loss for each sample, (N,), is expected, got (4, 3, 1)"), "{error}");
    let constant = |_: &Ctx| Ok(Var::from(Tensor::ones([4], DType::F32, &cpu())?));
    let error = per_sample_norms(&model, train(), constant).unwrap_err().to_string();
    assert!(error.contains("`0.weight` was not used"), "{error}");
    Ok(())
}

/// A weight that is computed from v and a frozen g has another gradient than the layer's own weight.
#[test]
fn weight_norm_with_frozen_lengths_is_refused() -> Result<()> {
    let x = Tensor::ones([4, 3], DType::F32, &cpu())?;
    let mut model = Sequential::new().push(WeightNorm::new(Dense::new(2))).build([3], &cpu(), 1)?;
    model.freeze("0.weight_g")?;
    let losses = |ctx: &Ctx| model.forward(&x, ctx)?.mean(1);
    let error = per_sample_norms(&model, Ctx::train(0, 0), losses).unwrap_err().to_string();
    assert!(error.contains("`0.weight_v` is used by a layer whose gradients are not known by sample"), "{error}");
    Ok(())
}

/// The gradients of two steps nearly cancel, so that the sum of products is rounded to below 0 for some sample.
#[test]
fn norms_of_gradients_that_cancel_are_numbers() -> Result<()> {
    const SAMPLES: usize = 64;
    let noise = |shape: &[usize], step| {
        Tensor::uniform(shape, -1.0, 1.0, DType::F32, &cpu(), RandomStream::new(5, Purpose::Data, step))
    };
    // Step 1 is step 0, and the loss is their difference.
    let row = noise(&[SAMPLES, 1, 30], 0)?;
    let x = Tensor::concat(&[&row, &row.add(&noise(&[SAMPLES, 1, 30], 1)?.mul_scalar(1e-7)?)?], 1)?;
    let sign = Tensor::from_slice(&[1.0f32, -1.0], [1, 2, 1], &cpu())?;
    let factors = noise(&[SAMPLES, 1, 30], 2)?.mul(&sign)?;
    let dense = Sequential::new().push(Dense::new(30).use_bias(false)).build([2, 30], &cpu(), 1)?;
    let losses = |ctx: &Ctx| dense.forward(&x, ctx)?.mul(&Var::from(&factors))?.sum([1, 2]);
    let norms = per_sample_norms(&dense, Ctx::train(0, 0), losses)?;
    assert!(norms.total().to_f64_vec()?.iter().all(|norm| norm.is_finite()), "{:?}", norms.total());

    let tokens = Tensor::zeros([SAMPLES, 2], DType::I64, &cpu())?;
    let embedding = Sequential::new().push(Embedding::new(3, 30)).build([2], &cpu(), 1)?;
    let almost = factors.mul(&noise(&[SAMPLES, 2, 1], 3)?.mul_scalar(1e-7)?.add_scalar(1.0)?)?;
    let losses = |ctx: &Ctx| embedding.forward(&tokens, ctx)?.mul(&Var::from(&almost))?.sum([1, 2]);
    let norms = per_sample_norms(&embedding, Ctx::train(0, 0), losses)?;
    assert!(norms.total().to_f64_vec()?.iter().all(|norm| norm.is_finite()), "{:?}", norms.total());

    // What is not a number stays so.
    let missing = x.add_scalar(f64::NAN)?;
    let losses = |ctx: &Ctx| dense.forward(&missing, ctx)?.mul(&Var::from(&factors))?.sum([1, 2]);
    let norms = per_sample_norms(&dense, Ctx::train(0, 0), losses)?;
    assert!(norms.total().to_f64_vec()?.iter().all(|norm| norm.is_nan()), "{:?}", norms.total());
    Ok(())
}
