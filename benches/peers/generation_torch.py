"""Decoding with GPT-2 small in PyTorch, eager: batch 1, keys and values of the tokens before kept in tensors that were allocated once,
written by hand around scaled_dot_product_attention. JSON. The model is that of benches/src/generation.rs."""
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
PROMPT, WRITTEN, CONTEXT, VOCABULARY, WIDTH, HEADS, BLOCKS = 32, 48, 1024, 50257, 768, 12, 12


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc, self.proj = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.register_buffer("keys", torch.zeros(1, HEADS, CONTEXT, WIDTH // HEADS))
        self.register_buffer("values", torch.zeros(1, HEADS, CONTEXT, WIDTH // HEADS))

    def forward(self, x, at):
        n, t, _ = x.shape
        q, k, v = (y.view(n, t, HEADS, -1).transpose(1, 2) for y in self.qkv(self.ln_1(x)).split(WIDTH, 2))
        self.keys[:, :, at : at + t], self.values[:, :, at : at + t] = k, v
        k, v = self.keys[:, :, : at + t], self.values[:, :, : at + t]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=t > 1)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, WIDTH))
        return x + self.proj(F.gelu(self.fc(self.ln_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks, self.ln_f = nn.ModuleList(Block() for _ in range(BLOCKS)), nn.LayerNorm(WIDTH)

    def forward(self, tokens, at):
        x = self.wte(tokens) + self.wpe.weight[at : at + tokens.shape[1]]
        for block in self.blocks:
            x = block(x, at)
        return self.ln_f(x[:, -1]) @ self.wte.weight.T


model = Gpt2().to(dev).eval()
tokens = torch.arange(PROMPT, device=dev).mul(997).remainder(VOCABULARY).view(1, PROMPT)
times, at = [], 0
with torch.inference_mode():
    for _ in range(WRITTEN):
        start = time.perf_counter()
        logits = model(tokens, at)
        at += tokens.shape[1]
        tokens = logits.argmax(-1, keepdim=True)
        tokens.tolist()
        times.append(time.perf_counter() - start)
token = statistics.median(times[1:])
print(
    json.dumps(
        {
            "peer": f"torch {torch.__version__} {dev}",
            "task": "generation",
            "prompt_ms": times[0] * 1e3,
            "token_ms": token * 1e3,
            "tokens_per_s": 1 / token,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        }
    )
)
