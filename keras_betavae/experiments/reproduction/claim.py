"""Burgess et al. 2017: is the reconstruction better at equal disentanglement?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_betavae import metrics, visualization
from keras_betavae._utils.tables import markdown_table
from keras_betavae.experiments.reproduction._page import (
    FinishedRun,
    mean_and_spread,
    picture,
    write_csv,
)
from keras_betavae.experiments.reproduction._plans import SMOKE, seeds
from keras_betavae.experiments.reproduction.burgess import rising
from keras_betavae.experiments.sweeps import Axes, Sweep

BETAS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""The β-VAEs that the capacity is compared with, chosen before any was trained."""
EQUAL = 0.02
"""A MIG that is lower by less than this counts as equal."""


def claim_sweep(budget: str) -> Sweep:
    """Returns both ways to let the capacity rise, and β-VAEs."""
    budgets: dict[str, tuple[dict[str, Any], int]] = {
        "smoke": ({"steps": 40, "every": 40, **SMOKE}, 1),
        "hour": ({"steps": 6_000, "batch_size": 32, "every": 2_000}, 3),
        "day": ({"steps": 40_000, "every": 10_000}, 3),
        "paper": ({"steps": 150_000, "every": 10_000}, 5),
    }
    base, n_seeds = budgets[budget]
    # The published run continues after the capacity has risen.
    models = rising(base["steps"] * 2 // 3)
    models |= {f"β {beta:g}": {"beta": beta} for beta in BETAS}
    axes: Axes = {"model": models, "seed": seeds(n_seeds)}
    return Sweep({"preset": "burgess_dsprites", **base}, axes)


def show_claim(folder: Path, found: Sequence[FinishedRun]) -> str:
    """Compares reconstructions and scores; writes `reconstructions.csv`."""
    rows = []
    for each in found:
        data, vae = each.data(), each.model()
        images = data.images_at(data.sample_indices(each.settings.n_images, seed=1))
        terms = vae.evaluate(images, batch_size=100, verbose=0, return_dict=True)
        factors, codes = data.encode_with(vae, each.settings.n_images, seed=0)
        rows.append(
            [
                each.labels["model"],
                each.labels["seed"],
                terms["reconstruction_loss"],
                terms["kl_loss"],
                metrics.beta_vae_score(factors, codes, factor_names=data.factor_names),
                metrics.factor_vae_score(factors, codes),
                metrics.mig_score(factors, codes),
            ]
        )
    scores = ["beta_vae_score", "factor_vae_score", "mig_score"]
    header = ["model", "seed", "reconstruction", "kl", *scores]
    write_csv(folder / "reconstructions.csv", header, rows)
    models = list(dict.fromkeys(row[0] for row in rows))
    of = {m: np.array([row[2:] for row in rows if row[0] == m]) for m in models}
    cells = [[m, *map(mean_and_spread, of[m].T)] for m in models]
    points = {m: [(row[0], row[-1]) for row in of[m]] for m in models}
    figure = visualization.plot_frontier(points, "MIG")
    return "\n\n".join(
        [
            "Means and standard deviations over the seeds; reconstruction and KL in nats.",
            markdown_table([header[0], *header[2:]], cells),
            picture(folder / "frontier.png", figure, "MIG against reconstruction loss, by run"),
            *(verdict(model, rows) for model in rising(1)),
        ]
    )


def verdict(model: str, rows: Sequence[Sequence[Any]]) -> str:
    """Returns with how many seeds a model reconstructs better at equal disentanglement.

    Args:
        model: Label of the model whose capacity rises.
        rows: Of every run label, seed and reconstruction error, and the MIG last.
    """
    runs = [row for row in rows if row[0] == model]
    held = [row[1] for row in runs if _holds(row, rows)]
    which = f" (seeds {', '.join(held)})" if held else ""
    return (
        f"The paper's claim, better reconstruction at equal disentanglement, holds for {model} "
        f"with {len(held)} of {len(runs)} seeds{which}. It holds for a seed if every β-VAE with at "
        f"least the model's MIG, less {EQUAL:g}, reconstructs worse, and at least one β-VAE that "
        "reconstructs worse has no higher MIG."
    )


def _holds(row: Sequence[Any], rows: Sequence[Sequence[Any]]) -> bool:
    """Returns whether β-VAEs of the same seed lose in reconstruction or in MIG, and one in both."""
    error, mig = row[2], row[-1]
    others: Mapping[str, tuple[float, float]] = {
        other[0]: (other[2], other[-1])
        for other in rows
        if other[1] == row[1] and other[0] not in rising(1)
    }
    as_good = [m for m, (e, g) in others.items() if e <= error and g >= mig - EQUAL]
    beaten = [m for m, (e, g) in others.items() if e > error and g <= mig]
    return bool(beaten) and not as_good
