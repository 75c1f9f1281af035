"""How far LiteRT's smaller formats are from the model.

    python benchmarks/quantization.py

Trains a small dense β-VAE for 300 steps, exports it as float32, float16 and 8-bit integers, and
prints the files' sizes and the errors of codes and images on 200 images.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras_betavae as kbv

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

STEPS = 300
SMALLER = {"optimizations": [tf.lite.Optimize.DEFAULT]}


def trained(data: kbv.datasets.FactorDataset) -> kbv.BetaVAE:
    """Returns a model after `STEPS`."""
    keras.utils.set_random_seed(0)
    vae = kbv.BetaVAE(
        kbv.networks.dense_encoder(data.image_shape, 10, (256,)),
        kbv.networks.dense_decoder(10, data.image_shape, (256,)),
    )
    vae.compile(keras.optimizers.Adam(2e-3))
    vae.fit(data.to_tf_data(64, seed=0, repeat=True), steps_per_epoch=STEPS, verbose=0)
    return vae


def run(path: Path, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what a file gives."""
    return Interpreter(str(path)).get_signature_runner()(**inputs)


def main() -> None:
    """Prints a line for each format."""
    data = kbv.datasets.load_sprites(orientation=8, pos_x=16, pos_y=16)
    vae = trained(data)
    images = data.images_at(data.sample_indices(200, seed=0)) / np.float32(255)

    def examples() -> Iterator[list[np.ndarray]]:
        for image in images[:100]:
            yield [image[None]]

    formats = {
        "float32": {},
        "float16": {**SMALLER, "target_spec": {"supported_types": [tf.float16]}},
        "int8 weights": SMALLER,
        "int8": {**SMALLER, "representative_dataset": examples},
    }
    mean = np.asarray(vae.encode(images)[0])
    decoded = np.asarray(vae.decode(mean))
    active = mean.std(axis=0) > 0.1
    print("| format | encoder, KiB | codes, in their deviations | images, 0 to 1 |")
    print("| --- | ---: | ---: | ---: |")
    for name, options in formats.items():
        folder = Path(tempfile.mkdtemp())
        vae.export(folder, format="litert", verbose=False, **options)
        codes = run(folder / "encoder.tflite", x=images)["mean"]
        shown = run(folder / "decoder.tflite", z=mean)["images"]
        error = (np.abs(codes - mean).mean(axis=0) / mean.std(axis=0))[active].max()
        size = (folder / "encoder.tflite").stat().st_size / 1024
        print(f"| {name} | {size:,.0f} | {error:.1e} | {np.abs(shown - decoded).mean():.1e} |")


if __name__ == "__main__":
    main()
