"""Reads Kiln's event files with TensorBoard, by all of its readers, and compares them: event_files.py DIR.

The test `logs::interop` of the crate kiln-train wrote them in DIR/board, and the same numbers in DIR/log.jsonl.
"""

import io
import json
import math
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard import default, program
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = Path(sys.argv[1])
board = folder / "board"
lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
weights = {path: np.array(values) for path, values in json.loads((folder / "weights.json").read_text()).items()}
of_kind = lambda kind: [line for line in lines if line["kind"] == kind]
epochs, last = of_kind("epoch"), of_kind("epoch")[-1]["step"]


def same(found, expected, what):
    assert [step for step, _ in found] == [step for step, _ in expected], (what, found, expected)
    for (_, a), (_, b) in zip(found, expected):
        b = math.nan if b is None else b
        if not math.isfinite(b):
            assert not math.isfinite(a), (what, a)
        else:
            assert math.isclose(a, b, rel_tol=1e-6), (what, a, b)


def expected_scalars():
    """What TensorBoard shows, by run and tag."""
    steps = [line for line in of_kind("step") if line["step"] % 3 == 0]
    logged = lambda name: [(line["step"], line[name]) for line in of_kind("scalars") if name in line]
    validations = sorted(of_kind("validation") + epochs, key=lambda line: line["step"])
    yield "train", "epoch_loss", [(line["epoch"], line["loss"]) for line in epochs]
    yield "train", "epoch_accuracy", [(line["epoch"], line["accuracy"]) for line in epochs]
    yield "train", "epoch_learning_rate", [(line["epoch"], line["learning_rate"]) for line in epochs]
    yield "validation", "epoch_loss", [(line["epoch"], line["val_loss"]) for line in epochs]
    yield "validation", "loss", [(line["step"], line["val_loss"]) for line in validations]
    yield "validation", "accuracy", [(line["step"], line["val_accuracy"]) for line in validations]
    yield "train", "step/twice", logged("step.twice")
    yield "train", "x", logged("x")
    yield "train", "y,z", logged("y,z")
    # Lines are written after every second step, events after every third.
    yield "train", "loss", [(line["step"], line["loss"]) for line in steps]


def check_accumulator():
    """The class that scripts read event files with."""
    runs = {run: EventAccumulator(str(board / run), size_guidance={"histograms": 0}) for run in ["train", "validation"]}
    for run in runs.values():
        run.Reload()
    for run, tag, expected in expected_scalars():
        found = [(event.step, event.value) for event in runs[run].Scalars(tag)]
        if (run, tag) == ("train", "loss"):
            assert [step for step, _ in found] == list(range(3, last + 1, 3)), found
            found = [event for event in found if event[0] % 2 == 0]
        same(found, expected, (run, tag))
    for path, values in weights.items():
        event = runs["train"].Histograms(f"weights/{path}")[-1]
        value = event.histogram_value
        assert (event.step, value.num) == (last, values.size)
        np.testing.assert_allclose([value.min, value.max, value.sum], [values.min(), values.max(), values.sum()], 1e-6)
        np.testing.assert_allclose(value.sum_squares, (values**2).sum(), 1e-6)
        counts, edges = np.histogram(values, 30)
        np.testing.assert_allclose(value.bucket_limit, edges[1:], 1e-9, 1e-12)
        assert sum(value.bucket) == values.size and np.abs(np.array(value.bucket) - counts).sum() <= 2
        steps = [event.step for event in runs["train"].Histograms(f"gradients/{path}")]
        assert steps == [7, 8, 14, 16, 21, 24], steps
    images = runs["validation"].Images("predictions")
    assert [image.step for image in images] == [line["step"] for line in epochs]
    image = Image.open(io.BytesIO(images[-1].encoded_image_string))
    image.load()
    assert (image.mode, image.size) == ("RGB", (images[-1].width, images[-1].height)) and image.size[0] > 150
    colors = {color for _, color in image.getcolors(1 << 20)}
    assert (0, 0, 0) in colors and ((0, 130, 0) in colors or (200, 0, 0) in colors)


def check_server(fast):
    """What the pages of TensorBoard get."""
    server = program.TensorBoard(default.get_plugins())
    server.configure(argv=["", "--logdir", str(folder), "--port", "0", "--load_fast", fast])
    address = server.launch()

    def ask(plugin, route, body=None, **query):
        url = f"{address}data/plugin/{plugin}/{route}?{urllib.parse.urlencode(query)}"
        data = json.dumps(body).encode() if body else None
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
            return json.load(answer)

    # The files are read by a thread.
    for _ in range(300):
        if len(ask("scalars", "tags")) == 2 and ask("images", "tags") and ask("text", "tags"):
            break
        time.sleep(0.1)
    for run, tag, expected in expected_scalars():
        found = [(step, float(value)) for _, step, value in ask("scalars", "scalars", run=f"board/{run}", tag=tag)]
        if (run, tag) == ("train", "loss"):
            found = [event for event in found if event[0] % 2 == 0]
        same(found, expected, (fast, run, tag))
    for path, values in weights.items():
        shown = ask("histograms", "histograms", run="board/train", tag=f"weights/{path}")
        _, step, buckets = shown[-1]
        assert step == last and sum(count for _, _, count in buckets) == values.size, buckets
        np.testing.assert_allclose([buckets[0][0], buckets[-1][1]], [values.min(), values.max()], 1e-6)
        assert ask("distributions", "distributions", run="board/train", tag=f"weights/{path}")
    shown = ask("images", "images", run="board/validation", tag="predictions", sample=0)
    assert [image["step"] for image in shown] == [line["step"] for line in epochs], shown
    texts = {tag: ask("text", "text", run="board", tag=tag)[0]["text"] for tag in ask("text", "tags")["board"]}
    assert texts["note"] == "<p><em>A test.</em></p>" and "<td>2.weight</td>" in texts["parameters"], texts
    request = {"experimentName": "", "allowedStatuses": ["STATUS_UNKNOWN"], "colParams": [], "startIndex": 0, "sliceSize": 9}
    groups = ask("hparams", "session_groups", request)["sessionGroups"]
    assert len(groups) == 1, groups
    settings = groups[0]["hparams"]
    expected = {"units": 3, "optimizer": "Adam", "dropout": True, "limit": "inf", "batch_size": 8}
    assert expected.items() <= settings.items(), settings
    metrics = {(value["name"].get("group", ""), value["name"]["tag"]): value.get("value") for value in groups[0]["metricValues"]}
    assert math.isclose(metrics["validation", "epoch_loss"], epochs[-1]["val_loss"], rel_tol=1e-6), metrics


check_accumulator()
check_server("false")
check_server("true")
print("tensorboard: the same scalars, histograms, images, texts and hyperparameters")
