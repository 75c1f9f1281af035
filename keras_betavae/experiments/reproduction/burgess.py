"""Burgess et al. 2017: the capacity's rise on dSprites, and Gaussian blobs."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_betavae import metrics, visualization
from keras_betavae._utils.tables import markdown_table
from keras_betavae.evaluation.inspection import inspect, showcase
from keras_betavae.experiments.reproduction._page import FinishedRun, picture, write_csv
from keras_betavae.experiments.reproduction._plans import SMOKE, seeds
from keras_betavae.experiments.sweeps import Axes, Sweep

ON_NATS = 0.5
"""A latent is on while its KL is above this."""
FOUND_PART = 0.1
"""A factor is found while a latent tells this part of its entropy."""


def capacity_sweep(budget: str) -> Sweep:
    """Returns the model whose capacity rises, and β-VAEs to hold against it."""
    quick = {"preset": "capacity_quick"}
    short = {"steps": 40, "every": 10, **SMOKE}
    long = {"steps": 60_000, "every": 2_000}
    paper = {"preset": "burgess_dsprites", "every": 2_500}
    budgets: dict[str, tuple[Any, ...]] = {
        "smoke": ({**quick, **short}, 30, (4.0,), 1),
        "hour": ({**quick, "every": 500}, 15_000, (4.0, 16.0), 1),
        "day": ({**quick, **long}, 60_000, (2.0, 4.0, 8.0, 16.0), 3),
        "paper": (paper, 100_000, (1.0, 2.0, 4.0, 8.0, 16.0), 5),
    }
    base, n_steps, betas, n_seeds = budgets[budget]
    rising = {"weights": {"n_steps": n_steps}}
    models = {"capacity": rising, **{f"β {beta:g}": {"beta": beta} for beta in betas}}
    return Sweep(base, {"model": models, "seed": seeds(n_seeds)})


def show_capacity(folder: Path, found: Sequence[FinishedRun]) -> str:
    """Draws KL and information against C, and compares reconstructions."""
    parts = []
    for each in found:
        if each.labels["model"] == "capacity":
            parts += _show_rise(folder, each)
    parts += _compare(folder, found)
    return "\n\n".join(parts)


def _show_rise(folder: Path, run: FinishedRun) -> list[str]:
    """Returns what one rise of the capacity shows."""
    seed, data, vae = run.labels["seed"], run.data(), run.model()
    table = run.table("latents.csv")
    steps = np.unique(table["step"])
    objective: Any = vae.objective  # With C as its attribute `capacity`.
    capacity = np.array([float(objective.capacity(step)) for step in steps])
    shape = len(steps), -1
    kl = table["kl"].reshape(shape)
    names = [name for name in table if name not in ("step", "latent", "kl")]
    entropies = {n: math.log(s) for n, s in zip(data.factor_names, data.factor_sizes, strict=True)}
    # A latent that is off has a mean too, and it may tell much, but the decoder hears only noise.
    heard = kl > ON_NATS
    parts = np.stack([table[n].reshape(shape) / entropies[n] for n in names], axis=-1)
    told = np.where(heard[..., None], parts, 0.0).max(axis=1)
    order = np.argsort(-kl[-1])
    shown = {z: f"z{z}, {names[parts[-1, z].argmax()]}" for z in order if heard[-1, z]}
    figure = visualization.plot_capacity(capacity, kl, shown, told, names)
    lines = [
        [f"z{latent}", *_since(heard[:, latent], steps, capacity), f"{kl[-1, latent]:.2f}"]
        for latent in order
    ]
    found = [
        [name, *_since(told[:, k] > FOUND_PART, steps, capacity), f"{told[-1, k]:.2f}"]
        for k, name in enumerate(names)
    ]
    inspection = inspect(vae, data)
    rows = visualization.traverse(
        vae,
        np.asarray(vae.encode(showcase(data)[:1])[0])[0],
        latents=inspection.by_kl,
    )
    grid = visualization.labelled_grid(rows, inspection.labels_of(inspection.by_kl))
    header = ["step", "capacity", "latent", "kl", *(f"information_{name}" for name in names)]
    columns = [table["step"].astype(int), np.repeat(capacity, kl.shape[1])]
    columns += [table["latent"].astype(int), table["kl"], *(table[name] for name in names)]
    write_csv(folder / f"capacity_seed_{seed}.csv", header, zip(*columns, strict=True))
    return [
        f"## The capacity's rise, seed {seed}",
        picture(
            folder / f"capacity_seed_{seed}.png",
            figure,
            "KL of each latent that is on at the end, named by the factor of which it tells most, "
            "and what the best latent that is on tells of each factor, against C",
        ),
        f"A latent is on from the step from which its KL stays above {ON_NATS:g} nats:",
        markdown_table(["latent", "step", "C, nats", "KL at the end"], lines),
        f"A factor is found from where a latent that is on tells {FOUND_PART:.0%} of its entropy:",
        markdown_table(["factor", "step", "C, nats", "told at the end"], found),
        picture(folder / f"traversal_seed_{seed}.png", grid, "Traversals, rows by falling KL"),
    ]


def _since(holds: np.ndarray, steps: np.ndarray, capacity: np.ndarray) -> list[str]:
    """Returns the step and the capacity from which on something holds to the end."""
    if not holds[-1]:
        return ["not at the end", ""]
    fails = np.flatnonzero(~holds)
    at = fails[-1] + 1 if len(fails) else 0
    return [f"{steps[at]:,.0f}", f"{capacity[at]:.1f}"]


def _compare(folder: Path, found: Sequence[FinishedRun]) -> list[str]:
    """Returns the reconstruction errors beside the scores."""
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
                metrics.mig_score(factors, codes),
            ]
        )
    header = ["model", "seed", "reconstruction", "kl", "beta_vae_score", "mig_score"]
    write_csv(folder / "reconstructions.csv", header, rows)
    models = list(dict.fromkeys(row[0] for row in rows))
    mean = {m: np.mean([row[2:] for row in rows if row[0] == m], axis=0) for m in models}
    cells = [
        [m, *(f"{v:.1f}" for v in mean[m][:2]), *(f"{v:.3f}" for v in mean[m][2:])] for m in models
    ]
    return [
        "## Reconstruction beside β-VAEs",
        "Means over the seeds; reconstruction and KL in nats, of images drawn anew:",
        markdown_table([header[0], *header[2:]], cells),
        _verdict({model: (values[0], values[3]) for model, values in mean.items()}),
    ]


def _verdict(found: Mapping[str, tuple[float, float]]) -> str:
    """Returns whether the capacity reconstructs better at equal disentanglement.

    Args:
        found: The reconstruction error and MIG of "capacity" and of β-VAEs.
    """
    error, mig = found["capacity"]
    others = {model: values for model, values in found.items() if model != "capacity"}
    worse = [m for m, (e, g) in others.items() if e >= error and g <= mig]
    better = [m for m, (e, g) in others.items() if e <= error and g >= mig]
    if worse and not better:
        verdict = f"holds here: {', '.join(worse)} reconstructs worse, and has no higher MIG."
    elif better and not worse:
        verdict = f"does not hold here: {', '.join(better)} reconstructs as well at as high a MIG."
    else:
        verdict = (
            "cannot be told here: no β-VAE is worse or better in both, or there is one of each."
        )
    return f"The paper's claim, a better reconstruction at equal disentanglement, {verdict}"


def blobs_sweep(budget: str) -> Sweep:
    """Returns the VAE and the β-VAE on blobs."""
    small = {"grid": (8, 8), "batch_size": 16, "n_images": 100}
    budgets: dict[str, tuple[Any, ...]] = {
        "smoke": ({"steps": 40, "every": 20, **small}, 1),
        "hour": ({"steps": 3_000, "every": 1_000}, 1),
        "day": ({"steps": 50_000, "every": 5_000}, 3),
        "paper": ({"preset": "burgess_dsprites", "every": 5_000}, 5),
    }
    base, n_seeds = budgets[budget]
    # Under β 150 from the start, all images keep one posterior for long.
    warm_up = {} if budget == "paper" else {"warm_up": 10 if budget == "smoke" else 1_000}
    axes: Axes = {
        "β": {"1": {"beta": 1.0}, "150": {"beta": 150.0, **warm_up}},
        "seed": seeds(n_seeds),
    }
    return Sweep({"preset": "capacity_quick", "data": "blobs", **base}, axes)


def show_blobs(folder: Path, found: Sequence[FinishedRun]) -> str:
    """Draws the latents' response maps for both β."""
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
        for latent in order:
            told = inspection.information[latent]
            rows.append([*each.labels.values(), int(latent), inspection.kl[latent], *told])
    header = [*found[0].labels, "latent", "kl", "information_pos_x", "information_pos_y"]
    write_csv(folder / "latents.csv", header, rows)
    cells = [[*row[:2], f"z{row[2]}", *(f"{v:.2f}" for v in row[3:])] for row in rows]
    parts.append("KL, and mutual information with either position, in nats; latents above 0.01:")
    parts.append(
        markdown_table(header, [c for c, r in zip(cells, rows, strict=True) if r[3] > 0.01])
    )
    return "\n\n".join(parts)
