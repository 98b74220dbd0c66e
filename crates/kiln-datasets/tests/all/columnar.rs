//! Tables in Parquet and Arrow files: what a CSV file of the same table gives.

use kiln_datasets::Csv;
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[cfg(not(feature = "parquet"))]
#[test]
fn the_feature_is_named() {
    let error = Csv::open(fixture("table.parquet")).unwrap_err().to_string();
    assert!(
        error.contains("table.parquet: this is a file in the format Parquet: build with the feature `parquet`"),
        "{error}"
    );
}

#[cfg(feature = "parquet")]
mod read {
    use super::{Csv, fixture};
    use crate::files::Folder;
    use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
    use kiln_datasets::{ColumnKind, CsvOptions, CsvSummary, Dataset, Loader, Missing, Numbering, TableOptions};
    use kiln_tensor::{Device, Result};
    use std::fs::File;
    use std::path::Path;
    use std::sync::Arc;

    fn text(csv: &Csv) -> CsvSummary {
        let mut summary = csv.summary().clone();
        summary.numbering = Numbering::Line;
        summary
    }

    #[test]
    fn files_of_pyarrow_are_as_their_csv() -> Result<()> {
        let csv = Csv::open(fixture("table.csv"))?;
        let options = || {
            let options = TableOptions::new("kind").ignore(["note", "day", "at", "zoned", "nothing"]);
            options.missing(Missing::Mean).missing_in("kind", Missing::DropRow)
        };
        let table = options().fit(&csv)?;
        let expected = table.dataset(&csv)?;
        for name in ["table.parquet", "table.arrow"] {
            let found = Csv::open(fixture(name))?;
            assert_eq!(found.summary().numbering, Numbering::Row);
            assert_eq!(&text(&found), csv.summary(), "{name}");
            assert_eq!(options().fit(&found)?, table, "{name}");
            let data = table.dataset(&found)?;
            let rows = [10, 0, 7, 7, 3, 9];
            let (batch, expected) =
                (data.batch(&rows, &[], &Device::cpu())?, expected.batch(&rows, &[], &Device::cpu())?);
            assert_eq!(batch.inputs.to_vec::<f32>()?, expected.inputs.to_vec::<f32>()?, "{name}");
            assert_eq!(batch.targets.to_vec::<i64>()?, expected.targets.to_vec::<i64>()?, "{name}");
        }
        Ok(())
    }

    /// 20,000 rows with numbers, texts and nulls.
    fn many() -> RecordBatch {
        let numbers = |row: i32| (row % 7 != 3).then(|| f64::from(row) / 3.0);
        let words = ["a", "b", "NA"];
        let columns: [(&str, ArrayRef); 3] = [
            ("x", Arc::new((0..20_000).map(numbers).collect::<Float64Array>())),
            ("word", Arc::new((0..20_000).map(|row| Some(words[row % 3])).collect::<StringArray>())),
            ("y", Arc::new((0..20_000).map(|row| Some(row * 2)).collect::<Int32Array>())),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn write_parquet(path: &Path, table: &RecordBatch, group: usize) {
        let settings = parquet::file::properties::WriterProperties::builder();
        let settings = settings.set_max_row_group_row_count(Some(group)).build();
        let file = File::create(path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, table.schema(), Some(settings)).unwrap();
        writer.write(table).unwrap();
        writer.close().unwrap();
    }

    fn write_arrow(path: &Path, table: &RecordBatch, batch: usize) {
        let mut writer = arrow_ipc::writer::FileWriter::try_new(File::create(path).unwrap(), &table.schema()).unwrap();
        for start in (0..table.num_rows()).step_by(batch) {
            writer.write(&table.slice(start, batch.min(table.num_rows() - start))).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn rows_are_read_in_any_order() -> Result<()> {
        let folder = Folder::new("columnar");
        let (parquet, arrow) = (folder.0.join("many.parquet"), folder.0.join("many.arrow"));
        write_parquet(&parquet, &many(), 9000);
        write_arrow(&arrow, &many(), 3000);
        let number = |row: usize| if row % 7 == 3 { String::new() } else { format!("{:?}", row as f64 / 3.0) };
        let rows = (0..20_000).map(|row| format!("{},{},{}\n", number(row), ["a", "b", "NA"][row % 3], row * 2));
        let csv = CsvOptions::new().missing(["-"]).read(format!("x,word,y\n{}", rows.collect::<String>()))?;
        let [train, _] = csv.split(0.1, 1)?;
        let table = TableOptions::new("y").missing(Missing::Median).fit(&train)?;
        let epoch = |csv: &Csv, workers| {
            let [train, _] = csv.split(0.1, 1)?;
            let data = table.dataset(&train)?;
            let loader = Loader::new(&data).batch_size(500).shuffle(7).workers(workers);
            let batch = |batch: Result<kiln_datasets::Batch>| {
                let batch = batch?;
                Ok((batch.inputs.to_vec::<f32>()?, batch.targets.to_vec::<f32>()?))
            };
            loader.epoch(1, |batches| batches.take(8).map(batch).collect::<Result<Vec<_>>>())
        };
        let expected = epoch(&csv, 0)?;
        for path in [parquet, arrow] {
            let found = Csv::open(&path)?;
            assert_eq!((found.len(), &text(&found)), (20_000, csv.summary()), "{}", path.display());
            assert_eq!(epoch(&found, 0)?, expected, "{}", path.display());
            assert_eq!(epoch(&found, 2)?, expected, "{}", path.display());
        }
        Ok(())
    }

    #[test]
    fn nulls_are_missing_and_words_are_not() -> Result<()> {
        let folder = Folder::new("columnar-missing");
        let path = folder.0.join("words.parquet");
        let words = StringArray::from(vec![Some("NA"), None, Some("DE"), Some("NA"), Some("")]);
        let numbers = Float64Array::from(vec![Some(1.0), Some(f64::NAN), None, Some(2.5), Some(f64::INFINITY)]);
        let columns: [(&str, ArrayRef); 2] = [("land", Arc::new(words)), ("x", Arc::new(numbers))];
        write_parquet(&path, &RecordBatch::try_from_iter(columns).unwrap(), 2);
        let csv = Csv::open(&path)?;
        let land = &csv.summary().columns[0];
        assert_eq!(
            (land.missing, land.kind, land.frequent[0].clone()),
            (2, ColumnKind::Category, ("NA".to_owned(), 2))
        );
        let x = &csv.summary().columns[1];
        assert_eq!((x.missing, x.odd.clone()), (2, Some((5, "\"inf\"".to_owned()))));
        assert!(csv.summary().to_string().contains("row 5 has \"inf\""));
        assert_eq!(CsvOptions::new().missing(["NA"]).open(&path)?.summary().columns[0].missing, 4);
        let error = TableOptions::new("land").fit(&csv).unwrap_err().to_string();
        assert!(error.contains("words.parquet: row 5: column \"x\": \"inf\" is no number"), "{error}");
        Ok(())
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        let error = Csv::open(fixture("nested.parquet")).unwrap_err().to_string();
        assert!(error.contains("leave them out when the file is written: \"tags\" (List("), "{error}");
        assert!(error.contains("\"place\" (Struct("), "{error}");
        let error = CsvOptions::new().read(b"FEA1\0\0\0\0").unwrap_err().to_string();
        assert!(error.contains("version 1 of Feather"), "{error}");
        let folder = Folder::new("columnar-wrong");
        let path = folder.0.join("none.parquet");
        write_parquet(&path, &many().slice(0, 0), 10);
        let error = Csv::open(&path).unwrap_err().to_string();
        assert!(error.contains("there is no row"), "{error}");
        write_arrow(&path, &many().slice(0, 10), 10);
        let csv = Csv::open(&path).unwrap();
        write_arrow(&path, &many().slice(0, 20), 10);
        let error = csv.split_stratified("word", 0.5, 1).unwrap_err().to_string();
        assert!(error.contains("the file has changed since it was opened"), "{error}");
    }

    /// Whatever stands in a file, what comes is a table or an error.
    #[test]
    fn broken_files_are_errors() {
        for name in ["table.parquet", "table.arrow"] {
            let whole = std::fs::read(fixture(name)).unwrap();
            for length in (0..whole.len()).step_by(97) {
                assert!(CsvOptions::new().read(&whole[..length]).is_err(), "{name} of {length} bytes");
            }
            for at in (8..whole.len()).step_by(11) {
                let mut broken = whole.clone();
                broken[at] ^= 1 << (at % 8);
                let _ = CsvOptions::new().read(&broken);
            }
        }
    }
}
