//! Logs of trainings that were killed and resumed.

use super::{EVENTS, Folder, Killed, images, model, options};
use kiln_nn::Stateful;
use serde_json::Value;
use std::fs;

/// The logs without the times in them.
fn untimed(folder: &Folder) -> (Vec<String>, String, Vec<Value>, Vec<Vec<u8>>) {
    let csv = folder.text("log.csv").lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect();
    let mut lines = folder.lines("log.jsonl");
    lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("seconds")));
    let events = EVENTS.iter().flat_map(|file| records(&fs::read(folder.0.join(file)).unwrap()));
    (csv, folder.text("steps.csv"), lines, events.collect())
}

/// The events of a file, without the time, which comes first; that of the hyperparameters has another one inside.
pub(super) fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length) as usize;
        let (data, after) = rest[4..].split_at(length);
        assert_eq!(data[0], 9);
        if !data.windows(9).any(|window| window == b"_hparams_") {
            records.push(data[9..].to_vec());
        }
        bytes = &after[4..];
    }
    records
}

#[test]
fn a_run_that_was_killed_and_resumed_has_the_logs_of_one_that_was_not() {
    let (data, test) = (images(64), images(9));
    let whole = Folder::new("whole");
    model().fit(&data, options(&whole.0, &test)).unwrap();
    let expected = untimed(&whole);
    assert_eq!((expected.0.len(), expected.3.len() > 30), (4, true));
    // The state is of the beginning, of an epoch's middle, of its last batch, before its validation, and of the last epoch.
    for (state_after, batches) in [(0, 1), (0, 13), (3, 3), (5, 12), (8, 9), (8, 17), (15, 23)] {
        let folder = Folder::new(&format!("killed-{state_after}-{batches}"));
        let mut killed = Killed { state_after, batches, state: None };
        model().fit(&data, options(&folder.0, &test).callback(&mut killed)).unwrap();
        let mut resumed = model();
        resumed.load_state_dict(&killed.state.unwrap()).unwrap();
        resumed.fit(&data, options(&folder.0, &test)).unwrap();
        assert_eq!(untimed(&folder), expected, "state after {state_after} batches, killed after {batches}");
    }
}

#[test]
fn a_log_that_was_shortened_or_removed_goes_on() {
    let (data, test) = (images(64), images(9));
    let folder = Folder::new("shortened");
    let mut killed = Killed { state_after: 12, batches: 13, state: None };
    model().fit(&data, options(&folder.0, &test).callback(&mut killed)).unwrap();
    fs::remove_file(folder.0.join("log.csv")).unwrap();
    let lines = folder.text("log.jsonl");
    let cut = lines.match_indices('\n').nth(2).unwrap().0;
    fs::write(folder.0.join("log.jsonl"), &lines[..cut + 10]).unwrap();
    let events = fs::read(folder.0.join(EVENTS[1])).unwrap();
    fs::write(folder.0.join(EVENTS[1]), &events[..events.len() / 4]).unwrap();
    let mut resumed = model();
    resumed.load_state_dict(&killed.state.unwrap()).unwrap();
    resumed.fit(&data, options(&folder.0, &test)).unwrap();
    assert_eq!(folder.text("log.csv").lines().count(), 3);
    let after = folder.lines("log.jsonl");
    assert_eq!((&after[2]["step"], &after[3]["step"]), (&4.into(), &14.into()), "the lines between are lost");
    assert!(records(&fs::read(folder.0.join(EVENTS[1])).unwrap()).len() > 5);
}
