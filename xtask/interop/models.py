"""Loads models that Kiln saved into PyTorch and compares what they give: models.py DIR.

For each NAME there are NAME.safetensors, Kiln's weights, and NAME_values.safetensors with inputs `x` and Kiln's outputs `y`; the test
`interop` of the crate kiln wrote them.
"""
import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

DIR = Path(sys.argv[1])


MODELS = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)),
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)
    ),
    "resnet18": lambda: torchvision.models.resnet18(num_classes=7),
}
for kind in (nn.LSTM, nn.GRU, nn.RNN):
    MODELS[kind.__name__.lower()] = lambda kind=kind: nn.Sequential(kind(3, 4, num_layers=2, bidirectional=True, batch_first=True))

faults = 0
for name, make in MODELS.items():
    model = make().eval()
    model.load_state_dict(load_file(DIR / f"{name}.safetensors"), strict=True)
    values = load_file(DIR / f"{name}_values.safetensors")
    with torch.no_grad():
        y = model(values["x"])
    y = y[0] if isinstance(y, tuple) else y
    off = (y - values["y"]).abs().max().item() / max(1.0, y.abs().max().item())
    faults += off > 1e-5
    print(f"{name}: PyTorch's outputs differ from Kiln's by {off:.1e}")
sys.exit(faults > 0)
