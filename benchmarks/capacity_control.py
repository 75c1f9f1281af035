"""Measures how near to C(t) the KL stays: by controllers of β, and by γ · |KL − C|.

    python benchmarks/capacity_control.py [--networks burgess broadcast] [--objectives ...]
        [--steps 6000] [--seed 0] [--initial-beta β] [--out FOLDER]

C rises from 0.5 to 18 nats in `steps` steps of 32 sprites each, under Adam 5e-4 (`burgess`) or 1e-3
(`broadcast`). Each run is a CSV in FOLDER, whose rows are means over `EVERY` steps; a finished run
is not run again. The summary is over all rows but those of the first tenth.
"""

import argparse
import csv
import statistics
from functools import partial
from pathlib import Path

EVERY, BATCH = 50, 32
COLUMNS = ("step", "capacity", "kl_loss", "beta", "reconstruction_loss")
LEARNING_RATES = {"burgess": 5e-4, "broadcast": 1e-3}


def objectives(steps: int, initial_beta: float | None = None) -> dict:
    """Returns what makes each objective, by name."""
    from keras_betavae.objectives import Capacity, ControlledCapacity, Linear

    ramp = Linear(0.5, 18.0, steps)
    return {
        name: partial(ControlledCapacity, ramp, name, initial_beta=initial_beta)
        for name in ("log", "pi", "incremental")
    } | {
        "distance": partial(Capacity, 1000.0, 18.0, steps, 0.5),
    }


def new_model(
    network: str,
    objective: str,
    steps: int,
    seed: int,
    kind: type | None = None,
    initial_beta: float | None = None,
):
    """Returns a compiled model, a `BetaVAE` unless `kind` is given."""
    import keras_betavae as kbv

    import keras

    keras.utils.set_random_seed(seed)
    encoder, decoder = (getattr(kbv.networks, f"{network}_{p}") for p in ("encoder", "decoder"))
    shape, cost = (64, 64, 1), objectives(steps, initial_beta)[objective]()
    vae = (kind or kbv.BetaVAE)(encoder(shape, 10), decoder(10, shape), cost, seed=seed)
    vae.compile(keras.optimizers.Adam(LEARNING_RATES[network]))
    return vae


def train(vae, columns: tuple[str, ...], steps: int, seed: int, out: Path) -> None:
    """Trains a model and writes what it logged to `out`."""
    import keras_betavae as kbv

    import keras

    part = out.with_suffix(".part")
    with part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)

        def write(epoch: int, logs: dict) -> None:
            row = {"step": (epoch + 1) * EVERY, "beta": "", **logs}
            writer.writerow([row[name] for name in columns])
            file.flush()

        vae.fit(
            kbv.datasets.load_sprites().to_tf_data(BATCH, seed=seed, repeat=True),
            epochs=steps // EVERY,
            steps_per_epoch=EVERY,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=write)],
        )
    part.replace(out)


def summary(path: Path) -> str:
    """Returns the distances of a run, and its reconstruction at the end."""
    with path.open(newline="") as file:
        rows = [{k: float(v or "nan") for k, v in row.items()} for row in csv.DictReader(file)]
    distances = [abs(row["kl_loss"] - row["capacity"]) for row in rows[len(rows) // 10 :]]
    within = sum(distance <= 0.5 for distance in distances) / len(distances)
    return (
        f"within 0.5 nat {within:.0%} of the ramp, median {statistics.median(distances):.2f}, "
        f"largest {max(distances):.2f}; reconstruction {rows[-1]['reconstruction_loss']:.1f}, "
        f"β {rows[-1]['beta']:.2f}"
    )


def main() -> None:
    """Runs what is asked for and prints the summaries."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(LEARNING_RATES))
    parser.add_argument("--objectives", nargs="+", default=["log", "distance"])
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--initial-beta", type=float)
    parser.add_argument("--out", type=Path, default=Path("capacity_control"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for network in arguments.networks:
        for objective in arguments.objectives:
            beta = arguments.initial_beta
            name = f"{network}-{objective}-{arguments.steps}-{arguments.seed}"
            name += "" if beta is None else f"-{beta:g}"
            out = arguments.out / f"{name}.csv"
            if not out.exists():
                steps, seed = arguments.steps, arguments.seed
                vae = new_model(network, objective, steps, seed, initial_beta=beta)
                train(vae, COLUMNS, steps, seed, out)
            print(f"{name}: {summary(out)}", flush=True)


if __name__ == "__main__":
    main()
