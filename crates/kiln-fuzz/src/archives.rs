//! tar and zip archives of data sets.

use crate::Target;
use crate::files::gzip;
use crate::scratch::Folder;
use crate::source::Source;
use kiln::datasets::{Content, Remote};
use kiln_datasets::fuzzing::unpack;
use std::collections::BTreeMap;

/// The first byte says which kind; a tar archive is compressed here, or as it is.
pub(crate) const ARCHIVE: Target = Target {
    name: "archive",
    run,
    seeds,
    words: &[b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"a.bin", b"b.bin", b"00000000010"],
};

const NAMES: &[&str] = &["a.bin", "b.bin"];

fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let kind = source.below(3);
    let archive = source.rest();
    let whole = unpacked(kind, archive);
    if kind == 0 {
        // A zip archive is read from its end: one that is cut short is another archive.
        return;
    }
    // Of a tar archive that is cut short, no file is there that is not as it was in the whole one.
    let cut = unpacked(kind, &archive[..archive.len() / 2]);
    for (name, content) in &cut {
        assert_eq!(Some(content), whole.get(name), "{name} is not whole");
    }
}

/// The files that come out of an archive, by name.
fn unpacked(kind: usize, bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let folder = Folder::new();
    let (content, archive) = match kind {
        0 => (Content::Zip(NAMES), folder.write("archive", bytes)),
        1 => (Content::TarGz(NAMES), folder.write("archive", &gzip(bytes))),
        _ => (Content::TarGz(NAMES), folder.write("archive", bytes)),
    };
    let remote = Remote { mirrors: &[], name: "archive", size: None, sha256: "", content };
    let inside = folder.path().join("inside");
    std::fs::create_dir_all(&inside).expect("a folder in the temporary one");
    if unpack(&remote, &archive, &inside).is_ok() {
        assert!(NAMES.iter().all(|name| inside.join(name).is_file()), "a file is missing");
    }
    // Whatever paths are in an archive, nothing comes to lie outside of its folder.
    let names = |folder: &std::path::Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("the folder").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names(folder.path()).len(), 2, "{:?}", names(folder.path()));
    let found = names(&inside);
    assert!(found.iter().all(|name| NAMES.contains(&name.as_str())), "{found:?}");
    found
        .into_iter()
        .map(|name| (name.clone(), std::fs::read(inside.join(name)).expect("a file that is there")))
        .collect()
}

/// A tar archive of these files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, *content).expect("an archive in memory");
    }
    archive.into_inner().expect("an archive in memory")
}

/// A zip archive of these files, stored or (already, as one stored block) deflated.
pub(crate) fn zip(files: &[(&str, u16, &[u8])]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, method, content) in files {
        let offset = archive.len() as u32;
        // A block of deflate that is stored has five bytes before its content.
        let size = content.len() as u32 - if *method == 8 { 5 } else { 0 };
        let mut checksum = flate2::Crc::new();
        checksum.update(&content[content.len() - size as usize..]);
        let sizes = [checksum.sum(), content.len() as u32, size].map(u32::to_le_bytes).concat();
        let name_length = (name.len() as u16).to_le_bytes();
        let method = method.to_le_bytes();
        archive.extend(
            [&b"PK\x03\x04\0\0\0\0"[..], &method, &[0; 4], &sizes, &name_length, &[0; 2], name.as_bytes(), content]
                .concat(),
        );
        directory.extend([&b"PK\x01\x02\0\0\0\0\0\0"[..], &method, &[0; 4], &sizes, &name_length, &[0; 12]].concat());
        directory.extend([&offset.to_le_bytes()[..], name.as_bytes()].concat());
    }
    let (start, length, count) = (archive.len() as u32, directory.len() as u32, files.len() as u16);
    archive.extend(&directory);
    let count = count.to_le_bytes();
    archive.extend(
        [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length.to_le_bytes(), &start.to_le_bytes(), &[0; 2]].concat(),
    );
    archive
}

fn seeds() -> Vec<Vec<u8>> {
    let tar = tar(&[("folder/a.bin", b"eight by"), ("b.bin", b"")]);
    // A block of deflate that is stored.
    let deflated = [1, 3, 0, 0xfc, 0xff, b'a', b'b', b'c'];
    let zip = zip(&[("gzip/a.bin", 8, &deflated), ("../b.bin", 0, b"as it is")]);
    vec![[&[0][..], &zip].concat(), [&[1][..], &tar].concat(), [&[2][..], &gzip(&tar)].concat()]
}
