"""One training step of the same AlexNet in PyTorch (fused Adam; NCHW and channels-last, the better one counts). JSON."""
import json
import resource
import statistics
import sys
import time

import torch
from torch import nn

from networks import alexnet_cifar

steps, dev = int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2] if len(sys.argv) > 2 else "cpu"
def run(fmt):
    torch.manual_seed(0)
    m = alexnet_cifar().to(dev).to(memory_format=fmt)
    opt = torch.optim.Adam(m.parameters(), fused=True)
    loss_fn = nn.CrossEntropyLoss()
    x = torch.rand(64, 3, 32, 32).to(dev).to(memory_format=fmt)
    y = torch.randint(0, 10, (64,)).to(dev)
    times = []
    for i in range(steps + 3):
        t = time.perf_counter()
        opt.zero_grad()
        loss_fn(m(x), y).backward()
        opt.step()
        if dev != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - t)
    return statistics.median(times[3:]) * 1e3
r = {"nchw": run(torch.contiguous_format), "channels_last": run(torch.channels_last)}
print(json.dumps({"peer": f"torch {torch.__version__} {dev}", "task": "alexnet-step", "batch": 64, **r, "step_ms": min(r.values()),
                  "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}))
