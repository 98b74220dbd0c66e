//! What flows between layers: several values, structs, and masks that go with the value that they speak of.

use kiln_nn::*;
use kiln_tensor::{DType, Device, Shape, Tensor};
use std::sync::{Arc, Mutex};

fn tokens() -> Tensor {
    Tensor::from_slice(&[3i64, 1, 0, 2, 0, 0], [2, 3], &Device::cpu()).unwrap()
}

fn ones(dims: &[usize]) -> Var {
    Var::constant(Tensor::ones(dims, DType::F32, &Device::cpu()).unwrap())
}

/// x · scale.
#[derive(Module, Describe)]
struct Scaled;

impl Layer for Scaled {
    type Input = (Var, Var);
    type Output = Var;
    fn forward(&self, (x, scale): (Var, Var), _: &Ctx) -> Result<Var> {
        x.mul(&scale)
    }
}

#[derive(FromValue, IntoValue)]
struct Attention {
    queries: Var,
    keys: Sequence,
}

/// A struct in, a struct out; keeps whether it was given a mask.
#[derive(Module, Describe, Default)]
struct Swap {
    #[module(skip)]
    masked: Mutex<Vec<bool>>,
}

impl Layer for Swap {
    type Input = Attention;
    type Output = Attention;
    fn forward(&self, x: Attention, _: &Ctx) -> Result<Attention> {
        self.masked.lock().unwrap().push(x.keys.mask.is_some());
        Ok(Attention { queries: x.keys.values, keys: x.queries.into() })
    }
}

#[test]
fn a_layer_takes_several_values() {
    let mut model = Sequential::new().push(Scaled).push(Dense::new(2));
    let shapes = [3, 1].map(|size| Shapes::One(Shape::new(&[size]).unwrap()));
    Layer::build(&mut model, &Shapes::Many(shapes.into()), &mut Init::new(1, &Device::cpu())).unwrap();
    assert_eq!(model.output_shapes(), [[3], [2]]);
    assert_eq!(model.forward((ones(&[4, 3]), ones(&[4, 1])), &Ctx::eval()).unwrap().dims(), [4, 2]);
    let error = model.forward(ones(&[4, 3]), &Ctx::eval()).unwrap_err().to_string();
    assert_eq!(error, "model.0 (Scaled): forward: this takes 2 values, 1 is given");
    let error = model.forward(vec![ones(&[1, 3]); 3], &Ctx::eval()).unwrap_err().to_string();
    assert_eq!(error, "model.0 (Scaled): forward: this takes 2 values, 3 are given");
    let error = Sequential::new().push(Dense::new(1)).forward((ones(&[1]), ones(&[1])), &Ctx::eval()).unwrap_err();
    assert_eq!(error.to_string(), "model.0 (Dense): forward: this takes 1 value, 2 are given");
}

#[test]
fn a_struct_is_its_fields_in_order() {
    let mask = Tensor::from_slice(&[true, false], [1, 2], &Device::cpu()).unwrap();
    let input = Attention { queries: ones(&[1, 5]), keys: Sequence::new(ones(&[1, 2]), mask) };
    let model = Sequential::new().push(Swap::default()).push(Swap::default());
    let output = Attention::from_value(Ctx::eval().run(&model, input).unwrap()).unwrap();
    assert_eq!((output.queries.dims(), output.keys.values.dims()), (&[1, 5][..], &[1, 2][..]));
    assert!(output.keys.mask.is_none(), "the first swap lets it go");
}

#[test]
fn a_mask_goes_from_the_embedding_to_the_output() {
    let model = |last: Lstm| {
        let model = Sequential::new()
            .push(Embedding::new(5, 4).padding(0).mask_padding(true))
            .push(Dropout::new(0.5))
            .push(last.bidirectional(Merge::Concat))
            .push(Dense::new(2));
        model.build([3], &Device::cpu(), 1).unwrap()
    };
    let steps = Ctx::train(1, 0).run(&model(Lstm::new(3).return_sequences(true)), tokens()).unwrap();
    assert_eq!(steps.mask().unwrap().to_vec::<bool>().unwrap(), [true, true, false, true, false, false]);
    let last = Ctx::train(1, 0).run(&model(Lstm::new(3)), tokens()).unwrap();
    assert!(last.mask().is_none(), "the last state has no steps");
}

/// Hands on what it is given, and keeps whether that had a mask.
#[derive(Module, Describe, Default)]
struct Sees(#[module(skip)] Arc<Mutex<Vec<bool>>>);

impl Layer for Sees {
    type Input = Sequence;
    type Output = Sequence;
    fn forward(&self, x: Sequence, _: &Ctx) -> Result<Sequence> {
        self.0.lock().unwrap().push(x.mask.is_some());
        Ok(x)
    }
}

#[test]
fn a_mask_in_one_branch_does_not_reach_the_other() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let masked = Sequential::new().push(Masking::new(0.0)).push(Sees(seen.clone()));
    let model = Concat::new().branch(masked).branch(Sees(seen.clone()));
    let x = ones(&[1, 2, 3]);
    Ctx::eval().run(&model, &x).unwrap();
    assert_eq!(*seen.lock().unwrap(), [true, false]);
    // Nor the layer within each step, nor what comes after an output of other steps.
    seen.lock().unwrap().clear();
    let model = Sequential::new()
        .push(Masking::new(0.0))
        .push(TimeDistributed::new(Sees(seen.clone())))
        .push(Sees(seen.clone()))
        .push(Flatten::new())
        .push(Sees(seen.clone()));
    Ctx::eval().run(&model, &x).unwrap();
    assert_eq!(*seen.lock().unwrap(), [false, true, false]);
}

#[test]
fn permute_moves_the_axes_of_samples() {
    let model = Sequential::new().push(Permute::new([2, 1])).build([2, 3], &Device::cpu(), 1).unwrap();
    let x = Tensor::from_slice(&[1f32, 2., 3., 4., 5., 6.], [1, 2, 3], &Device::cpu()).unwrap();
    let y = model.forward(&x, &Ctx::eval()).unwrap();
    assert_eq!(y.tensor().to_f64_vec().unwrap(), [1., 4., 2., 5., 3., 6.]);
    let again = Sequential::from_architecture(&model.architecture(), &Device::cpu()).unwrap();
    assert_eq!(again.architecture(), model.architecture());
    let error = Sequential::new().push(Permute::new([1, 1])).build([2, 3], &Device::cpu(), 1).unwrap_err();
    assert_eq!(error.message(), "axes 1 to 2 in some order are expected for samples of 2 axes, got [1, 1]");
}
