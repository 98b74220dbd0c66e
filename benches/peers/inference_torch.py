"""Trained networks run on images in PyTorch: eager, and compiled by torch.compile (the better one counts). Milliseconds, medians of two
seconds. JSON. The networks are those of benches/src/inference.rs. KILN_BENCH_ONLY names one; without a C++ compiler eager counts."""
import json
import resource
import statistics
import sys
import time

import torch

from networks import NETWORKS

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"


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
for name, (make, sample, batches) in NETWORKS.items():
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
