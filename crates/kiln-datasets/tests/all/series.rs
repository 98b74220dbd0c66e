//! Windows from a table with a time column.

use kiln_datasets::{Csv, CsvOptions, Dataset, SeriesEncoder, SeriesOptions};
use kiln_tensor::{Device, Result};
use proptest::prelude::*;

fn read(text: &str) -> Csv {
    CsvOptions::new().read(text).unwrap()
}

/// Days in no order, with a column of text and one of numbers with holes.
const WEATHER: &str = "\
note,rain,day,heat
a,0.5,2024-01-03,3
b,0,2024-01-01,1
c,,2024-01-04,4
d,1.5,2024-01-02,2
e,2,2024-01-05,5
f,,2024-01-06,6
";

fn options() -> SeriesOptions {
    SeriesOptions::new(["heat"], 2).time("day").features(["heat", "rain"]).fill_forward(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn windows_follow_the_time(
        order in Just((0..20usize).collect::<Vec<_>>()).prop_shuffle(), window in 1usize..8, horizon in 1usize..5, stride in 1usize..4,
    ) {
        // Times of both kinds, the same values.
        let row = |t: usize, time: String| format!("{},{time},{}\n", 10 * t, 100 * t);
        let numbers: String = order.iter().map(|&t| row(t, format!("{}.5", t * t))).collect();
        let dates: String = order.iter().map(|&t| row(t, format!("{}-{:02}-01", 2000 + t / 12, 1 + t % 12))).collect();
        let options = SeriesOptions::new(["y", "x"], window).time("at").horizon(horizon).stride(stride).features(["x"]);
        for rows in [numbers, dates] {
            let csv = read(&format!("x,at,y\n{rows}"));
            let data = options.fit(&csv).unwrap().dataset(&csv).unwrap();
            prop_assert_eq!(data.len(), (20 - window - horizon) / stride + 1);
            let all: Vec<usize> = (0..data.len()).collect();
            let batch = data.batch(&all, &[], &Device::cpu()).unwrap();
            let starts = || all.iter().map(|i| i * stride);
            let x: Vec<f32> = starts().flat_map(|s| s..s + window).map(|t| 10.0 * t as f32).collect();
            let after = starts().flat_map(|s| s + window..s + window + horizon);
            let y: Vec<f32> = after.flat_map(|t| [100.0 * t as f32, 10.0 * t as f32]).collect();
            prop_assert_eq!(batch.inputs.dims(), [data.len(), window, 1]);
            prop_assert_eq!(batch.targets.dims(), [data.len(), horizon * 2]);
            prop_assert_eq!(batch.inputs.to_vec::<f32>().unwrap(), x);
            prop_assert_eq!(batch.targets.to_vec::<f32>().unwrap(), y);
        }
    }
}

#[test]
fn rows_are_sorted_filled_and_split_by_time() -> Result<()> {
    let cpu = Device::cpu();
    let csv = read(WEATHER);
    let series = options().fit(&csv)?;
    assert_eq!(
        (series.feature_names().join(" "), series.features(), series.targets().join(" ")),
        ("heat rain".into(), 2, "heat".into())
    );
    let batch = series.dataset(&csv)?.batch(&[0, 3], &[], &cpu)?;
    assert_eq!(batch.inputs.to_vec::<f32>()?, [1.0, 0.0, 2.0, 1.5, 4.0, 0.5, 5.0, 2.0]);
    assert_eq!((batch.targets.dims(), batch.targets.to_vec::<f32>()?), (&[2, 1][..], vec![3.0, 6.0]));
    let [train, test] = options().split(&csv, 0.5)?;
    let windows = |part: &Csv| series.dataset(part)?.batch(&[0], &[], &cpu)?.targets.to_vec::<f32>();
    assert_eq!(
        (windows(&train)?, windows(&test).unwrap_err().to_string().contains("the value is missing")),
        (vec![3.0], true)
    );
    // The last rows, of a table in another order without the target's future.
    let series = SeriesEncoder::from_json(&series.to_json())?;
    let next = series.inputs(&read("day,rain,heat\n2024-02-02,1,7\n2024-02-01,2,8\n2024-01-01,3,9\n"), &cpu)?;
    assert_eq!((next.dims(), next.to_vec::<f32>()?), (&[1, 2, 2][..], vec![8.0, 2.0, 7.0, 1.0]));

    // All columns of numbers, in the file's order.
    let csv = read("a,b\n1,2\n3,4\n5,6\n");
    let series = SeriesOptions::new(["b"], 1).horizon(2).fit(&csv)?;
    let batch = series.dataset(&csv)?.batch(&[0], &[], &cpu)?;
    assert_eq!((batch.inputs.to_vec::<f32>()?, batch.targets.to_vec::<f32>()?), (vec![1.0, 2.0], vec![4.0, 6.0]));
    assert_eq!((series.window(), series.horizon()), (1, 2));
    Ok(())
}

#[test]
fn what_is_wrong_is_named() {
    let refused = |options: SeriesOptions, text: &str, parts: &[&str]| {
        let error = options.fit(&read(text)).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let day = |row: &str| format!("{WEATHER}{row}\n");
    refused(options(), &day("g,0,2024-01-02,7"), &["line 8: column \"day\": \"2024-01-02\" is there twice"]);
    refused(
        options(),
        &day("g,0,2024-01-02T00:00Z,7"),
        &["line 8: column \"day\": \"2024-01-02T00:00Z\" is there twice"],
    );
    refused(options(), &day("g,0,,7"), &["line 8: column \"day\": the time is missing"]);
    refused(options(), &day("g,0,7.1.2024,7"), &["line 8", "\"7.1.2024\" is neither a number nor a date such as"]);
    refused(options(), &day("g,0,2024,7"), &["line 8", "not both numbers or both dates"]);
    refused(options(), &day("g,0,2024-01-07,hot"), &["line 8: column \"heat\": \"hot\" is no number"]);
    refused(options(), &day("g,0,2024-01-07,1e40"), &["line 8: column \"heat\": \"1e40\" is too large"]);
    refused(options(), &WEATHER.replace("b,0,", "b,,"), &["line 3: column \"rain\"", "there is no value before it"]);
    let missing = "line 4: column \"rain\": the value is missing: `SeriesOptions::fill_forward`";
    refused(options().fill_forward(false), WEATHER, &[missing]);
    refused(
        SeriesOptions::new(["heat"], 2).time("day"),
        WEATHER,
        &["hold no numbers: \"note\" (text)", "`SeriesOptions::features`"],
    );
    refused(options().time("dat"), WEATHER, &["no column \"dat\": the nearest name is \"day\""]);
    refused(options().features(["heat", "rian"]), WEATHER, &["no column \"rian\": the nearest name is \"rain\""]);
    refused(SeriesOptions::new(["heat", "heat"], 2), "heat\n1\n2\n", &["the target \"heat\" is named twice"]);
    refused(SeriesOptions::new(Vec::<String>::new(), 2), "heat\n1\n2\n", &["there is no target"]);
    refused(options().horizon(0), WEATHER, &["a horizon of 0"]);

    let series = options().horizon(9).fit(&read(WEATHER)).unwrap();
    let error = series.dataset(&read(WEATHER)).unwrap_err().to_string();
    assert!(error.contains("there are 6 rows: a window of 2 rows and 9 to predict need more"), "{error}");
    let json = series.to_json().replace("\"heat\",\n    \"rain\"", "");
    let error = SeriesEncoder::from_json(&json).unwrap().dataset(&read(WEATHER)).unwrap_err().to_string();
    assert!(error.contains("no feature or no target"), "{error}");
    assert!(SeriesEncoder::from_json(&series.to_json().replace(": 2", ": 0")).is_err());
}
