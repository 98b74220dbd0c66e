"""The networks of inference_torch.py and inference_ort.py: those of benches/src/inference.rs."""
import os

import torch
import torchvision
from torch import nn

torch.manual_seed(0)
IMAGE = (3, 224, 224)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(28, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


# Name: what makes it, the shape of a sample, batches.
NETWORKS = {
    "mlp": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)), (28, 28), (1, 32)),
    "lstm": (Lstm, (28, 28), (1,)),
    "resnet18": (torchvision.models.resnet18, IMAGE, (1, 32)),
    "alexnet": (torchvision.models.alexnet, IMAGE, (1, 32)),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, IMAGE, (1, 32)),
    "resnet50": (torchvision.models.resnet50, IMAGE, (1, 32)),
    "vgg16": (torchvision.models.vgg16, IMAGE, (1, 32)),
}
ONLY = os.environ.get("KILN_BENCH_ONLY")
if ONLY:
    NETWORKS = {ONLY: NETWORKS[ONLY]}
