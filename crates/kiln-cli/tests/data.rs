//! `kiln data` from outside. What fetching does is tested in kiln-datasets; nothing here needs a network.

#![allow(clippy::unwrap_used)] // a panic is a test's report

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An empty folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("kiln-cli-data-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `kiln data` with a home of its own and nothing in the environment.
fn kiln(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.arg("data").args(arguments).env("HOME", home).env_remove("KILN_DATA_DIR").env_remove("XDG_CACHE_HOME");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn list_says_what_is_here_and_where_it_was_looked_for() {
    let (home, data) = (Folder::new("home"), Folder::new("data"));
    let list = |arguments: &[&str]| {
        let output = kiln(&home.0, &[&["list"], arguments].concat());
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
        text(&output.stdout)
    };
    let line = |list: &str, name: &str| list.lines().find(|line| line.starts_with(name)).unwrap().to_string();
    let nothing = list(&[]);
    assert!(line(&nothing, "mnist ").contains("11.6 MB  embedded subset"), "{nothing}");
    assert!(line(&nothing, "cifar-100 ").contains("168.5 MB  not here"), "{nothing}");
    assert!(nothing.contains(home.0.join(".cache/kiln").to_str().unwrap()), "{nothing}");

    // Half of a data set is none.
    let folder = data.0.join("cifar-100-binary");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("train.bin"), b"").unwrap();
    let option = ["--data", data.0.to_str().unwrap()];
    assert!(line(&list(&option), "cifar-100 ").contains("not here"));
    fs::write(folder.join("test.bin"), b"").unwrap();
    let found = list(&option);
    assert!(line(&found, "cifar-100 ").contains("present (--data)"), "{found}");
    assert!(line(&found, "looked for in").ends_with(&format!("{} (--data)", data.0.display())), "{found}");
    // The cache is looked in as well, and files count plain or compressed.
    let folder = home.0.join(".cache/kiln/kmnist");
    fs::create_dir_all(&folder).unwrap();
    for name in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3"] {
        fs::write(folder.join(format!("{name}-ubyte")), b"").unwrap();
    }
    fs::write(folder.join("t10k-labels-idx1-ubyte.gz"), b"").unwrap();
    assert!(line(&list(&option), "kmnist ").contains("present (cache)"));
}
