"""Prints how fast `to_tf_data` streams, compared with a training step, and in what memory.

    python benchmarks/input.py [FOLDER]

Writes 2 GiB of images (64×64×3) as a memory map and as gzip-compressed HDF5, and 2,000 JPEG
files of 178×218, to a temporary folder in FOLDER. Each line is a process of its own: images per
second as the median over three shuffled streams of `SECONDS` each, and the peak resident memory
above what the same process took before it opened the data (on Linux only). The files are in
the system's page cache, as they are while one trains. The training step is that of Locatello's
conv networks with a batch of 64, fed from memory, in the same run.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from keras_betavae import datasets

import h5py
import numpy as np
from PIL import Image

N_IMAGES = 174_763  # 2 GiB
N_FILES = 2_000
BATCHES = (64, 1_024)
SECONDS = 5
STEPS = 60

SOURCES = {
    "bit-packed grid": "kbv.datasets.load_sprites()",
    "memory map": "kbv.datasets.from_arrays(np.load(folder / 'images.npy', mmap_mode='r'))",
    "HDF5": "kbv.datasets.from_arrays(h5py.File(folder / 'images.h5')['images'])",
    "JPEG folder": "kbv.datasets.from_folder(folder / 'pictures')",
    "JPEG folder, cached": "kbv.datasets.from_folder(folder / 'pictures', cache_dir=folder)",
}
STREAM = r"""
import pathlib, re, statistics, sys, time
import h5py
import numpy as np
import keras_betavae as kbv
folder, batch, seconds = pathlib.Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
def memory(kind):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(kind + r":\s+(\d+)", status)[1]) / 1024
small = kbv.datasets.ImageDataset(np.zeros((batch, 64, 64, 3), "uint8"))
next(iter(small.to_tf_data(batch)))
pathlib.Path("/proc/self/clear_refs").write_text("5")  # The peak starts anew.
before = memory("VmRSS")
data = {source}
rates = []
for seed in range(3):
    stream = iter(data.to_tf_data(batch, seed=seed, repeat=True))
    next(stream)
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        n += len(next(stream))
    rates.append(n / (time.perf_counter() - start))
    del stream
print(statistics.median(rates), memory("VmHWM") - before, data.shuffle_window)
"""
TRAIN = """
import statistics, sys, time
import keras, numpy as np
import keras_betavae as kbv
channels, steps = int(sys.argv[1]), int(sys.argv[2])
vae = kbv.BetaVAE.from_preset("locatello_beta", input_shape=(64, 64, channels))
images = np.random.default_rng(0).integers(0, 2, (64, 64, 64, channels), dtype="uint8") * 255
step = vae.make_train_function() or vae.train_function
import tensorflow as tf
batches = iter(tf.data.Dataset.from_tensors(images).repeat())
times = []
for _ in range(steps + 5):
    start = time.perf_counter()
    step(batches)
    times.append(time.perf_counter() - start)
print(64 / statistics.median(times[5:]))
"""


def write_files(folder: Path) -> None:
    """Writes the images that are streamed."""
    data = datasets.with_colors(datasets.load_sprites())
    images = np.lib.format.open_memmap(
        folder / "images.npy", "w+", "uint8", (N_IMAGES, *data.image_shape)
    )
    with h5py.File(folder / "images.h5", "w") as file:
        # Chunks and compression as h5py chooses them, which cut images apart.
        compressed = file.create_dataset(
            "images", images.shape, "uint8", chunks=True, compression="gzip"
        )
        block = compressed.chunks[0]
        for start in range(0, N_IMAGES, block):
            stop = min(start + block, N_IMAGES)
            images[start:stop] = data.images_at(np.arange(start, stop))
            compressed[start:stop] = images[start:stop]
    images.flush()
    (folder / "pictures").mkdir()
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    photographs = load_sample_images().images
    for number in range(N_FILES):
        photograph = photographs[number % len(photographs)]
        top, left = (
            rng.integers(size - side)
            for size, side in zip(photograph.shape, (218, 178), strict=False)
        )
        part = Image.fromarray(photograph[top : top + 218, left : left + 178])
        part.save(folder / "pictures" / f"{number:04d}.jpg", quality=90)


def run(script: str, *arguments: object) -> list[float]:
    """Returns what a script printed."""
    process = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return [float(word) for word in process.stdout.splitlines()[-1].split()]


def main(parent: str | None) -> None:
    """Writes the files, measures and prints."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        write_files(folder)
        consumed = {channels: run(TRAIN, channels, STEPS)[0] for channels in (1, 3)}
        for channels, rate in consumed.items():
            print(f"training step, 64×64×{channels}: {rate:,.0f} images/s\n", flush=True)
        print(
            "| data | batch | images/s | times the step | MiB above the baseline | shuffled over |"
        )
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for source, expression in SOURCES.items():
            for batch in BATCHES:
                script = STREAM.replace("{source}", expression)
                rate, memory, window = run(script, folder, batch, SECONDS)
                ratio = rate / consumed[1 if source == "bit-packed grid" else 3]
                cells = f"{rate:,.0f} | {ratio:.1f} | {memory:,.0f} | {window:,.0f}"
                print(f"| {source} | {batch:,} | {cells} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
