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

from networks import NETWORKS

ms = {}
for name, (make, sample, batches) in NETWORKS.items():
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
