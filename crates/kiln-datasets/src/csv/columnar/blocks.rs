//! A table of columns: its rows are decoded block by block, and written as text.

use super::super::bytes::Bytes;
use super::super::source::{Rows, Source, names};
use super::super::summary::Numbering;
use super::cache::Cache;
use super::parquet::Metadata;
use super::{Format, arrow, field};
use ::csv::ByteRecord;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use kiln_tensor::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// Why a file cannot be read.
pub(super) type Reason = Box<dyn std::error::Error + Send + Sync>;

/// Reads blocks of rows by their numbers.
pub(super) trait Read {
    /// The block with a number, none past the last one.
    fn block(&mut self, number: usize) -> Result<Option<RecordBatch>, Reason>;
}

/// A table in a Parquet or Arrow file. A row's number is its place among the rows, from 0.
#[derive(Debug)]
pub(super) struct Blocks {
    bytes: Bytes,
    /// None: an Arrow file.
    parquet: Option<Metadata>,
    columns: Vec<String>,
    /// The first row of each block.
    starts: Vec<u64>,
    rows: u64,
    cache: Mutex<Cache>,
}

impl Blocks {
    pub(super) fn open(format: Format, bytes: Bytes) -> Result<Self> {
        let (parquet, schema, blocks) = guarded(&bytes, || match format {
            Format::Parquet => {
                let metadata = Metadata::read(&bytes)?;
                let (schema, blocks) = (metadata.schema(), metadata.rows());
                Ok((Some(metadata), schema, blocks))
            }
            Format::Arrow => arrow::layout(&bytes).map(|(schema, blocks)| (None, schema, blocks)),
        })?;
        let columns = columns(&schema, &bytes)?;
        let (mut starts, mut rows) = (Vec::with_capacity(blocks.len()), 0);
        for count in blocks {
            starts.push(rows);
            rows += count as u64;
        }
        Ok(Blocks { bytes, parquet, columns, starts, rows, cache: Mutex::default() })
    }

    fn reader(&self) -> Result<Box<dyn Read>> {
        guarded(&self.bytes, || match &self.parquet {
            Some(metadata) => Ok(metadata.reader(&self.bytes)),
            None => arrow::blocks(&self.bytes),
        })
    }

    /// The rows that a block has.
    fn rows_of(&self, number: usize) -> u64 {
        self.starts.get(number + 1).unwrap_or(&self.rows) - self.starts[number]
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block_rows(&self) -> Result<BlockRows<'_>> {
        // Only to see that the file is as it was: its blocks may be in the cache.
        self.bytes.reader()?;
        Ok(BlockRows {
            table: self,
            reader: None,
            block: None,
            next: 0,
            record: ByteRecord::new(),
            text: String::new(),
        })
    }
}

/// The columns' names; all must hold what can be written as text.
fn columns(schema: &SchemaRef, bytes: &Bytes) -> Result<Vec<String>> {
    let unknown = schema.fields().iter().filter(|of| !field::is_known(of.data_type()));
    let unknown: Vec<String> = unknown.map(|of| format!("{:?} ({})", of.name(), of.data_type())).collect();
    if !unknown.is_empty() {
        let message = "columns of these types cannot be read, leave them out when the file is written";
        return Err(bytes.wrong(&format!("{message}: {}", unknown.join(", "))));
    }
    if schema.fields().is_empty() {
        return Err(bytes.wrong("there is no column"));
    }
    names(schema.fields().iter().map(|of| of.name().as_str())).map_err(|message| bytes.wrong(&message))
}

/// What is read of a file, or why it cannot be read. On some broken files the readers panic, which is an error here.
fn guarded<T>(bytes: &Bytes, read: impl FnOnce() -> Result<T, Reason>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(reason)) => match reason.downcast::<Error>() {
            Ok(error) => Err(*error),
            Err(reason) => Err(bytes.wrong(&format!("the file cannot be read: {reason}"))),
        },
        Err(_) => Err(bytes.wrong("the file is broken: write it again")),
    }
}

impl Source for Blocks {
    fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn open(&self) -> Result<(Vec<String>, Box<dyn Rows + '_>)> {
        Ok((self.columns.clone(), self.rows()?))
    }

    fn rows(&self) -> Result<Box<dyn Rows + '_>> {
        Ok(Box::new(self.block_rows()?))
    }

    fn numbering(&self) -> Numbering {
        Numbering::Row
    }

    fn number(&self, row: u64) -> Result<u64> {
        Ok(row + 1)
    }

    fn check_end(&self, _: u64) -> Result<()> {
        Ok(())
    }
}

struct BlockRows<'a> {
    table: &'a Blocks,
    /// Not before a block is wanted that is not in the cache.
    reader: Option<Box<dyn Read>>,
    block: Option<(usize, RecordBatch)>,
    next: u64,
    record: ByteRecord,
    text: String,
}

impl BlockRows<'_> {
    fn block(&mut self, number: usize) -> Result<RecordBatch> {
        let table = self.table;
        if let Some(block) = table.cache().get(number) {
            return Ok(block);
        }
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(table.reader()?),
        };
        let block = guarded(&table.bytes, || reader.block(number))?;
        let whole = |block: &RecordBatch| {
            block.num_rows() as u64 == table.rows_of(number) && block.num_columns() == table.columns.len()
        };
        let Some(block) = block.filter(whole) else {
            return Err(table.bytes.wrong("the file has fewer rows than it says: write it again"));
        };
        table.cache().insert(number, block.clone());
        Ok(block)
    }
}

impl Rows for BlockRows<'_> {
    fn next(&mut self) -> Result<Option<(u64, &ByteRecord)>> {
        let row = self.next;
        if row >= self.table.rows {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some((row, self.at(row)?)))
    }

    fn at(&mut self, row: u64) -> Result<&ByteRecord> {
        // An empty block begins with the next one's first row: the last one of these has it.
        let number = self.table.starts.partition_point(|&start| start <= row) - 1;
        let block = match self.block.take() {
            Some((current, block)) if current == number => block,
            _ => self.block(number)?,
        };
        let within = (row - self.table.starts[number]) as usize;
        self.record.clear();
        for column in block.columns() {
            self.text.clear();
            field::write(column.as_ref(), within, &mut self.text);
            self.record.push_field(self.text.as_bytes());
        }
        self.block = Some((number, block));
        Ok(&self.record)
    }
}
