//! What is said when the driver fails.

use crate::machine::Failure;
use cuda_std::LaunchError;
use cust::error::CudaError;
use cust::sys::CUresult;
use kiln_cuda_shim::last_failure;
use std::fmt;

/// What the driver could not do, in a sentence: its call, and the error's name and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverError(String);

impl DriverError {
    pub(super) fn new(sentence: String) -> Self {
        DriverError(sentence)
    }

    /// The sentence with `start` before it.
    pub(super) fn of(self, start: &str) -> Self {
        DriverError(format!("{start}: {}", self.0))
    }

    /// The sentence with `end` after it.
    pub(super) fn with(self, end: &str) -> Self {
        DriverError(self.0 + end)
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DriverError {}

/// Tells cust's error, right after it has been returned on this thread, as the driver told it.
///
/// cust's own text will not do: it knows fewer errors than drivers have, and printing it panics where there is no
/// driver.
impl From<CudaError> for DriverError {
    fn from(error: CudaError) -> Self {
        let from_driver = !matches!(error, CudaError::InvalidMemoryAllocation | CudaError::OptixError);
        let failure = last_failure().filter(|_| from_driver);
        DriverError(failure.map_or_else(|| format!("cust reports {error:?}"), |failure| failure.to_string()))
    }
}

impl From<DriverError> for LaunchError {
    fn from(error: DriverError) -> Self {
        LaunchError::Device(Box::new(error))
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        Failure::Fault(error.into())
    }
}

/// The answer of a function that cust declares and does not wrap.
pub(super) fn check(answer: CUresult) -> Result<(), DriverError> {
    if answer == CUresult::CUDA_SUCCESS { Ok(()) } else { Err(CudaError::UnknownError.into()) }
}
