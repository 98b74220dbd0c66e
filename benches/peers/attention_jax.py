"""Scaled dot-product attention in JAX, causal, forward and backward, compiled. Milliseconds, best of half a second each. JSON.
The shapes are those of benches/src/attention.rs, but for the longest, whose scores JAX keeps."""
import json
import time

import jax
import jax.numpy as jnp

SHAPES = [(8, 8, 512, 64), (1, 8, 4096, 64), (12, 6, 256, 64)]


@jax.jit
def gradients(query, key, value):
    # JAX has the heads behind the length.
    operands = [jnp.swapaxes(x, 1, 2) for x in (query, key, value)]

    def total(*operands):
        return jax.nn.dot_product_attention(*operands, is_causal=True).sum()

    return jax.grad(total, argnums=(0, 1, 2))(*operands)


def timed(shape):
    keys = jax.random.split(jax.random.key(0), 3)
    operands = [jax.random.normal(key, shape) for key in keys]
    jax.block_until_ready(gradients(*operands))
    begun, best = time.perf_counter(), float("inf")
    while time.perf_counter() - begun < 0.5:
        start = time.perf_counter()
        jax.block_until_ready(gradients(*operands))
        best = min(best, time.perf_counter() - start)
    return round(best * 1e3, 3)


ms = {"x".join(map(str, shape)): timed(shape) for shape in SHAPES}
print(json.dumps({"peer": f"jax {jax.__version__} cpu", "task": "attention", "ms": ms}))
