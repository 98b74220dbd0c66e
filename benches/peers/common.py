"""Reads the real data the way every script here does: DIR of `--data DIR`, else $KILN_DATA_DIR, else ./data."""
import gzip
import os
import pathlib
import sys

import numpy as np

DATA = pathlib.Path(os.environ.get("KILN_DATA_DIR", "data"))
if "--data" in sys.argv:
    at = sys.argv.index("--data")
    DATA = pathlib.Path(sys.argv[at + 1])
    del sys.argv[at : at + 2]


def _idx(name, header):
    for path in (DATA / "mnist" / name, DATA / "mnist" / f"{name}.gz"):
        if path.exists():
            raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
            return np.frombuffer(raw, np.uint8)[header:]
    raise FileNotFoundError(f"{name}[.gz] under {DATA}/mnist")


def mnist():
    """((60000, 28, 28) uint8, (60000,) uint8), ((10000, 28, 28) uint8, (10000,) uint8)"""
    return (
        (_idx("train-images-idx3-ubyte", 16).reshape(-1, 28, 28), _idx("train-labels-idx1-ubyte", 8)),
        (_idx("t10k-images-idx3-ubyte", 16).reshape(-1, 28, 28), _idx("t10k-labels-idx1-ubyte", 8)),
    )
