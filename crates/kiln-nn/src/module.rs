//! `Module`: what owns parameters and buffers.

use crate::state::{self, StateDict, Unmatched};
use crate::visit::{Visitor, VisitorMut, collect, collect_carried, collect_mut};
use crate::{Buffer, Carried, Param, Segment, carried};
use kiln_autograd::{Gradients, Var};
use kiln_tensor::{DType, Device, Result, Shape, Tensor};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// Something that owns parameters and buffers, directly or in modules of its own. Derive it:
///
/// ```
/// use kiln_nn::{Dense, Module, Param};
///
/// #[derive(Module)]
/// struct Net {
///     hidden: Vec<Dense>, // hidden.0.weight, hidden.0.bias, hidden.1.weight, …
///     temperature: Param, // temperature
///     width: usize,       // a setting: nothing to visit
/// }
/// ```
///
/// Paths are those of PyTorch's `state_dict`, and the order of visits is that of the fields.
pub trait Module {
    /// Shows every parameter and buffer to the visitor.
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>);

    /// As [`Module::visit`], in the same order, to be changed.
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>);

    /// All parameters with their paths, in order.
    fn parameters(&self) -> Vec<(String, &Param)> {
        collect(|visitor| self.visit(visitor)).parameters
    }

    /// All parameters with their paths, in order, to be changed.
    fn parameters_mut(&mut self) -> Vec<(String, &mut Param)> {
        collect_mut(|visitor| self.visit_mut(visitor)).parameters
    }

    /// The places of the parameters that are not frozen, in order, as a forward pass in training uses them: what
    /// [`kiln_autograd::hvp`] and kin take to differentiate an output or a loss.
    ///
    /// ```
    /// # use kiln_nn::{Ctx, Dense, Loss, MeanSquaredError, Module, Sequential};
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// use kiln_autograd::hvp;
    /// # fn main() -> kiln_tensor::Result<()> {
    /// # let cpu = Device::cpu();
    /// # let model = Sequential::new().push(Dense::new(2)).build([3], &cpu, 1)?;
    /// # let (x, y) = (Tensor::ones([4, 3], DType::F32, &cpu)?, Tensor::ones([4, 2], DType::F32, &cpu)?);
    /// let loss = MeanSquaredError::new().forward(&model.forward(&x, &Ctx::train(1, 0))?, &y)?;
    /// let leaves = model.leaves();
    /// let vectors: Vec<Tensor> = leaves.iter().map(|leaf| leaf.tensor().clone()).collect();
    /// let products = hvp(&loss, &leaves, &vectors)?; // Hessian · weights
    /// assert_eq!(products[0].dims(), [2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    fn leaves(&self) -> Vec<Var> {
        self.parameters().into_iter().filter_map(|(_, parameter)| parameter.leaf()).collect()
    }

    /// The gradients of the parameters that have one, with their paths, in order.
    ///
    /// ```
    /// # use kiln_autograd::Var;
    /// # use kiln_nn::{Ctx, Dense, Module, Sequential};
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// # fn main() -> kiln_tensor::Result<()> {
    /// # let cpu = Device::cpu();
    /// # let model = Sequential::new().push(Dense::new(2)).build([3], &cpu, 1)?;
    /// # let x = Tensor::ones([4, 3], DType::F32, &cpu)?;
    /// let gradients = model.forward(&x, &Ctx::train(1, 0))?.mean_all()?.backward()?;
    /// for (path, gradient) in model.named_gradients(&gradients) {
    ///     println!("{path}: {}", gradient.abs()?.max(..)?.item()?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn named_gradients<'g>(&self, gradients: &'g Gradients) -> Vec<(String, &'g Tensor)> {
        let mut of = gradients.lookup();
        let named = self.parameters().into_iter().map(|(path, parameter)| Some((path, of(parameter.id())?)));
        named.flatten().collect()
    }

    /// All buffers with their paths, in order.
    fn buffers(&self) -> Vec<(String, &Buffer)> {
        collect(|visitor| self.visit(visitor)).buffers
    }

    /// The number of numbers that are learned, frozen ones included.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|(_, parameter)| parameter.value().elements()).sum()
    }

    /// Freezes all parameters and buffers (`false`), or lets training change them again.
    fn set_trainable(&mut self, trainable: bool) {
        let all = collect_mut(|visitor| self.visit_mut(visitor));
        all.parameters.into_iter().for_each(|(_, parameter)| parameter.set_trainable(trainable));
        all.buffers.into_iter().for_each(|(_, buffer)| buffer.set_trainable(trainable));
    }

    /// Freezes the parameters whose paths match: `model.freeze("features.*")?`. They get no gradient, so optimizers leave them
    /// alone, and a batch normalization of frozen parameters keeps its running averages. Gives how many were frozen.
    ///
    /// ```
    /// use kiln_nn::{Dense, Module, Sequential};
    /// # fn main() -> kiln_tensor::Result<()> {
    /// let mut model = Sequential::new()
    ///     .push_named("features", Dense::new(8))
    ///     .push_named("head", Dense::new(2))
    ///     .build([4], &kiln_tensor::Device::cpu(), 1)?;
    /// assert_eq!(model.freeze("features.*")?, 2);
    /// assert!(model.freeze("feature.*").is_err()); // matches nothing
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A pattern that matches no path.
    fn freeze(&mut self, pattern: &str) -> Result<usize> {
        state::set_trainable(collect_mut(|visitor| self.visit_mut(visitor)), "freeze", pattern, false)
    }

    /// Lets the parameters learn again whose paths match. Gives how many.
    ///
    /// # Errors
    /// A pattern that matches no path.
    fn unfreeze(&mut self, pattern: &str) -> Result<usize> {
        state::set_trainable(collect_mut(|visitor| self.visit_mut(visitor)), "unfreeze", pattern, true)
    }

    /// The values of all parameters and buffers by path. Cheap: the tensors are shared, and they never change: a parameter whose
    /// tensor is shared moves to other memory with the next step.
    fn state_dict(&self) -> StateDict {
        state::state_dict(collect(|visitor| self.visit(visitor)))
    }

    /// Copies a state dict into the memory of parameters and buffers; float types are converted to the parameter's own, values
    /// are moved to its device. Where `strict` is false, what does not fit is left out and returned.
    ///
    /// # Errors
    /// Where `strict`, names that are missing or unexpected, and shapes or types that differ. All of them are listed, and
    /// nothing is changed.
    fn load_state_dict(&mut self, state: &StateDict, strict: bool) -> Result<Unmatched> {
        state::load(collect_mut(|visitor| self.visit_mut(visitor)), state, strict)
    }

    /// What layers carry from one pass to the next ([`Ctx::carrying`](crate::Ctx::carrying), stateful layers). A name is the path of
    /// what is carried, in brackets the path and the number of the use, and the tensor's number: `lstm.carried.evaluation[lstm#0].1`. It is
    /// empty where no layer carries anything. Cheap: the tensors are shared.
    fn carried_states(&self) -> StateDict {
        carried::states(collect_carried(|visitor| self.visit(visitor)))
    }

    /// Takes over what [`Module::carried_states`] gave, on the model's device; what is not in it is forgotten.
    ///
    /// # Errors
    /// A name that this model does not have; nothing is changed then.
    fn set_carried_states(&self, states: &StateDict) -> Result<()> {
        let parameters = self.parameters();
        let device = parameters.first().map_or_else(Device::cpu, |(_, first)| first.value().device().clone());
        carried::set(collect_carried(|visitor| self.visit(visitor)), states, &device)
    }

    /// Moves parameters and buffers to a device.
    ///
    /// # Errors
    /// Out of memory there; then nothing has moved.
    fn to_device(&mut self, device: &Device) -> Result<()> {
        let all = collect_mut(|visitor| self.visit_mut(visitor));
        state::convert(all, |value| value.to_device(device), |value| value.to_device(device))
    }

    /// Converts parameters and floating-point buffers to a floating-point type. Buffers are kept in the type that is computed
    /// in, f32 for the half types: running averages of a half type would stand still.
    ///
    /// # Errors
    /// Out of memory; then nothing has changed.
    fn to_dtype(&mut self, dtype: DType) -> Result<()> {
        let to = |value: &Tensor, dtype: DType| {
            if value.dtype().is_float() { value.to_dtype(dtype) } else { Ok(value.clone()) }
        };
        let all = collect_mut(|visitor| self.visit_mut(visitor));
        state::convert(all, |value| to(value, dtype), |value| to(value, dtype.computed_in()))
    }
}

impl Module for Param {
    #[inline]
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        visitor.parameter(self);
    }
    #[inline]
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        visitor.parameter(self);
    }
}

impl Module for Buffer {
    #[inline]
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        visitor.buffer(self);
    }
    #[inline]
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        visitor.buffer(self);
    }
}

/// Transparent: neither a box nor an option is seen in paths.
impl Module for Carried {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        visitor.carried(self);
    }
    fn visit_mut<'m>(&'m mut self, _: &mut dyn VisitorMut<'m>) {}
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        (**self).visit(visitor);
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        (**self).visit_mut(visitor);
    }
}

impl<M: Module> Module for Option<M> {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        if let Some(module) = self {
            module.visit(visitor);
        }
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        if let Some(module) = self {
            module.visit_mut(visitor);
        }
    }
}

impl<M: Module> Module for [M] {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        for (index, module) in self.iter().enumerate() {
            visitor.enter(Segment::Index(index));
            module.visit(visitor);
            visitor.leave();
        }
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        for (index, module) in self.iter_mut().enumerate() {
            visitor.enter(Segment::Index(index));
            module.visit_mut(visitor);
            visitor.leave();
        }
    }
}

impl<M: Module> Module for Vec<M> {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        self.as_slice().visit(visitor);
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        self.as_mut_slice().visit_mut(visitor);
    }
}

impl<M: Module, const N: usize> Module for [M; N] {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        self.as_slice().visit(visitor);
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        self.as_mut_slice().visit_mut(visitor);
    }
}

impl<M: Module> Module for BTreeMap<String, M> {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        for (name, module) in self {
            visitor.enter(Segment::Name(name));
            module.visit(visitor);
            visitor.leave();
        }
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        for (name, module) in self {
            visitor.enter(Segment::Name(name));
            module.visit_mut(visitor);
            visitor.leave();
        }
    }
}

macro_rules! tuples {
    ($($($name:ident $index:tt)+;)+) => {$(
        impl<$($name: Module),+> Module for ($($name,)+) {
            fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
                $(visitor.enter(Segment::Index($index)); self.$index.visit(visitor); visitor.leave();)+
            }
            fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
                $(visitor.enter(Segment::Index($index)); self.$index.visit_mut(visitor); visitor.leave();)+
            }
        }
    )+};
}
tuples! {
    A 0;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 E 4;
    A 0 B 1 C 2 D 3 E 4 F 5;
}

macro_rules! settings {
    ($($ty:ty),+) => {$(
        /// A setting: nothing to visit.
        impl Module for $ty {
            #[inline]
            fn visit<'m>(&'m self, _: &mut dyn Visitor<'m>) {}
            #[inline]
            fn visit_mut<'m>(&'m mut self, _: &mut dyn VisitorMut<'m>) {}
        }
    )+};
}
settings!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    usize,
    i8,
    i16,
    i32,
    i64,
    isize,
    f32,
    f64,
    String,
    &'static str,
    Shape,
    DType,
    Device
);

/// Nothing to visit.
impl<T: ?Sized> Module for PhantomData<T> {
    fn visit<'m>(&'m self, _: &mut dyn Visitor<'m>) {}
    fn visit_mut<'m>(&'m mut self, _: &mut dyn VisitorMut<'m>) {}
}
