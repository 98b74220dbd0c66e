//! A window over three spatial axes, on the device.

use cuda_std::parameters;

/// A number for each spatial axis; axes that a tensor lacks have size 1.
pub type Axes = [u32; 3];

/// The product of the sizes.
#[inline(always)]
pub(crate) fn volume([planes, rows, columns]: Axes) -> u32 {
    planes * rows * columns
}

/// Where the element of this number lies, row-major.
#[inline(always)]
pub(crate) fn place(number: u32, [_, rows, columns]: Axes) -> Axes {
    let row = number / columns;
    [row / rows, row % rows, number % columns]
}

parameters! {
    /// As kiln-tensor's of that name; of the padding only what comes before each axis, as the sizes tell the rest.
    pub struct DeviceWindow {
        /// Taps along each axis.
        kernel: Axes,
        /// From one window to the next.
        stride: Axes,
        /// From one tap to the next.
        dilation: Axes,
        /// Padding before each axis.
        before: Axes,
    }
}

impl DeviceWindow {
    /// The element, by its number, of an input of these sizes that output position `p` meets at a tap; none in the padding.
    #[inline(always)]
    pub(crate) fn met(&self, p: Axes, tap: Axes, sizes: Axes) -> Option<u32> {
        let (mut number, mut inside) = (0u32, true);
        for axis in 0..3 {
            // What lies before the axis wraps to beyond its end.
            let at = (p[axis] * self.stride[axis] + tap[axis] * self.dilation[axis]).wrapping_sub(self.before[axis]);
            inside &= at < sizes[axis];
            // Of an element that is not there, any number.
            number = number.wrapping_mul(sizes[axis]).wrapping_add(at);
        }
        inside.then_some(number)
    }

    /// The element, by its number, of an output of these sizes that meets input position `d` at a tap, if one does.
    #[inline(always)]
    pub(crate) fn meeting(&self, d: Axes, tap: Axes, sizes: Axes) -> Option<u32> {
        let (mut number, mut inside) = (0u32, true);
        for axis in 0..3 {
            let (from, reach) = (d[axis] + self.before[axis], tap[axis] * self.dilation[axis]);
            let steps = from.wrapping_sub(reach);
            let at = steps / self.stride[axis];
            inside &= from >= reach && at.wrapping_mul(self.stride[axis]) == steps && at < sizes[axis];
            // Of an element that is not there, any number.
            number = number.wrapping_mul(sizes[axis]).wrapping_add(at);
        }
        inside.then_some(number)
    }
}
