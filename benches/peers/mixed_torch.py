"""Training steps in f32 and under autocast to bf16 in PyTorch, both layouts, eager and compiled; operations of half types. JSON: of each
network and type the best way.

    mixed_torch.py [DEVICE]
"""
import json
import statistics
import sys
import time

import torch
import torchvision
from torch.nn import functional as F

from networks import BATCH, CONTEXT, VOCABULARY, Gpt, alexnet_cifar

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"
COUNT = 1 << 24


def images(count, size):
    return torch.rand(count, 3, size, size, device=dev)


def labels(count, classes):
    return torch.arange(count, device=dev) * 7 % classes


def tokens():
    return torch.arange(BATCH * CONTEXT, device=dev).mul(31).remainder(VOCABULARY).view(BATCH, CONTEXT)


# Name: what makes the network, inputs, targets, memory formats.
BOTH = (torch.contiguous_format, torch.channels_last)
TASKS = {
    "alexnet": (alexnet_cifar, images(64, 32), labels(64, 10), BOTH),
    "resnet18": (torchvision.models.resnet18, images(16, 224), labels(16, 1000), BOTH),
    "gpt": (lambda: Gpt(True), tokens(), tokens().roll(-1), BOTH[:1]),
}


def wait():
    if dev != "cpu":
        torch.cuda.synchronize()


def step_ms(make, x, y, fmt, bf16, compiled):
    torch.manual_seed(0)
    model = make().to(dev).to(memory_format=fmt)
    x = x.to(memory_format=fmt) if x.dim() == 4 else x
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    run = torch.compile(model) if compiled else model
    times = []
    for _ in range(9):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(dev, torch.bfloat16, enabled=bf16):
            logits = run(x)
            loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:]) * 1e3


def best_ms(run):
    run()
    begun, best = time.perf_counter(), float("inf")
    while time.perf_counter() - begun < 0.5:
        start = time.perf_counter()
        run()
        wait()
        best = min(best, time.perf_counter() - start)
    return best * 1e3


steps, ways = {}, {}
for name, (make, x, y, formats) in TASKS.items():
    for dtype in ("f32", "bf16"):
        for fmt in formats:
            for compiled in (False, True):
                way = f"{name} {dtype} {'nhwc' if fmt == torch.channels_last else 'nchw'} {'compiled' if compiled else 'eager'}"
                try:
                    ways[way] = step_ms(make, x, y, fmt, dtype == "bf16", compiled)
                except Exception as error:  # No compiler, or a network that it does not take.
                    print(f"{way}: {error}".splitlines()[0], file=sys.stderr)
        steps[f"{name} {dtype}"] = min(ms for way, ms in ways.items() if way.startswith(f"{name} {dtype} "))
ms = {}
for dtype, of in {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}.items():
    x, y = (torch.randn(COUNT, device=dev).to(of) for _ in range(2))
    rows = x.view(-1, 512)
    operations = {
        "relu": lambda: torch.relu(x),
        "add": lambda: x + y,
        "gelu": lambda: F.gelu(x),
        "softmax": lambda: torch.softmax(rows, -1),
        "layer_norm": lambda: F.layer_norm(rows, (512,)),
        "sum of columns": lambda: rows.sum(0),
    }
    ms |= {f"{name} {dtype}": best_ms(run) for name, run in operations.items()}
print(json.dumps({"peer": f"torch {torch.__version__} {dev}", "task": "mixed", "step_ms": steps, "ms": ms, "ways": ways}))
