//! `kiln data` from outside. What fetching and augmentation do is tested in kiln-datasets; nothing here needs a network.

use crate::support::{Folder, text};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output};

/// `kiln data` with a home of its own and nothing in the environment.
fn kiln(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.arg("data").args(arguments).env("HOME", home).env_remove("KILN_DATA_DIR").env_remove("XDG_CACHE_HOME");
    command.output().unwrap()
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

/// Ten images of (3, 32, 32) in each of CIFAR-10's files, a shade for each class.
fn write_cifar(data: &Path) {
    let folder = data.join("cifar-10-batches-bin");
    fs::create_dir(&folder).unwrap();
    let records: Vec<u8> = (0..10u8).flat_map(|class| [vec![class], vec![20 * class + 40; 3072]].concat()).collect();
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        fs::write(folder.join(format!("{name}.bin")), &records).unwrap();
    }
}

/// Width, height and pixels of a PNG file.
fn png(path: &Path) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    (frame.width, frame.height, pixels)
}

#[test]
fn preview_draws_a_row_for_each_class() {
    let (home, data) = (Folder::new("preview-home"), Folder::new("preview"));
    write_cifar(&data.0);
    let draw = |words: &[&str], file: &str| {
        let out = data.0.join(file);
        let place = ["--data", data.0.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let output = kiln(&home.0, &[&["preview"], words, &place].concat());
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
        (text(&output.stdout), png(&out))
    };
    let (said, (width, height, pixels)) = draw(&["cifar10", "--augment", "shift=0.3,fill=black"], "shifted.png");
    assert!(said.starts_with("10 images of cifar-10, each as it is and 7 times augmented: drawn to "), "{said}");
    // Centers of the images at 96 points each, 6 apart, names at the left and headings above; a point has two pixels each way.
    let at = |x: usize, y: usize| pixels[3 * (2 * y * width as usize + 2 * x)];
    let left = width as usize / 2 - (8 * 102 + 12 + 6);
    for class in 0..10 {
        let y = 40 + 102 * class + 48;
        assert_eq!(at(left + 48, y), 20 * class as u8 + 40, "class {class}");
        assert_eq!(at(left + 12 + 102 + 48, y), 20 * class as u8 + 40, "class {class}, augmented");
    }
    // The longest name, automobile, is some 70 points wide.
    assert!(height == 2 * (40 + 10 * 102 + 6) && (90..130).contains(&left), "{width} × {height}");
    // The same seed draws the same, another one does not; without words there are only originals.
    let again = draw(&["cifar-10", "--augment", "shift=0.3,fill=black"], "again.png").1.2;
    assert!(again == pixels);
    assert!(draw(&["cifar-10", "--augment", "shift=0.3,fill=black", "--seed", "1"], "other.png").1.2 != pixels);
    assert!(draw(&["cifar-10"], "plain.png").0.starts_with("50 images of cifar-10: drawn to "));
    let out = data.0.join("mnist.png");
    let output = kiln(&home.0, &["preview", "mnist", "--augment", "keras", "--out", out.to_str().unwrap()]);
    assert!(text(&output.stdout).starts_with("10 images of the embedded subset of mnist, each as it is"));
    assert_eq!(png(&out).1, 2 * (40 + 10 * 90 + 6));
}

#[test]
fn previews_that_cannot_be_drawn_are_refused() {
    let (home, data) = (Folder::new("refused-home"), Folder::new("refused"));
    let refused = |words: &[&str]| {
        let output = kiln(&home.0, &[&["preview"], words].concat());
        assert_eq!(text(&output.stdout), "");
        (output.status.code(), text(&output.stderr).lines().next().unwrap().to_owned())
    };
    for (words, told) in [
        ("rotatoin=20", "'rotatoin' is not an augmentation: a similar one is 'rotation'"),
        ("zoom=1", "zoom 1: a number from 0 to below 1 is expected"),
        ("shift=NaN", "width_shift NaN: a number of at least 0 is expected"),
        ("rotation=-3", "rotation -3: a number of at least 0 is expected"),
    ] {
        let (code, line) = refused(&["mnist", "--augment", words]);
        assert!(code == Some(2) && line.contains(told), "{line}");
    }
    let (code, line) = refused(&["kmnist"]);
    assert!(code == Some(1) && line.contains("`kiln data fetch kmnist` brings it"), "{line}");
    let out = data.0.join("sheet.png");
    write_cifar(&data.0);
    let place = ["--data", data.0.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let (code, line) = refused(&[&["cifar-10", "--augment", "crop=32"], &place[..]].concat());
    assert!(code == Some(1) && line.contains("images that are larger are expected, these are [3, 32, 32]"), "{line}");
    fs::write(data.0.join("cifar-10-batches-bin/test_batch.bin"), vec![10; 3073]).unwrap();
    let (code, line) = refused(&[&["cifar-10"], &place[..]].concat());
    assert!(code == Some(1) && line.contains("label 0 is 10, a number from 0 to 9 is expected"), "{line}");
    assert!(!out.exists());
}

/// Two classes of image files of several sizes; the first has one more.
fn write_photos(folder: &Path) {
    for (class, shade, count) in [("dark", 60, 3), ("light", 200, 2)] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..count {
            let (width, height) = (40 + 10 * number, 30 + 25 * number);
            let file = fs::File::create(folder.join(class).join(format!("{number}.png"))).unwrap();
            let mut encoder = png::Encoder::new(file, width, height);
            encoder.set_color(png::ColorType::Grayscale);
            let pixels = vec![shade; (width * height) as usize];
            encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        }
    }
}

#[test]
fn preview_draws_a_folder_of_image_files() {
    let (home, data) = (Folder::new("photos-home"), Folder::new("photos"));
    let photos = data.0.join("photos");
    write_photos(&photos);
    let draw = |words: &[&str]| {
        let out = data.0.join("sheet.png");
        let all = [&["preview", photos.to_str().unwrap()], words, &["--out", out.to_str().unwrap()]].concat();
        let output = kiln(&home.0, &all);
        (output.status.code(), text(&output.stdout), text(&output.stderr), out)
    };
    let (code, said, error, out) = draw(&["--size", "50"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(said.starts_with(&format!("5 images of {}: drawn to ", photos.display())), "{said}");
    let (width, height, pixels) = png(&out);
    // Two rows of pictures of 2 · 50 points each.
    assert_eq!(height, 2 * (40 + 2 * 106 + 6));
    let at = |x: usize, y: usize| pixels[3 * (2 * y * width as usize + 2 * x)];
    let left = width as usize / 2 - (3 * 106 + 12 - 6);
    assert_eq!((at(left + 50, 90), at(left + 50, 196)), (60, 200));
    // The second class has no third picture.
    assert_eq!((at(left + 2 * 106 + 50, 90), at(left + 2 * 106 + 50, 196)), (60, 255));
    let (_, said, _, out) = draw(&["--augment", "flip,rotation=10"]);
    assert!(said.contains("2 images of") && said.contains("each as it is and 7 times augmented"), "{said}");
    assert_eq!(png(&out).1, 2 * (40 + 2 * 90 + 6));

    fs::write(photos.join("dark/9.jpg"), "no picture").unwrap();
    let (code, _, error, _) = draw(&[]);
    assert!(code == Some(1) && error.contains("dark/9.jpg: this is no image file"), "{error}");
    fs::remove_dir_all(photos.join("light")).unwrap();
    let (code, _, error, _) = draw(&[]);
    assert!(code == Some(1) && error.contains("there is only the class dark: two are needed"), "{error}");
    let (code, _, error, _) = draw(&["--size", "0"]);
    assert!(code == Some(2) && error.contains("a whole number from 1 to 256 is expected"), "{error}");
    for (words, told) in [
        (&["preview", "./nowhere"][..], "./nowhere: this folder cannot be read"),
        (&["preview", "mnits"], "a similar value exists: 'mnist'"),
        (&["preview", "mnist", "--size", "30"], "--size goes with a folder of image files"),
    ] {
        let output = kiln(&home.0, words);
        assert!(output.status.code() != Some(0) && text(&output.stderr).contains(told), "{}", text(&output.stderr));
    }
}

/// A server that gives this content once; its address.
fn server(content: &'static [u8]) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len()).unwrap();
        stream.write_all(content).unwrap();
    });
    format!("http://{address}/sets/own.csv")
}

#[test]
fn any_file_is_fetched_from_its_address() {
    let (home, data) = (Folder::new("fetch-home"), Folder::new("fetch"));
    let place = ["--data", data.0.to_str().unwrap()];
    let fetch = |words: &[&str]| {
        let output = kiln(&home.0, &[&["fetch"], words, &place].concat());
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    // That of the three bytes "abc", of FIPS 180-2.
    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let url = server(b"abc");
    let file = data.0.join("mine/own.csv");
    let told = format!("mine: 0.0 MB fetched to {}\n", file.display());
    // The second time without a server.
    for _ in 0..2 {
        assert_eq!(fetch(&[&url, "--sha256", sum, "--name", "mine"]), (Some(0), told.clone(), String::new()));
        assert_eq!(fs::read(&file).unwrap(), b"abc");
    }
    for (words, told) in [
        (&[url.as_str()][..], "an address needs --sha256 SUM"),
        (&["mnist", "--sha256", sum, "--name", "mine"], "--sha256 and --name go with an address"),
        (&[&url, "--sha256", "12", "--name", "mine"], "`12` is no SHA-256"),
        (&[&url, "--sha256", sum], "--name <NAME>"),
        (&["mnits"], "a similar value exists: 'mnist'"),
    ] {
        let (code, _, said) = fetch(words);
        assert!(code != Some(0) && said.contains(told), "{said}");
    }
    // Other bytes than the sum's: nothing is left in the folder under the file's name.
    let (code, _, said) = fetch(&[&server(b"abd"), "--sha256", sum, "--name", "other"]);
    assert!(code == Some(1) && said.contains("its SHA-256 is"), "{said}");
    assert!(!data.0.join("other/own.csv").exists());
}
