//! Profiles: what each operation costs, in which layer and in which part of a training step.
//!
//! A profile sees every operation of the thread that starts it. Layers, the backward pass and optimizers say where they are, so an
//! operation is counted for the layer that made it, in the forward pass and in the backward pass.
//!
//! ```
//! use kiln_tensor::profile::{Phase, Profiling, Roofline, enter};
//! use kiln_tensor::{DType, Device, Tensor};
//!
//! let cpu = Device::cpu();
//! let x = Tensor::ones([64, 32], DType::F32, &cpu)?;
//! let w = Tensor::ones([32, 16], DType::F32, &cpu)?;
//! let profiling = Profiling::start()?;
//! {
//!     let _first = enter(Phase::Forward, "first");
//!     x.matmul(&w)?.relu()?;
//! }
//! let profile = profiling.stop();
//! let layers = profile.layers();
//! assert_eq!((layers[0].name.as_str(), layers[0].total.calls), ("first", 2));
//! // A product of m·k by k·n is 2·m·n·k FLOPs, an elementwise operation one for each element.
//! assert_eq!(layers[0].total.flops, 2 * 64 * 32 * 16 + 64 * 16);
//! println!("{}", profile.table(Some(&Roofline::measure(&cpu)?)));
//! assert!(profile.chrome_trace().contains("\"name\":\"matmul\""));
//! # Ok::<(), kiln_tensor::Error>(())
//! ```
//!
//! * **Time** is taken around each call of the device's backend. On the CPU a call returns when its work is done. On a device that runs
//!   asynchronously a profile waits for the device after each call, so that times are those of the work; training is slower then.
//! * **FLOPs** follow from the shapes: 2·m·n·k of a matrix product, two for each element of the output and weight that meets it of a
//!   convolution, those of the product of a recurrent layer's steps, one for each element of an elementwise operation and of a reduction.
//!   Those of other operations are not counted, and are a dash in tables. Bytes are those of operands and results, each read or written
//!   once; an element that is broadcast counts once.
//! * **The roofline** is the time that an operation would take at the machine's measured peak ([`Roofline`]): its FLOPs at the rate of a
//!   large f32 matrix product, or its bytes at that of a large copy, whichever takes longer. The share can be above 100 % where the operands
//!   are still in a cache. There is none where there are products in another type than f32.
//! * **Without a profile** an operation checks one flag of its thread, and a node of a graph reads the number of its layer.
//! * **Names** of layers and other parts are kept until the process ends, each once.

mod calls;
mod clock;
mod key;
mod names;
mod place;
mod recorder;
mod report;
mod roofline;
mod table;
mod trace;
mod work;

pub(crate) use names::label;
pub use place::{Entered, Phase, enter};
#[doc(hidden)]
pub use place::{enter_layer, enter_node, scope};
pub use recorder::{Profiling, TRACE_EVENTS};
pub(crate) use recorder::{Timed, allocated};
pub use report::{Profile, Record, Row, Totals};
pub use roofline::Roofline;
pub(crate) use work::{Work, primitives};

use std::cell::Cell;

thread_local! {
    /// Whether this thread has a profile under way.
    static ON: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread's operations are being measured.
#[inline]
pub fn is_on() -> bool {
    ON.get()
}
