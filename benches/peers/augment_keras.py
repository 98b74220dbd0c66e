"""Keras's ImageDataGenerator with the AlexNet listing's settings, images as large as CIFAR-10's: images a second. JSON."""
import json
import os
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
from tensorflow.keras.preprocessing.image import ImageDataGenerator

# Of noise: what they show is no matter to the time.
images = np.random.default_rng(0).integers(0, 256, (6400, 32, 32, 3), dtype=np.uint8)
generator = ImageDataGenerator(
    rotation_range=20,
    width_shift_range=0.2,
    height_shift_range=0.2,
    shear_range=0.2,
    zoom_range=0.2,
    horizontal_flip=True,
    fill_mode="nearest",
)
batches = generator.flow((images / 255).astype("float32"), np.zeros(6400, np.uint8), batch_size=64)
next(batches)
start = time.perf_counter()
for _ in range(60):
    next(batches)
rate = 60 * 64 / (time.perf_counter() - start)
print(json.dumps({"peer": "keras ImageDataGenerator", "task": "augment", "images_per_s": rate}))
