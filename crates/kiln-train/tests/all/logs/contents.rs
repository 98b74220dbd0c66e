//! What logs say.

use super::resumed::records;
use super::{EVENTS, Folder, NotFinite, images, model, options};
use kiln_train::*;
use serde_json::Value;
use std::fs;

#[test]
fn the_table_is_that_of_the_history_and_lines_hold_all_numbers() {
    let (data, test) = (images(64), images(9));
    let folder = Folder::new("numbers");
    let history = model().fit(&data, options(&folder.0, &test)).unwrap();
    assert_eq!(folder.text("log.csv"), history.to_csv());
    let steps = folder.text("steps.csv");
    let mut rows = steps.lines();
    assert_eq!(rows.next(), Some("step,name,value"));
    assert!(rows.next().unwrap().starts_with("2,loss,"));
    assert_eq!(rows.next(), Some(&*format!("2,learning_rate,{}", 0.01 * 0.5f64.powf(0.1))));
    assert_eq!(rows.next(), Some("3,step.twice,6"));
    assert!(rows.any(|row| row.starts_with("4,val_loss,")));
    let lines = folder.lines("log.jsonl");
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    let counts = ["epoch", "step", "scalars", "validation"].map(|kind| of(kind).len());
    assert_eq!((counts, counts.iter().sum::<usize>()), ([3, 12, 8, 3], lines.len()));
    let (last, epoch) = (history.last().unwrap(), of("epoch")[2]);
    assert_eq!((epoch["epoch"].as_u64(), epoch["step"].as_u64()), (Some(3), Some(24)));
    assert_eq!(epoch["loss"].as_f64(), Some(last.train.loss));
    assert_eq!(epoch["val_accuracy"].as_f64(), last.value("val_accuracy"));
    assert_eq!(epoch["learning_rate"].as_f64(), Some(0.01 * 0.5f64.powf(2.3)));
    assert_eq!((of("scalars")[0]["step.twice"].as_f64(), of("scalars")[0]["step"].as_u64()), (Some(6.0), Some(3)));
}

#[test]
fn numbers_that_are_not_finite_are_logged() {
    let (data, test) = (images(16), images(9));
    let folder = Folder::new("not-finite");
    model().fit(&data, options(&folder.0, &test).callback(NotFinite)).unwrap();
    let lines = folder.lines("log.jsonl");
    assert!(lines.iter().any(|line| line.get("x").is_some_and(Value::is_null) && line["y,z"].is_null()));
    assert!(folder.text("steps.csv").contains("2,x,NaN\n2,\"y,z\",inf\n"));
}

#[test]
fn images_show_what_the_validated_weights_predict() {
    let (data, test) = (images(64), images(9));
    let drawn = |name: &str, ema: [bool; 2]| {
        let folder = Folder::new(name);
        let mut options = FitOptions::new().epochs(2).batch_size(8).seed(5).validation(&test).quiet();
        if ema[0] {
            options = options.callback(Ema::new(0.99));
        }
        options = options.callback(TensorBoard::new(folder.0.join("board")));
        if ema[1] {
            options = options.callback(Ema::new(0.99));
        }
        model().fit(&data, options).unwrap();
        let events = records(&fs::read(folder.0.join(EVENTS[2])).unwrap());
        let images: Vec<Vec<u8>> =
            events.into_iter().filter(|event| event.windows(11).any(|part| part == b"predictions")).collect();
        assert_eq!(images.len(), 2);
        images
    };
    let average = drawn("ema-first", [true, false]);
    assert_eq!(average, drawn("ema-last", [false, true]));
    assert_ne!(average, drawn("no-ema", [false, false]));
}
