//! The device that `--device` names.

use crate::arguments::DeviceName;
use kiln::Result;
use kiln::tensor::Device;

impl DeviceName {
    pub(crate) fn open(self) -> Result<Device> {
        match self {
            DeviceName::Cpu => kiln::device("cpu"),
        }
    }
}
