"""A training step of a small GPT in PyTorch: 6 blocks of width 384 with 6 heads, a context of 256, batch 12, fused AdamW; by
nn.TransformerEncoderLayer, and written by hand around scaled_dot_product_attention, as nanoGPT has it. The better one counts. JSON.
The model is that of benches/src/transformer.rs."""
import json
import resource
import statistics
import sys
import time

import torch
from torch.nn import functional as F

from networks import BATCH, CONTEXT, VOCABULARY, Gpt

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"
torch.manual_seed(0)


def step_ms(by_hand):
    model = Gpt(by_hand).to(dev)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    x = torch.arange(BATCH * CONTEXT, device=dev).mul(31).remainder(VOCABULARY).view(BATCH, CONTEXT)
    y = x.roll(-1)
    times = []
    for _ in range(11):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        optimizer.step()
        if dev != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:]) * 1e3


ways = {name: step_ms(name == "by_hand") for name in ["by_hand", "nn_transformer"]}
step = min(ways.values())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(
    json.dumps(
        {
            "peer": f"torch {torch.__version__} {dev}",
            "task": "transformer",
            "step_ms": step,
            "tokens_per_s": BATCH * CONTEXT / step * 1e3,
            "ways": ways,
            "peak_rss_mb": peak,
        }
    )
)
