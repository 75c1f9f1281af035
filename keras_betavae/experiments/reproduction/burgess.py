"""Burgess et al. 2017, Fig. 3 and 4: what is learned as the capacity rises."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_betavae import visualization
from keras_betavae._utils.tables import markdown_table
from keras_betavae.evaluation.inspection import inspect, showcase
from keras_betavae.experiments.reproduction._page import FinishedRun, picture, write_csv
from keras_betavae.experiments.reproduction._plans import SMOKE, seeds
from keras_betavae.experiments.sweeps import Axes, Sweep

N_ROWS = 10
"""The most rows of the table of a training."""
ON_NATS = 0.5
"""A latent is active while its KL is above this."""
FOUND_PART = 0.1
"""A factor is found while its mutual information with a latent is this share of its entropy."""


PUBLISHED, CONTROLLED = "capacity", "controlled"
"""The labels of γ |KL − C| and of the KL held at C by a controller of β."""


def rising(n_steps: int) -> dict[str, dict[str, Any]]:
    """Returns both ways to let the capacity rise within `n_steps` steps."""
    return {
        PUBLISHED: {"preset": "burgess_dsprites", "weights": {"n_steps": n_steps}},
        CONTROLLED: {"preset": "burgess_controlled", "weights": {"capacity.n_steps": n_steps}},
    }


def capacity_sweep(budget: str) -> Sweep:
    """Returns the models whose capacity rises, as published and under control."""
    budgets: dict[str, tuple[dict[str, Any], int]] = {
        "smoke": ({"steps": 40, "every": 10, **SMOKE}, 1),
        "hour": ({"steps": 15_000, "every": 500}, 1),
        "day": ({"steps": 40_000, "every": 1_000}, 3),
        "paper": ({"steps": 100_000, "every": 2_500}, 3),
    }
    base, n_seeds = budgets[budget]
    axes: Axes = {"model": rising(base["steps"]), "seed": seeds(n_seeds)}
    return Sweep({"preset": "burgess_dsprites", **base}, axes)


def show_capacity(folder: Path, found: Sequence[FinishedRun]) -> str:
    """Draws KL and information against C."""
    return "\n\n".join(part for each in found for part in _show_rise(folder, each))


def _show_rise(folder: Path, run: FinishedRun) -> list[str]:
    """Returns what one rise of the capacity shows."""
    data, vae = run.data(), run.model()
    title, name = ", seed ".join(run.labels.values()), "_seed_".join(run.labels.values())
    table = run.table("latents.csv")
    steps = np.unique(table["step"])
    objective: Any = vae.objective  # With C as its attribute `capacity`, a schedule.
    capacity = np.array([float(objective.capacity(step)) for step in steps])
    shape = len(steps), -1
    kl = table["kl"].reshape(shape)
    names = [name for name in table if name not in ("step", "latent", "kl")]
    entropies = {n: math.log(s) for n, s in zip(data.factor_names, data.factor_sizes, strict=True)}
    # The mean of an inactive latent may be informative too, but the decoder receives only noise.
    active = kl > ON_NATS
    parts = np.stack([table[n].reshape(shape) / entropies[n] for n in names], axis=-1)
    best = np.where(active[..., None], parts, 0.0).max(axis=1)
    order = np.argsort(-kl[-1])
    shown = {z: f"z{z}, {names[parts[-1, z].argmax()]}" for z in order if active[-1, z]}
    figure = visualization.plot_capacity(capacity, kl, shown, best, names)
    lines = [
        [f"z{latent}", *_since(active[:, latent], steps, capacity), f"{kl[-1, latent]:.2f}"]
        for latent in order
    ]
    found = [
        [name, *_since(best[:, k] > FOUND_PART, steps, capacity), f"{best[-1, k]:.2f}"]
        for k, name in enumerate(names)
    ]
    terms = run.table("metrics.csv")
    logged = np.isin(steps, terms["step"])
    training = {
        "step": steps[logged].astype(int),
        "capacity": capacity[logged],
        "kl": kl[logged].sum(axis=1),
        "reconstruction_loss": terms["reconstruction_loss"],
        "mig_score": terms["mig_score"],
        "active_latents": active[logged].sum(axis=1),
        **{f"share_{name}": best[logged, k] for k, name in enumerate(names)},
    }
    header = ["step", "capacity", "latent", "kl", *(f"information_{name}" for name in names)]
    columns = [table["step"].astype(int), np.repeat(capacity, kl.shape[1])]
    columns += [table["latent"].astype(int), table["kl"], *(table[name] for name in names)]
    write_csv(folder / f"{name}.csv", header, zip(*columns, strict=True))
    return [
        f"## {title}",
        (
            "KL, reconstruction loss and C in nats, and the largest mutual information of each "
            "factor with an active latent, as a share of the factor's entropy:"
        ),
        _training(folder / f"training_{name}.csv", training),
        picture(
            folder / f"{name}.png",
            figure,
            "KL of each active latent, named by the factor with which it shares most information, "
            "and the largest mutual information of each factor with an active latent, against C",
        ),
        f"The step from which the KL of a latent stays above {ON_NATS:g} nats:",
        markdown_table(["latent", "step", "C, nats", "KL at the end"], lines),
        (
            "The step from which the mutual information of a factor with an active latent stays "
            f"above {FOUND_PART:.0%} of the factor's entropy:"
        ),
        markdown_table(["factor", "step", "C, nats", "MI / entropy at the end"], found),
        _traversal(folder / f"traversal_{name}.png", data, vae),
    ]


def _traversal(path: Path, data: Any, vae: Any) -> str:
    """Draws traversals around the first image."""
    inspection = inspect(vae, data)
    code = np.asarray(vae.encode(showcase(data)[:1])[0])[0]
    rows = visualization.traverse(vae, code, latents=inspection.by_kl)
    grid = visualization.labeled_grid(rows, inspection.labels_of(inspection.by_kl))
    return picture(path, grid, "Traversals, one row per latent, by decreasing KL")


def _training(path: Path, columns: Mapping[str, np.ndarray]) -> str:
    """Writes a table of the training, and returns some of its rows in Markdown."""
    rows = list(zip(*columns.values(), strict=True))
    write_csv(path, list(columns), rows)
    shown = np.unique(np.linspace(0, len(rows) - 1, N_ROWS).round().astype(int))
    cells = [[f"{v:.2f}" if isinstance(v, float) else f"{v:,}" for v in rows[k]] for k in shown]
    return markdown_table(list(columns), cells)


def _since(holds: np.ndarray, steps: np.ndarray, capacity: np.ndarray) -> list[str]:
    """Returns the step and the capacity from which on something holds to the end."""
    if not holds[-1]:
        return ["not at the end", ""]
    fails = np.flatnonzero(~holds)
    at = fails[-1] + 1 if len(fails) else 0
    return [f"{steps[at]:,.0f}", f"{capacity[at]:.1f}"]
