"""One training step of PyTorch's LSTM, GRU and RNN: forward, the mean square of all states, backward, SGD. One JSON line."""
import json
import statistics
import sys
import time

import torch

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"
# (steps, sequences, features, units), and how many steps are timed after three that are not.
SIZES = [((28, 64, 28, 128), 200), ((128, 32, 256, 512), 12)]
LAYERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "tanh": torch.nn.RNN}


def step(layer, x, count):
    sgd = torch.optim.SGD(layer.parameters(), lr=0.01)
    times = []
    for _ in range(count + 3):
        t = time.perf_counter()
        sgd.zero_grad(set_to_none=True)
        layer(x)[0].square().mean().backward()
        sgd.step()
        if dev != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - t)
    return statistics.median(times[3:]) * 1e3, min(times[3:]) * 1e3


torch.manual_seed(0)
medians, least = {}, {}
for (steps, batch, inputs, units), count in SIZES:
    x = torch.randn(steps, batch, inputs, device=dev)
    for name, make in LAYERS.items():
        key = f"{name} {steps}x{batch}x{inputs}x{units}"
        medians[key], least[key] = step(make(inputs, units, device=dev), x, count)
print(json.dumps({"peer": f"torch {torch.__version__} {dev}", "task": "rnn", "step_ms": medians, "least_ms": least}))
