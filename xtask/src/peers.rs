//! Kiln beside other frameworks: both sides in turn, several times, medians of each, ratios.

use crate::bench::{Options, Task, program};
use crate::budget;
use crate::shell::{self, Result, cargo, command, read_json, root, target};
use crate::table::{Better, Row, markdown, replaced, short};
use clap::ValueEnum;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The lines of benches/README.md between which the table stands.
const MARKS: (&str, &str) = ("<!-- cargo xtask bench --peers -->", "<!-- end -->");

/// Shapes whose speed is asked for one by one, and those for which a mean is aimed at too.
const LARGE: [&str; 3] = ["512x512x512", "1024x1024x1024", "2048x2048x2048"];
const SMALL: [&str; 4] = ["32x784x128", "64x784x128", "784x64x128", "256x256x256"];
const OTHERS: [&str; 4] = ["96x363x4096", "256x2400x4096", "64x4096x4096", "1000x1000x1000"];

/// Recurrent layers: steps x sequences x features x units, and what is aimed at.
const RECURRENT: [(&str, &str, f64); 6] = [
    ("lstm", "28x64x28x128", 2.5),
    ("lstm", "128x32x256x512", 1.3),
    ("gru", "28x64x28x128", 2.0),
    ("gru", "128x32x256x512", 2.0),
    ("tanh", "28x64x28x128", 2.0),
    ("tanh", "128x32x256x512", 2.0),
];

/// Every figure read, by `framework task key`.
#[derive(Default)]
struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    /// Runs a command that prints a JSON line, and files its numbers under the framework's name.
    fn read(&mut self, framework: &str, command: &mut Command) -> Result<()> {
        let line = read_json(command)?;
        eprintln!("{line}");
        let task = line["task"].as_str().unwrap_or("train").to_owned();
        self.file(&format!("{framework} {task}"), &line);
        Ok(())
    }

    fn file(&mut self, path: &str, value: &Value) {
        match (value.as_object(), value.as_f64()) {
            (Some(object), _) => object.iter().for_each(|(key, value)| self.file(&format!("{path} {key}"), value)),
            (None, Some(number)) => self.0.entry(path.to_owned()).or_default().push(number),
            (None, None) => {}
        }
    }

    /// The median of what was read; none where nothing was.
    fn median(&self, path: &str) -> Option<f64> {
        let mut values = self.0.get(path)?.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        Some(if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 })
    }
}

/// Threads that other programs keep busy, of the last minute; the peers' spinning threads suffer most from them.
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// Runs everything and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let load = load().unwrap_or(0.0);
    if load > 0.5 {
        eprintln!("warning: the load of this machine is {load}: ratios that are read now say little");
    }
    let figures = measure(options)?;
    let mut rows = rows(&figures);
    rows.extend(one_run(options)?);
    if options.builds {
        rows.extend(builds()?);
    }
    let text = format!("{}\n\n{}", heading(options, load)?, markdown(&rows));
    println!("{text}");
    if options.write {
        let path = root().join("benches/README.md");
        let readme = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let readme = replaced(&readme, MARKS.0, MARKS.1, &text)
            .ok_or_else(|| format!("{}: no lines {} and {}", path.display(), MARKS.0, MARKS.1))?;
        std::fs::write(&path, readme).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The folder of the data, from wherever this was called.
fn data(options: &Options) -> Result<PathBuf> {
    let given = options.data.clone().or_else(|| std::env::var_os("KILN_DATA_DIR").map(PathBuf::from));
    let given = given.ok_or("the tasks need MNIST: name its folder with --data DIR or $KILN_DATA_DIR")?;
    std::path::absolute(&given).map_err(|error| format!("{}: {error}", given.display()))
}

/// Kiln's programs and the peers' scripts.
struct Sides<'o> {
    options: &'o Options,
    data: PathBuf,
    python: PathBuf,
}

impl<'o> Sides<'o> {
    fn new(options: &'o Options) -> Result<Self> {
        let python = options.peers.as_deref().unwrap_or(Path::new("python3"));
        // Not canonical: a virtual environment's Python is a link, and knows itself by it.
        let python = std::path::absolute(python).map_err(|error| format!("{}: {error}", python.display()))?;
        Ok(Sides { options, data: data(options)?, python })
    }

    fn script(&self, name: &str, arguments: &[String]) -> Command {
        let mut command = command(&self.python.to_string_lossy(), &[]);
        command.arg(root().join("benches/peers").join(name)).args(arguments).env("KILN_DATA_DIR", &self.data);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A task once in Kiln and once in each of the other frameworks.
    fn round(&self, task: Task, round: usize, figures: &mut Figures) -> Result<()> {
        let mut kiln = self.options.kiln(task, round);
        figures.read("kiln", kiln.env("KILN_DATA_DIR", &self.data))?;
        let arguments = match task {
            Task::MnistMlp => vec![self.options.epochs.to_string(), round.to_string()],
            _ => Vec::new(),
        };
        for script in task.scripts() {
            figures.read(framework(script), &mut self.script(script, &arguments))?;
        }
        Ok(())
    }
}

/// The framework of a script: `keras` of `mnist_keras.py`.
fn framework(script: &str) -> &str {
    let stem = script.strip_suffix(".py").unwrap_or(script);
    stem.rsplit_once('_').map_or(stem, |(_, framework)| framework)
}

/// One task in Kiln and in the other frameworks, in turn: the medians of every figure, with the ratio to the best of them.
pub(crate) fn compare(task: Task, options: &Options) -> Result<()> {
    let (sides, mut figures) = (Sides::new(options)?, Figures::default());
    for round in 0..options.rounds {
        eprintln!("== round {} of {}", round + 1, options.rounds);
        sides.round(task, round, &mut figures)?;
    }
    let prefix = format!("kiln {} ", task.name());
    println!("| {} | Kiln | others | ratio to the best |\n|---|---|---|---|", task.name());
    for key in figures.0.keys().filter_map(|path| path.strip_prefix(&prefix)) {
        let Some(ours) = figures.median(&format!("{prefix}{key}")) else { continue };
        let of = |&script: &&'static str| {
            Some((framework(script), figures.median(&format!("{} {} {key}", framework(script), task.name()))?))
        };
        let theirs: Vec<(&str, f64)> = task.scripts().iter().filter_map(of).collect();
        let shown: Vec<String> = theirs.iter().map(|(name, figure)| format!("{name} {}", short(*figure))).collect();
        // Times, for the most part; of rates more is better.
        let rate = ["gflops", "per_s", "accuracy"].iter().any(|word| key.contains(word));
        let best = theirs.iter().map(|&(_, figure)| figure).reduce(if rate { f64::max } else { f64::min });
        let ratio = best.map(|best| short(if rate { ours / best } else { best / ours })).unwrap_or_default();
        println!("| {key} | {} | {} | {ratio} |", short(ours), shown.join(", "));
    }
    Ok(())
}

fn measure(options: &Options) -> Result<Figures> {
    let sides = Sides::new(options)?;
    let mut figures = Figures::default();
    for round in 0..options.rounds {
        eprintln!("== round {} of {}", round + 1, options.rounds);
        for &task in Task::value_variants() {
            sides.round(task, round, &mut figures)?;
        }
    }
    if options.rust_peers {
        for peer in ["candle", "burn"] {
            let directory = root().join("benches/peers").join(peer);
            let built = target().join("peers");
            shell::run(cargo(&["build", "--release"]).current_dir(&directory).env("CARGO_TARGET_DIR", &built))?;
            let binary = built.join("release").join(format!("{peer}-peer"));
            let peer_task = |arguments: &[&str]| {
                let mut command = command(&binary.to_string_lossy(), arguments);
                command.env("KILN_DATA_DIR", &sides.data);
                command
            };
            figures.read(peer, &mut peer_task(&["mnist-mlp", &options.epochs.to_string(), "0"]))?;
            figures.read(peer, &mut peer_task(&["gemm"]))?;
        }
    }
    Ok(figures)
}

/// A row that compares a figure of Kiln's with a peer's; none where either was not measured.
fn compared(
    figures: &Figures,
    what: &str,
    (peer, name): (&str, &str),
    (key, unit): (&str, &str),
    better: Better,
    asked: Option<(f64, f64)>,
) -> Option<Row> {
    let (ours, theirs) = (figures.median(&format!("kiln {key}"))?, figures.median(&format!("{peer} {key}"))?);
    Some(Row {
        what: what.to_owned(),
        kiln: format!("{} {unit}", short(ours)),
        peer: format!("{name}: {} {unit}", short(theirs)),
        // How many times better Kiln is.
        value: match better {
            Better::More => ours / theirs,
            Better::Less => theirs / ours,
        },
        better: Better::More,
        asked,
    })
}

/// A row that holds a figure of Kiln's to a bound.
fn alone(figures: &Figures, what: &str, (key, unit): (&str, &str), better: Better, asked: (f64, f64)) -> Option<Row> {
    let value = figures.median(&format!("kiln {key}"))?;
    let kiln = format!("{} {unit}", short(value)).trim_end().to_owned();
    Some(Row { what: what.to_owned(), kiln, peer: String::new(), value, better, asked: Some(asked) })
}

fn rows(figures: &Figures) -> Vec<Row> {
    use Better::{Less, More};
    let fit = ("mnist-mlp fit_s", "s");
    let torch = ("torch", "PyTorch");
    let mut rows = vec![
        compared(figures, "mnist-mlp, fit", ("torch", "PyTorch, fused Adam"), fit, Less, Some((4.0, 5.5))),
        compared(figures, "the same", ("keras", "Keras"), fit, Less, Some((12.0, 18.0))),
        compared(figures, "the same", ("candle", "candle"), fit, Less, None),
        compared(figures, "the same", ("burn", "burn flex"), fit, Less, None),
        alone(figures, "a loop by hand over `fit`", ("overhead hand_loop_over_fit", ""), Less, (1.15, 1.02)),
        alone(figures, "64-element op with its node", ("overhead op_with_node_ns", "ns"), Less, (300.0, 100.0)),
        compared(figures, "the same", torch, ("overhead op_with_node_ns", "ns"), Less, None),
        compared(figures, "64-element op without", torch, ("overhead op_ns", "ns"), Less, None),
        accuracy(figures),
    ];
    let gemm = |what: &str, shape: &str, asked| {
        compared(figures, what, torch, (&format!("gemm gflops float32 {shape}"), "GFLOP/s"), More, asked)
    };
    rows.extend(LARGE.map(|shape| gemm(&format!("sgemm {shape}"), shape, Some((0.93, 1.0)))));
    let small: Vec<Row> =
        SMALL.iter().filter_map(|shape| gemm(&format!("sgemm {shape}"), shape, Some((1.0, 1.0)))).collect();
    if !small.is_empty() {
        let mean = (small.iter().map(|row| row.value.ln()).sum::<f64>() / small.len() as f64).exp();
        rows.extend(small.into_iter().map(Some));
        rows.push(Some(Row {
            what: "these four, geometric mean".into(),
            kiln: String::new(),
            peer: "PyTorch".into(),
            value: mean,
            better: More,
            asked: Some((1.0, 1.25)),
        }));
    }
    rows.extend(OTHERS.map(|shape| gemm(&format!("sgemm {shape}"), shape, None)));
    rows.push(compared(figures, "Adam, 21.65 M parameters", torch, ("adam step_ms", "ms"), Less, Some((1.0, 1.15))));
    rows.push(compared(
        figures,
        "augmentation, the listing's settings",
        ("keras", "ImageDataGenerator"),
        ("augment images_per_s", "images/s"),
        More,
        Some((30.0, 100.0)),
    ));
    rows.extend(["jpg 224", "jpg 64", "png 224", "png 64"].map(|files| {
        let key = format!("images images_per_s {files}");
        let torchvision = ("torch", "torchvision");
        compared(figures, &format!("image files, {files}"), torchvision, (&key, "images/s"), More, Some((1.0, 1.5)))
    }));
    let step = ("alexnet-step step_ms", "ms");
    let layouts = ("torch", "PyTorch, the better layout, fused Adam");
    rows.push(compared(figures, "alexnet-step", layouts, step, Less, Some((1.5, 2.0))));
    rows.push(compared(figures, "the same", ("keras", "Keras"), step, Less, Some((2.7, 3.7))));
    let memory = ("alexnet-step peak_rss_mb", "MB");
    rows.push(compared(figures, "its peak memory", torch, memory, Less, Some((1.0, 1.0 / 0.7))));
    rows.extend(convolutions(figures).into_iter().map(Some));
    rows.extend(RECURRENT.map(|(cell, size, aim)| {
        let what = format!("{cell} training step, {size}");
        compared(figures, &what, torch, (&format!("rnn step_ms {cell} {size}"), "ms"), Less, Some((1.2, aim)))
    }));
    let layers = figures.0.keys().filter_map(|path| path.strip_prefix("kiln layers ms "));
    rows.extend(layers.map(|layer| {
        let what = format!("{layer}, forward and backward");
        compared(figures, &what, torch, (&format!("layers ms {layer}"), "ms"), Less, Some((1.0, 1.0)))
    }));
    rows.into_iter().flatten().collect()
}

/// Each convolution's three products beside PyTorch's of the same layout, judged by the worst of them; and all their mean.
fn convolutions(figures: &Figures) -> Vec<Row> {
    let (ours, mut rows, mut ratios) = ("kiln conv ms ", Vec::new(), Vec::new());
    let names: BTreeSet<&str> =
        figures.0.keys().filter_map(|path| path.strip_prefix(ours)?.rsplit_once(' ').map(|(name, _)| name)).collect();
    for name in names {
        let of = |peer: &str| {
            ["forward", "input", "weight"].map(|way| figures.median(&format!("{peer} conv ms {name} {way}")))
        };
        let ([Some(a), Some(b), Some(c)], [Some(x), Some(y), Some(z)]) = (of("kiln"), of("torch")) else { continue };
        let times = |all: [f64; 3]| all.map(short).join(" / ") + " ms";
        let each = [x / a, y / b, z / c];
        ratios.extend(each);
        rows.push(Row {
            what: format!("conv {name}: forward / input / weight, the worst"),
            kiln: times([a, b, c]),
            peer: format!("PyTorch: {}", times([x, y, z])),
            value: each.into_iter().fold(f64::INFINITY, f64::min),
            better: Better::More,
            asked: Some((0.8, 1.0)),
        });
    }
    if !ratios.is_empty() {
        rows.push(Row {
            what: "all of these convolutions' products, geometric mean".into(),
            kiln: String::new(),
            peer: "PyTorch".into(),
            value: (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp(),
            better: Better::More,
            asked: Some((1.0, 1.2)),
        });
    }
    rows
}

/// The median accuracy over the rounds' seeds; aimed at is the lower of the peers' medians.
fn accuracy(figures: &Figures) -> Option<Row> {
    let of = |peer: &str| figures.median(&format!("{peer} mnist-mlp test_accuracy"));
    let (kiln, torch, keras) = (of("kiln")?, of("torch")?, of("keras")?);
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    Some(Row {
        what: "test accuracy, median over seeds (%)".into(),
        kiln: percent(kiln),
        peer: format!("PyTorch: {}, Keras: {}", percent(torch), percent(keras)),
        value: kiln * 100.0,
        better: Better::More,
        asked: Some((97.5, torch.min(keras) * 100.0)),
    })
}

/// What the command itself shows: its memory, and the same bits from one thread as from two.
fn one_run(options: &Options) -> Result<Vec<Row>> {
    let data = data(options)?;
    let out = target().join("bench-runs");
    let train = |threads: &str| -> Result<(Value, Vec<u8>)> {
        let folder = out.join(threads);
        let mut command = program("kiln");
        command.args(["train", "mnist-mlp", "--json", "--threads", threads, "--data"]).arg(&data);
        command.args(["--epochs", &options.epochs.to_string(), "--out"]).arg(&folder);
        let result = read_json(&mut command)?;
        let weights = folder.join("model.safetensors");
        let weights = std::fs::read(&weights).map_err(|error| format!("{}: {error}", weights.display()))?;
        Ok((result, weights))
    };
    let ((_, one), (result, two)) = (train("1")?, train("2")?);
    let mut rows = vec![Row {
        what: "weights of --threads 1 and 2, bytes that differ".into(),
        kiln: format!("{} of {}", one.iter().zip(&two).filter(|(a, b)| a != b).count(), one.len()),
        peer: String::new(),
        value: if one.len() == two.len() {
            one.iter().zip(&two).filter(|(a, b)| a != b).count() as f64
        } else {
            f64::NAN
        },
        better: Better::Less,
        asked: Some((0.0, 0.0)),
    }];
    if let Some(peak) = result["peak_rss_mb"].as_f64() {
        rows.push(Row {
            what: "peak memory of `kiln train mnist-mlp`, MB".into(),
            kiln: format!("{peak} MB"),
            peer: String::new(),
            value: peak,
            better: Better::Less,
            asked: Some((250.0, 120.0)),
        });
    }
    Ok(rows)
}

fn builds() -> Result<Vec<Row>> {
    let row = |what, value: f64, unit, asked| Row {
        what,
        kiln: format!("{} {unit}", short(value)),
        peer: String::new(),
        value,
        better: Better::Less,
        asked: Some(asked),
    };
    let builds = budget::run()?;
    Ok(builds
        .iter()
        .flat_map(|build| {
            let what = |of: &str| format!("`{}`, clean release build: {of}", build.package);
            let (crates, seconds) = (build.crates_allowed as f64, build.seconds_allowed);
            [
                row(what("crates"), build.crates as f64, "crates", (crates, build.crates_aimed as f64)),
                row(what("seconds"), build.seconds, "s", (seconds, build.seconds_aimed)),
            ]
        })
        .collect())
}

/// Where the figures were read, and by which command.
fn heading(options: &Options, load: f64) -> Result<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = shell::read(&mut command("lscpu", &[])).unwrap_or_default();
    let field = |name: &str| machine.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let model = field("Model name:").unwrap_or("an unknown processor");
    let sets = field("Flags:").unwrap_or_default();
    let set = ["avx512f", "avx2", "asimd"].into_iter().find(|set| sets.split(' ').any(|flag| flag == *set));
    let date = shell::read(&mut command("date", &["+%Y-%m-%d"]))?;
    Ok(format!(
        "{model}, {cores} cores, {}; {}; {} rounds of both sides in turn, medians; {} epochs; load \
         at the start {load:.1}.\n\
         `cargo xtask bench --peers PYTHON --rounds {} --epochs {}{}{} --write`",
        set.unwrap_or("baseline"),
        date.trim(),
        options.rounds,
        options.epochs,
        options.rounds,
        options.epochs,
        if options.rust_peers { " --rust-peers" } else { "" },
        if options.builds { " --builds" } else { "" },
    ))
}

#[cfg(test)]
mod tests {
    use super::{Figures, rows};
    use serde_json::json;

    #[test]
    fn figures_are_filed_by_path_and_medians_taken() {
        let mut figures = Figures::default();
        for (ours, theirs) in [(2.0, 10.0), (4.0, 12.0), (3.0, 14.0)] {
            figures.file("kiln mnist-mlp", &json!({"peer": "kiln", "fit_s": ours}));
            figures.file("torch mnist-mlp", &json!({"fit_s": theirs}));
        }
        figures.file("kiln gemm", &json!({"gflops": {"float32 512x512x512": 300.0}}));
        assert_eq!(figures.median("kiln mnist-mlp fit_s"), Some(3.0));
        assert_eq!(figures.median("kiln gemm gflops float32 512x512x512"), Some(300.0));
        figures.file("kiln conv", &json!({"ms": {"a 3x3 of 4": {"forward": 1.0, "input": 2.0, "weight": 4.0}}}));
        figures.file("torch conv", &json!({"ms": {"a 3x3 of 4": {"forward": 2.0, "input": 2.0, "weight": 2.0}}}));
        figures.file("kiln layers", &json!({"ms": {"drop_path of 4": 2.0}}));
        figures.file("torch layers", &json!({"ms": {"drop_path of 4": 3.0}}));
        let rows = rows(&figures);
        assert_eq!(rows.iter().map(|row| row.value).collect::<Vec<_>>(), [4.0, 0.5, 1.0, 1.5]);
    }
}
