"""Burgess et al. 2017, Fig. 2: Gaussian blobs by position."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_betavae import visualization
from keras_betavae._utils.tables import markdown_table
from keras_betavae.evaluation.inspection import inspect
from keras_betavae.experiments.reproduction._page import FinishedRun, picture, write_csv
from keras_betavae.experiments.reproduction._plans import seeds
from keras_betavae.experiments.sweeps import Axes, Sweep

ON_NATS = 0.1
"""A latent is active if its KL is above this."""
ALONG = 15.0
"""A latent lies along an axis if its direction is within this many degrees of one."""
ONE_WAY = 0.5
"""The least coherence of a latent that has one direction."""


def blobs_sweep(budget: str) -> Sweep:
    """Returns the VAEs and the β-VAEs on blobs, on the paper's networks."""
    small = {"grid": (8, 8), "batch_size": 16, "n_images": 100}
    budgets: dict[str, tuple[dict[str, Any], int]] = {
        "smoke": ({"steps": 40, "every": 20, **small}, 1),
        "hour": ({"steps": 5_000, "every": 1_000}, 3),
        "day": ({"steps": 50_000, "every": 5_000}, 5),
        "paper": ({"every": 5_000}, 5),
    }
    base, n_seeds = budgets[budget]
    # Under β 150 from the start, the posterior stays collapsed for long.
    warm_up = {} if budget == "paper" else {"warm_up": 10 if budget == "smoke" else 1_000}
    axes: Axes = {
        "β": {"1": {"beta": 1.0}, "150": {"beta": 150.0, **warm_up}},
        "seed": seeds(n_seeds),
    }
    return Sweep({"preset": "burgess_dsprites", "data": "blobs", **base}, axes)


def direction(response_map: np.ndarray) -> tuple[float, float]:
    r"""Returns along which direction a latent's mean changes, and how coherently.

    .. math::
        S = \sum \nabla m \, \nabla m^\top, \qquad
        \theta = \tfrac{1}{2} \operatorname{atan2}(2 S_{xy}, S_{xx} - S_{yy}), \qquad
        c = \frac{\lambda_1 - \lambda_2}{\lambda_1 + \lambda_2}

    with the eigenvalues λ of S, the structure tensor over all positions.

    Args:
        response_map: m, the latent's mean over positions, (y, x).

    Returns:
        θ in degrees from the x axis, above -90 and at most 90, and c from 0 (no direction) to 1
        (one everywhere).
    """
    along_y, along_x = np.gradient(response_map)
    xx, yy, xy = np.sum(along_x**2), np.sum(along_y**2), np.sum(along_x * along_y)
    angle = 0.5 * math.degrees(math.atan2(2 * xy, xx - yy))
    strength = xx + yy
    return angle, float(math.hypot(xx - yy, 2 * xy) / strength) if strength else 0.0


def from_axis(angle: float) -> float:
    """Returns how far a direction is from the nearer axis, in degrees, at most 45."""
    return abs((angle + 45.0) % 90.0 - 45.0)


def show_blobs(folder: Path, found: Sequence[FinishedRun]) -> str:
    """Draws the latents' response maps, and measures their directions."""
    parts, rows = [], []
    for each in found:
        data, vae = each.data(), each.model()
        inspection = inspect(vae, data)
        order = inspection.by_kl
        x, y = (data.factor_names.index(name) for name in ("pos_x", "pos_y"))
        maps = visualization.response_map(inspection.factors, inspection.codes[:, order], y, x)
        figure = visualization.plot_response_maps(maps, inspection.labels_of(order))
        title = f"β {each.labels['β']}, seed {each.labels['seed']}"
        name = f"response_maps_beta_{each.labels['β']}_seed_{each.labels['seed']}.png"
        parts.append(picture(folder / name, figure, f"{title}: the latents' means by position"))
        for latent, of_latent in zip(order, maps, strict=True):
            values = inspection.kl[latent], *inspection.information[latent], *direction(of_latent)
            rows.append([*each.labels.values(), int(latent), *values])
    names = ["latent", "kl", "information_pos_x", "information_pos_y", "angle", "coherence"]
    header = [*found[0].labels, *names]
    write_csv(folder / "latents.csv", header, rows)
    on = [row for row in rows if row[3] > ON_NATS]
    cells = [
        [*r[:2], f"z{r[2]}", *(f"{v:.2f}" for v in r[3:6]), f"{r[6]:.0f}°", f"{r[7]:.2f}"]
        for r in on
    ]
    parts.append(
        f"Active latents, above {ON_NATS:g} nats: KL, mutual information with either position in "
        "nats, angle from the x axis, and its coherence over the map (1: the same everywhere; "
        f"below {ONE_WAY:g}: the latent has no direction):"
    )
    parts.append(markdown_table(header, cells))
    for beta in dict.fromkeys(row[0] for row in rows):
        parts.append(_verdict(beta, [row for row in rows if row[0] == beta]))
    return "\n\n".join(parts)


def _verdict(beta: str, rows: Sequence[Sequence[Any]]) -> str:
    all_seeds = list(dict.fromkeys(row[1] for row in rows))
    along = [seed for seed in all_seeds if _lies_along([r for r in rows if r[1] == seed])]
    which = f" (seeds {', '.join(along)})" if along else ""
    return (
        f"β = {beta}: the positions are aligned with {len(along)} of {len(all_seeds)} "
        f"seeds{which}. Aligned means that exactly two latents are active, one within {ALONG:g} "
        f"degrees of each axis, with a coherence of at least {ONE_WAY:g}."
    )


def _lies_along(rows: Sequence[Sequence[Any]]) -> bool:
    """Returns whether one latent follows x, another y, and none is left over."""
    on = [row for row in rows if row[3] > ON_NATS]
    sound = [r for r in on if r[7] >= ONE_WAY and from_axis(r[6]) <= ALONG]
    axes = {round(row[6] / 90.0) % 2 for row in sound}
    return len(on) == len(sound) == 2 and axes == {0, 1}
