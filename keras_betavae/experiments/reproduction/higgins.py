"""Higgins et al. 2017: the table and the sweep of Fig. 6, and Fig. 7."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from keras_betavae import metrics, visualization
from keras_betavae._utils.tables import markdown_table
from keras_betavae.evaluation.inspection import inspect, showcase
from keras_betavae.experiments.reproduction._page import (
    FinishedRun,
    mean_and_spread,
    picture,
    write_csv,
)
from keras_betavae.experiments.reproduction._plans import SMOKE, seeds
from keras_betavae.experiments.sweeps import Axes, Sweep
from keras_betavae.metrics.intervention import Protocol

N_EVALUATIONS = 3
_PROTOCOLS = get_args(Protocol)

PUBLISHED = {
    "ground truth": "100",
    "raw pixels": "45.75 ± 0.8",
    "PCA, 10 components": "84.9 ± 0.4",
    "ICA, 10 components": "42.03 ± 10.6",
    "DC-IGN": "99.3 ± 0.1",
    "InfoGAN": "73.5 ± 0.9",
    "VAE, untrained": "44.14 ± 2.5",
    "VAE": "61.58 ± 0.5",
    "β-VAE": "99.23 ± 0.1",
}
"""Higgins et al. 2017, Fig. 6 (left), in percent, as reported."""


def table_sweep(budget: str) -> Sweep:
    """Returns the VAEs and β-VAEs of the table."""
    budgets: dict[str, tuple[Any, ...]] = {
        "smoke": ({"preset": "sprites_quick", "steps": 40, "every": 40, **SMOKE}, (1.0, 8.0), 1),
        "hour": ({"preset": "sprites_quick", "every": 600}, (1.0, 8.0), 3),
        "day": ({"preset": "sprites_quick", "steps": 5_000, "every": 1_000}, (1.0, 8.0), 10),
        "paper": ({"preset": "higgins_dsprites"}, (1.0, 4.0), 10),
    }
    base, betas, n_seeds = budgets[budget]
    models = {"VAE": {"beta": betas[0]}, "β-VAE": {"beta": betas[1]}}
    return Sweep(base, {"model": models, "seed": seeds(n_seeds)})


def dense_table_sweep(budget: str) -> Sweep:
    """Returns those of the table on the paper's dense networks, with Adam."""
    if budget == "paper":  # Adagrad, as the paper has it.
        return table_sweep(budget)
    budgets: dict[str, tuple[dict[str, Any], int]] = {
        "smoke": ({"steps": 40, "every": 40, **SMOKE}, 1),
        "hour": ({"steps": 3_000, "every": 500}, 5),
        "day": ({"steps": 20_000, "every": 2_000}, 10),
    }
    base, n_seeds = budgets[budget]
    models = {"VAE": {"beta": 1.0}, "β-VAE": {"beta": 4.0}}
    return Sweep({"preset": "higgins_quick", **base}, {"model": models, "seed": seeds(n_seeds)})


def show_table(folder: Path, found: Sequence[FinishedRun]) -> str:
    """Scores models and controls by all three protocols; writes `scores.csv`."""
    data = found[0].data()
    n = found[0].settings.n_images
    rows: list[tuple] = []
    migs: dict[tuple[str, str], float] = {}

    def score(name: str, seed: str, evaluation: int, factors: np.ndarray, codes: np.ndarray):
        options: dict[str, Any] = {"factor_names": data.factor_names, "seed": evaluation}
        scores = (metrics.beta_vae_score(factors, codes, protocol=p, **options) for p in _PROTOCOLS)
        rows.append((name, seed, evaluation, *scores))

    models = [(each.labels["model"], each.labels["seed"], each.model()) for each in found]
    models += [
        ("VAE, untrained", each.labels["seed"], each.settings.build_model(data))
        for each in found
        if each.labels["model"] == "VAE"
    ]
    for evaluation in range(N_EVALUATIONS):
        factors, pixels = data.encode_with(metrics.pixel_codes, n, seed=evaluation)
        truth = factors / np.array(data.factor_sizes)
        for name, codes in (
            ("ground truth", truth),
            ("raw pixels", pixels),
            ("PCA, 10 components", metrics.pca_codes(pixels, 10, evaluation)),
            ("ICA, 10 components", metrics.ica_codes(pixels, 10, evaluation)),
        ):
            score(name, "", evaluation, factors, codes)
        for name, seed, model in models:
            factors, codes = data.encode_with(model, n, seed=evaluation)
            score(name, seed, evaluation, factors, codes)
            if evaluation == 0:
                migs[name, seed] = metrics.mig_score(factors, codes)
    write_csv(folder / "scores.csv", ["row", "seed", "evaluation", *_PROTOCOLS], rows)
    explanation = (
        "The score of Higgins et al. in percent by three protocols, "
        f"mean ± standard deviation over models and {N_EVALUATIONS} evaluations of each, without "
        "the worse half (in parentheses: of all). Higgins et al.'s protocol leaves out the shape; "
        "the other two use all factors."
    )
    parts = [explanation, *_comparison(rows), _by_model(rows, migs), *_flatness(found)]
    return "\n\n".join(parts)


def _comparison(rows: list[tuple]) -> tuple[str, str]:
    """Returns a table of published scores and ours, and whether ours are in the same order."""
    kept: dict[str, np.ndarray] = {}
    lines = []
    for name, published in PUBLISHED.items():
        values = np.array([row[3:] for row in rows if row[0] == name])
        if not len(values):
            lines.append([name, f"{published} (reported)", "not implemented", "", "", ""])
            continue
        best = -np.sort(-values, axis=0)[: math.ceil(len(values) / 2)]
        kept[name] = best.mean(axis=0)
        cells = [
            f"{mean_and_spread(b, percent=True)} ({mean_and_spread(v, percent=True)})"
            for b, v in zip(best.T, values.T, strict=True)
        ]
        lines.append([name, f"{published} (reported)", *cells, str(len(values))])
    header = ["row", "published", *_PROTOCOLS, "scores"]
    return markdown_table(header, lines, numbers=False), _order(kept)


def _order(means: dict[str, np.ndarray]) -> str:
    """Returns by which protocols the means are in the published order."""
    claims = [
        ("β-VAE", "VAE"),
        ("VAE", "VAE, untrained"),
        ("VAE, untrained", "raw pixels"),
        ("PCA, 10 components", "VAE"),
        ("β-VAE", "PCA, 10 components"),
    ]
    lines = [
        [
            f"{better} above {other}",
            *("yes" if yes else "no" for yes in means[better] > means[other]),
        ]
        for better, other in claims
        if better in means and other in means
    ]
    table = markdown_table(["published order", *_PROTOCOLS], lines, numbers=False)
    return f"Whether the order is the published one, without the worse half:\n\n{table}"


def _by_model(rows: list[tuple], migs: dict[tuple[str, str], float]) -> str:
    """Returns a table of each model's mean scores and MIG."""
    lines = []
    for labels, mig in migs.items():
        scores = np.mean([row[3:] for row in rows if row[:2] == labels], axis=0)
        lines.append([*labels, *(f"{score:.1%}" for score in scores), f"{mig:.3f}"])
    table = markdown_table(["model", "seed", *_PROTOCOLS, "mig_score"], lines)
    return f"Means of the {N_EVALUATIONS} evaluations of each model, and its MIG:\n\n{table}"


def _flatness(found: Sequence[FinishedRun]) -> list[str]:
    """Returns by how much the loss still fell at the end of training, if there are intervals."""
    fell: dict[str, list[float]] = {}
    for run in found:
        loss = run.table("metrics.csv")["loss"]
        if len(loss) > 1:
            fell.setdefault(run.labels["model"], []).append(1.0 - loss[-1] / loss[-2])
    if not fell:
        return []
    said = "; ".join(f"{model} {min(part):.1%} to {max(part):.1%}" for model, part in fell.items())
    return [f"The mean training loss of the last interval is below the one before by: {said}."]


def sweep_sweep(budget: str) -> Sweep:
    """Returns the grid of latents and β_norm."""
    # Under a large β from the start, all images keep one posterior for long.
    quick = {"preset": "sprites_quick", "batch_size": 32}
    budgets: dict[str, tuple[Any, ...]] = {
        "smoke": (
            {**quick, "steps": 20, "every": 20, "warm_up": 10, **SMOKE},
            (2, 4),
            (0.001, 0.04),
            1,
        ),
        "hour": (
            {**quick, "steps": 1_200, "every": 1_200, "warm_up": 600},
            (5, 10, 20),
            (0.0025, 0.01, 0.04, 0.16),
            1,
        ),
        "day": (
            {**quick, "steps": 5_000, "every": 5_000, "warm_up": 1_000},
            (2, 5, 10, 20, 50),
            (0.0005, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16),
            3,
        ),
        "paper": (
            {"preset": "higgins_dsprites"},
            (5, 10, 20, 50, 100),
            (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
            10,
        ),
    }
    base, latents, weights, n_seeds = budgets[budget]
    axes: Axes = {
        "latents": {str(m): {"latent_dim": m} for m in latents},
        "β_norm": {f"{w:g}": {"beta_norm": w} for w in weights},
        "seed": seeds(n_seeds),
    }
    return Sweep(base, axes)


def show_sweep(folder: Path, found: Sequence[FinishedRun]) -> str:
    """Draws the heat map and the corners' reconstructions; writes `scores.csv`."""
    rows = list(dict.fromkeys(each.labels["latents"] for each in found))
    columns = list(dict.fromkeys(each.labels["β_norm"] for each in found))
    lines, scores = [], np.zeros((len(rows), len(columns)))
    n_seeds = len({each.labels["seed"] for each in found})
    data = found[0].data()
    for each in found:
        factors, codes = data.encode_with(each.model(), each.settings.n_images, seed=0)
        score = metrics.beta_vae_score(factors, codes, factor_names=data.factor_names)
        lines.append([*each.labels.values(), score])
        place = rows.index(each.labels["latents"]), columns.index(each.labels["β_norm"])
        scores[place] += score / n_seeds
    write_csv(folder / "scores.csv", [*found[0].labels, "beta_vae_score"], lines)
    figure = visualization.plot_heat_map(
        scores, rows, columns, row_name="latents", column_name="β_norm", title="beta_vae_score"
    )
    parts = [picture(folder / "heat_map.png", figure, "The score over latents and β_norm")]
    corners = [(a, b) for a in (rows[0], rows[-1]) for b in (columns[0], columns[-1])]
    images, labels = showcase(data), ["image"]
    shown: list[np.ndarray] = []
    for latents, weight in corners:
        at = next(
            e for e in found if (e.labels["latents"], e.labels["β_norm"]) == (latents, weight)
        )
        pair = visualization.reconstructions(at.model(), images)
        shown = shown or [pair[0]]
        shown.append(pair[1])
        labels.append(f"{latents} latents, β_norm {weight}")
    grid = visualization.labeled_grid(np.stack(shown), labels)
    parts.append(picture(folder / "corners.png", grid, "Reconstructions at the map's corners"))
    best = [f"{rows[i]} at {columns[j]}" for i, j in np.argwhere(scores == scores.max())]
    parts.append(
        f"The best mean score is {scores.max():.3f}, with these latents and β_norm: "
        f"{', '.join(best)}. In the published map, the best β_norm is intermediate and grows with "
        "the number of latents (reported; read off a figure)."
    )
    return "\n\n".join(parts)


def figure_sweep(budget: str) -> Sweep:
    """Returns the β-VAE of the figure."""
    budgets: dict[str, dict[str, Any]] = {
        "smoke": {"preset": "sprites_quick", "steps": 40, "every": 40, **SMOKE},
        "hour": {"preset": "sprites_full", "every": 5_000},
        "day": {"preset": "sprites_full", "every": 5_000},
        "paper": {"preset": "higgins_dsprites"},
    }
    return Sweep(budgets[budget], {"seed": seeds(1)})


def show_figure(folder: Path, found: Sequence[FinishedRun]) -> str:
    """Draws response maps, curves and traversals of each run; writes `latents.csv`."""
    if len(found) == 1:
        return _figure_of(folder, found[0], "")
    parts = [(f"seed {run.labels['seed']}", run) for run in found]
    return "\n\n".join(
        f"## {title}\n\n" + _figure_of(folder, run, f"_{title.replace(' ', '_')}")
        for title, run in parts
    )


def _figure_of(folder: Path, run: FinishedRun, ending: str) -> str:
    """Draws a run to files whose names have the ending."""
    data, vae = run.data(), run.model()
    inspection = inspect(vae, data, n=max(run.settings.n_images, 20_000))
    pictures = inspection.pictures(vae, showcase(data))
    parts = [
        picture(folder / f"{name}{ending}.png", pictures[name], caption)
        for name, caption in (
            ("response_maps", "Each latent's mean over the positions"),
            ("curves_scale", "Each latent's mean over the scale, by shape"),
            ("curves_orientation", "Each latent's mean over the rotation, by shape"),
            ("traversal", "Traversals from −3 to 3, by decreasing KL"),
        )
    ]
    header = ["latent", "kl", *inspection.factor_names]
    rows = np.column_stack([inspection.kl, inspection.information])[inspection.by_kl]
    lines = [[int(j), *row] for j, row in zip(inspection.by_kl, rows, strict=True)]
    write_csv(folder / f"latents{ending}.csv", header, lines)
    cells = [[f"z{j}", *(f"{value:.2f}" for value in row)] for j, *row in lines]
    parts.append("KL of each latent and its mutual information with each factor, in nats:")
    parts.append(markdown_table(header, cells))
    return "\n\n".join(parts)
