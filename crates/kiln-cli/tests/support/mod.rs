//! What the tests of the command share: a small data set in a folder of its own, and what a run printed.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses a part; a panic is a test's report

pub(crate) mod answers;

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Images in each part of the small data set.
pub(crate) const IMAGES: usize = 100;

/// An empty folder that goes when the test ends.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        // Tests of two files may give the same name.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(format!("kiln-cli-{process}-{count}-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// With a small data set of MNIST's format in `mnist`.
    pub(crate) fn with_data(name: &str) -> Folder {
        let folder = Folder::new(name);
        fs::create_dir(folder.0.join("mnist")).unwrap();
        for part in ["train", "t10k"] {
            folder.write(&format!("{part}-images-idx3-ubyte"), &idx(&[IMAGES, 28, 28], pixels()));
            folder.write(&format!("{part}-labels-idx1-ubyte"), &idx(&[IMAGES], labels()));
        }
        folder
    }

    pub(crate) fn write(&self, file: &str, bytes: &[u8]) {
        fs::write(self.0.join("mnist").join(file), bytes).unwrap();
    }

    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

/// A process that is killed if the test ends before it does.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Running {
        Running(command.spawn().unwrap())
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Image i shows its class as a row of light.
pub(crate) fn pixels() -> Vec<u8> {
    (0..IMAGES).flat_map(|i| (0..784).map(move |p| if p / 28 == 2 * (i % 10) { 255 } else { 0 })).collect()
}

pub(crate) fn labels() -> Vec<u8> {
    (0..IMAGES).map(|i| (i % 10) as u8).collect()
}

/// An IDX file: its magic number, the sizes of its axes, its bytes.
pub(crate) fn idx(sizes: &[usize], bytes: Vec<u8>) -> Vec<u8> {
    let header = std::iter::once(0x0800 | sizes.len() as u32).chain(sizes.iter().map(|&size| size as u32));
    header.flat_map(u32::to_be_bytes).chain(bytes).collect()
}

/// `kiln train mnist-mlp` with these options beside the data, and no data folder in the environment.
pub(crate) fn kiln(data: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(["train", "mnist-mlp", "--data"]).arg(data).args(options).env_remove("KILN_DATA_DIR");
    command.output().unwrap()
}

/// The lines of a run that went well.
pub(crate) fn lines(output: &Output) -> Vec<String> {
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    text(&output.stdout).lines().map(String::from).collect()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `kiln` with these words, and no data folder in the environment.
pub(crate) fn command(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kiln")).args(words).env_remove("KILN_DATA_DIR").output().unwrap()
}

/// A path as a word of the command line.
pub(crate) fn word(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The weights of two epochs by `kiln train` with these words do not depend on the number of threads, nor on whether the training was
/// resumed after the first one.
pub(crate) fn has_the_same_bits(folder: &Folder, words: &[&str]) {
    let weights = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
    let run = |name: &str, threads: &str, epochs: &str| {
        let out = folder.join(name);
        lines(&command(&[words, &["--threads", threads, "--epochs", epochs, "--quiet", "--out", word(&out)]].concat()));
        out
    };
    let whole = weights(&run("one", "1", "2"));
    assert!(whole == weights(&run("two", "2", "2")) && whole == weights(&run("three", "3", "2")));
    let resumed = run("resumed", "2", "1");
    // Where there is a schedule, stderr says that it was made for fewer epochs.
    let output = command(&["train", "--resume", word(&resumed), "--epochs", "2", "--quiet"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(whole == weights(&resumed));
}
