"""Operations of arrays in NumPy, one by one, 16 M elements of f32. Milliseconds, best of half a second each. JSON. The names are those of
benches/src/tensor.rs; what NumPy does not have is left out."""
import json
import time

import numpy as np

COUNT, SIDE = 1 << 24, 1 << 12
random = np.random.default_rng(0)
x, y = random.standard_normal(COUNT, np.float32), random.standard_normal(COUNT, np.float32)
positive, matrix, mask = np.abs(x) + np.float32(0.1), x.reshape(SIDE, SIDE), x > 0
rows, places = random.integers(SIDE, size=SIDE), random.integers(SIDE, size=(SIDE, SIDE))

OPERATIONS = {
    "copy": lambda: x.copy(),
    "add": lambda: x + y,
    "mul": lambda: x * y,
    "max": lambda: np.maximum(x, y),
    "abs": lambda: np.abs(x),
    "relu": lambda: np.maximum(x, np.float32(0)),
    "sqrt": lambda: np.sqrt(positive),
    "exp": lambda: np.exp(x),
    "tanh": lambda: np.tanh(x),
    "less": lambda: x < y,
    "cast to f64": lambda: x.astype(np.float64),
    "cast to i32": lambda: x.astype(np.int32),
    "where": lambda: np.where(mask, x, y),
    "ln": lambda: np.log(positive),
    "sin": lambda: np.sin(x),
    "atan2": lambda: np.arctan2(x, y),
    "hypot": lambda: np.hypot(x, y),
    "logaddexp": lambda: np.logaddexp(x, y),
    "floor_div": lambda: x // y,
    "pow 2.5": lambda: positive ** np.float32(2.5),
    "sum": lambda: x.sum(),
    "sum rows": lambda: matrix.sum(1),
    "sum columns": lambda: matrix.sum(0),
    "max of rows": lambda: matrix.max(1),
    "argmax of rows": lambda: matrix.argmax(1),
    "var of rows": lambda: matrix.var(1),
    "norm": lambda: np.linalg.norm(x),
    "cumsum of rows": lambda: matrix.cumsum(1),
    "cumsum": lambda: x.cumsum(),
    "cummax of rows": lambda: np.maximum.accumulate(matrix, 1),
    "sort": lambda: np.argsort(x),
    "sort rows": lambda: np.argsort(matrix, 1),
    "transpose": lambda: np.ascontiguousarray(matrix.T),
    "rows by index": lambda: matrix[rows],
    "gather": lambda: np.take_along_axis(matrix, places, 1),
    "masked_select": lambda: x[mask],
    "nonzero": lambda: np.argwhere(mask),
    "flip": lambda: np.ascontiguousarray(matrix[:, ::-1]),
    "roll": lambda: np.roll(matrix, 1000, 1),
    "repeat": lambda: np.tile(matrix[:1024], (2, 2)),
    "tril": lambda: np.tril(matrix),
    "pad": lambda: np.pad(matrix, 1),
}


def best(run):
    def once():
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    once()
    end, least = time.perf_counter() + 0.5, 1e9
    while time.perf_counter() < end:
        least = min(least, once())
    return round(least * 1e3, 3)


ms = {name: best(run) for name, run in OPERATIONS.items()}
print(json.dumps({"peer": f"numpy {np.__version__} cpu", "task": "tensor", "ms": ms}))
