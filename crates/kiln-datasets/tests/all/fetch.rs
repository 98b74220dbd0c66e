//! Fetching from a server on this machine that can misbehave: resume, wrong bytes, refusals, cuts, two at once.

// Helpers may unwrap like the tests that call them.

use crate::files::{Folder, gzip};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use kiln_datasets::{Content, FetchEvent, Remote, Source, fetch, fetch_source, fetch_url};
use kiln_tensor::{Error, ErrorKind, Result};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A request: the path, and where its range begins.
type Request = (String, Option<usize>);

/// A server whose answers `respond` writes; it ends with the process.
struct Server {
    mirror: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn new(respond: impl Fn(&Request, usize, &mut TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = format!("http://{}/", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, respond) = (Arc::clone(&seen), Arc::new(respond));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, respond) = (Arc::clone(&log), Arc::clone(&respond));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(request) = read_request(&stream) else { return };
                    let number = {
                        let mut log = log.lock().unwrap();
                        log.push(request.clone());
                        log.len() - 1
                    };
                    respond(&request, number, &mut stream);
                });
            }
        });
        Server { mirror, seen }
    }

    /// Where the ranges of the requests so far began.
    fn starts(&self) -> Vec<Option<usize>> {
        self.seen.lock().unwrap().iter().map(|(_, start)| *start).collect()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(|line| line.ok());
    let path = lines.next()?.split(' ').nth(1)?.trim_start_matches('/').to_string();
    let mut start = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().ok();
        }
    }
    Some((path, start))
}

/// The head of an answer; whatever the client asks for, the connection is closed after it.
fn head(stream: &mut TcpStream, status: &str, length: usize, more: &str) {
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n");
}

/// Answers as a good server does, but sends at most `most` bytes.
fn serve(stream: &mut TcpStream, body: &[u8], start: Option<usize>, most: usize) {
    let part = &body[start.unwrap_or(0)..];
    match start {
        None => head(stream, "200 OK", part.len(), ""),
        Some(start) => {
            let range = format!("Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
            head(stream, "206 Partial Content", part.len(), &range);
        }
    }
    let _ = stream.write_all(&part[..part.len().min(most)]);
}

fn refuse(stream: &mut TcpStream, status: &str) {
    head(stream, status, 0, "");
}

fn body() -> Vec<u8> {
    (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fetches the file `data.bin` of those bytes into DIR/set.
fn fetch_file(directory: &Path, mirrors: &[&str], expected: &[u8]) -> (Result<PathBuf>, Vec<String>) {
    let sum = sha256(expected);
    let size = Some(expected.len() as u64);
    let file = Remote { mirrors, name: "data.bin", size, sha256: &sum, content: Content::File };
    fetch_all(directory, &[file])
}

/// Fetches a data set of these files, and tells what happened beside the receiving.
fn fetch_all(directory: &Path, files: &[Remote<'_>]) -> (Result<PathBuf>, Vec<String>) {
    let source = Source { name: "set", about: "", license: "", folder: "set", files };
    let mut events = Vec::new();
    let mut last = 0;
    let result = fetch_source(&source, directory, &mut |event| match event {
        FetchEvent::Received { done, total, .. } => {
            assert!(done <= total && total == source.size());
            last = done;
        }
        other => events.push(format!("{other:?}")),
    });
    assert!(result.is_err() || last == source.size(), "{last}");
    (result, events)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name != ".lock").collect();
    names.sort();
    names
}

fn assert_told(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Io, "{text}");
    assert!(!text.contains('\n') && parts.iter().all(|part| text.contains(part)), "{text}, expected {parts:?}");
}

#[test]
fn a_file_is_fetched_once() {
    let folder = Folder::new("fetch-once");
    let server = Server::new(|(path, start), _, stream| {
        assert_eq!(path, "data.bin");
        serve(stream, &body(), *start, usize::MAX);
    });
    for _ in 0..2 {
        let (result, events) = fetch_file(&folder.0, &[&server.mirror], &body());
        assert_eq!((result.unwrap(), events.len()), (folder.0.join("set"), 0));
        assert_eq!(fs::read(folder.0.join("set/data.bin")).unwrap(), body());
        assert_eq!(names(&folder.0.join("set")), ["data.bin"]);
    }
    assert_eq!(server.starts(), [None]);
    // A file that is not what it should be is replaced, once the right one is here.
    fs::write(folder.0.join("set/data.bin"), b"something else").unwrap();
    fetch_file(&folder.0, &[&server.mirror], &body()).0.unwrap();
    assert_eq!(fs::read(folder.0.join("set/data.bin")).unwrap(), body());
}

#[test]
fn a_cut_connection_is_resumed() {
    let folder = Folder::new("fetch-cut");
    let server = Server::new(|(_, start), number, stream| {
        serve(stream, &body(), *start, if number == 0 { 100_000 } else { usize::MAX });
    });
    let (result, events) = fetch_file(&folder.0, &[&server.mirror], &body());
    result.unwrap();
    assert_eq!(fs::read(folder.0.join("set/data.bin")).unwrap(), body());
    assert_eq!(server.starts(), [None, Some(100_000)]);
    assert!(matches!(&events[..], [event] if event.contains("Retrying") && event.contains("100000 of 300000")));
}

#[test]
fn another_mirror_and_another_call_go_on_where_one_stopped() {
    let folder = Folder::new("fetch-resume");
    let cut = Server::new(|(_, start), _, stream| match start {
        None => serve(stream, &body(), None, 70_000),
        Some(_) => refuse(stream, "404 Not Found"),
    });
    let (result, _) = fetch_file(&folder.0, &[&cut.mirror], &body());
    assert_told(
        &result.unwrap_err(),
        &["no mirror gives data.bin", &cut.mirror, "404", "70000 of 300000 bytes are kept"],
    );
    assert_eq!(names(&folder.0.join("set")), ["data.bin.part"]);

    let whole = Server::new(|(_, start), _, stream| serve(stream, &body(), *start, usize::MAX));
    fetch_file(&folder.0, &[&cut.mirror, &whole.mirror], &body()).0.unwrap();
    assert_eq!(whole.starts(), [Some(70_000)]);
    assert_eq!(names(&folder.0.join("set")), ["data.bin"]);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let folder = Folder::new("fetch-ranges");
    let server = Server::new(|_, number, stream| {
        serve(stream, &body(), None, if number == 0 { 100_000 } else { usize::MAX });
    });
    fetch_file(&folder.0, &[&server.mirror], &body()).0.unwrap();
    assert_eq!(server.starts(), [None, Some(100_000)]);
    assert_eq!(fs::read(folder.0.join("set/data.bin")).unwrap(), body());
}

#[test]
fn leftovers_that_do_not_fit_are_thrown_away() {
    let server = Server::new(|(_, start), _, stream| serve(stream, &body(), *start, usize::MAX));
    let wrong = vec![1; 5000];
    let long = vec![1; 300_001];
    let full = vec![1; 300_000];
    for (name, left) in [("wrong", wrong), ("long", long), ("full", full), ("whole", body())] {
        let folder = Folder::new(&format!("fetch-left-{name}"));
        fs::create_dir_all(folder.0.join("set")).unwrap();
        fs::write(folder.0.join("set/data.bin.part"), left).unwrap();
        fetch_file(&folder.0, &[&server.mirror], &body()).0.unwrap();
        assert_eq!(fs::read(folder.0.join("set/data.bin")).unwrap(), body(), "{name}");
    }
    // One resumed and began anew, two began anew, the last asked for nothing.
    assert_eq!(server.starts(), [Some(5000), None, None, None]);
}

#[test]
fn wrong_bytes_never_get_the_name() {
    let folder = Folder::new("fetch-wrong");
    let mut other = body();
    other[123_456] ^= 1;
    let bad = Server::new(move |(_, start), _, stream| serve(stream, &other, *start, usize::MAX));
    let long = Server::new(|_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(&[body(), body()].concat());
    });
    let short = Server::new(|_, _, stream| serve(stream, b"not found", None, usize::MAX));
    let mirrors = [bad.mirror.as_str(), &long.mirror, &short.mirror];
    let (result, _) = fetch_file(&folder.0, &mirrors, &body());
    let told = ["SHA-256 is", &sha256(&body()), "more than the expected 300000 bytes", "it has 9 bytes, 300000 are"];
    assert_told(&result.unwrap_err(), &told);
    assert_eq!(names(&folder.0.join("set")), [""; 0]);
    // A mirror with wrong bytes is not asked again.
    assert_eq!((bad.starts(), long.starts(), short.starts()), (vec![None], vec![None], vec![None]));

    let good = Server::new(|(_, start), _, stream| serve(stream, &body(), *start, usize::MAX));
    fetch_file(&folder.0, &[&bad.mirror, &good.mirror], &body()).0.unwrap();
    assert_eq!(fs::read(folder.0.join("set/data.bin")).unwrap(), body());
}

#[test]
fn refusals_are_told_apart() {
    let folder = Folder::new("fetch-refusals");
    let missing = Server::new(|_, _, stream| refuse(stream, "404 Not Found"));
    let busy = Server::new(|_, _, stream| refuse(stream, "503 Service Unavailable"));
    // Nobody listens here any more.
    let closed = format!("http://{}/", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let (result, events) = fetch_file(&folder.0, &[&missing.mirror, &busy.mirror, &closed], &body());
    assert_told(&result.unwrap_err(), &[&missing.mirror, "status 404", &busy.mirror, "status 503", &closed, "refused"]);
    assert_eq!((missing.starts().len(), busy.starts().len(), events.len()), (1, 3, 4));
}

#[test]
fn of_several_callers_one_fetches() {
    let folder = Folder::new("fetch-two");
    let server = Server::new(|(_, start), _, stream| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        serve(stream, &body(), *start, usize::MAX);
    });
    let waited: usize = std::thread::scope(|scope| {
        let call = || {
            let (result, events) = fetch_file(&folder.0, &[&server.mirror], &body());
            result.unwrap();
            events.iter().filter(|event| *event == "Waiting").count()
        };
        let callers: Vec<_> = (0..3).map(|_| scope.spawn(call)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!((server.starts(), waited), (vec![None], 2));
    assert_eq!(fs::read(folder.0.join("set/data.bin")).unwrap(), body());
}

/// A tar archive of these files, each after a folder's entry.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut entry = |name: &str, kind, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content).unwrap();
    };
    for (name, content) in files {
        entry("folder/", tar::EntryType::Directory, &[]);
        entry(&format!("folder/{name}"), tar::EntryType::Regular, content);
    }
    archive.into_inner().unwrap()
}

/// A zip archive of these files, the first one stored, the others deflated, with a comment.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (i, (name, content)) in files.iter().enumerate() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        let (method, packed) = if i == 0 { (0u16, content.to_vec()) } else { (8, encoder.finish().unwrap()) };
        let name = format!("folder/{name}");
        let mut fields = [20u16.to_le_bytes(), [0; 2], method.to_le_bytes()].concat();
        let mut checksum = flate2::Crc::new();
        checksum.update(content);
        fields.extend([0; 4]); // time, date
        fields.extend(checksum.sum().to_le_bytes());
        fields.extend((packed.len() as u32).to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0; 2]);
        directory.extend([b"PK\x01\x02\x14\0".as_slice(), &fields, &[0; 10]].concat());
        directory.extend((archive.len() as u32).to_le_bytes());
        directory.extend(name.bytes());
        archive.extend([b"PK\x03\x04".as_slice(), &fields, name.as_bytes(), &packed].concat());
    }
    let count = (files.len() as u16).to_le_bytes();
    let place = [(directory.len() as u32).to_le_bytes(), (archive.len() as u32).to_le_bytes()].concat();
    [archive, directory, [b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count, &place, b"\x05\0hello"].concat()].concat()
}

#[test]
fn archives_are_unpacked_and_removed() {
    let large = body();
    let files: [(&str, &[u8]); 3] = [("a.bin", &large), ("README", b"read me"), ("b.bin", b"")];
    let expected = ["a.bin", "b.bin"];
    for (name, bytes, content) in [
        ("set.tar.gz", gzip(&tar(&files)), Content::TarGz(&expected)),
        ("set.zip", zip(&files), Content::Zip(&expected)),
    ] {
        let folder = Folder::new(&format!("fetch-{name}"));
        let sum = sha256(&bytes);
        let served = bytes.clone();
        let server = Server::new(move |(_, start), _, stream| serve(stream, &served, *start, usize::MAX));
        let mirrors = [server.mirror.as_str()];
        let file = Remote { mirrors: &mirrors, name, size: Some(bytes.len() as u64), sha256: &sum, content };
        let list = format!("{name}.sha256");
        for events in [1, 0] {
            let (result, told) = fetch_all(&folder.0, &[file]);
            assert_eq!(
                (names(&result.unwrap()), told.len()),
                (vec!["a.bin".into(), "b.bin".into(), list.clone()], events)
            );
        }
        assert_eq!(fs::read(folder.0.join("set/a.bin")).unwrap(), large);
        assert_eq!(fs::read(folder.0.join("set/b.bin")).unwrap(), b"");
        assert_eq!(server.starts().len(), 1, "files that are there are not fetched again");
        // One of the files is lost: the archive comes again.
        fs::remove_file(folder.0.join("set/b.bin")).unwrap();
        fetch_all(&folder.0, &[file]).0.unwrap();
        assert_eq!(names(&folder.0.join("set")), ["a.bin", "b.bin", list.as_str()]);
        // So it does where one was damaged, or the list is of another archive.
        let path = |name: &str| folder.0.join("set").join(name);
        for (damaged, with) in [("a.bin", "half"), (&list, "# of another archive\n")] {
            fs::write(path(damaged), with).unwrap();
            assert_eq!(fetch_all(&folder.0, &[file]).1.len(), 1, "{name}: {damaged}");
            assert_eq!(fs::read(path("a.bin")).unwrap(), large);
        }
        // Without a list nothing is known of them: files that were put there by hand.
        fs::remove_file(path(&list)).unwrap();
        assert!(fetch_all(&folder.0, &[file]).1.is_empty());
    }
}

#[test]
fn an_archive_that_is_none_or_lacks_a_file_is_told() {
    let files: [(&str, &[u8]); 1] = [("a.bin", b"abc")];
    let (tar, zip) = (tar(&files), zip(&files));
    let wanted = ["a.bin", "b.bin"];
    let one = ["a.bin"];
    for (name, bytes, content, told) in [
        ("lacks.tar.gz", gzip(&tar), Content::TarGz(&wanted), "b.bin is not in the archive"),
        ("lacks.zip", zip.clone(), Content::Zip(&wanted), "b.bin is not in the archive"),
        ("cut.tar.gz", gzip(&tar[..1100]), Content::TarGz(&wanted), "cannot be unpacked"),
        ("plain.tar.gz", tar, Content::TarGz(&one), "cannot be unpacked"),
        ("cut.zip", zip[..zip.len() - 30].to_vec(), Content::Zip(&one), "no directory"),
        ("empty.zip", vec![], Content::Zip(&one), "no directory"),
    ] {
        let folder = Folder::new(&format!("fetch-{name}"));
        let sum = sha256(&bytes);
        let served = bytes.clone();
        let server = Server::new(move |(_, start), _, stream| serve(stream, &served, *start, usize::MAX));
        let mirrors = [server.mirror.as_str()];
        let file = Remote { mirrors: &mirrors, name, size: Some(bytes.len() as u64), sha256: &sum, content };
        let error = fetch_all(&folder.0, &[file]).0.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(told) && !text.contains('\n'), "{name}: {text}");
        assert_eq!(error.kind(), ErrorKind::Format, "{name}");
    }
}

/// Fetches an address into DIR/own.
fn fetch_address(directory: &Path, url: &str, expected: &[u8]) -> Result<PathBuf> {
    fetch_url(url, &sha256(expected).to_uppercase(), "own", directory, |_| {})
}

#[test]
fn a_file_of_unknown_size_is_fetched_from_its_address() {
    let folder = Folder::new("fetch-url");
    let server = Server::new(|(path, start), number, stream| {
        assert_eq!(path, "sets/table.csv?version=2");
        serve(stream, &body(), *start, if number == 0 { 100_000 } else { usize::MAX });
    });
    let url = format!("{}sets/table.csv?version=2", server.mirror);
    for _ in 0..2 {
        assert_eq!(fetch_address(&folder.0, &url, &body()).unwrap(), folder.0.join("own/table.csv"));
        assert_eq!(fs::read(folder.0.join("own/table.csv")).unwrap(), body());
    }
    assert_eq!(server.starts(), [None, Some(100_000)]);
    // What an earlier call had received whole needs no request.
    fs::rename(folder.0.join("own/table.csv"), folder.0.join("own/table.csv.part")).unwrap();
    fetch_address(&folder.0, &url, &body()).unwrap();
    assert_eq!((server.starts().len(), names(&folder.0.join("own"))), (2, vec!["table.csv".to_owned()]));
}

#[test]
fn an_answer_without_a_length_is_taken_as_it_comes() {
    let folder = Folder::new("fetch-url-length");
    let server = Server::new(|_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(&body());
    });
    // No file's name in the address: the file is called as the data set.
    assert_eq!(
        fetch_address(&folder.0, &format!("{}?id=3", server.mirror), &body()).unwrap(),
        folder.0.join("own/own")
    );
    // Other bytes than those of the sum never get the name.
    let error = fetch_address(&folder.0, &format!("{}a.csv", server.mirror), b"other").unwrap_err();
    assert_told(&error, &["no mirror gives a.csv", "SHA-256 is", &sha256(b"other")]);
    assert_eq!(names(&folder.0.join("own")), ["own"]);
}

#[test]
fn addresses_sums_and_names_that_cannot_be() {
    let folder = Folder::new("fetch-url-refused");
    let sum = sha256(b"");
    for (url, sum, name, told) in [
        ("ftp://a/b.csv", sum.as_str(), "own", "`ftp://a/b.csv` is not the address of a file"),
        ("https://a/b/", &sum, "own", "`https://a/b/` is the address of a folder"),
        ("https://a/b.csv", "abc", "own", "`abc` is no SHA-256: 64 hexadecimal digits"),
        ("https://a/b.csv", &sum, "../own", "`../own` cannot be the name of a folder"),
        ("https://a/b.csv", &sum, "", "`` cannot be the name of a folder"),
    ] {
        let error = fetch_url(url, sum, name, &folder.0, |_| {}).unwrap_err();
        assert!(error.kind() == ErrorKind::Value && error.to_string().contains(told), "{error}");
    }
    assert!(names(&folder.0).is_empty());
}

#[test]
fn names_and_folders_that_cannot_be() {
    let folder = Folder::new("fetch-names");
    let error = fetch("mnis", &folder.0, |_| {}).unwrap_err();
    assert!(error.to_string().contains("`mnis` is not a known data set; known are mnist, fashion-mnist"), "{error}");
    fs::write(folder.0.join("set"), b"a file").unwrap();
    let (result, _) = fetch_file(&folder.0, &["http://127.0.0.1:9/"], &body());
    assert_told(&result.unwrap_err(), &["/set: "]);
}
