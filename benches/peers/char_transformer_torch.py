"""The recipe char-transformer in PyTorch: a small GPT over the characters of the book inside of kiln-datasets. One JSON line.

    char_transformer_torch.py [EPOCHS [SEED]]
"""
import json
import math
import pathlib
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

epochs, seed = int(sys.argv[1]) if len(sys.argv) > 1 else 40, int(sys.argv[2]) if len(sys.argv) > 2 else 0
STEPS, BATCH, WIDTH, HEADS, BLOCKS, DROPOUT, WARMUP = 128, 32, 128, 4, 4, 0.1, 100
torch.manual_seed(seed)
text = (pathlib.Path(__file__).parents[2] / "crates/kiln-datasets/src/embedded/alice.txt").read_text()
characters = sorted(set(text))
tokens = torch.tensor([characters.index(c) for c in text])
cut = len(tokens) // 10 * 9


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(len(characters), WIDTH), nn.Embedding(STEPS, WIDTH)
        gelu = nn.GELU(approximate="tanh")
        block = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, DROPOUT, gelu, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, BLOCKS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, len(characters))
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(STEPS))
        # The recipe's first values, which are Keras's.
        nn.init.uniform_(self.tokens.weight, -0.05, 0.05)
        nn.init.normal_(self.positions.weight, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        x = F.dropout(self.tokens(x) + self.positions.weight[: x.shape[1]], DROPOUT, self.training)
        return self.head(self.blocks(x, mask=self.mask, is_causal=True))


def windows(tokens, shift):
    """Inputs and targets (n, STEPS); each window begins up to STEPS - 1 tokens later."""
    starts = torch.arange(0, len(tokens) - STEPS, STEPS)
    if shift:
        starts = torch.minimum(starts + torch.randint(0, STEPS, starts.shape), torch.tensor(len(tokens) - STEPS - 1))
        starts = starts[torch.randperm(len(starts))]
    block = torch.stack([tokens[start : start + STEPS + 1] for start in starts])
    return block[:, :-1], block[:, 1:]


model = Model()
weights = [p for p in model.parameters() if p.dim() > 1]
others = [p for p in model.parameters() if p.dim() <= 1]
groups = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
adam = torch.optim.AdamW(groups, lr=1e-3, eps=1e-7, weight_decay=0.1, fused=True)
all_steps = epochs * math.ceil(len(windows(tokens[:cut], False)[0]) / BATCH)


def factor(step):
    if step < WARMUP:
        return step / WARMUP
    return 0.5 * (1 + math.cos(math.pi * min(1, (step - WARMUP) / max(1, all_steps - WARMUP))))


schedule = torch.optim.lr_scheduler.LambdaLR(adam, factor)
start = time.perf_counter()
for _ in range(epochs):
    inputs, targets = windows(tokens[:cut], True)
    for x, y in zip(inputs.split(BATCH), targets.split(BATCH)):
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        schedule.step()
fit = time.perf_counter() - start
model.eval()
with torch.no_grad():
    total, count = 0.0, 0
    inputs, targets = windows(tokens[cut:], False)
    for x, y in zip(inputs.split(BATCH), targets.split(BATCH)):
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item()
        count += y.numel()
line = {"peer": f"torch {torch.__version__} cpu", "task": "char-transformer", "epochs": epochs, "seed": seed, "fit_s": fit}
print(json.dumps(line | {"bits_per_character": total / count / math.log(2)}))
