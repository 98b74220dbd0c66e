"""scikit-learn's MLP on Iris, Breast Cancer and Diabetes from CSV files: mean and spread of accuracy or R² over seeds. One JSON line.

    python sklearn_tables.py DIR [seeds]

Writes DIR/iris/train.csv and test.csv, DIR/breast_cancer/…, DIR/diabetes/…: a header, the features as they were measured, and the
column `target`, which holds the names of classes or numbers. A fifth of the rows is the test part, split with seed 0, each class in
proportion. Then it reads these files back, so that another framework can train on the same rows."""
import csv
import json
import statistics
import sys
import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TABLES = {
    "iris": datasets.load_iris,
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": lambda: datasets.load_diabetes(scaled=False),
}
# scikit-learn's defaults (100 hidden units, ReLU, Adam at 1e-3, batches of at most 200) until the training loss stands still; and
# with a tenth of the training rows held out, until their score stands still.
SETTINGS = {"default": {}, "early_stopping": {"early_stopping": True, "n_iter_no_change": 25}}


def write(name, folder):
    data = TABLES[name]()
    classes = data.get("target_names") if name != "diabetes" else None
    rows = np.arange(len(data.target))
    parts = train_test_split(rows, test_size=0.2, random_state=0, stratify=None if classes is None else data.target)
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in zip(("train", "test"), parts):
        with open(folder / f"{part}.csv", "w", newline="") as file:
            to = csv.writer(file, lineterminator="\n")
            to.writerow([*data.feature_names, "target"])
            for row in rows:
                target = data.target[row]
                features = [np.format_float_positional(value, trim="-") for value in data.data[row]]
                to.writerow([*features, target if classes is None else classes[target]])


def read(path):
    with open(path, newline="") as file:
        _, *rows = csv.reader(file)
    targets = [row[-1] for row in rows]
    return np.array([row[:-1] for row in rows], float), targets


def model(name, seed, settings):
    settings = dict(max_iter=5000, random_state=seed, **settings)
    if name == "diabetes":
        return TransformedTargetRegressor(make_pipeline(StandardScaler(), MLPRegressor(**settings)), transformer=StandardScaler())
    return make_pipeline(StandardScaler(), MLPClassifier(**settings))


def scores(name, folder, settings, seeds):
    """Accuracy or R² on the test part, for each seed."""
    (x, y), (x_test, y_test) = read(folder / "train.csv"), read(folder / "test.csv")
    if name == "diabetes":
        y, y_test = np.array(y, float), np.array(y_test, float)
    return [model(name, seed, settings).fit(x, y).score(x_test, y_test) for seed in range(seeds)]


warnings.simplefilter("error", ConvergenceWarning)
folder = Path(sys.argv[1])
seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
figures = {}
for name in TABLES:
    write(name, folder / name)
    for of, settings in SETTINGS.items():
        values = scores(name, folder / name, settings, seeds)
        figures[f"{name}, {of}"] = {
            "metric": "r2" if name == "diabetes" else "accuracy",
            "mean": round(statistics.mean(values), 4),
            "deviation": round(statistics.stdev(values), 4),
            "least": round(min(values), 4),
            "most": round(max(values), 4),
        }
print(json.dumps({"peer": f"scikit-learn {sklearn.__version__}", "task": "tables", "seeds": seeds, "test": figures}))
