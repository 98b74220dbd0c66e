//! What compressed parts of an Arrow file claim to be: arrow-ipc takes as much memory, and ends the process where there is none.

use super::super::bytes::{Bytes, ReadSeek};
use super::blocks::Reason;
use arrow_ipc::reader::read_footer_length;
use arrow_ipc::{Block, root_as_footer, root_as_message};
use std::io::{Read, Seek, SeekFrom};

type File = Box<dyn ReadSeek>;

/// Bytes behind the footer: its length and six letters.
const END: usize = 10;

/// The bytes from a place on, as many as asked for.
fn part(file: &mut File, from: SeekFrom, length: usize) -> Result<Vec<u8>, Reason> {
    let mut bytes = Vec::new();
    file.seek(from)?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() == length { Ok(bytes) } else { Err("it is shorter than it says".into()) }
}

/// Refuses parts for which there is no memory.
pub(super) fn check(bytes: &Bytes) -> Result<(), Reason> {
    let mut file = bytes.reader()?;
    let end: [u8; END] = part(&mut file, SeekFrom::End(-(END as i64)), END)?.as_slice().try_into()?;
    let length = read_footer_length(end)?;
    let footer = part(&mut file, SeekFrom::End(-((END + length) as i64)), length)?;
    let footer = root_as_footer(&footer).map_err(|error| error.to_string())?;
    let blocks = footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten());
    blocks.into_iter().try_for_each(|block| check_block(&mut file, block))
}

fn check_block(file: &mut File, block: &Block) -> Result<(), Reason> {
    let (start, length) = (u64::try_from(block.offset())?, usize::try_from(block.metaDataLength())?);
    let head = part(file, SeekFrom::Start(start), length)?;
    // The length of the message stands before it, and before that in newer files a mark.
    let message = head.get(if head.starts_with(&[0xff; 4]) { 8 } else { 4 }..).unwrap_or_default();
    let message = root_as_message(message).map_err(|error| error.to_string())?;
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(batch) = message.header_as_record_batch().or(dictionary) else { return Ok(()) };
    if batch.compression().is_none() {
        return Ok(());
    }
    for buffer in batch.buffers().into_iter().flatten().filter(|buffer| buffer.length() > 0) {
        let at = start.saturating_add(length as u64).saturating_add(u64::try_from(buffer.offset())?);
        let claim: [u8; 8] = part(file, SeekFrom::Start(at), 8)?.as_slice().try_into()?;
        // Below 0: it is not compressed.
        if let Ok(claim) = usize::try_from(i64::from_le_bytes(claim)) {
            Vec::<u8>::new().try_reserve_exact(claim)?;
        }
    }
    Ok(())
}
