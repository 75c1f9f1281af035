"""Prints what 20,000 calls of `encode` on a SavedModel cost: memory over time, traces, images/s.

    python benchmarks/soak.py [calls]

A process of its own exports the preset `burgess_dsprites`; this one has TensorFlow alone, as a
server does. Batches of 1 to 64 images come in random order. Resident memory is what the operating
system counts (Linux). The aim: flat, and no function traced after the first call.
"""

import os
import subprocess
import sys
import tempfile
import time

EXPORT = """
import sys
import keras_betavae as kbv
kbv.BetaVAE.from_preset("burgess_dsprites", seed=0).export(sys.argv[1], verbose=False)
"""
SIZES = (1, 2, 3, 5, 8, 13, 32, 64)


def resident_mebibytes() -> float:
    """Returns the memory that the process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(calls: int) -> None:
    """Prints a row for each tenth of the calls."""
    import numpy as np
    import tensorflow as tf
    from tensorflow.python.eager import context

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", EXPORT, f"{folder}/1"], check=True)
        served = tf.saved_model.load(f"{folder}/1")
    rng = np.random.default_rng(0)
    images = rng.random((max(SIZES), 64, 64, 1), dtype="float32")
    served.encode(tf.constant(images[:1]))  # The warm-up.
    start = resident_mebibytes()
    print("   calls   images/s   resident MiB   since warm-up   traces   functions")
    n_images, begun = 0, time.perf_counter()
    for call in range(1, calls + 1):
        size = int(rng.choice(SIZES))
        codes = served.encode(tf.constant(images[:size]))
        assert codes["mean"].shape[0] == size
        n_images += size
        if call % max(calls // 10, 1) == 0:
            resident, seconds = resident_mebibytes(), time.perf_counter() - begun
            traces = served.encode.experimental_get_tracing_count()
            functions = len(context.context().list_function_names())
            print(
                f"{call:8,} {n_images / seconds:10,.0f} {resident:14,.1f} "
                f"{resident - start:+15.1f} {traces:8} {functions:11}",
                flush=True,
            )
            n_images, begun = 0, time.perf_counter()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
