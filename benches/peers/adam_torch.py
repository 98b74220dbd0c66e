"""One step of PyTorch's fused Adam over the 21.65 M parameters of the AlexNet listing, gradients given. One JSON line."""
import json
import statistics
import sys
import time

import torch

steps, dev = int(sys.argv[1]) if len(sys.argv) > 1 else 60, sys.argv[2] if len(sys.argv) > 2 else "cpu"
# Convolutions, dense layers, and the four vectors of each batch normalization, all of which Keras counts.
SHAPES = [(96, 3, 11, 11), (256, 96, 5, 5), (384, 256, 3, 3), (384, 384, 3, 3), (256, 384, 3, 3), (4096, 256), (4096, 4096), (10, 4096), (10,)]
SHAPES += [(n,) for n in (96, 256, 384, 384, 256, 4096, 4096) for _ in range(4)]
torch.manual_seed(0)
parameters = [torch.randn(shape, device=dev).requires_grad_() for shape in SHAPES]
for p in parameters:
    p.grad = torch.randn_like(p) * 0.01
adam = torch.optim.Adam(parameters, fused=True)
times = []
for _ in range(steps + 3):
    t = time.perf_counter()
    adam.step()
    if dev != "cpu":
        torch.cuda.synchronize()
    times.append(time.perf_counter() - t)
count = sum(p.numel() for p in parameters)
print(json.dumps({"peer": f"torch {torch.__version__} {dev}", "task": "adam", "params": count, "step_ms": statistics.median(times[3:]) * 1e3}))
