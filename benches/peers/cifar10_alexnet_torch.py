"""The recipe cifar10-alexnet in PyTorch: the same network with Keras's constants and first values, TensorFlow's padding, Adam,
batches of 64, and the same augmentation, by grid_sample. One JSON line an epoch, then the result.

    python cifar10_alexnet_torch.py --data DIR [--epochs 3] [--limit N] [--seed 0] [--device cuda]      (DIR/cifar-10-batches-bin/*.bin)

Beside it: kiln train cifar10-alexnet --data DIR --epochs 3 --seed 0 --json
"""
import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

arguments = argparse.ArgumentParser()
arguments.add_argument("--data", required=True)
arguments.add_argument("--epochs", type=int, default=3)
arguments.add_argument("--limit", type=int)
arguments.add_argument("--seed", type=int, default=0)
arguments.add_argument("--device", default="cpu")
options = arguments.parse_args()
torch.set_default_device(options.device)
torch.manual_seed(options.seed)


def read(*names):
    folder = Path(options.data) / "cifar-10-batches-bin"
    rows = np.concatenate([np.fromfile(folder / f"{name}.bin", np.uint8).reshape(-1, 3073) for name in names])
    images, labels = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy()), torch.from_numpy(rows[:, 0].astype(np.int64))
    return images.to(options.device), labels.to(options.device)


class Same(nn.Module):
    """Padding before a window, as TensorFlow's SAME: the odd element at the end."""

    def __init__(self, size, kernel, stride, value):
        super().__init__()
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        self.sides, self.value = (total // 2, total - total // 2) * 2, value

    def forward(self, x):
        return F.pad(x, self.sides, value=self.value)


# Keras's momentum 0.99 is PyTorch's 0.01.
def conv(size, inputs, outputs, kernel, stride=1):
    layers = [Same(size, kernel, stride, 0.0), nn.Conv2d(inputs, outputs, kernel, stride, bias=False)]
    return [*layers, nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01), nn.ReLU()]


def pool(size):
    return [Same(size, 3, 2, -math.inf), nn.MaxPool2d(3, 2)]


def dense(inputs, outputs):
    return [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs, eps=1e-3, momentum=0.01), nn.ReLU(), nn.Dropout(0.5)]


model = nn.Sequential(
    *conv(32, 3, 96, 11, 4), *pool(8), *conv(4, 96, 256, 5), *pool(4), *conv(2, 256, 384, 3), *conv(2, 384, 384, 3),
    *conv(2, 384, 256, 3), *pool(2), nn.Flatten(), *dense(256, 4096), *dense(4096, 4096), nn.Linear(4096, 10),
)
for layer in model:
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def augmented(x):
    """ImageDataGenerator(rotation_range=20, width_shift_range=0.2, height_shift_range=0.2, shear_range=0.2, zoom_range=0.2,
    horizontal_flip=True, fill_mode="nearest"): one affine map an image, from places in the result to places in the original."""
    n, _, height, width = x.shape
    uniform = lambda low, high: torch.rand(n) * (high - low) + low
    angle, shear = uniform(-20, 20) * math.pi / 180, uniform(-0.2, 0.2) * math.pi / 180
    down, across = uniform(-0.2, 0.2) * height, uniform(-0.2, 0.2) * width
    zoom_down, zoom_across = uniform(0.8, 1.2), uniform(0.8, 1.2)
    flip = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    zero, one = torch.zeros(n), torch.ones(n)
    matrix = lambda *rows: torch.stack([torch.stack(row, -1) for row in rows], -2)
    last = (zero, zero, one)
    rotation = matrix((angle.cos(), -angle.sin(), zero), (angle.sin(), angle.cos(), zero), last)
    shift = matrix((one, zero, down), (zero, one, across), last)
    sheared = matrix((one, -shear.sin(), zero), (zero, shear.cos(), zero), last)
    zoom = matrix((zoom_down, zero, zero), (zero, zoom_across, zero), last)
    mirror = matrix((one, zero, zero), (zero, flip, zero), last)
    total = rotation @ shift @ sheared @ zoom @ mirror  # of (row, column, 1) about the center
    rows, columns = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    places = torch.stack([rows.reshape(-1), columns.reshape(-1), torch.ones(height * width)])
    row, column, _ = (total @ places).unbind(1)
    grid = torch.stack([2 * column / (width - 1), 2 * row / (height - 1)], -1).reshape(n, height, width, 2)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=True)


images, labels = read(*[f"data_batch_{i}" for i in range(1, 6)])
images, labels = images[: options.limit], labels[: options.limit]
test_images, test_labels = read("test_batch")
optimizer = torch.optim.Adam(model.parameters(), eps=1e-7, fused=True)


def evaluate():
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(batch.float() / 255) for batch in test_images.split(512)])
    model.train()
    return F.cross_entropy(logits, test_labels).item(), (logits.argmax(1) == test_labels).float().mean().item()


begin = time.perf_counter()
for epoch in range(1, options.epochs + 1):
    total = right = 0.0
    for rows in torch.randperm(len(images)).split(64):
        x, y = augmented(images[rows].float() / 255), labels[rows]
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
        right += (logits.argmax(1) == y).sum().item()
    val_loss, val_accuracy = evaluate()
    n = len(images)
    record = {"epoch": epoch, "loss": total / n, "accuracy": right / n, "val_loss": val_loss, "val_accuracy": val_accuracy}
    print(json.dumps(record), flush=True)
print(json.dumps({"peer": f"torch {torch.__version__} {options.device}", "task": "cifar10-alexnet", "seed": options.seed,
                  "fit_s": time.perf_counter() - begin, "test_accuracy": val_accuracy, "test_loss": val_loss}))
