//! What a simulated thread did wrong.

use std::fmt;
use std::panic::Location;

/// A fault of one simulated thread: the message is one sentence that names the kernel, the thread, its block and the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimFault {
    /// The kernel's name.
    pub kernel: &'static str,
    /// The block's index in the grid, (x, y, z).
    pub block: [u32; 3],
    /// The thread's index in its block, (x, y, z).
    pub thread: [u32; 3],
    /// The source line, where it is known.
    pub site: Option<Site>,
    /// What the thread did, a clause whose subject is the thread: `reads element 512 of a buffer of 512`.
    pub what: String,
}

/// A place in the source of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The file, as the compiler was given it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

impl From<&Location<'_>> for Site {
    fn from(location: &Location<'_>) -> Self {
        Site { file: location.file().to_owned(), line: location.line() }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Writes `(x,y,z)`.
pub(crate) struct Index(pub(crate) [u32; 3]);

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.0;
        write!(f, "({x},{y},{z})")
    }
}

impl fmt::Display for SimFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SimFault { kernel, block, thread, site, what } = self;
        write!(f, "{kernel}: thread {} of block {} {what}", Index(*thread), Index(*block))?;
        site.as_ref().map_or(Ok(()), |site| write!(f, " ({site})"))
    }
}

impl std::error::Error for SimFault {}
