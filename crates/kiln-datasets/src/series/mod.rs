//! Time series: windows over them, and tables with a time column.

mod encoder;
mod options;
mod rows;
mod time;
mod windows;

pub use encoder::SeriesEncoder;
pub use options::SeriesOptions;
pub use windows::SeriesWindows;
