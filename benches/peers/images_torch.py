"""torchvision's ImageFolder with Resize, CenterCrop and ToTensor in a DataLoader of two workers, over the files that
`kiln-bench images` has written: images a second. JSON."""
import json
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Resize, ToTensor

torch.set_num_threads(2)
rates = {}
for kind in ["jpg", "png"]:
    for side in [224, 64]:
        transform = Compose([Resize(side), CenterCrop(side), ToTensor()])
        data = ImageFolder(Path(tempfile.gettempdir()) / "kiln-bench-images" / kind, transform)
        loader = DataLoader(data, batch_size=32, shuffle=True, num_workers=2, persistent_workers=True)
        times = []
        for _ in range(4):
            start = time.perf_counter()
            for _ in loader:
                pass
            times.append(time.perf_counter() - start)
        rates[f"{kind} {side}"] = len(data) / sorted(times[1:])[1]
print(json.dumps({"peer": "torchvision", "task": "images", "images_per_s": rates}))
