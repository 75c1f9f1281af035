"""Tells how many of the encoder's units live while the capacity of Burgess et al. rises.

    python benchmarks/live_units.py [--preset burgess_dsprites] [--learning-rates 5e-4]
        [--initializer he_normal] [--seeds 0 1 2] [--steps 6000] [--out FOLDER]

The recipe is the preset's own, at the start of its full length. After every `EVERY` steps, a row of
a CSV in FOLDER has the means of the loss's terms over these steps, and of 256 images: the KL, a
bound on the information that the latents hold, and for each layer the share of units that are not
0 for all of the images. A unit that is 0 for all images has no gradient. `--initializer` names the
Keras initializer of all kernels, instead of the networks' own. A finished run is not run again.
"""

import argparse
import csv
from pathlib import Path

EVERY = 250


def measure(
    preset: str, rate: float, initializer: str | None, seed: int, steps: int, out: Path
) -> None:
    """Trains a preset and writes `out`."""
    from keras_betavae.callbacks.metric import kl_and_information
    from keras_betavae.experiments.settings import Settings

    import keras
    import numpy as np

    settings = Settings.from_preset(preset=preset, seed=seed)
    data = settings.load_data()
    vae = settings.build_model(data)
    vae.optimizer.learning_rate = rate
    if initializer is not None:
        for n, weight in enumerate(vae.trainable_variables):
            if weight.name == "kernel":
                drawn = keras.initializers.get(initializer).clone()
                drawn.seed = 1_000 * seed + n
                weight.assign(drawn(weight.shape))
    images = data.images_at(data.sample_indices(256, seed=0))
    hidden = [
        layer
        for layer in vae.encoder.layers
        if getattr(layer, "activation", None) is keras.activations.relu
    ]
    activity = keras.Model(vae.encoder.inputs, [layer.output for layer in hidden])
    names = [f"live_{layer.name}" for layer in hidden]
    part = out.with_suffix(".part")
    with part.open("w", newline="") as file:
        columns = ("step", "capacity", "kl", "information", "reconstruction_loss", *names)
        rows = csv.DictWriter(file, columns)
        rows.writeheader()

        def write(epoch: int, logs: dict) -> None:
            kl, information = kl_and_information(*map(np.asarray, vae.encode(images)))
            outputs = activity([images.astype("float32") / 255])
            live = [np.asarray(each).reshape(len(images), -1).any(axis=0) for each in outputs]
            row = {"step": (epoch + 1) * EVERY, "kl": kl, "information": information}
            row |= {name: logs[name] for name in ("capacity", "reconstruction_loss")}
            rows.writerow(row | dict(zip(names, [each.mean() for each in live], strict=True)))
            file.flush()

        vae.fit(
            data.to_tf_data(settings.batch_size, seed=seed, repeat=True),
            epochs=steps // EVERY,
            steps_per_epoch=EVERY,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=write)],
        )
    part.replace(out)


def main() -> None:
    """Runs what is asked for and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="burgess_dsprites")
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[5e-4])
    parser.add_argument("--initializer")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--out", type=Path, default=Path("live_units"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for rate in options.learning_rates:
        for seed in options.seeds:
            name = f"{options.preset}-{rate:g}-{seed}-{options.steps}"
            name += f"-{options.initializer}" if options.initializer else ""
            out = options.out / f"{name}.csv"
            if not out.exists():
                measure(options.preset, rate, options.initializer, seed, options.steps, out)
            with out.open(newline="") as file:
                for row in csv.DictReader(file):
                    cells = (f"{name} {float(value):.3g}" for name, value in row.items())
                    print(f"{rate:g} seed {seed}:", ", ".join(cells), flush=True)


if __name__ == "__main__":
    main()
