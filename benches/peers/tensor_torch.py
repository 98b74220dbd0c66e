"""Operations of tensors in PyTorch, one by one, 16 M elements of f32. Milliseconds, best of half a second each. JSON. The names are
those of benches/src/tensor.rs."""
import json
import sys
import time

import torch
import torch.nn.functional as F

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"
COUNT, SIDE = 1 << 24, 1 << 12
torch.manual_seed(0)
x, y = torch.randn(COUNT, device=dev), torch.randn(COUNT, device=dev)
positive, matrix, mask = x.abs() + 0.1, x.reshape(SIDE, SIDE), x > 0
rows, places = torch.randint(SIDE, (SIDE,), device=dev), torch.randint(SIDE, (SIDE, SIDE), device=dev)

OPERATIONS = {
    "copy": lambda: x.clone(),
    "add": lambda: x + y,
    "mul": lambda: x * y,
    "max": lambda: torch.maximum(x, y),
    "abs": lambda: x.abs(),
    "relu": lambda: x.relu(),
    "sqrt": lambda: positive.sqrt(),
    "exp": lambda: x.exp(),
    "tanh": lambda: x.tanh(),
    "sigmoid": lambda: x.sigmoid(),
    "gelu": lambda: F.gelu(x),
    "less": lambda: x < y,
    "cast to f64": lambda: x.double(),
    "cast to i32": lambda: x.int(),
    "cast to bf16": lambda: x.bfloat16(),
    "where": lambda: torch.where(mask, x, y),
    "ln": lambda: positive.log(),
    "sin": lambda: x.sin(),
    "erf": lambda: x.erf(),
    "atan2": lambda: torch.atan2(x, y),
    "hypot": lambda: torch.hypot(x, y),
    "logaddexp": lambda: torch.logaddexp(x, y),
    "floor_div": lambda: torch.floor_divide(x, y),
    "pow 2.5": lambda: positive.pow(2.5),
    "sum": lambda: x.sum(),
    "sum rows": lambda: matrix.sum(1),
    "sum columns": lambda: matrix.sum(0),
    "max of rows": lambda: matrix.amax(1),
    "argmax of rows": lambda: matrix.argmax(1),
    "var of rows": lambda: matrix.var(1),
    "norm": lambda: torch.linalg.vector_norm(x),
    "softmax": lambda: matrix.softmax(1),
    "cumsum of rows": lambda: matrix.cumsum(1),
    "cumsum": lambda: x.cumsum(0),
    "cummax of rows": lambda: matrix.cummax(1),
    "sort": lambda: x.sort(),
    "sort rows": lambda: matrix.sort(1),
    "topk 10 of rows": lambda: matrix.topk(10, 1),
    "median of rows": lambda: matrix.median(1),
    "transpose": lambda: matrix.t().contiguous(),
    "rows by index": lambda: matrix.index_select(0, rows),
    "gather": lambda: matrix.gather(1, places),
    "scatter_add": lambda: torch.zeros_like(matrix).scatter_add(1, places, matrix),
    "masked_select": lambda: x.masked_select(mask),
    "nonzero": lambda: mask.nonzero(),
    "flip": lambda: matrix.flip(1),
    "roll": lambda: matrix.roll(1000, 1),
    "repeat": lambda: matrix[:1024].repeat(2, 2),
    "tril": lambda: matrix.tril(),
    "pad": lambda: F.pad(matrix, (1, 1, 1, 1)),
}


def best(run):
    def once():
        start = time.perf_counter()
        run()
        if dev != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    end, least = time.perf_counter() + 0.5, 1e9
    while time.perf_counter() < end:
        least = min(least, once())
    return round(least * 1e3, 3)


with torch.no_grad():
    ms = {name: best(run) for name, run in OPERATIONS.items()}
print(json.dumps({"peer": f"torch {torch.__version__} {dev}", "task": "tensor", "ms": ms}))
