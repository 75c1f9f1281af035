"""Measures how long recipes take, on sprites, to first reach a score.

    python benchmarks/time_to_score.py [RECIPE ...] [--seeds 0 1 2] [--cap 500000] [--out FOLDER]

Targets: Higgins et al.'s score (their protocol, shape left out) of 0.99, MIG of 0.35, 0.40 and
0.45, and five factors found (`recipes.found`), of `N_IMAGES` images that are encoded after every
`EVERY` images trained on. A run ends when it has
reached all targets, or after `cap` images: it then says so, and what its scores were at best. Runs
follow one another, each in a process of its own, and write what they find to FOLDER, where a
finished run is not run again.

How many images a recipe takes does not depend on what else the machine does, which may matter in a
run of hours. Their seconds are those images over the recipe's images a second, which are measured
last, in turns and in one process; run nothing else then (`--rounds`, half a minute each).
"""

import argparse
import csv
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

from recipes import found, shares_of

EVERY, N_IMAGES = 25_600, 10_000
TARGETS = {
    "higgins 0.99": ("higgins", 0.99),
    "MIG 0.35": ("mig", 0.35),
    "MIG 0.40": ("mig", 0.40),
    "MIG 0.45": ("mig", 0.45),
    "five factors": ("found", 5),
}
SCORES = ("higgins", "mig", "found")
COLUMNS = ("images", *SCORES)


def recipes() -> dict:
    """Returns the preset and what replaces its arguments, by name; the last two are ours."""
    from keras_betavae.objectives import Beta

    return {
        "higgins_dsprites": ("higgins_dsprites", {}),
        "locatello_beta": ("locatello_beta", {}),
        "locatello_beta, β 8": ("locatello_beta", {"objective": Beta(8.0)}),
        "locatello_tc": ("locatello_tc", {}),
        "sprites_quick": ("sprites_quick", {}),
        "sprites_full": ("sprites_full", {}),
    }


def run(name: str, seed: int, cap: int, out: Path) -> None:
    """Trains one recipe and writes its scores to `out`."""
    import keras_betavae as kbv

    import keras

    data = kbv.datasets.load_sprites()
    keras.utils.set_random_seed(seed)
    vae, batch = new_model(name, seed)
    images, best = 0, dict.fromkeys(SCORES, 0.0)
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        while images < cap and any(best[score] < value for score, value in TARGETS.values()):
            batches = data.to_tf_data(batch, seed=seed, repeat=True, start_step=images // batch)
            vae.fit(batches, steps_per_epoch=EVERY // batch, verbose=0)
            images += EVERY
            factors, codes = data.encode_with(vae, N_IMAGES, seed=0)
            names = data.factor_names
            scores = {
                "higgins": kbv.metrics.beta_vae_score(factors, codes, factor_names=names),
                "mig": kbv.metrics.mig_score(factors, codes),
                "found": sum(found(shares_of(factors, codes)).values()),
            }
            best = {score: max(best[score], value) for score, value in scores.items()}
            writer.writerow((images, *(f"{value:.4f}" for value in scores.values())))
            file.flush()


def new_model(name: str, seed: int = 0):
    """Returns a recipe's compiled model and its batch."""
    import keras_betavae as kbv

    preset, others = recipes()[name]
    return kbv.BetaVAE.from_preset(preset, seed=seed, **others), kbv.presets.get(preset).batch_size


def rates(names: list[str], rounds: int, seconds: float = 3.0) -> dict[str, float]:
    """Returns each recipe's images a second, the median of its turns."""
    import keras_betavae as kbv

    data, turns = kbv.datasets.load_sprites(), {}
    for name in names:
        vae, batch = new_model(name)
        batches = iter(data.to_tf_data(batch, seed=0, repeat=True))
        vae.make_train_function()

        def turn(n, vae=vae, batches=batches):
            start = time.perf_counter()
            for _ in range(n):
                float(vae.train_function(batches)["loss"])
            return (time.perf_counter() - start) / n

        turn(3)  # Compiles.
        turns[name] = turn, batch, max(1, round(seconds / turn(5)))
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, (turn, batch, n) in turns.items():
            found[name].append(batch / turn(n))
    return {name: statistics.median(values) for name, values in found.items()}


def first(rows: list[dict], target: str) -> float:
    """Returns the images after which a target was reached first, infinity if it was not."""
    score, value = TARGETS[target]
    return next((float(row["images"]) for row in rows if float(row[score]) >= value), math.inf)


def report(names: list[str], seeds: list[int], folder: Path, cap: int, rounds: int) -> None:
    """Prints the table."""
    speeds = rates(names, rounds)
    print(f"| recipe | images/s | {' | '.join(TARGETS)} | best Higgins | best MIG | most factors |")
    print(f"| --- | ---: |{' ---: |' * (len(TARGETS) + 3)}")
    for name in names:
        runs = []
        for seed in seeds:
            with (folder / f"{name}-{seed}-{cap}.csv").open() as file:
                runs.append(list(csv.DictReader(file)))
        cells = [f"{speeds[name]:,.0f}"]
        for target in TARGETS:
            reached = [first(rows, target) for rows in runs]
            # Those that did not get there took longer than all that did.
            median = statistics.median_low(reached)
            text = "not reached"
            if median < math.inf:
                text = f"{median / speeds[name]:.0f} s, {median:,.0f} images"
            cells.append(f"{text} ({sum(each < math.inf for each in reached)} of {len(runs)})")
        for score in SCORES:
            cells.append(" ".join(f"{max(float(row[score]) for row in rows):.2f}" for rows in runs))
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Runs what is not there yet and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipes", nargs="*", help=f"of {', '.join(recipes())}; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cap", type=int, default=500_000, help="images of a run")
    parser.add_argument("--rounds", type=int, default=5, help="turns of the speed")
    parser.add_argument("--out", type=Path, default=Path("runs/time_to_score"))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.recipes or list(recipes())
    if options.one:
        run(names[0], options.seeds[0], options.cap, options.one)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for name in names:
            done = options.out / f"{name}-{seed}-{options.cap}.csv"
            if not done.exists():
                unfinished = done.with_suffix(".part")
                command = [sys.executable, __file__, name, "--one", unfinished]
                command += ["--seeds", str(seed), "--cap", str(options.cap)]
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
                unfinished.rename(done)
    report(names, options.seeds, options.out, options.cap, options.rounds)


if __name__ == "__main__":
    main()
