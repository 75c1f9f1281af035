"""Trains on sprites in which size and horizontal position are correlated.

    python benchmarks/correlated.py [--strengths 0 2 5 10] [--seeds 0 1 2] [--out FOLDER]

The recipe is `sprites_quick` with one of the objectives `METHODS`, and its images are those of
`data.correlated("scale", "pos_x", strength)`. MIG and UDR are of images of the whole grid, where
the factors are independent. Each run, in a process of its own, leaves its codes in FOLDER and is
not run again. `correlated.csv` and `correlated.png` show all runs that are there.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

import recipes

import numpy as np

METHODS = ("Beta", "BetaTC", "ControlledCapacity")
N_IMAGES = 20_000
N_UDR = 5_000
COLUMNS = ("objective", "strength", "correlation", "images", "seed", "mig", "udr", "reconstruction")


def objective_of(method: str):
    """Returns the objective."""
    from keras_betavae.objectives import Beta, BetaTC, ControlledCapacity, Linear

    return {
        "Beta": Beta(8.0),
        "BetaTC": BetaTC(beta=8.0, n_data=737_280),
        "ControlledCapacity": ControlledCapacity(Linear(0.5, 12.0, n_steps=1_500)),
    }[method]


def run(method: str, strength: float, seed: int, out: Path) -> None:
    """Trains one model and writes its codes of images of the whole grid."""
    import keras_betavae as kbv

    import keras

    grid = kbv.datasets.load_sprites()
    data = grid.correlated("scale", "pos_x", strength)
    keras.utils.set_random_seed(seed)
    objective = objective_of(method).for_data(len(data))
    vae = kbv.BetaVAE.from_preset("sprites_quick", objective=objective, seed=seed)
    recipe = kbv.presets.get("sprites_quick")
    batches = data.to_tf_data(recipe.batch_size, seed=seed, repeat=True)
    vae.fit(batches, steps_per_epoch=recipe.steps, verbose=0)
    factors, codes = grid.encode_with(vae, N_IMAGES, seed=0)
    shown = data.sample_indices(N_IMAGES, 0, distinct=True)
    scale, pos_x = (data.factors_at(shown)[:, k] for k in (1, 3))
    reconstruction, kl = recipes.terms(vae, grid)
    part = out.with_suffix(".part.npz")
    np.savez(
        part,
        codes=codes[:N_UDR],
        kl=kl,
        mig=kbv.metrics.mig_score(factors, codes),
        reconstruction=reconstruction,
        correlation=np.corrcoef(scale, pos_x)[0, 1],
        images=len(data),
    )
    part.replace(out)


def table_of(runs: dict[tuple[str, float, int], Path]) -> list[dict]:
    """Returns a row for each run, with its UDR among the seeds of its setting."""
    from keras_betavae.metrics import udr_scores

    found = {key: dict(np.load(path)) for key, path in runs.items() if path.exists()}
    rows = []
    for method, strength in dict.fromkeys(key[:2] for key in found):
        seeds = [key for key in found if key[:2] == (method, strength)]
        udr = [float("nan")] * len(seeds)
        if len(seeds) > 1:
            codes, kl = ([found[key][name] for key in seeds] for name in ("codes", "kl"))
            udr = udr_scores(codes, latent_kl=kl)
        for key, score in zip(seeds, udr, strict=True):
            row = found[key]
            numbers = {n: f"{float(row[n]):.4f}" for n in ("mig", "reconstruction", "correlation")}
            named = {"objective": method, "strength": f"{strength:g}", "seed": key[2]}
            rows.append({**named, "images": int(row["images"]), "udr": f"{score:.4f}", **numbers})
    return rows


def draw(rows: list[dict], path: Path) -> None:
    """Draws means and all runs against the strength."""
    from keras_betavae import visualization
    from keras_betavae.visualization.plots import new_figure

    figure = new_figure((8.0, 3.2))
    for k, (score, label) in enumerate({"mig": "MIG", "udr": "UDR"}.items()):
        axes = figure.add_subplot(1, 2, k + 1)
        for number, method in enumerate(METHODS):
            color, _ = visualization.line_style(number)
            points: dict[float, list[float]] = {}
            for row in rows:
                if row["objective"] == method:
                    points.setdefault(float(row["strength"]), []).append(float(row[score]))
            x = sorted(points)
            axes.plot(x, [np.mean(points[s]) for s in x], "-o", color=color, ms=3, label=method)
            for strength, values in points.items():
                axes.plot([strength] * len(values), values, "_", color=color, ms=8)
        axes.set_xlabel("strength of the correlation")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0.0)
    axes.legend(fontsize=8)
    visualization.write_png(path, visualization.figure_image(figure))


def main() -> None:
    """Runs what is not there yet, and writes the table and the figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 2.0, 5.0, 10.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/correlated"))
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keys = [
        (method, strength, seed)
        for seed in options.seeds
        for strength in options.strengths
        for method in METHODS
    ]
    runs = {key: options.out / "{}-{:g}-{}.npz".format(*key) for key in keys}
    if options.one:
        (key,) = (key for key in keys if key[0] == options.one)
        run(*key, runs[key])
        return
    for (method, strength, seed), path in runs.items():
        if not path.exists():
            command = [sys.executable, __file__, "--one", method, "--out", str(options.out)]
            command += ["--strengths", str(strength), "--seeds", str(seed)]
            subprocess.run(command, check=True)
            print(path, flush=True)
    rows = sorted(table_of(runs), key=lambda row: (row["objective"], float(row["strength"])))
    with (options.out / "correlated.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, options.out / "correlated.png")


if __name__ == "__main__":
    main()
