//! Arrow's files: a block is one of their batches of rows.

use super::super::bytes::{Bytes, ReadSeek};
use super::blocks::{Read, Reason};
use super::claims;
use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use arrow_schema::SchemaRef;

type Reader = FileReader<Box<dyn ReadSeek>>;

fn reader(bytes: &Bytes, columns: Option<Vec<usize>>) -> Result<Reader, Reason> {
    Ok(FileReader::try_new(bytes.reader()?, columns)?)
}

/// The columns and the rows of each block.
pub(super) fn layout(bytes: &Bytes) -> Result<(SchemaRef, Vec<usize>), Reason> {
    claims::check(bytes)?;
    // Without the columns' values.
    let blocks = reader(bytes, Some(Vec::new()))?;
    let rows = blocks.map(|block| block.map(|block| block.num_rows())).collect::<Result<_, _>>()?;
    Ok((reader(bytes, None)?.schema(), rows))
}

/// A reader of blocks.
pub(super) fn blocks(bytes: &Bytes) -> Result<Box<dyn Read>, Reason> {
    Ok(Box::new(reader(bytes, None)?))
}

impl Read for Reader {
    fn block(&mut self, number: usize) -> Result<Option<RecordBatch>, Reason> {
        self.set_index(number)?;
        Ok(self.next().transpose()?)
    }
}
