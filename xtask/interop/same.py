"""Compares two folders of fixtures: same.py FRESH COMMITTED. Every .safetensors and .json of FRESH must be in COMMITTED with the same
shapes and numbers, to 1e-9 of float64, 1e-4 of narrower types: other versions of the frameworks round otherwise.
"""
import sys
from pathlib import Path

import ml_dtypes  # makes bfloat16 known to NumPy
import numpy as np
from safetensors.numpy import load_file

fresh, committed = map(Path, sys.argv[1:])
faults, files, count = [], 0, 0
for path in sorted(fresh.rglob("*.safetensors")):
    files += 1
    name = path.relative_to(fresh)
    if not (committed / name).is_file():
        faults.append(f"{name} is not committed")
        continue
    new, old = load_file(path), load_file(committed / name)
    if new.keys() != old.keys():
        faults.append(f"{name}: other tensors: {sorted(new.keys() ^ old.keys())[:5]}")
    for key in new.keys() & old.keys():
        count += 1
        a, b = new[key], old[key]
        bound = 1e-9 if a.dtype == np.float64 else 1e-4
        if a.dtype == ml_dtypes.bfloat16:
            a, b = a.astype(np.float64), b.astype(np.float64)
        if a.shape != b.shape or not np.allclose(a, b, rtol=bound, atol=bound, equal_nan=True):
            faults.append(f"{name}: {key} differs")
for fault in faults:
    print(fault)
print(f"{count} tensors of {files} files compared, {len(faults)} faults")
sys.exit(bool(faults))
