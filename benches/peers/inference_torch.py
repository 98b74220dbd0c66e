"""Trained networks run on images in PyTorch: eager, and compiled by torch.compile (the better one counts). Milliseconds, medians of two
seconds. JSON. The networks are those of benches/src/inference.rs. KILN_BENCH_ONLY names one; without a C++ compiler eager counts."""
import json
import os
import resource
import statistics
import sys
import time

import torch
import torchvision
from torch import nn

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"
torch.manual_seed(0)
IMAGE = (3, 224, 224)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(28, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


NETWORKS = {
    "mlp": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)), (28, 28), (1, 32)),
    "lstm": (Lstm, (28, 28), (1,)),
    "resnet18": (torchvision.models.resnet18, IMAGE, (1, 32)),
    "alexnet": (torchvision.models.alexnet, IMAGE, (1, 32)),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, IMAGE, (1, 32)),
    "resnet50": (torchvision.models.resnet50, IMAGE, (1, 32)),
    "vgg16": (torchvision.models.vgg16, IMAGE, (1, 32)),
}


def timed(model, x):
    with torch.inference_mode():
        for _ in range(3):
            model(x)
        times, begun = [], time.perf_counter()
        while len(times) < 3 or time.perf_counter() - begun < 2:
            start = time.perf_counter()
            model(x)
            if dev != "cpu":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


ms, ways = {}, {}
only = os.environ.get("KILN_BENCH_ONLY")
for name, (make, sample, batches) in NETWORKS.items():
    if only and only != name:
        continue
    model = make().to(dev).eval()
    for batch in batches:
        x = torch.randn(batch, *sample, device=dev)
        way = {"eager": timed(model, x)}
        try:
            torch._dynamo.reset()
            way["compiled"] = timed(torch.compile(model), x)
        except Exception as error:  # no compiler, or a network that it can't compile
            print(f"{name} {batch}: {error}", file=sys.stderr)
        ways[f"{name} {batch}"] = way
        ms[f"{name} {batch}"] = min(way.values())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(json.dumps({"peer": f"torch {torch.__version__} {dev}", "task": "inference", "ms": ms, "ways": ways, "peak_rss_mb": peak}))
