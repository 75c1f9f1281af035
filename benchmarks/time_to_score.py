"""Times how long recipes take, on sprites, to disentangle this well for the first time.

    python benchmarks/time_to_score.py [RECIPE ...] [--seeds 0 1 2] [--cap 1800] [--out FOLDER]

Targets: Higgins et al.'s score (their protocol, shape left out) of 0.99, and MIG of 0.2 and 0.3, of
`N_IMAGES` images that are encoded after every `EVERY` images trained on. Seconds are those of the
training steps alone, after their compilation; runs follow one another, each in a process of its
own, and write what they measure to FOLDER, where a finished run is not run again. A run ends when
it has reached all targets, or after `cap` seconds of training: it then says so, and what its scores
were at best.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import time
from pathlib import Path

EVERY, N_IMAGES = 25_600, 10_000
TARGETS = {"higgins 0.99": ("higgins", 0.99), "MIG 0.2": ("mig", 0.2), "MIG 0.3": ("mig", 0.3)}
COLUMNS = ("images", "seconds", "higgins", "mig")


def recipes() -> dict:
    """Returns the preset and what replaces its arguments, by name; the last is ours."""
    from keras_betavae.objectives import Beta

    return {
        "higgins_dsprites": ("higgins_dsprites", {}),
        "locatello_beta": ("locatello_beta", {}),
        "locatello_beta, β 8": ("locatello_beta", {"objective": Beta(8.0)}),
        "locatello_tc": ("locatello_tc", {}),
        "sprites_quick": ("sprites_quick", {}),
    }


def run(name: str, seed: int, cap: float, out: Path) -> None:
    """Trains one recipe and appends its scores to `out`."""
    import keras_betavae as kbv

    preset, others = recipes()[name]
    batch = kbv.presets.get(preset).batch_size
    data = kbv.datasets.load_sprites()
    vae = kbv.BetaVAE.from_preset(preset, seed=seed, **others)
    steps = EVERY // batch
    state = [weight.numpy() for weight in vae.variables + vae.optimizer.variables]
    # Compiles; its two steps are undone.
    vae.fit(data.to_tf_data(batch, seed=seed), steps_per_epoch=2, verbose=0)
    for weight, value in zip(vae.variables + vae.optimizer.variables, state, strict=True):
        weight.assign(value)
    seconds, images, best = 0.0, 0, dict.fromkeys(("higgins", "mig"), 0.0)
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        while seconds < cap and any(best[score] < value for score, value in TARGETS.values()):
            batches = data.to_tf_data(batch, seed=seed, repeat=True, start_step=images // batch)
            start = time.perf_counter()
            vae.fit(batches, steps_per_epoch=steps, verbose=0)
            seconds += time.perf_counter() - start
            images += steps * batch
            factors, codes = data.encode_with(vae, N_IMAGES, seed=0)
            scores = {
                "higgins": kbv.metrics.beta_vae_score(
                    factors, codes, factor_names=data.factor_names
                ),
                "mig": kbv.metrics.mig_score(factors, codes),
            }
            best = {score: max(best[score], value) for score, value in scores.items()}
            row = images, f"{seconds:.2f}", *(f"{value:.4f}" for value in scores.values())
            writer.writerow(row)
            file.flush()


def first(rows: list[dict], target: str) -> dict | None:
    """Returns the first row that reaches a target."""
    score, value = TARGETS[target]
    return next((row for row in rows if float(row[score]) >= value), None)


def report(names: list[str], seeds: list[int], folder: Path) -> None:
    """Prints the table."""
    print(f"| recipe | {' | '.join(TARGETS)} | best MIG | images/s |")
    print(f"| --- |{' ---: |' * (len(TARGETS) + 2)}")
    for name in names:
        runs = []
        for seed in seeds:
            with (folder / f"{name}-{seed}.csv").open() as file:
                runs.append(list(csv.DictReader(file)))
        cells = []
        for target in TARGETS:
            reached = [first(rows, target) for rows in runs]
            # Those that did not get there took longer than all that did.
            seconds = [float(row["seconds"]) if row else float("inf") for row in reached]
            median = statistics.median_low(seconds)
            text = "not reached" if median == float("inf") else f"{median:.0f} s"
            cells.append(f"{text} ({sum(map(bool, reached))} of {len(runs)})")
        best = " ".join(f"{max(float(row['mig']) for row in rows):.2f}" for rows in runs)
        speeds = [float(rows[-1]["images"]) / float(rows[-1]["seconds"]) for rows in runs]
        print(f"| {name} | {' | '.join(cells)} | {best} | {statistics.median(speeds):,.0f} |")


def main() -> None:
    """Runs what is not there yet and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipes", nargs="*", help=f"of {', '.join(recipes())}; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cap", type=float, default=1_800.0, help="seconds of training")
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
            done = options.out / f"{name}-{seed}.csv"
            if not done.exists():
                unfinished = done.with_suffix(".part")
                command = [sys.executable, __file__, name, "--one", unfinished]
                command += ["--seeds", str(seed), "--cap", str(options.cap)]
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
                unfinished.rename(done)
    report(names, options.seeds, options.out)


if __name__ == "__main__":
    main()
