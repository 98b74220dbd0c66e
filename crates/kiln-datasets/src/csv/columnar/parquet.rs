//! Parquet files: a block is a part of a row group.

use super::super::bytes::{Bytes, ReadSeek};
use super::blocks::{Read, Reason};
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::reader::{ChunkReader, Length};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use std::io::{BufReader, Read as _, Seek, SeekFrom};

/// Rows of a block; the last one of a row group has fewer.
const ROWS: usize = 8192;

impl Length for Bytes {
    fn len(&self) -> u64 {
        match self {
            Bytes::File { state, .. } => state.0,
            Bytes::Memory(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Bytes {
    type T = BufReader<Box<dyn ReadSeek>>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let mut reader = self.reader().map_err(|error| ParquetError::External(Box::new(error)))?;
        reader.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(reader))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<::bytes::Bytes> {
        // No more than there is, whatever the file says.
        let mut bytes = Vec::with_capacity(length.min(self.len() as usize));
        self.get_read(start)?.take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF("the file is shorter than it says".to_owned()));
        }
        Ok(bytes.into())
    }
}

/// What stands at a file's end.
#[derive(Clone, Debug)]
pub(super) struct Metadata(ArrowReaderMetadata);

/// A block: its row group, and its first row there.
#[derive(Clone, Copy, Debug)]
struct Place {
    group: usize,
    row: usize,
}

/// Reads blocks; fast where they follow one another.
struct Reader {
    bytes: Bytes,
    metadata: Metadata,
    places: Vec<Place>,
    /// The rest of a row group, and the number of the next block in it.
    open: Option<(usize, ParquetRecordBatchReader)>,
}

impl Metadata {
    pub(super) fn read(bytes: &Bytes) -> Result<Self, Reason> {
        Ok(Metadata(ArrowReaderMetadata::load(bytes, ArrowReaderOptions::new())?))
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.0.schema().clone()
    }

    /// The rows of each block with its place.
    fn blocks(&self) -> impl Iterator<Item = (usize, Place)> {
        let groups = self.0.metadata().row_groups().iter().enumerate();
        groups.flat_map(|(group, of)| {
            let rows = usize::try_from(of.num_rows()).unwrap_or(0);
            (0..rows).step_by(ROWS).map(move |row| (ROWS.min(rows - row), Place { group, row }))
        })
    }

    /// The rows of each block.
    pub(super) fn rows(&self) -> Vec<usize> {
        self.blocks().map(|(rows, _)| rows).collect()
    }

    /// A reader of blocks.
    pub(super) fn reader(&self, bytes: &Bytes) -> Box<dyn Read> {
        let places = self.blocks().map(|(_, place)| place).collect();
        Box::new(Reader { bytes: bytes.clone(), metadata: self.clone(), places, open: None })
    }
}

impl Reader {
    /// A reader that begins with this block, and ends with its row group.
    fn from(&self, number: usize) -> Result<ParquetRecordBatchReader, Reason> {
        let Place { group, row } = self.places[number];
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.0.clone());
        Ok(builder.with_row_groups(vec![group]).with_offset(row).with_batch_size(ROWS).build()?)
    }
}

impl Read for Reader {
    fn block(&mut self, number: usize) -> Result<Option<RecordBatch>, Reason> {
        let mut reader = match self.open.take() {
            Some((next, reader)) if next == number && self.places[number].row > 0 => reader,
            _ => self.from(number)?,
        };
        let block = reader.next().transpose()?;
        self.open = Some((number + 1, reader));
        Ok(block)
    }
}
