"""Single layers in PyTorch, forward in training and the gradients of the sum of the output. Milliseconds, best of half a second each.
JSON. The names are those of benches/src/layers.rs."""
import json
import sys
import time

import torch
from torch import nn

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"
torch.manual_seed(0)


class DropPath(nn.Module):
    """torchvision's StochasticDepth in the mode `row`."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        kept = 1.0 - self.rate
        noise = torch.empty([x.shape[0]] + [1] * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(kept)
        return x * noise.div_(kept)


class SqueezeExcitation(nn.Module):
    """torchvision's."""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.avgpool, self.activation, self.scale_activation = nn.AdaptiveAvgPool2d(1), nn.ReLU(), nn.Sigmoid()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeeze, 1), nn.Conv2d(squeeze, channels, 1)

    def forward(self, x):
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x))))) * x


LAYERS = {
    "upsample nearest 2x of 64": (nn.Upsample(scale_factor=2), (8, 32, 64, 64)),
    "upsample bilinear 2x of 64": (nn.Upsample(scale_factor=2, mode="bilinear"), (8, 32, 64, 64)),
    "upsample bicubic 2x of 64": (nn.Upsample(scale_factor=2, mode="bicubic"), (8, 32, 64, 64)),
    "upsample trilinear 2x of 16": (nn.Upsample(scale_factor=2, mode="trilinear"), (4, 32, 16, 16, 16)),
    "pixel_shuffle 2 of 64": (nn.PixelShuffle(2), (8, 64, 64, 64)),
    "conv_transpose3d 32-16 4x4x4/2 of 8": (nn.ConvTranspose3d(32, 16, 4, stride=2, padding=1), (8, 32, 8, 8, 8)),
    "drop_path of 256x14x14": (DropPath(0.2), (32, 256, 14, 14)),
    "alpha_dropout of 1024": (nn.AlphaDropout(0.2), (1024, 1024)),
    "squeeze_excitation 64-16 of 28": (SqueezeExcitation(64, 16), (32, 64, 28, 28)),
}


def timed(layer, shape):
    layer = layer.to(dev)
    x = torch.randn(shape, device=dev, requires_grad=True)

    def once():
        x.grad = None
        layer.zero_grad(set_to_none=True)
        start = time.perf_counter()
        layer(x).sum().backward()
        if dev != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    begun, best = time.perf_counter(), float("inf")
    while time.perf_counter() - begun < 0.5:
        best = min(best, once())
    return round(best * 1e3, 3)


ms = {name: timed(layer, shape) for name, (layer, shape) in LAYERS.items()}
print(json.dumps({"peer": f"torch {torch.__version__} {dev}", "task": "layers", "ms": ms}))
