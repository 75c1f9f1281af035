"""Trains recipes on sprites to their end and measures what they have learned.

    python benchmarks/recipes.py [RECIPE ...] [--seeds 10 11 12 13 14] [--out FOLDER]

RECIPE is a preset, or one of `VARIANTS`, which are `sprites_full` without one of its parts. Each
run, in a process of its own, adds a row to FOLDER/recipes.csv: the seconds of `fit`, scores of
`N_IMAGES` images of the whole grid, the mutual information of each factor with its best latent as
a share of the factor's entropy, how many factors are found, the reconstruction loss of 10,000
images, the versions and the processor. A run that is there already is not run again.
"""

import argparse
import contextlib
import csv
import importlib.metadata
import itertools
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

N_IMAGES = 20_000
FACTORS = ("shape", "scale", "orientation", "pos_x", "pos_y")
ENOUGH = {"shape": 0.3, "scale": 0.5, "orientation": 0.12, "pos_x": 0.5, "pos_y": 0.5}
"""A factor counts as found if its best latent has at least this share of its entropy."""
PACKAGES = ("tensorflow", "keras", "numpy", "keras_betavae")
COLUMNS = (
    *("recipe", "seed", "steps", "images", "seconds", "images_per_second"),
    *("mig", "factor_vae", "higgins", "reconstruction", "kl", "n_found"),
    *(f"share_{name}" for name in FACTORS),
    *(f"gap_{name}" for name in FACTORS),
    *("cores", "processor", *PACKAGES, "commit"),
)


VARIANTS = (
    "late_latents_from_the_start",
    "late_latents_pay_at_once",
    "two_late_latents",
    "no_translations",
)


def build(recipe: str, data, seed: int) -> tuple:
    """Returns a new model, its batches, its steps, and the images of a step."""
    import keras_betavae as kbv

    preset = kbv.presets.get("sprites_full" if recipe in VARIANTS else recipe)
    new = variant if recipe in VARIANTS else kbv.BetaVAE.from_preset
    batches = data.to_tf_data(preset.batch_size, seed=seed, repeat=True)
    return new(recipe, seed=seed), batches, preset.steps, preset.batch_size


def variant(recipe: str, seed: int):
    """Returns a model of one of `VARIANTS`."""
    import keras_betavae as kbv
    from keras_betavae.networks.layers import Translations

    import keras

    cascade, overrides = kbv.presets.get("sprites_full").objective, {}
    if recipe == "late_latents_from_the_start":
        overrides = {"objective": cascade.objective}
    elif recipe == "late_latents_pay_at_once":
        overrides = {"objective": kbv.objectives.Cascade(cascade.objective, cascade.opening, 1.0)}
    elif recipe == "two_late_latents":
        objective = kbv.objectives.Cascade(cascade.objective, [(2_000, 2)], cascade.beta)
        overrides = {"objective": objective, "latent_dim": 12}
    vae = kbv.BetaVAE.from_preset("sprites_full", seed=seed, **overrides)
    if recipe == "no_translations":
        (dense,) = (
            layer
            for layer in vae.decoder.layers
            if isinstance(getattr(layer, "kernel_initializer", None), Translations)
        )
        dense.kernel.assign(keras.initializers.GlorotUniform(seed)(dense.kernel.shape))
    return vae


def shares_of(factors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Returns the mutual information as a share of the factor's entropy, (latents, factors)."""
    import keras_betavae as kbv

    entropy = [np.log(len(np.unique(column))) for column in factors.T]
    return kbv.metrics.mutual_information(factors, codes) / entropy


def found(shares: np.ndarray) -> dict[str, bool]:
    """Returns which factors are found."""
    best = dict(zip(FACTORS, shares.max(axis=0), strict=True))
    return {name: bool(best[name] >= least) for name, least in ENOUGH.items()}


def terms(vae, data) -> tuple[float, np.ndarray]:
    """Returns the reconstruction loss and the KL of each latent, of 10,000 images, in nats."""
    kl, elbo = [], []
    for indices in np.split(data.sample_indices(10_000, 1), 20):
        images = data.images_at(indices)
        mean, log_var = (np.asarray(part, np.float64) for part in vae.encode(images)[:2])
        kl.append(0.5 * (mean**2 + np.exp(log_var) - 1.0 - log_var).mean(axis=0))
        elbo.append(np.mean(vae.elbo(images, seed=0)))
    kl_of_latents = np.mean(kl, axis=0)
    return -float(np.mean(elbo) + kl_of_latents.sum()), kl_of_latents


def run(recipe: str, seed: int, build: Callable[..., tuple]) -> dict:
    """Trains one model, and returns its row."""
    import keras_betavae as kbv

    import keras

    data = kbv.datasets.load_sprites()
    keras.utils.set_random_seed(seed)
    vae, batches, steps, batch_size = build(recipe, data, seed)
    start = time.perf_counter()
    vae.fit(batches, steps_per_epoch=steps, verbose=0)
    seconds = time.perf_counter() - start
    factors, codes = data.encode_with(vae, N_IMAGES, seed=0)
    shares = shares_of(factors, codes)
    ranked = np.sort(shares, axis=0)
    reconstruction, kl = terms(vae, data)
    n = steps * batch_size
    scores = {
        "mig": kbv.metrics.mig_score(factors, codes),
        "factor_vae": kbv.metrics.factor_vae_score(factors, codes),
        "higgins": kbv.metrics.beta_vae_score(factors, codes, factor_names=data.factor_names),
        "reconstruction": reconstruction,
        "kl": float(kl.sum()),
        **{f"share_{name}": share for name, share in zip(FACTORS, ranked[-1], strict=True)},
        **{f"gap_{name}": gap for name, gap in zip(FACTORS, ranked[-1] - ranked[-2], strict=True)},
    }
    return {
        "recipe": recipe,
        "seed": seed,
        "steps": steps,
        "images": n,
        "seconds": f"{seconds:.1f}",
        "images_per_second": f"{n / seconds:.0f}",
        "n_found": sum(found(shares).values()),
        **{name: f"{value:.4f}" for name, value in scores.items()},
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
        "commit": _commit(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _commit() -> str:
    """Returns the commit of the code, "" if there is none."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)
    return described.stdout.strip()


def rows(table: Path) -> list[dict[str, str]]:
    """Returns the rows that are there.

    Raises:
        ValueError: If the table has other columns or a row of another length.
    """
    if not table.exists():
        return []
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        found = list(reader)
    header = reader.fieldnames or []
    if not {"recipe", "seed"} <= set(header) <= set(COLUMNS) or any(
        None in row or None in row.values() for row in found
    ):
        raise ValueError(f"{table} is damaged, or a table of another version; move it away")
    return found


def add(table: Path, row: Mapping[str, object]) -> None:
    """Adds a row to a table, which is complete whenever it exists."""
    from keras_betavae._utils.locks import InUseError, locked
    from keras_betavae._utils.tables import csv_text, write_text

    while True:
        with contextlib.suppress(InUseError), locked(table.parent, child=table.name):
            write_text(table, csv_text(COLUMNS, [*rows(table), row]))
            return
        time.sleep(1.0)


def train(table: Path, recipe: str, seed: int, build: Callable[..., tuple]) -> None:
    """Adds the row of one model, unless it is there or another process trains the model."""
    from keras_betavae._utils.locks import InUseError, locked

    try:
        with locked(table.parent, child=f"{table.stem}-{recipe}-{seed}"):
            if not _has(table, recipe, seed):
                add(table, run(recipe, seed, build))
    except InUseError as error:
        print(error, flush=True)


def _has(table: Path, recipe: str, seed: int) -> bool:
    return any(row["recipe"] == recipe and int(row["seed"]) == seed for row in rows(table))


def main(build: Callable[..., tuple], recipes: Sequence[str]) -> None:
    """Runs what is not there yet, all recipes with one seed after the other, and prints means."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipes", nargs="*", default=list(recipes))
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out.resolve() / f"{Path(sys.argv[0]).stem}.csv"
    if options.one:
        train(table, options.recipes[0], options.seeds[0], build)
        return
    failed = []
    for seed, recipe in itertools.product(options.seeds, options.recipes):
        if not _has(table, recipe, seed):
            command = [sys.executable, sys.argv[0], recipe, "--one", "--out", str(table.parent)]
            if subprocess.run([*command, "--seeds", str(seed)], check=False).returncode:
                failed.append(f"{recipe}, seed {seed}")
    for recipe in options.recipes:
        chosen = [
            r for r in rows(table) if r["recipe"] == recipe and int(r["seed"]) in options.seeds
        ]
        print(f"{recipe}, {len(chosen)} of {len(options.seeds)} seeds")
        for name in ("seconds", "mig", "factor_vae", "higgins", "reconstruction", "kl", "n_found"):
            values = [float(row[name]) for row in chosen]
            if values:
                each = " ".join(f"{value:.3g}" for value in values)
                print(f"  {name}: {np.mean(values):.3f} ({each})")
    if failed:
        sys.exit(f"failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main(build, ["sprites_quick", "sprites_full"])
