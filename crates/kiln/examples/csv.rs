//! From a CSV file to a trained model: categories, missing values, a date column that is ignored. The file is written first.
//!
//! ```sh
//! cargo run --release -p kiln --example csv
//! ```
//!
//! The same in Keras: listings/csv.py.

use kiln::prelude::*;
use std::path::Path;

/// Rents of flats: the size, the part of the town and the age tell them, up to some noise. A few ages are missing.
fn write(path: &Path) -> Result<()> {
    let noise = Tensor::normal([600, 2], 0.0, 1.0, DType::F32, &Device::cpu(), RandomStream::new(1, Purpose::Data, 0))?;
    let mut text = "listed,size,part,age,rent\n".to_owned();
    for (row, noise) in noise.to_vec::<f32>()?.chunks(2).enumerate() {
        let (size, age) = ((60.0 + 20.0 * noise[0]).max(15.0), row * 7 % 60);
        let (part, rate) = [("center", 18.0), ("north", 12.0), ("south", 9.0)][row % 3];
        let rent = size * rate - 2.0 * age as f32 + 20.0 * noise[1];
        let age = if row % 25 == 0 { "NA".to_owned() } else { age.to_string() };
        text += &format!("2024-{:02}-{:02},{size:.1},{part},{age},{rent:.0}\n", 1 + row % 12, 1 + row % 28);
    }
    std::fs::write(path, text).map_err(|e| Error::value("csv", format!("{}: {e}", path.display())))
}

/// The R² of the rents of flats that the training has not seen, and the rent of another flat.
fn train(path: &Path) -> Result<(f64, f32)> {
    let csv = Csv::open(path)?;
    println!("{}", csv.summary());
    let [train, test] = csv.split(0.2, 42)?;
    let table = TableOptions::new("rent").ignore(["listed"]).regression().missing(Missing::Median).fit(&train)?;
    let (train, test) = (table.dataset(&train)?.load()?, table.dataset(&test)?);

    let mut normalization = Normalization::new();
    adapt(&mut normalization, &train)?; // of the training rows, saved with the weights
    let model = Sequential::new()
        .push(normalization)
        .push(Dense::new(32).activation(Activation::Relu))
        .push(Dense::new(1))
        .build([table.features()], &Device::cpu(), 1)?;
    let mut trainer = compile(model, Adam::new(0.05), MeanSquaredError::new()).metric(R2);
    trainer.fit(&train, FitOptions::new().epochs(40).seed(1).quiet())?;
    let r2 = trainer.evaluate(&test)?.metric("r2").unwrap_or(f64::NAN);

    // Elsewhere: the table's JSON goes with the model's file. Columns may come in any order.
    let table = TableEncoder::from_json(&table.to_json())?;
    let flat = CsvOptions::new().read("part,size,age\ncenter,70,10\n")?;
    Ok((r2, trainer.predict(&table.inputs(&flat, &Device::cpu())?)?.to_vec::<f32>()?[0]))
}

fn main() -> Result<()> {
    let path = Path::new("rents.csv");
    write(path)?;
    let (r2, rent) = train(path)?;
    println!("R² {r2:.3}; 70 m² in the center, ten years old: {rent:.0}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rents_are_learned_of_a_file() {
        let path = std::env::temp_dir().join(format!("kiln-rents-{}.csv", std::process::id()));
        write(&path).unwrap();
        let (r2, rent) = train(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert!(r2 > 0.95, "{r2}");
        // 70 · 18 − 2 · 10
        assert!((rent - 1240.0).abs() < 60.0, "{rent}");
    }
}
