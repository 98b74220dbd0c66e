"""A training step of a small GPT in PyTorch: 6 blocks of width 384 with 6 heads, a context of 256, batch 12, fused AdamW; by
nn.TransformerEncoderLayer, and written by hand around scaled_dot_product_attention, as nanoGPT has it. The better one counts. JSON.
The model is that of benches/src/transformer.rs."""
import json
import resource
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

dev = sys.argv[1] if len(sys.argv) > 1 else "cpu"
torch.manual_seed(0)
BATCH, CONTEXT, VOCABULARY, WIDTH, HEADS, BLOCKS = 12, 256, 65, 384, 6, 6


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.linear1, self.linear2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (y.view(n, t, HEADS, -1).transpose(1, 2) for y in self.qkv(self.norm1(x)).split(WIDTH, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, WIDTH))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, by_hand):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.by_hand = by_hand
        if by_hand:
            self.blocks = nn.Sequential(*[Block() for _ in range(BLOCKS)])
        else:
            layer = nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, 0.0, lambda x: F.gelu(x, approximate="tanh"), batch_first=True, norm_first=True
            )
            self.blocks = nn.TransformerEncoder(layer, BLOCKS, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(CONTEXT))

    def forward(self, x):
        x = self.tokens(x) + self.positions.weight[: x.shape[1]]
        x = self.blocks(x) if self.by_hand else self.blocks(x, mask=self.mask, is_causal=True)
        return self.head(self.norm(x))


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
