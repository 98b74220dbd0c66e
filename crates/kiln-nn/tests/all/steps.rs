//! Layers that add steps, take one out, or tell the segments of a text apart.

use kiln_autograd::Var;
use kiln_nn::{Bias, ClassToken, Ctx, Graph, Mask, Module, SegmentEmbedding, SelectStep, Sequential, Value};
use kiln_tensor::{DType, Device, Tensor};

fn numbers(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::cpu()).unwrap()
}

fn set(model: &mut impl Module, values: &[f32]) {
    let (_, parameter) = model.parameters_mut().remove(0);
    let shape = *parameter.value().shape();
    parameter.set(numbers(values, &shape)).unwrap();
}

#[test]
fn a_class_token_comes_first_and_gets_the_gradients_of_all_samples() {
    let mut model = Sequential::new().push(ClassToken::new()).build([2, 2], &Device::cpu(), 1).unwrap();
    set(&mut model, &[7.0, 8.0]);
    let x = numbers(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -7.0, -8.0], &[2, 2, 2]);
    let y = model.forward(&x, &Ctx::train(1, 0)).unwrap();
    assert_eq!(y.dims(), [2, 3, 2]);
    let expected = [7.0, 8.0, 1.0, 2.0, 3.0, 4.0, 7.0, 8.0, 5.0, 6.0, -7.0, -8.0];
    assert_eq!(y.tensor().to_f64_vec().unwrap(), expected);
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(model.named_gradients(&gradients)[0].1.to_f64_vec().unwrap(), [2.0, 2.0]);
    let error = model.forward(numbers(&[1.0; 3], &[1, 1, 3]), &Ctx::eval()).unwrap_err().to_string();
    assert!(error.contains("steps of 2 features are expected, got (1, 1, 3)"), "{error}");
}

#[test]
fn a_step_is_selected_from_either_end() {
    let x = numbers(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 3, 2]);
    for (step, expected) in [(0, [1.0, 2.0]), (1, [3.0, 4.0]), (-1, [5.0, 6.0]), (-3, [1.0, 2.0])] {
        let model = Sequential::new().push(SelectStep::new(step)).build([3, 2], &Device::cpu(), 1).unwrap();
        assert_eq!(model.output_shapes()[0], [2]);
        assert_eq!(model.forward(&x, &Ctx::eval()).unwrap().tensor().to_f64_vec().unwrap(), expected);
    }
    for step in [3, -4, isize::MIN] {
        let error = Sequential::new().push(SelectStep::new(step)).build([3, 2], &Device::cpu(), 1).unwrap_err();
        let expected = format!("a sequence of 3 steps has no step {step}: use 0 to 2, or -3 to -1");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

/// Steps of one feature, and their segments.
fn with_segments() -> Graph {
    let mut g = Graph::new();
    let (x, segments) = (g.input([3, 1]), g.input([3]));
    let y = g.call(SegmentEmbedding::new(2), &[&x, &segments]).unwrap();
    let mut model = g.build(&[&x, &segments], &[&y], &Device::cpu(), 1).unwrap();
    set(&mut model, &[10.0, 20.0]);
    model
}

#[test]
fn segments_have_vectors_of_their_own() {
    let x = numbers(&[1.0, 2.0, 3.0], &[1, 3, 1]);
    let segments = |values: &[i64]| Tensor::from_slice(values, [1, 3], &Device::cpu()).unwrap();
    let model = with_segments();
    let y = model.forward((x.clone(), segments(&[0, 1, 1])), &Ctx::eval()).unwrap();
    assert_eq!(y.tensor().to_f64_vec().unwrap(), [11.0, 22.0, 23.0]);
    let error = model.forward((x.clone(), segments(&[0, 1, 2])), &Ctx::eval()).unwrap_err().to_string();
    assert!(error.contains("segment 2 at position (0, 2): there are 2, numbered from 0"), "{error}");
    let error = model.forward((x.clone(), x), &Ctx::eval()).unwrap_err().to_string();
    assert!(error.contains("segments are integers (N, T)"), "{error}");
}

#[test]
fn without_segments_all_is_the_first_and_the_mask_goes_on() {
    let mut model = Sequential::new().push(SegmentEmbedding::new(2)).build([3, 1], &Device::cpu(), 1).unwrap();
    set(&mut model, &[10.0, 20.0]);
    let mask = Tensor::from_slice(&[1i64, 1, 0], [1, 3], &Device::cpu()).unwrap().to_dtype(DType::Bool).unwrap();
    let x = Value::One(Var::from(numbers(&[1.0, 2.0, 3.0], &[1, 3, 1])), Some(Mask::from(mask)));
    let y = Ctx::eval().run(&model, x).unwrap();
    assert_eq!(y.as_var().unwrap().tensor().to_f64_vec().unwrap(), [11.0, 12.0, 13.0]);
    assert_eq!(y.mask().unwrap().dims(), [1, 3]);
}

#[test]
fn a_bias_is_added_to_the_last_axis() {
    let mut model = Sequential::new().push(Bias::new()).build([2, 2], &Device::cpu(), 1).unwrap();
    set(&mut model, &[10.0, 20.0]);
    let x = numbers(&[1.0, 2.0, 3.0, 4.0], &[1, 2, 2]);
    assert_eq!(model.forward(&x, &Ctx::eval()).unwrap().tensor().to_f64_vec().unwrap(), [11.0, 22.0, 13.0, 24.0]);
    let error = model.forward(numbers(&[1.0], &[1, 1, 1]), &Ctx::eval()).unwrap_err().to_string();
    assert!(error.contains("2 features are expected, got (1, 1, 1)"), "{error}");
}
