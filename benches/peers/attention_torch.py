"""Scaled dot-product attention in PyTorch, causal, forward and backward. Milliseconds, best of half a second each. JSON.
The shapes are those of benches/src/attention.rs."""
import json
import resource
import sys
import time

import torch
from torch.nn.functional import scaled_dot_product_attention

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"
torch.manual_seed(0)
SHAPES = [(8, 8, 512, 64), (1, 8, 4096, 64), (12, 6, 256, 64)]
LONG = (1, 8, 16384, 64)


def once(operands):
    for x in operands:
        x.grad = None
    start = time.perf_counter()
    scaled_dot_product_attention(*operands, is_causal=True).sum().backward()
    if dev != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def operands(shape):
    return [torch.randn(shape, device=dev, requires_grad=True) for _ in range(3)]


def timed(shape):
    three = operands(shape)
    once(three)
    begun, best = time.perf_counter(), float("inf")
    while time.perf_counter() - begun < 0.5:
        best = min(best, once(three))
    return round(best * 1e3, 3)


ms = {"x".join(map(str, shape)): timed(shape) for shape in SHAPES}
ms["x".join(map(str, LONG))] = round(once(operands(LONG)) * 1e3, 3)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(json.dumps({"peer": f"torch {torch.__version__} {dev}", "task": "attention", "ms": ms, "peak_rss_mb": peak}))
