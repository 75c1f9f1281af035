"""Prints the memory of training on the whole grid and on 1,000 images.

    python benchmarks/memory.py

Each training is a process of its own (50 steps of the preset `higgins_quick`); its peak
resident memory is what the operating system counted. The aim: under 1 GiB more.
"""

import subprocess
import sys

GRIDS = {"1,000 images": "3, 1, 1, 18, 19", "737,280 images": "3, 6, 40, 32, 32"}
SCRIPT = """
import resource
import keras_betavae as kbv
data = kbv.datasets.load_sprites({grid})
vae = kbv.BetaVAE.from_preset("higgins_quick")
vae.fit(data.to_tf_data(256, repeat=True, seed=0), steps_per_epoch=50, shuffle=False, verbose=0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak_mebibytes(grid: str) -> float:
    """Returns the peak resident memory of one training."""
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(grid=grid)], check=True, capture_output=True, text=True
    )
    return float(process.stdout.split()[-1])


if __name__ == "__main__":
    peaks = {name: peak_mebibytes(grid) for name, grid in GRIDS.items()}
    for name, peak in peaks.items():
        print(f"{name:>15}: {peak:7.0f} MiB")
    small, whole = peaks.values()
    print(f"{'difference':>15}: {whole - small:7.0f} MiB")
