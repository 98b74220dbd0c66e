"""The example gan in PyTorch."""
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms, utils

LATENT, WIDTH = 64, 32
to_images = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
loader = DataLoader(datasets.MNIST("data", download=True, transform=to_images), batch_size=64, shuffle=True)

generator = nn.Sequential(
    nn.ConvTranspose2d(LATENT, WIDTH * 2, 7, bias=False),
    nn.BatchNorm2d(WIDTH * 2),
    nn.ReLU(),
    nn.ConvTranspose2d(WIDTH * 2, WIDTH, 4, stride=2, padding=1, bias=False),
    nn.BatchNorm2d(WIDTH),
    nn.ReLU(),
    nn.ConvTranspose2d(WIDTH, 1, 4, stride=2, padding=1, bias=False),
    nn.Tanh(),
)
discriminator = nn.Sequential(
    nn.Conv2d(1, WIDTH, 4, stride=2, padding=1, bias=False),
    nn.LeakyReLU(0.2),
    nn.Conv2d(WIDTH, WIDTH * 2, 4, stride=2, padding=1, bias=False),
    nn.BatchNorm2d(WIDTH * 2),
    nn.LeakyReLU(0.2),
    nn.Conv2d(WIDTH * 2, 1, 7, bias=False),
    nn.Flatten(),
)


def first_weights(layer):
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)


generator.apply(first_weights)
discriminator.apply(first_weights)
g_optimizer = torch.optim.Adam(generator.parameters(), lr=0.0005, betas=(0.5, 0.999))
d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.0005, betas=(0.5, 0.999))
loss_fn = nn.BCEWithLogitsLoss()

for epoch in range(10):
    d_total = g_total = 0.0
    for real, _ in loader:
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        fake = generator(torch.randn(len(real), LATENT, 1, 1))

        # The discriminator: real images are 1, those of the generator 0.
        d_optimizer.zero_grad()
        d_loss = loss_fn(discriminator(real), ones) + loss_fn(discriminator(fake.detach()), zeros)
        d_loss.backward()
        d_optimizer.step()

        # The generator: its images are to be taken for real ones.
        g_optimizer.zero_grad()
        g_loss = loss_fn(discriminator(fake), ones)
        g_loss.backward()
        g_optimizer.step()

        d_total += d_loss.item()
        g_total += g_loss.item()
    print(f"epoch {epoch + 1}  discriminator {d_total / len(loader):.4f}  generator {g_total / len(loader):.4f}")

generator.eval()
with torch.no_grad():
    utils.save_image(generator(torch.randn(96, LATENT, 1, 1)) / 2 + 0.5, "gan.png", nrow=12)
