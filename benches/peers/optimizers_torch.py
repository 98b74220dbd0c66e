"""One step of PyTorch's optimizers over tensors of three sizes, gradients given: fused where there is such a form, else foreach. One JSON
line. PyTorch has no Lion and no LAMB; its Muon takes matrices."""
import json
import statistics
import sys
import time

import torch

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"
O = torch.optim
# Tensors, elements of each, and how many steps are timed after three that are not.
SIZES = [(1, 1 << 24, 12), (100, 100_000, 20), (100, 1_000, 400)]
MATRICES = {1_000: (25, 40), 100_000: (250, 400), 1 << 24: (4096, 4096)}
FUSED, FOREACH = dict(fused=True), dict(foreach=True)
OPTIMIZERS = {
    "Sgd": lambda p: O.SGD(p, 1e-3, **FUSED),
    "Sgd momentum": lambda p: O.SGD(p, 1e-3, momentum=0.9, **FUSED),
    "Adam": lambda p: O.Adam(p, 1e-3, **FUSED),
    "AdamW": lambda p: O.AdamW(p, 1e-3, **FUSED),
    "AmsGrad": lambda p: O.Adam(p, 1e-3, amsgrad=True, **FUSED),
    "Adamax": lambda p: O.Adamax(p, 1e-3, **FOREACH),
    "NAdam": lambda p: O.NAdam(p, 1e-3, **FOREACH),
    "RAdam": lambda p: O.RAdam(p, 1e-3, **FOREACH),
    "RmsProp": lambda p: O.RMSprop(p, 1e-3, **FOREACH),
    "Adagrad": lambda p: O.Adagrad(p, 1e-3, **(FUSED if dev == "cpu" else FOREACH)),
    "Adadelta": lambda p: O.Adadelta(p, 1e-3, **FOREACH),
    "Adafactor": lambda p: O.Adafactor(p, 1e-2, **FOREACH),
    "Muon": lambda p: O.Muon(p, 1e-3),
}


def step(make, shape, tensors, steps):
    parameters = [torch.randn(shape, device=dev).requires_grad_() for _ in range(tensors)]
    for p in parameters:
        p.grad = torch.randn_like(p) * 0.01
    optimizer = make(parameters)
    times = []
    for _ in range(steps + 3):
        t = time.perf_counter()
        optimizer.step()
        if dev != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - t)
    return statistics.median(times[3:]) * 1e3


torch.manual_seed(0)
times = {}
for tensors, elements, steps in SIZES:
    for name, make in OPTIMIZERS.items():
        # Its products of matrices of 4096 rows take ten seconds a step.
        if name == "Muon" and tensors == 1:
            continue
        shape = MATRICES[elements] if name in ("Adafactor", "Muon") else (elements,)
        times[f"{name}, {tensors} of {elements}"] = step(make, shape, tensors, steps)
print(json.dumps({"peer": f"torch {torch.__version__} {dev}", "task": "optimizers", "step_ms": times}))
