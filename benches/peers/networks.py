"""Networks of several scripts: those of benches/src/inference.rs, the AlexNet listing, and the GPT of benches/src/transformer.rs."""
import os

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
IMAGE = (3, 224, 224)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(28, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


# Name: what makes it, the shape of a sample, batches.
NETWORKS = {
    "mlp": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)), (28, 28), (1, 32)),
    "lstm": (Lstm, (28, 28), (1,)),
    "resnet18": (torchvision.models.resnet18, IMAGE, (1, 32)),
    "alexnet": (torchvision.models.alexnet, IMAGE, (1, 32)),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, IMAGE, (1, 32)),
    "resnet50": (torchvision.models.resnet50, IMAGE, (1, 32)),
    "vgg16": (torchvision.models.vgg16, IMAGE, (1, 32)),
}
ONLY = os.environ.get("KILN_BENCH_ONLY")
if ONLY:
    NETWORKS = {ONLY: NETWORKS[ONLY]}


def alexnet_cifar():
    """The AlexNet listing, for images of 32 × 32."""
    def conv(i, o, k, s, p):
        return [nn.Conv2d(i, o, k, s, p, bias=False), nn.BatchNorm2d(o), nn.ReLU()]

    def dense(i, o):
        return [nn.Linear(i, o, bias=False), nn.BatchNorm1d(o), nn.ReLU(), nn.Dropout(0.5)]

    def pool():
        return nn.MaxPool2d(3, 2, 1)

    return nn.Sequential(
        *conv(3, 96, 11, 4, 5), pool(), *conv(96, 256, 5, 1, 2), pool(), *conv(256, 384, 3, 1, 1), *conv(384, 384, 3, 1, 1),
        *conv(384, 256, 3, 1, 1), pool(), nn.Flatten(), *dense(256, 4096), *dense(4096, 4096), nn.Linear(4096, 10),
    )


# The GPT.
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
