"""The example accumulation in PyTorch."""
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

train, test = (datasets.MNIST("data", train=part, download=True, transform=transforms.ToTensor()) for part in (True, False))
model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
loss_fn = nn.CrossEntropyLoss()

epochs, batch_size, accumulate = 5, 32, 4
batches = DataLoader(train, batch_size, shuffle=True)
steps = epochs * -(-len(batches) // accumulate)
warmup = steps // 10
decayed, rest = [p for p in model.parameters() if p.ndim > 1], [p for p in model.parameters() if p.ndim < 2]
optimizer = torch.optim.AdamW([{"params": decayed}, {"params": rest, "weight_decay": 0}], lr=0.005)
schedule = SequentialLR(
    optimizer,
    [LinearLR(optimizer, 1 / warmup, total_iters=warmup - 1), CosineAnnealingLR(optimizer, steps - warmup)],
    [warmup],
)

for epoch in range(epochs):
    model.train()
    for number, (images, labels) in enumerate(batches, 1):
        loss = loss_fn(model(images), labels)
        (loss / accumulate).backward()
        if number % accumulate == 0 or number == len(batches):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in DataLoader(test, 512))
    print(f"epoch {epoch + 1}: validation accuracy {right / len(test):.4f}")
