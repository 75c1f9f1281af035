"""Locatello et al. 2019: one cell of the study, a data set and an objective over its grid."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_betavae import visualization
from keras_betavae._utils.tables import markdown_table
from keras_betavae.datasets import catalog
from keras_betavae.evaluation import evaluate
from keras_betavae.experiments.reproduction._page import (
    FinishedRun,
    mean_and_spread,
    picture,
    write_csv,
)
from keras_betavae.experiments.reproduction._plans import SMOKE, seeds
from keras_betavae.experiments.sweeps import Sweep
from keras_betavae.metrics import SCORES

_DIP = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
GRIDS: dict[str, dict[str, dict[str, Any]]] = {
    "locatello_beta": {f"β {b:g}": {"beta": b} for b in (1.0, 2.0, 4.0, 6.0, 8.0, 16.0)},
    "locatello_capacity": {
        f"C {c:g}": {"weights": {"max_capacity": c}} for c in (5.0, 10.0, 25.0, 50.0, 75.0, 100.0)
    },
    "locatello_factor": {
        f"γ {g:g}": {"weights": {"gamma": g}} for g in (10.0, 20.0, 30.0, 40.0, 50.0, 100.0)
    },
    "locatello_tc": {f"β {b:g}": {"weights": {"beta": b}} for b in (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)},
    "locatello_dip_i": {
        f"λ_od {w:g}": {"weights": {"lambda_od": w, "lambda_d": 10.0 * w}} for w in _DIP
    },
    "locatello_dip_ii": {f"λ_od {w:g}": {"weights": {"lambda_od": w, "lambda_d": w}} for w in _DIP},
}
"""The study's grid of each objective, by the name of its preset."""
DATA = (
    "dsprites",
    "sprites_colors",
    "sprites_noise",
    "sprites_pictures",
    "small_norb",
    "cars3d",
    "shapes3d",
)
"""The study's data sets; `sprites` renders the images of dsprites."""
_SCORES = (
    "beta_vae_score_locatello",
    "factor_vae_score",
    "mig_score",
    "dci_scores",
    "modularity_score",
    "sap_score",
)


def cell_sweep(budget: str, data: str = "sprites", objective: str = "locatello_beta") -> Sweep:
    """Returns one cell: the objective's grid on a data set.

    Raises:
        ValueError: If the study has no such data set or objective.
    """
    if data not in (known := ("sprites", *DATA)):
        raise ValueError(f"data must be of {', '.join(known)}, got {data!r}")
    if objective not in GRIDS:
        raise ValueError(f"objective must be of {', '.join(GRIDS)}, got {objective!r}")
    budgets: dict[str, tuple[Any, ...]] = {
        "smoke": ({"steps": 20, "every": 20, **SMOKE}, 1, slice(0, None, 5)),
        "hour": ({"steps": 1_000, "every": 1_000}, 1, slice(None)),
        "day": ({"steps": 15_000, "every": 5_000}, 3, slice(None)),
        "paper": ({"every": 30_000}, 50, slice(None)),
    }
    base, n_seeds, some = budgets[budget]
    if catalog.get(data).files:
        # Only rendered data have smaller grids.
        base.pop("grid", None)
    grid = dict(list(GRIDS[objective].items())[some])
    if objective == "locatello_capacity" and "steps" in base:
        # The capacity rises in the first third, as in the study.
        rise = {"n_steps": max(1, base["steps"] // 3)}
        grid = {label: {"weights": each["weights"] | rise} for label, each in grid.items()}
    axes = {"weight": grid, "seed": seeds(n_seeds)}
    return Sweep({"preset": objective, "data": data, **base}, axes)


def show_cell(folder: Path, found: Sequence[FinishedRun]) -> str:
    """Scores every model by the study's scores; writes `scores.csv`."""
    data, n = found[0].data(), found[0].settings.n_images
    # Gradient boosting of a score takes minutes for each model.
    chosen = {name: SCORES[name] for name in _SCORES if SCORES[name].group == "fast" or n >= 10_000}
    tables = [evaluate(each.model(), data, scores=chosen, n=n, n_jobs=-1) for each in found]
    names = list(tables[0])
    rows = [[*e.labels.values(), *t.values()] for e, t in zip(found, tables, strict=True)]
    write_csv(folder / "scores.csv", [*found[0].labels, *names], rows)
    weights = list(dict.fromkeys(each.labels["weight"] for each in found))
    by_weight = {w: np.array([r[2:] for r in rows if r[0] == w], float) for w in weights}
    lines = [[w, *(mean_and_spread(column) for column in v.T)] for w, v in by_weight.items()]
    means = np.stack([values.mean(axis=0) for values in by_weight.values()], axis=1)
    figure = visualization.plot_heat_map(
        means, names, weights, row_name="", column_name="weight", title="mean scores"
    )
    return "\n\n".join(
        [
            "Mean ± standard deviation over the seeds:",
            markdown_table(["weight", *names], lines),
            picture(folder / "scores.png", figure, "The mean scores over the grid"),
        ]
    )
