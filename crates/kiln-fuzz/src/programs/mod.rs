//! Random programs: bytes become tensors of all types and shapes, views of them, and operations on them.

mod operations;
mod tensor;
mod values;
mod var;

pub(crate) use tensor::TENSOR;
pub(crate) use var::VAR;

use crate::source::Source;
use kiln::tensor::ConvOptions;
use kiln::tensor::{Padding, PoolOptions};

/// Values that have more elements are not computed with further.
const LARGEST: usize = 2048;
/// How many values a program has at once.
const POOL: usize = 6;
/// How many operations a program does.
const LONGEST: usize = 24;

/// What an operation takes beside its operands, read before it is known what it is: so the operation is a function, which can be
/// called on views and on copies alike.
#[derive(Clone, Copy, Debug)]
struct Settings {
    /// Mostly small; now and then absurd.
    numbers: [usize; 6],
    constants: [f64; 2],
    flags: [bool; 3],
}

impl Settings {
    fn read(source: &mut Source<'_>) -> Self {
        // Not between: gigabytes may be available, but take long to fill.
        const ABSURD: [usize; 6] =
            [1 << 60, usize::MAX, usize::MAX - 1, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX / 3];
        const CONSTANTS: [f64; 16] = [
            1.0,
            0.5,
            -1.0,
            2.0,
            0.0,
            1e-5,
            3.0,
            -0.25,
            1e30,
            -0.0,
            1e-300,
            f64::NAN,
            f64::INFINITY,
            -1e300,
            0.999,
            100.0,
        ];
        let mut number = || match source.byte() {
            byte @ 0..240 => usize::from(byte % 6),
            byte => ABSURD[usize::from(byte) % ABSURD.len()],
        };
        let numbers = [0; 6].map(|_: usize| number());
        let constants = [source.of(&CONSTANTS), source.of(&CONSTANTS)];
        let flags = source.byte();
        Settings { numbers, constants, flags: [flags & 1 == 1, flags & 2 == 2, flags & 4 == 4] }
    }

    /// A number as it is, or negative: small, or absurd.
    fn signed(&self, at: usize) -> isize {
        (self.numbers[at] as isize).wrapping_sub(2)
    }

    /// An order of so many axes, which is one unless a flag says otherwise.
    fn order(&self, rank: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..rank).collect();
        for (at, number) in self.numbers.iter().enumerate().take(rank) {
            order.swap(at, number % rank);
        }
        if self.flags[2] {
            order.extend(&self.numbers[..1]);
        }
        order
    }

    /// Some of the axes.
    fn axes(&self, rank: usize) -> Vec<usize> {
        let mask = self.numbers[0].wrapping_add(6 * self.numbers[1].min(10));
        let mut axes: Vec<usize> = (0..rank).filter(|axis| mask >> axis & 1 == 1).collect();
        if self.flags[2] {
            axes.push(self.numbers[2]);
        }
        axes
    }

    fn padding(&self) -> Padding {
        match self.numbers[5] {
            0 | 1 => Padding::Valid,
            2 => Padding::Same,
            3 => Padding::from(1),
            4 => Padding::from([(0, 1), (2, 0)]),
            other => Padding::from(other),
        }
    }

    fn conv(&self) -> ConvOptions {
        let [stride, dilation, groups, output, ..] = self.numbers;
        let options = ConvOptions::new().padding(self.padding()).groups(groups.max(1));
        let options = if self.flags[0] { options.stride(stride).dilation(dilation) } else { options };
        if self.flags[1] { options.output_padding(output) } else { options }
    }

    fn pool(&self) -> PoolOptions {
        let [kernel, stride, dilation, ..] = self.numbers;
        let options = PoolOptions::new(kernel).padding(self.padding());
        let options = if self.flags[0] { options.stride(stride).dilation(dilation.max(1)) } else { options };
        options.ceil(self.flags[1]).count_include_pad(self.flags[2])
    }
}
