"""Trained networks run on images in ONNX Runtime, exported from PyTorch, ResNet-50 also by 8-bit integers. Milliseconds, medians of two
seconds. JSON. The networks are those of benches/src/inference.rs. KILN_BENCH_ONLY names one."""
import json
import os
import resource
import statistics
import tempfile
import time

import onnxruntime as ort
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from networks import NETWORKS


class Batches(CalibrationDataReader):
    """Two batches to calibrate with."""

    def __init__(self, x):
        self.batches = iter([{"x": x.numpy()}, {"x": torch.randn_like(x).numpy()}])

    def get_next(self):
        return next(self.batches, None)


def timed(path, x):
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = x.numpy()
    for _ in range(3):
        session.run(None, {"x": x})
    times, begun = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begun < 2:
        start = time.perf_counter()
        session.run(None, {"x": x})
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


ms = {}
with tempfile.TemporaryDirectory() as folder:
    plain, prepared, quantized = (f"{folder}/{name}.onnx" for name in ("plain", "prepared", "quantized"))
    for name, (make, sample, batches) in NETWORKS.items():
        model = make().eval()
        for batch in batches:
            x = torch.randn(batch, *sample)
            torch.onnx.export(model, x, plain, input_names=["x"], dynamo=False)
            ms[f"{name} {batch}"] = timed(plain, x)
            if name == "resnet50":
                quant_pre_process(plain, prepared)
                quantize_static(
                    prepared, quantized, Batches(x), QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                )
                ms[f"{name} int8 {batch}"] = timed(quantized, x)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(json.dumps({"peer": f"onnxruntime {ort.__version__} cpu", "task": "inference", "ms": ms, "peak_rss_mb": peak}))
