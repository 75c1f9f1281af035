"""Measures what Adam leaves of the reconstruction's gradient, under γ · |KL − C| or a controller.

    python benchmarks/capacity_gradients.py [--objectives distance log] [--network burgess]
        [--steps 6000] [--seed 0] [--out FOLDER]
    python benchmarks/capacity_gradients.py --models MODEL.keras ... [--steps 100] [--batch 64]

Objectives and training are those of capacity_control.py. Each row of a CSV in FOLDER has
means over `capacity_control.EVERY` steps, for the encoder's weights: the norms of the gradients of
the reconstruction term and of the rest of the loss, their cosine, the cosine of Adam's step with
the descent direction of each, and the share of steps after which KL − C has changed its sign.
With --models, saved models, such as a run's checkpoints, are trained further for some steps, and
the means over these steps are printed.
"""

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

from capacity_control import LEARNING_RATES, new_model, train

COLUMNS = (
    *("step", "capacity", "kl", "reconstruction", "norm_reconstruction", "norm_rest", "cosine"),
    *("step_along_reconstruction", "step_along_rest", "sign_changes"),
)


def probed() -> type:
    """Returns a `BetaVAE` whose training step measures its gradients too."""
    import keras_betavae as kbv

    import keras
    import tensorflow as tf

    def flat(parts):
        return tf.concat([tf.reshape(part, [-1]) for part in parts], axis=0)

    def cosine(a, b):
        return tf.tensordot(a, b, 1) / (tf.norm(a) * tf.norm(b) + 1e-30)

    class Probed(kbv.BetaVAE):
        """A model that also logs norms and angles."""

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.seen = {name: keras.metrics.Mean(name) for name in COLUMNS[1:]}
            self.sign = keras.Variable(0.0, trainable=False)

        @property
        def metrics(self):
            return list(self.seen.values())

        def train_step(self, data):
            with tf.GradientTape(persistent=True) as tape:
                terms = self.compute_terms(data, training=True)
                rest = terms["loss"] - terms["reconstruction_loss"]
            inner = [variable.value for variable in self.encoder.trainable_variables]
            of_reconstruction = flat(tape.gradient(terms["reconstruction_loss"], inner))
            of_rest = flat(tape.gradient(rest, inner))
            every = self.trainable_variables
            gradients = tape.gradient(terms["loss"], [variable.value for variable in every])
            before = flat([tf.identity(variable) for variable in inner])
            self.optimizer.apply(gradients, every)
            moved = flat(inner) - before
            sign = tf.sign(terms["kl_loss"] - terms["capacity"])
            values = {
                "capacity": terms["capacity"],
                "kl": terms["kl_loss"],
                "reconstruction": terms["reconstruction_loss"],
                "norm_reconstruction": tf.norm(of_reconstruction),
                "norm_rest": tf.norm(of_rest),
                "cosine": cosine(of_reconstruction, of_rest),
                "step_along_reconstruction": -cosine(moved, of_reconstruction),
                "step_along_rest": -cosine(moved, of_rest),
                "sign_changes": tf.cast(sign != self.sign.value, tf.float32),
            }
            self.sign.assign(sign)
            for name, value in values.items():
                self.seen[name].update_state(value)
            return {name: mean.result() for name, mean in self.seen.items()}

    return Probed


def measured(path: Path, steps: int, batch: int) -> list[float]:
    """Returns the means of `COLUMNS` over further steps of a saved model."""
    import keras_betavae as kbv

    import keras

    saved = keras.saving.load_model(path)
    vae = probed()(saved.encoder, saved.decoder, saved.objective, seed=0)
    vae.compile(saved.optimizer)
    vae.step_counter.assign(saved.step)
    for name, value in saved.objective_state.items():
        vae._state[name].assign(value)
    batches = kbv.datasets.load_sprites().to_tf_data(batch, seed=0, repeat=True)
    logs = vae.fit(batches, steps_per_epoch=steps, verbose=0).history
    return [int(saved.step), *(logs[name][0] for name in COLUMNS[1:])]


def tenths(path: Path) -> str:
    """Returns a Markdown table of means over tenths of the training."""
    with path.open(newline="") as file:
        rows = [[float(cell) for cell in row.values()] for row in csv.DictReader(file)]
    n = min(10, len(rows))
    parts = [rows[k * len(rows) // n : (k + 1) * len(rows) // n] for k in range(n)]
    return markdown(
        [part[-1][0], *(sum(c) / len(c) for c in list(zip(*part, strict=True))[1:])]
        for part in parts
    )


def markdown(rows: Iterable[list[float]]) -> str:
    """Returns a table of `COLUMNS`."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' ---: |' * len(COLUMNS)}"]
    lines += [f"| {row[0]:,.0f} | {' | '.join(f'{v:.3g}' for v in row[1:])} |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    """Runs what is asked for and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objectives", nargs="+", default=["distance", "log"])
    parser.add_argument("--network", default="burgess", choices=list(LEARNING_RATES))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("capacity_gradients"))
    parser.add_argument("--models", nargs="+", type=Path)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    if options.models:
        steps = options.steps or 100
        print(markdown([measured(path, steps, options.batch) for path in options.models]))
        return
    steps = options.steps or 6_000
    options.out.mkdir(parents=True, exist_ok=True)
    for objective in options.objectives:
        name = f"{options.network}-{objective}-{steps}-{options.seed}"
        out = options.out / f"{name}.csv"
        if not out.exists():
            vae = new_model(
                options.network,
                objective,
                steps,
                options.seed,
                probed(),
                initial_beta=100.0,
            )
            train(vae, COLUMNS, steps, options.seed, out)
        print(f"{name}\n\n{tenths(out)}\n", flush=True)


if __name__ == "__main__":
    main()
