//! A file on its way: its bytes on the disk so far, and their digest.

use super::{of_fetching, unwritable};
use kiln_store::rename_atomically;
use kiln_tensor::Result;
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub(crate) struct Partial {
    file: File,
    path: PathBuf,
    length: u64,
    digest: Context,
}

impl Partial {
    /// What an earlier call left of the file `to`, or nothing yet; more than `size` bytes are of no use. Where this process is not
    /// `alone`, it has a file of its own, which no later call goes on with.
    pub(crate) fn open(to: &Path, size: u64, alone: bool) -> Result<Self> {
        let path = part_of(to, alone);
        let opened = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = opened.map_err(|e| unwritable(&path, e))?;
        let (length, digest) = digest(&mut file).map_err(|e| unwritable(&path, e))?;
        let mut partial = Partial { file, path, length, digest };
        if partial.length > size {
            partial.restart()?;
        }
        Ok(partial)
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Forgets what there is.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cleared.map_err(|e| unwritable(&self.path, e))?;
        (self.length, self.digest) = (0, Context::new(&SHA256));
        Ok(())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| unwritable(&self.path, e))?;
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Leaves nothing behind.
    pub(crate) fn discard(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|e| unwritable(&self.path, e))
    }

    /// SHA-256 of what there is.
    pub(crate) fn sha256(&self) -> String {
        hex(self.digest.clone())
    }

    /// Puts the file in its place.
    pub(crate) fn finish(self, to: &Path) -> Result<()> {
        rename_atomically(&self.path, to).map_err(of_fetching)
    }
}

/// The name that a file has while it is not whole: a later call finds it by that and goes on. It is beside its own, so that
/// renaming does not cross file systems. Beside other processes it is this one's own name, so that no other writes there too.
fn part_of(path: &Path, alone: bool) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if !alone {
        name.push(format!(".{}", std::process::id()));
    }
    name.push(".part");
    PathBuf::from(name)
}

/// SHA-256 of a file, and its length.
pub(crate) fn sha256(path: &Path) -> std::io::Result<(u64, String)> {
    let (length, digest) = digest(&mut File::open(path)?)?;
    Ok((length, hex(digest)))
}

fn digest(file: &mut File) -> std::io::Result<(u64, Context)> {
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((length, digest)),
            read => {
                digest.update(&buffer[..read]);
                length += read as u64;
            }
        }
    }
}

fn hex(digest: Context) -> String {
    digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::part_of;
    use std::path::Path;

    #[test]
    fn processes_without_a_lock_write_to_files_of_their_own() {
        let to = Path::new("data/a.gz");
        assert_eq!(part_of(to, true), Path::new("data/a.gz.part"));
        assert_eq!(part_of(to, false), Path::new(&format!("data/a.gz.{}.part", std::process::id())));
    }
}
