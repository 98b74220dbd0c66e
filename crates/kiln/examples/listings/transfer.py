"""The example transfer in PyTorch."""
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, models, transforms

to_images = transforms.Compose([
    transforms.Grayscale(3),
    transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
])


def digits(train, count):
    images = datasets.MNIST("data", train=train, download=True, transform=to_images, target_transform=lambda digit: digit - 5)
    return Subset(images, [i for i, digit in enumerate(images.targets) if digit >= 5][:count])


train, test = digits(True, 1000), digits(False, 1000)
model = models.resnet18(weights="DEFAULT")
model.fc = nn.Linear(512, 5)
loss_fn = nn.CrossEntropyLoss()


def fit(optimizer, epochs, frozen):
    for _ in range(epochs):
        model.train(not frozen)  # frozen, also the statistics of batch normalization
        for images, labels in DataLoader(train, batch_size=32, shuffle=True):
            optimizer.zero_grad()
            loss_fn(model(images), labels).backward()
            optimizer.step()


def accuracy():
    model.eval()
    with torch.no_grad():
        right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in DataLoader(test, batch_size=256))
    return right / len(test)


backbone = [parameter for name, parameter in model.named_parameters() if not name.startswith("fc.")]
for parameter in backbone:
    parameter.requires_grad = False
fit(torch.optim.Adam(model.fc.parameters(), lr=0.01), epochs=4, frozen=True)
frozen = accuracy()

for parameter in backbone:
    parameter.requires_grad = True
groups = [{"params": model.fc.parameters()}, {"params": backbone, "lr": 0.0002}]
fit(torch.optim.Adam(groups, lr=0.002), epochs=2, frozen=False)
print(f"Test accuracy: {frozen:.4f} with a frozen backbone, {accuracy():.4f} fine-tuned")
