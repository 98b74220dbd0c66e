"""Convolutions and their gradients in PyTorch, one by one, NCHW as in Kiln and channels-last. Milliseconds, best of half a
second each. JSON. The list is that of benches/src/conv.rs."""
import json
import sys
import time

import torch

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"
# Images, groups, channels in and out of a group, size, kernel, stride, padding.
FORMS = {
    "alexnet 3-96 11x11/4 of 32": (64, 1, 3, 96, 32, 11, 4, 4),
    "alexnet 96-256 5x5 of 4": (64, 1, 96, 256, 4, 5, 1, 2),
    "alexnet 256-384 3x3 of 2": (64, 1, 256, 384, 2, 3, 1, 1),
    "alexnet 384-384 3x3 of 2": (64, 1, 384, 384, 2, 3, 1, 1),
    "alexnet 384-256 3x3 of 2": (64, 1, 384, 256, 2, 3, 1, 1),
    "resnet 3-64 7x7/2 of 224": (32, 1, 3, 64, 224, 7, 2, 3),
    "resnet 64-64 3x3 of 56": (32, 1, 64, 64, 56, 3, 1, 1),
    "resnet 256-256 3x3 of 14": (32, 1, 256, 256, 14, 3, 1, 1),
    "resnet 256-256 1x1 of 14": (32, 1, 256, 256, 14, 1, 1, 0),
    "depthwise 128 3x3 of 28": (32, 128, 1, 1, 28, 3, 1, 1),
}


def best(run):
    def once():
        start = time.perf_counter()
        run()
        if dev != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    end, least = time.perf_counter() + 0.5, 1e9
    while time.perf_counter() < end:
        least = min(least, once())
    return round(least * 1e3, 3)


def times(form, layout):
    batch, groups, inputs, outputs, size, kernel, stride, padding = form
    x = torch.rand(batch, groups * inputs, size, size, device=dev).to(memory_format=layout)
    w = torch.rand(groups * outputs, inputs, kernel, kernel, device=dev).to(memory_format=layout)
    forward = lambda: torch.nn.functional.conv2d(x, w, stride=stride, padding=padding, groups=groups)
    dy = torch.rand_like(forward())

    def backward(*mask):
        sides = [stride] * 2, [padding] * 2, [1, 1]
        return lambda: torch.ops.aten.convolution_backward(dy, x, w, None, *sides, False, [0, 0], groups, mask)

    with torch.no_grad():
        return {"forward": best(forward), "input": best(backward(True, False, False)), "weight": best(backward(False, True, False))}


layouts = {"ms": torch.contiguous_format, "channels_last_ms": torch.channels_last}
out = {key: {name: times(form, layout) for name, form in FORMS.items()} for key, layout in layouts.items()}
print(json.dumps({"peer": f"torch {torch.__version__} {dev}", "task": "conv", **out}))
