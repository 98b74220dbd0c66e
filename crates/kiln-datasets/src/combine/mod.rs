//! Data sets that are made of other ones.

/// Methods of a data set that stands on the one in the field `dataset`, sample by sample.
macro_rules! of_the_other {
    () => {
        fn len(&self) -> usize {
            self.dataset.len()
        }

        fn length(&self, index: usize) -> Option<usize> {
            self.dataset.length(index)
        }

        fn fixed_batch_size(&self) -> Option<usize> {
            self.dataset.fixed_batch_size()
        }

        fn sequential(&self) -> bool {
            self.dataset.sequential()
        }

        fn in_order(&self) -> bool {
            self.dataset.in_order()
        }

        fn class_labels(&self) -> Result<Option<Vec<i64>>> {
            self.dataset.class_labels()
        }
    };
}

mod cache;
mod collate;
mod concat;
mod map;
mod stream;
mod weighted;
mod zip;

pub use cache::Cache;
pub use concat::Concat;
pub use map::{Map, MapSamples};
pub use stream::Stream;
pub use weighted::Weighted;
pub use zip::Zip;
