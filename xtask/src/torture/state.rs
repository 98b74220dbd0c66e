//! What a training has left: what must be the same after a kill, and what need not.

use crate::shell::Result;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Entries that differ from run to run: times, and the numbers that checkpoints happen to have.
const FREE: [&str; 2] = ["seconds", "generation"];

/// The state of a training, by names of files and entries.
#[derive(PartialEq, Eq)]
pub(super) struct State(BTreeMap<String, Vec<u8>>);

impl State {
    /// Of the folder of a run.
    pub(super) fn read(run: &Path) -> Result<State> {
        let file = |name: &str| {
            let path = run.join(name);
            fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let mut entries = BTreeMap::new();
        for name in ["model.safetensors", "training.safetensors"] {
            let tensors = tensors(&file(name)?).ok_or_else(|| format!("{}: {name} is damaged", run.display()))?;
            entries.extend(tensors.into_iter().map(|(entry, bytes)| (format!("{name}: {entry}"), bytes)));
        }
        entries.insert("history.csv".to_owned(), without_seconds(&file("history.csv")?));
        let mut progress: Value = serde_json::from_slice(&file("progress.json")?)
            .map_err(|error| format!("{}: progress.json: {error}", run.display()))?;
        remove_free(&mut progress);
        entries.insert("progress.json".to_owned(), progress.to_string().into_bytes());
        entries.insert("model.json".to_owned(), file("model.json")?);
        entries.retain(|name, _| !FREE.iter().any(|free| name.ends_with(free)));
        Ok(State(entries))
    }

    /// The names of what differs.
    pub(super) fn differences(&self, other: &State) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        names.filter(|name| self.0.get(*name) != other.0.get(*name)).cloned().collect()
    }
}

/// The tensors of a safetensors file: type, shape and bytes by name.
fn tensors(file: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let (length, rest) = file.split_first_chunk()?;
    let (header, data) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).ok()?;
    header
        .into_iter()
        .filter(|(name, _)| name != "__metadata__")
        .map(|(name, entry)| {
            let offset = |index: usize| usize::try_from(entry["data_offsets"][index].as_u64()?).ok();
            let mut bytes = format!("{} {} ", entry["dtype"], entry["shape"]).into_bytes();
            bytes.extend(data.get(offset(0)?..offset(1)?)?);
            Some((name, bytes))
        })
        .collect()
}

/// The lines of a history without their last column.
fn without_seconds(csv: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(csv);
    let lines = text.lines().map(|line| line.rsplit_once(',').map_or(line, |(line, _)| line));
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

/// Removes what differs from run to run.
fn remove_free(value: &mut Value) {
    if let Value::Object(entries) = value {
        entries.retain(|name, _| !FREE.contains(&name.as_str()));
        entries.values_mut().for_each(remove_free);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is a test's report

    use super::*;

    fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn run(folder: &Path, weight: u8, seconds: &str) -> State {
        fs::create_dir_all(folder).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
        let header = r#"{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#;
        write("model.safetensors", &safetensors(header, &[1, weight]));
        let header = r#"{"state.seconds":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
        write("training.safetensors", &safetensors(header, seconds.as_bytes()));
        write("history.csv", format!("epoch,loss,seconds\n1,0.5,{seconds}\n").as_bytes());
        write(
            "progress.json",
            format!(r#"{{"step":3,"seconds":{seconds},"best":{{"generation":{seconds}}}}}"#).as_bytes(),
        );
        write("model.json", b"{}");
        State::read(folder).unwrap()
    }

    #[test]
    fn seconds_may_differ_and_weights_may_not() {
        let folder = std::env::temp_dir().join(format!("xtask-torture-{}", std::process::id()));
        let whole = run(&folder, 7, "1");
        assert_eq!(whole.differences(&run(&folder, 7, "2")), [""; 0]);
        assert_eq!(whole.differences(&run(&folder, 8, "1")), ["model.safetensors: w"]);
        run(&folder, 7, "1");
        fs::write(folder.join("history.csv"), "epoch,loss,seconds\n1,0.6,1\n").unwrap();
        assert_eq!(whole.differences(&State::read(&folder).unwrap()), ["history.csv"]);
        fs::write(folder.join("model.safetensors"), "short").unwrap();
        assert!(State::read(&folder).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
