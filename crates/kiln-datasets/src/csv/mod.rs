//! Tables in files: what is in them, and how their columns become numbers.

mod bind;
mod bytes;
mod columnar;
mod dataset;
mod fit;
mod learned;
mod options;
mod scan;
mod source;
mod stats;
mod summary;
mod table;
mod table_options;
mod tables;
mod text;
mod values;

pub use dataset::CsvDataset;
pub use options::CsvOptions;
pub use summary::{ColumnKind, ColumnSummary, CsvSummary, Numbering};
pub use table::TableEncoder;
pub use table_options::{Encoding, Missing, TableOptions};
pub use tables::Csv;
pub(crate) use tables::{list, wrong_in};
pub(crate) use values::{in_order, number, short};
