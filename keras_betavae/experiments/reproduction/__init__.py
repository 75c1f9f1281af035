"""Reproductions of the papers' tables and figures."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import keras_betavae._library  # noqa: F401, TensorFlow first, and quietly
from keras_betavae._utils.tables import write_text
from keras_betavae.experiments import sweeps
from keras_betavae.experiments.reproduction import blobs, burgess, claim, higgins, locatello
from keras_betavae.experiments.reproduction._page import FinishedRun, origin
from keras_betavae.experiments.reproduction._plans import seeds

BUDGETS = ("smoke", "hour", "day", "paper")
"""The budgets of an experiment, from a minute to the paper's own steps and seeds."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A table or figure of a paper.

    Attributes:
        title: Its title.
        source: Its publication.
        sweep: Maps a budget to the necessary runs.
        show: Maps a folder and its finished runs to the page's text; writes figures and tables
            to the folder.
    """

    title: str
    source: str
    sweep: Callable[[str], sweeps.Sweep]
    show: Callable[[Path, Sequence[FinishedRun]], str]


_HIGGINS, _BURGESS = "Higgins et al., β-VAE, ICLR 2017", "Burgess et al., 2017"
EXPERIMENTS = {
    "higgins-table": Experiment(
        "The disentanglement score of β-VAE, VAE and controls",
        f"{_HIGGINS}, Fig. 6 (left)",
        higgins.table_sweep,
        higgins.show_table,
    ),
    "higgins-table-dense": Experiment(
        "The disentanglement score of β-VAE, VAE and controls, on the paper's dense networks",
        f"{_HIGGINS}, Fig. 6 (left)",
        higgins.dense_table_sweep,
        higgins.show_table,
    ),
    "higgins-sweep": Experiment(
        "The score over latents and β_norm",
        f"{_HIGGINS}, Fig. 6 (right)",
        higgins.sweep_sweep,
        higgins.show_sweep,
    ),
    "higgins-figure": Experiment(
        "Response maps and curves of each latent",
        f"{_HIGGINS}, Fig. 7",
        higgins.figure_sweep,
        higgins.show_figure,
    ),
    "burgess-capacity": Experiment(
        "Latents become active one after the other as the capacity rises",
        f"{_BURGESS}, Fig. 3 and 4",
        burgess.capacity_sweep,
        burgess.show_capacity,
    ),
    "burgess-claim": Experiment(
        "Reconstruction at equal disentanglement, capacity and β-VAEs",
        f"{_BURGESS}, Section 5",
        claim.claim_sweep,
        claim.show_claim,
    ),
    "burgess-blobs": Experiment(
        "Gaussian blobs by position, β = 1 and β = 150",
        f"{_BURGESS}, Fig. 2",
        blobs.blobs_sweep,
        blobs.show_blobs,
    ),
    "locatello": Experiment(
        "One cell of the large study",
        "Locatello et al., ICML 2019",
        locatello.cell_sweep,
        locatello.show_cell,
    ),
}
"""By the name that `keras-betavae reproduce` takes."""


def reproduce(
    name: str,
    folder: str | os.PathLike,
    *,
    budget: str = "hour",
    jobs: int = 1,
    n_seeds: int | None = None,
    verbose: bool = True,
    **options: str,
) -> Path:
    """Reproduces a paper's table or figure.

    Trains the missing runs (if it was killed, a second call resumes) and writes tables as CSV,
    figures as PNG, and a page in Markdown with settings, seeds, versions and seconds.

    Args:
        name: One of `EXPERIMENTS`.
        folder: Folder of the page; the runs are in `runs/`.
        budget: One of `BUDGETS`, which determines steps and seeds.
        jobs: As in `sweeps.run`.
        n_seeds: Seeds of each model, instead of the budget's.
        verbose: As in `sweeps.run`.
        **options: For "locatello": `data`, the name of a data set, and `objective`, of a preset.

    Returns:
        The page, `index.md`.

    Raises:
        ValueError: If the experiment, budget or option is unknown.
        FileExistsError: If the folder has other contents, or the runs of another budget.
        RuntimeError: If runs failed.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {name!r}; choose one of {', '.join(EXPERIMENTS)}")
    if budget not in BUDGETS:
        raise ValueError(f"budget must be one of {', '.join(BUDGETS)}, got {budget!r}")
    known = ("data", "objective") if name == "locatello" else ()
    if unknown := [option for option in options if option not in known]:
        raise ValueError(f"{name} takes no {', '.join(unknown)}")
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    experiment = EXPERIMENTS[name]
    if n_seeds is not None and n_seeds < 1:
        raise ValueError(f"n_seeds must be at least 1, got {n_seeds}")
    sweep = partial(experiment.sweep, budget)(**options)
    if n_seeds is not None:
        sweep = dataclasses.replace(sweep, axes={**sweep.axes, "seed": seeds(n_seeds)})
    folder = sweeps.create(folder, sweep)
    folders = sweeps.run(folder, jobs=jobs, verbose=verbose)
    found = [FinishedRun(labels, folders[sweeps.run_name(labels)]) for labels in sweep.labels()]
    chosen = {**({} if n_seeds is None else {"seeds": n_seeds}), **options}
    given = "".join(f" --{option} {value}" for option, value in chosen.items())
    text = "\n\n".join(
        [
            f"# {experiment.title}",
            (
                f"{experiment.source}; made by `keras-betavae reproduce {name} --budget {budget}"
                f"{given}`."
            ),
            experiment.show(folder, found),
            origin(found),
        ]
    )
    page = folder / "index.md"
    write_text(page, text)
    return page


def cells() -> list[dict[str, str]]:
    """Returns the options of every cell of Locatello et al.'s study."""
    return [{"data": d, "objective": o} for d in locatello.DATA for o in locatello.GRIDS]
