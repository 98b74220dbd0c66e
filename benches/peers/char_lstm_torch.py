"""The recipe char-lstm in PyTorch: a character model of the book inside of kiln-datasets. One JSON line.

    char_lstm_torch.py [EPOCHS [SEED]]
"""
import json
import math
import pathlib
import sys
import time

import torch

epochs, seed = int(sys.argv[1]) if len(sys.argv) > 1 else 10, int(sys.argv[2]) if len(sys.argv) > 2 else 0
STEPS, STREAMS, TEST_STREAMS, EMBEDDING, UNITS = 64, 32, 8, 32, 256
torch.manual_seed(seed)
text = (pathlib.Path(__file__).parents[2] / "crates/kiln-datasets/src/embedded/alice.txt").read_text()
characters = sorted(set(text))
tokens = torch.tensor([characters.index(c) for c in text])
cut = len(tokens) // 10 * 9


def streams(tokens, count):
    """Inputs and targets (count, steps) of each batch; rows go on from batch to batch."""
    part = (len(tokens) - 1) // count
    for start in range(0, part // STEPS * STEPS, STEPS):
        rows = [tokens[s * part + start : s * part + start + STEPS + 1] for s in range(count)]
        block = torch.stack(rows)
        yield block[:, :-1], block[:, 1:]


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(len(characters), EMBEDDING)
        self.lstm = torch.nn.LSTM(EMBEDDING, UNITS, batch_first=True)
        self.dropout = torch.nn.Dropout(0.2)
        self.head = torch.nn.Linear(UNITS, len(characters))
        # The recipe's first values, which are Keras's.
        torch.nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        torch.nn.init.xavier_uniform_(self.lstm.weight_ih_l0)
        torch.nn.init.orthogonal_(self.lstm.weight_hh_l0)
        torch.nn.init.zeros_(self.lstm.bias_hh_l0)
        torch.nn.init.zeros_(self.lstm.bias_ih_l0)
        torch.nn.init.ones_(self.lstm.bias_ih_l0[UNITS : 2 * UNITS])
        torch.nn.init.xavier_uniform_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, x, state):
        y, state = self.lstm(self.embedding(x), state)
        return self.head(self.dropout(y)), state


model = Model()
adam = torch.optim.Adam(model.parameters(), lr=0.005, eps=1e-7, fused=True)
start = time.perf_counter()
for _ in range(epochs):
    state = None
    for x, y in streams(tokens[:cut], STREAMS):
        logits, state = model(x, state)
        state = tuple(s.detach() for s in state)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
fit = time.perf_counter() - start
model.eval()
with torch.no_grad():
    state, total, count = None, 0.0, 0
    for x, y in streams(tokens[cut:], TEST_STREAMS):
        logits, state = model(x, state)
        total += torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
        count += y.numel()
line = {"peer": f"torch {torch.__version__} cpu", "task": "char-lstm", "epochs": epochs, "seed": seed, "fit_s": fit}
print(json.dumps(line | {"bits_per_character": total / count / math.log(2)}))
