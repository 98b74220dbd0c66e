//! scikit-learn's small data sets: their sizes, names, and that each column is scikit-learn's.

use crate::fixture::values_of;
use kiln_datasets::{Dataset, Table, breast_cancer, diabetes, digits, iris, wine};
use kiln_tensor::{DType, Device};

/// All inputs as rows, and all targets.
fn rows(table: &Table) -> (Vec<Vec<f64>>, Vec<f64>) {
    let indices: Vec<usize> = (0..table.data.len()).collect();
    let batch = table.data.batch(&indices, &[], &Device::cpu()).unwrap();
    assert_eq!(batch.inputs.dtype(), DType::F32);
    let inputs = batch.inputs.to_f64_vec().unwrap();
    let rows = inputs.chunks(table.feature_names.len()).map(<[f64]>::to_vec).collect();
    (rows, batch.targets.to_f64_vec().unwrap())
}

#[test]
fn each_column_is_that_of_scikit_learn() {
    let expected = values_of("tables.safetensors");
    for (name, table, samples) in [
        ("iris", iris(), 150),
        ("wine", wine(), 178),
        ("breast_cancer", breast_cancer(), 569),
        ("diabetes", diabetes(), 442),
        ("digits", digits(), 1797),
    ] {
        let table = table.unwrap();
        let (rows, targets) = rows(&table);
        assert_eq!((rows.len(), targets.len(), table.data.input_shape()), (samples, samples, &[rows[0].len()][..]));
        let of = |what: &str| &expected[&format!("{name}/{what}")];
        // f32 keeps 24 bits of a number.
        let near = |found: f64, expected: f64, scale: f64| {
            assert!((found - expected).abs() <= 1e-6 * scale, "{name}: {found}, {expected}")
        };
        for (column, ((&mean, &std), &last)) in of("mean").iter().zip(of("std")).zip(of("last")).enumerate() {
            let values = || rows.iter().map(|row| row[column]);
            let found = values().sum::<f64>() / samples as f64;
            let scale = values().map(f64::abs).fold(0.0, f64::max);
            near(found, mean, scale);
            near((values().map(|x| (x - found).powi(2)).sum::<f64>() / samples as f64).sqrt(), std, scale);
            near(rows[samples - 1][column], last, scale);
        }
        near(targets.iter().sum::<f64>() / samples as f64, of("target_mean")[0], 100.0);
        // Class labels are below the number of their names; values have none.
        let labels = table.data.class_labels().unwrap();
        assert_eq!(labels.is_none(), table.class_names.is_empty(), "{name}");
        let mut classes = labels.unwrap_or_default();
        classes.sort_unstable();
        classes.dedup();
        assert!(classes.into_iter().eq(0..table.class_names.len() as i64), "{name}");
    }
}

#[test]
fn features_and_classes_have_their_names() {
    let iris = iris().unwrap();
    assert_eq!(iris.feature_names[3], "petal width (cm)");
    assert_eq!(wine().unwrap().class_names, ["class_0", "class_1", "class_2"]);
    let cancer = breast_cancer().unwrap();
    assert_eq!((cancer.feature_names[0].as_str(), cancer.class_names[0].as_str()), ("mean radius", "malignant"));
    assert_eq!(diabetes().unwrap().feature_names, ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]);
    assert_eq!(digits().unwrap().class_names[9], "9");
}
