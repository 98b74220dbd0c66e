"""Reads arrays that Kiln saved with NumPy, and compares them: npy.py DIR.

The test `numpy::interop` of the crate kiln-datasets wrote them: TYPE-AXES.npy, and all of them in stored.npz and deflated.npz. Element i is
(i * 37 % 101) - 20 of its type.
"""
import sys
from pathlib import Path

import numpy as np

DIR = Path(sys.argv[1])
SHAPES = {0: (), 1: (7,), 2: (3, 5), 3: (2, 0, 3), 6: (2, 1, 2, 1, 2, 3)}
faults, count = [], 0


def expected(name):
    kind, axes = name.split("-")
    dtype = np.dtype("?" if kind == "bool" else kind[0] + str(int(kind[1:]) // 8))
    shape = SHAPES[int(axes)]
    numbers = (np.arange(np.prod(shape, dtype=int)) * 37 % 101) - 20
    return (numbers.clip(0) if dtype.kind == "u" else numbers).astype(dtype).reshape(shape)


def check(where, name, array):
    global count
    count += 1
    wanted = expected(name)
    if array.dtype != wanted.dtype or array.shape != wanted.shape or not np.array_equal(array, wanted):
        faults.append(f"{where}: {name}: {array.dtype} {array.shape} {array.ravel()[:5]}")


for path in sorted(DIR.glob("*.npy")):
    check(path.name, path.stem, np.load(path, allow_pickle=False))
for archive in ["stored.npz", "deflated.npz"]:
    with np.load(DIR / archive, allow_pickle=False) as arrays:
        for name in arrays.files:
            check(archive, name, arrays[name])
for fault in faults:
    print(fault)
print(f"NumPy {np.__version__} read {count} arrays of Kiln, {len(faults)} faults")
sys.exit(bool(faults) or count == 0)
