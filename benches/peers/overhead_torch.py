"""What a 64-element ReLU costs in PyTorch, without a graph and with its node. One JSON line, in nanoseconds."""
import json
import time

import torch

CHAIN, ROUNDS = 1000, 60


def best(x):
    """Nanoseconds an operation: the best of some chains, each with the dropping of its graph."""
    least = 1e9
    for _ in range(ROUNDS):
        t = time.perf_counter()
        y = x
        for _ in range(CHAIN):
            y = torch.relu(y)
        del y
        least = min(least, time.perf_counter() - t)
    return least / CHAIN * 1e9


x = torch.randn(64)
with torch.no_grad():
    plain = best(x)
with_node = best(x.clone().requires_grad_())
print(json.dumps({"peer": f"torch {torch.__version__} cpu", "task": "overhead", "op_ns": plain, "op_with_node_ns": with_node}))
