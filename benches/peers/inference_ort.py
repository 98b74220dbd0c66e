"""Trained networks run on images in ONNX Runtime, exported from PyTorch. Milliseconds, medians of two seconds. JSON. The networks are those
of benches/src/inference.rs. KILN_BENCH_ONLY names one."""
import io
import json
import os
import resource
import statistics
import time

import onnxruntime as ort
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


NETWORKS = {
    "mlp": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)), (28, 28), (1, 32)),
    "lstm": (Lstm, (28, 28), (1,)),
    "resnet18": (torchvision.models.resnet18, IMAGE, (1, 32)),
    "alexnet": (torchvision.models.alexnet, IMAGE, (1, 32)),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, IMAGE, (1, 32)),
    "resnet50": (torchvision.models.resnet50, IMAGE, (1, 32)),
    "vgg16": (torchvision.models.vgg16, IMAGE, (1, 32)),
}

ms = {}
only = os.environ.get("KILN_BENCH_ONLY")
for name, (make, sample, batches) in NETWORKS.items():
    if only and only != name:
        continue
    model = make().eval()
    for batch in batches:
        x = torch.randn(batch, *sample)
        file = io.BytesIO()
        torch.onnx.export(model, x, file, input_names=["x"], dynamo=False)
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
        session = ort.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
        x = x.numpy()
        for _ in range(3):
            session.run(None, {"x": x})
        times, begun = [], time.perf_counter()
        while len(times) < 3 or time.perf_counter() - begun < 2:
            start = time.perf_counter()
            session.run(None, {"x": x})
            times.append(time.perf_counter() - start)
        ms[f"{name} {batch}"] = statistics.median(times) * 1e3
        del session
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(json.dumps({"peer": f"onnxruntime {ort.__version__} cpu", "task": "inference", "ms": ms, "peak_rss_mb": peak}))
