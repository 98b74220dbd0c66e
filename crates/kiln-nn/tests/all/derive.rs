//! `#[derive(Module)]`: paths and order, for every shape of struct.

use kiln_nn::{Buffer, Module, Param, Segment, Visitor, VisitorMut};
use kiln_tensor::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::marker::PhantomData;

fn param(size: usize) -> Param {
    Param::new(Tensor::zeros([size], DType::F32, &Device::cpu()).unwrap())
}

fn buffer() -> Buffer {
    Buffer::new(Tensor::zeros([1], DType::F32, &Device::cpu()).unwrap())
}

fn paths(module: &dyn Module) -> Vec<String> {
    module.parameters().into_iter().map(|(path, _)| path).collect()
}

#[derive(Module)]
struct Inner {
    weight: Param,
    bias: Option<Param>,
    running_mean: Buffer,
    size: usize,
}

fn inner(bias: bool) -> Inner {
    Inner { weight: param(2), bias: bias.then(|| param(3)), running_mean: buffer(), size: 4 }
}

#[derive(Module)]
struct Nested {
    first: Inner,
    blocks: Vec<Inner>,
    pair: (Param, Inner),
    #[module(flatten)]
    boxed: Box<Inner>,
    #[module(rename = "weight_ih")]
    input: Param,
    r#type: Param,
    heads: BTreeMap<String, Param>,
    fixed: [Param; 2],
    #[module(skip)]
    #[allow(dead_code)]
    ignored: Param,
}

fn nested() -> Nested {
    Nested {
        first: inner(true),
        blocks: vec![inner(false), inner(true)],
        pair: (param(1), inner(false)),
        boxed: Box::new(inner(false)),
        input: param(1),
        r#type: param(1),
        heads: BTreeMap::from([("a".to_owned(), param(1)), ("b".to_owned(), param(1))]),
        fixed: [param(1), param(1)],
        ignored: param(100),
    }
}

#[test]
fn paths_follow_the_fields() {
    let expected = [
        "first.weight",
        "first.bias",
        "blocks.0.weight",
        "blocks.1.weight",
        "blocks.1.bias",
        "pair.0",
        "pair.1.weight",
        "weight",
        "weight_ih",
        "type",
        "heads.a",
        "heads.b",
        "fixed.0",
        "fixed.1",
    ];
    assert_eq!(paths(&nested()), expected);
    let mut module = nested();
    let names: Vec<String> = module.parameters_mut().into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, expected, "visit and visit_mut agree");
    let buffers: Vec<String> = module.buffers().into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        buffers,
        ["first.running_mean", "blocks.0.running_mean", "blocks.1.running_mean", "pair.1.running_mean", "running_mean"]
    );
    assert_eq!(module.first.size, 4);
}

#[derive(Module)]
#[allow(dead_code)]
struct Tuple(Inner, Param, #[module(skip)] std::time::Duration);

#[derive(Module)]
struct Unit;

#[derive(Module)]
struct Generic<'a, L, const N: usize>
where
    L: Clone,
{
    layers: [L; N],
    marker: PhantomData<&'a L>,
    count: usize,
}

#[derive(Module)]
struct Unbounded<T> {
    weight: Param,
    #[module(skip)]
    #[allow(dead_code)]
    tag: T,
}

#[test]
fn tuple_unit_and_generic_structs() {
    let tuple = Tuple(inner(true), param(1), std::time::Duration::ZERO);
    assert_eq!(paths(&tuple), ["0.weight", "0.bias", "1"]);
    assert!(paths(&Unit).is_empty());
    let generic = Generic { layers: [param(1), param(2)], marker: PhantomData, count: 1 };
    assert_eq!(paths(&generic), ["layers.0", "layers.1"]);
    // No bound is put on a parameter of a field that is skipped.
    assert_eq!(paths(&Unbounded { weight: param(1), tag: std::time::Instant::now() }), ["weight"]);
    assert_eq!(generic.count, 1);
}

/// `Module` by hand, as the documentation of the macro says for enums.
enum Either {
    Left(Box<Inner>),
    Right(Param),
}

impl Module for Either {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        match self {
            Either::Left(inner) => inner.visit(visitor),
            Either::Right(param) => {
                visitor.enter(Segment::Name("right"));
                param.visit(visitor);
                visitor.leave();
            }
        }
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        match self {
            Either::Left(inner) => inner.visit_mut(visitor),
            Either::Right(param) => {
                visitor.enter(Segment::Name("right"));
                param.visit_mut(visitor);
                visitor.leave();
            }
        }
    }
}

#[test]
fn enums_by_hand() {
    assert_eq!(paths(&Either::Left(Box::new(inner(false)))), ["weight"]);
    let mut right = Either::Right(param(1));
    assert_eq!(right.parameters_mut()[0].0, "right");
}

#[test]
fn counts_and_freezing() {
    let mut module = inner(true);
    assert_eq!(module.parameter_count(), 5);
    module.set_trainable(false);
    assert!(module.parameters().iter().all(|(_, p)| !p.trainable()));
    assert!(!module.weight.var(&kiln_nn::Ctx::train(0, 0)).requires_grad());
    module.weight.set_trainable(true);
    assert!(module.weight.var(&kiln_nn::Ctx::train(0, 0)).requires_grad());
    assert!(!module.weight.var(&kiln_nn::Ctx::eval()).requires_grad());
    assert!(module.weight.var(&kiln_nn::Ctx::eval().recording(true)).requires_grad());
}

#[test]
fn a_clone_is_a_parameter_of_its_own() {
    let original = param(2);
    let copy = original.clone();
    assert_ne!(original.id(), copy.id());
    assert_ne!(buffer().id(), buffer().clone().id());
}
