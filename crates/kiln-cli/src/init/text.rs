//! Settings for texts: with classes, in a CSV file, or one text that a model is to go on with.

use super::{Found, comments, list, quoted, stopping, training};
use kiln::datasets::{ColumnKind, ColumnSummary, TextOptions, Tokenizer, WordOptions, load_text};
use kiln::prelude::*;
use std::fmt::Write;
use std::path::Path;

/// Words that the vocabulary has at most.
const VOCABULARY: usize = 20_000;
/// Tokens that a text has at most.
const LONGEST: usize = 400;
/// Steps of a training.
const STEPS: usize = 2_000;
/// Classes that are listed.
const SHOWN: usize = 10;

pub(super) fn settings(file: &Path, path: &str, columns: [Option<&str>; 2]) -> Result<Found> {
    let is_table = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    match (is_table, columns) {
        (true, _) => classes(file, path, columns),
        (false, [None, None]) => language(file, path),
        (false, _) => Err(Error::value("", "--text and --target are columns of a CSV file")),
    }
}

/// Texts and classes: the columns that were named, or those that look like it.
fn classes(file: &Path, path: &str, [text, target]: [Option<&str>; 2]) -> Result<Found> {
    let csv = Csv::open(file)?;
    let summary = csv.summary();
    let of_kind = |kinds: &[ColumnKind], but: Option<&str>| {
        let mut columns = summary.columns.iter().filter(|column| Some(column.name.as_str()) != but);
        columns.find(|column| kinds.contains(&column.kind)).map(|column| column.name.as_str())
    };
    let missing = |what: &str, option: &str| {
        Error::value("", format!("{}: no column looks like {what}: name it with --{option} COLUMN", file.display()))
    };
    let sentences = || {
        let words = |column: &ColumnSummary| {
            let frequent = column.frequent.iter().map(|(text, _)| text.split_whitespace().count());
            frequent.sum::<usize>() as f64 / column.frequent.len().max(1) as f64
        };
        let columns = summary.columns.iter().filter(|column| column.kind == ColumnKind::Category);
        let columns = columns.filter(|column| Some(column.name.as_str()) != target && words(column) >= 3.0);
        columns.max_by(|a, b| words(a).total_cmp(&words(b))).map(|column| column.name.as_str())
    };
    let text = text.or_else(|| of_kind(&[ColumnKind::Text], target)).or_else(sentences);
    let text = text.ok_or_else(|| missing("texts", "text"))?;
    let kinds = [ColumnKind::Category, ColumnKind::Boolean];
    let target = target.or_else(|| of_kind(&kinds, Some(text))).ok_or_else(|| missing("classes", "target"))?;
    let encoder =
        TextOptions::new(text, target).words(WordOptions::new().size(VOCABULARY)).drop_missing(true).fit(&csv)?;
    let data = encoder.dataset(&csv)?;
    let mut lengths: Vec<usize> = (0..data.len()).filter_map(|index| data.length(index)).collect();
    lengths.sort_unstable();
    let at = |part: f64| lengths.get(((lengths.len() - 1) as f64 * part) as usize).copied().unwrap_or(1);
    let (names, vocabulary) = (encoder.class_names(), encoder.tokenizer().len());
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let longest = at(0.98).clamp(1, LONGEST);
    let report = vec![
        format!("{} rows with a text and a class of {}", data.len(), summary.rows),
        format!("texts in {text}: {} words in the middle, {} at most", at(0.5), at(1.0)),
        format!("classes in {target}: {} ({shown}{})", names.len(), if names.len() > SHOWN { ", …" } else { "" }),
        format!("vocabulary: {vocabulary} words"),
    ];
    let mut toml = heading(&report, &["Accuracy"]);
    let _ = write!(
        toml,
        "\n[data]\nkind = \"text\"\npath = {}\ntext = {}\ntarget = {}\ntokens = \"words\" # or \"byte-pairs\", \"characters\"\n\
         vocabulary = {vocabulary} # at most\nmax_length = {longest} # longer texts are cut\n\
         drop_missing = true # whether rows without a text or a class are left out\n\
         test = 0.2 # a share of each class, or a file\nvalidation = 0.1 # of the rest: what early stopping goes by\nsplit_seed = 0\n",
        quoted(path),
        quoted(text),
        quoted(target),
    );
    let _ = write!(
        toml,
        "\n[model]\nlayers = [\n    {{ layer = \"Embedding\", vocabulary = {vocabulary}, size = 32, padding = 0, mask_padding = true }},\n    \
         {{ layer = \"Dropout\", rate = 0.2 }},\n    {{ layer = \"Lstm\", units = 32, bidirectional = true }},\n    \
         {{ layer = \"Dropout\", rate = 0.3 }},\n    {{ layer = \"Dense\", units = {}, activation = \"softmax\" }},\n]\n",
        names.len(),
    );
    let (epochs, batch_size) = training(data.len() * 7 / 10, STEPS);
    let epochs = epochs.min(60);
    let _ = write!(
        toml,
        "\n[loss]\nname = \"SparseCategoricalCrossentropy\"\n\n[optimizer]\nname = \"Adam\"\nlr = 0.003\nclip_norm = 1.0\n\n\
         {}\
         [training]\nepochs = {epochs}\nbatch_size = {batch_size}\n",
        stopping((epochs / 5).max(2)),
    );
    Ok(Found { report, toml })
}

/// A text in characters, and a model that goes on with it.
fn language(file: &Path, path: &str) -> Result<Found> {
    let text = load_text(file)?;
    let (characters, lines) = (text.chars().count(), text.lines().count());
    // One more than there are: what the end of the text has that the rest has not is unknown.
    let vocabulary = Tokenizer::characters(&text).with_unknown().len();
    let (steps, streams) = if characters > 200_000 { (64, 32) } else { (32, 16) };
    if characters < 20 * steps * streams {
        let message = format!(
            "{}: a text of {characters} characters is too short for a model: {} are needed; of texts with classes a CSV file is \
             expected",
            file.display(),
            20 * steps * streams
        );
        return Err(Error::value("", message));
    }
    let report = vec![
        format!("{characters} characters in {lines} lines, {} different ones", vocabulary - 1),
        "a model that writes such a text, character by character: `kiln generate RUN` lets it".to_owned(),
    ];
    let mut toml = heading(&report, &["Accuracy"]);
    let _ = write!(
        toml,
        "\n[data]\nkind = \"text\"\npath = {}\ntask = \"language\"\ntokens = \"characters\" # or \"words\", \"byte-pairs\"\n\
         steps = {steps} # tokens between two cuts of the gradient\nstreams = {streams} # places that are read side by side\n\
         test = 0.1 # the end of the text\n\n[model]\nlayers = [\n    {{ layer = \"Embedding\", vocabulary = {vocabulary}, size = 32 }},\n    \
         {{ layer = \"Lstm\", units = 256, return_sequences = true, stateful = true }},\n    {{ layer = \"Dropout\", rate = 0.2 }},\n    \
         {{ layer = \"Dense\", units = {vocabulary} }},\n]\n\n[loss]\nname = \"SparseCategoricalCrossentropy\"\nfrom_logits = true\n\n\
         [optimizer]\nname = \"Adam\"\nlr = 0.005\nclip_norm = 1.0\n\n[training]\nepochs = 10\nbatch_size = {streams}\n",
        quoted(path),
    );
    Ok(Found { report, toml })
}

fn heading(report: &[String], metrics: &[&str]) -> String {
    let mut toml = comments(["Settings for `kiln train --config`, written by `kiln init text`."]);
    toml += &comments(report);
    let _ = writeln!(toml, "\nseed = 0\nmetrics = {}", list(metrics));
    toml
}
