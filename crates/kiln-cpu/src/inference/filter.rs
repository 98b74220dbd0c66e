//! A convolution of one form, its packed weights and how it is run.

use super::depthwise;
use super::direct::Direct;
use super::epilogue::{Epilogue, Target};
use super::layout::padded;
use super::winograd::{self, Winograd};
use crate::conv::Conv;
use crate::{Isa, check};

/// How a convolution's sums are computed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Way {
    /// Tap by tap: the bits of [`conv::forward`](crate::conv::forward). Any form.
    Direct,
    /// Winograd's F(2×2, 3×3): 4 of 9 multiplications. Kernels of 3 × 3 with stride and dilation 1, without groups. The error is
    /// about half of the direct sum's.
    WinogradF2,
    /// Winograd's F(4×4, 3×3) with the points 0, ±1/√2, ±√2, ∞: 1 of 4 multiplications, and 4 times the weights. Forms as for
    /// [`Way::WinogradF2`]. The error is about twice the direct sum's.
    WinogradF4,
}

impl Way {
    /// Whether this way computes convolutions of the form.
    pub fn suits(self, form: &Conv) -> bool {
        self == Way::Direct || winograd::suits(form)
    }
}

/// The way of a form.
#[derive(Clone)]
enum Kind {
    Direct(Direct),
    Depthwise,
    Winograd(Winograd),
}

/// A convolution of one form, of a map (N, D·H·W, [`padded`]`(G·inputs)`), on one instruction set. A dense layer is one of a single pixel
/// an image: see [`Filter::dense`].
#[derive(Clone)]
pub struct Filter {
    isa: Isa,
    form: Conv,
    /// Floats of x and of the weights.
    elements: [usize; 2],
    kind: Kind,
}

impl Filter {
    /// A convolution of this form. Where the instruction set is not available, it is computed on [`Isa::Portable`].
    ///
    /// # Panics
    /// A stride or a dilation of 0, sizes beyond what memory can hold, and a form that the way does not suit.
    pub fn new(isa: Isa, way: Way, form: &Conv) -> Filter {
        let positive = [form.stride, form.dilation].iter().flatten().all(|&step| step > 0);
        let Some([_, weight, _]) = form.elements().filter(|_| positive) else {
            check::refuse("Filter::new", format_args!("{form:?} is no form of a convolution"));
        };
        if !way.suits(form) {
            check::refuse("Filter::new", format_args!("{way:?} does not suit {form:?}"));
        }
        let x = check::elements("Filter::new", &[form.batch, form.plane(), padded(form.groups * form.inputs)]);
        let kind = match way {
            Way::Direct if depthwise::suits(form) => Kind::Depthwise,
            Way::Direct => Kind::Direct(Direct::new(isa, form)),
            Way::WinogradF2 => Kind::Winograd(Winograd::new(isa, 2, form)),
            Way::WinogradF4 => Kind::Winograd(Winograd::new(isa, 4, form)),
        };
        Filter { isa, form: *form, elements: [x, weight], kind }
    }

    /// A dense layer: y (rows, outputs) = x (rows, inputs)·wᵀ, with the weight (outputs, inputs). The bits are those of
    /// [`gemm`](crate::gemm::gemm).
    ///
    /// # Panics
    /// As [`Filter::new`].
    pub fn dense(isa: Isa, rows: usize, inputs: usize, outputs: usize) -> Filter {
        Filter::new(isa, Way::Direct, &Conv::dense(rows, inputs, outputs))
    }

    /// The way's name: `direct`, `depthwise`, `winograd f2`, `winograd f4`.
    pub fn way_name(&self) -> &'static str {
        match &self.kind {
            Kind::Direct(_) => "direct",
            Kind::Depthwise => "depthwise",
            Kind::Winograd(winograd) => winograd.name(),
        }
    }

    /// The form.
    pub fn form(&self) -> &Conv {
        &self.form
    }

    /// Floats of the input's map.
    pub fn input_len(&self) -> usize {
        self.elements[0]
    }

    /// Floats that the packed weights take. They do not depend on the number of images.
    pub fn room(&self) -> usize {
        match &self.kind {
            Kind::Direct(direct) => direct.room(&self.form),
            Kind::Depthwise => depthwise::room(&self.form),
            Kind::Winograd(winograd) => winograd.room(&self.form),
        }
    }

    /// Packs the weight (G·outputs, inputs, kernel…) into `to`, which is as long as [`Filter::room`] says. The weights of output
    /// channel j are multiplied by `scale[j]`, where scales are given.
    ///
    /// # Panics
    /// Slices of other lengths.
    pub fn pack(&self, weight: &[f32], scale: Option<&[f32]>, to: &mut [f32]) {
        let results = self.form.groups * self.form.outputs;
        check::length("Filter::pack", "weight", weight.len(), self.elements[1]);
        check::length("Filter::pack", "scale", scale.map_or(results, <[f32]>::len), results);
        check::length("Filter::pack", "to", to.len(), self.room());
        match &self.kind {
            Kind::Direct(direct) => direct.pack(&self.form, weight, scale, to),
            Kind::Depthwise => depthwise::pack(&self.form, weight, scale, to),
            Kind::Winograd(winograd) => winograd.pack(&self.form, weight, scale, to),
        }
    }

    /// Floats of scratch memory with which so many threads can work. With less fewer do, with less than for one none can.
    pub fn scratch(&self, threads: usize) -> usize {
        match &self.kind {
            Kind::Direct(direct) => direct.scratch(threads),
            Kind::Depthwise => 0,
            Kind::Winograd(winograd) => winograd.scratch(&self.form, threads),
        }
    }

    /// y (N, out…, G·outputs) = epilogue(x ∗ weight), of maps as the module describes them. What the scratch memory holds does not
    /// matter; it holds anything afterwards.
    ///
    /// # Panics
    /// Slices of other lengths, and scratch memory for no thread.
    pub fn run(&self, packed: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32], epilogue: &Epilogue<'_>) {
        let form = &self.form;
        check::length("Filter::run", "packed", packed.len(), self.room());
        check::length("Filter::run", "x", x.len(), self.elements[0]);
        let (plane, channels) = (form.out_plane(), form.groups * form.outputs);
        let target = Target::new("Filter::run", Some(y), (form.batch * plane, plane), channels, epilogue);
        match &self.kind {
            Kind::Direct(direct) => direct.run(self.isa, form, packed, x, &target, scratch),
            Kind::Depthwise => depthwise::run(self.isa, form, packed, x, &target),
            Kind::Winograd(winograd) => winograd.run(form, packed, x, &target, scratch),
        }
    }
}
