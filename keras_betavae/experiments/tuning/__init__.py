"""Choosing a setting without factors: a search by UDR, and a page with the reasons."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_betavae import presets as recipes
from keras_betavae._utils.files import local_path
from keras_betavae.experiments.sweeps.folders import create_folder, load_folder, settled
from keras_betavae.experiments.sweeps.grid import train_run
from keras_betavae.experiments.sweeps.study import (
    check_installed,
    checked_trials,
    open_study,
    waiting_for,
    work,
)
from keras_betavae.experiments.sweeps.workers import work_in_processes
from keras_betavae.experiments.tuning._choice import Choice, choose
from keras_betavae.experiments.tuning._page import write_page
from keras_betavae.experiments.tuning._search import Search, Trials

__all__ = ["Choice", "Search", "create", "load", "tune"]

_FOR_SEARCH = 0.8
"""The share of a budget that the search may use; the rest trains the chosen setting."""


def create(
    folder: str | os.PathLike,
    base: Mapping[str, Any],
    *,
    presets: Sequence[str] = (),
    strength: tuple[float, float] = (0.125, 8.0),
    latent_dim: tuple[int, int] | None = None,
    seeds: int = 3,
    search_steps: int | None = None,
    trials: int = 12,
) -> Path:
    """Makes a search's folder with its `tune.json`, unless it exists.

    Args:
        folder: A folder that does not exist yet, is empty, or holds this search.
        base: Arguments of `Settings.from_preset` for the full training.
        presets: Presets to choose from, in addition to that of `base`.
        strength: The smallest and largest factor for the objective's β, its capacity C, FactorVAE's
            γ, or DIP's λ_od.
        latent_dim: The smallest and largest number of latents. None means that of `base`, or half
            to twice the preset's.
        seeds: Runs of each setting, at least 2.
        search_steps: Training steps of these runs; by default a third of the full training.
        trials: Maximum number of settings to try.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder holds another search, or something else.
        ValueError: If an argument is out of range, or a preset has no constant strength.
    """
    folder, recipe = local_path(folder), recipes.get(base["preset"])
    size = base.get("latent_dim")
    standard = (size, size) if size else (max(2, recipe.latent_dim // 2), 2 * recipe.latent_dim)
    third = max(1, (base.get("steps") or recipe.steps) // 3)
    steps = third if search_steps is None else search_steps
    names = list(dict.fromkeys([base["preset"], *presets]))
    base = {"n_images": 5_000, **{k: v for k, v in settled(base).items() if k != "latent_dim"}}
    search = Search(base, names, list(strength), list(latent_dim or standard), seeds, steps, trials)
    search.check()
    create_folder(folder, "tune.json", search, load, "this search")
    return folder


def load(folder: str | os.PathLike) -> Search:
    """Returns a folder's search.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its `tune.json` is damaged.
    """
    return load_folder(folder, "tune.json", Search, Search.check, "search")


def tune(
    folder: str | os.PathLike,
    base: Mapping[str, Any] | None = None,
    *,
    budget: float | None = None,
    jobs: int = 1,
    storage: str | None = None,
    verbose: bool = True,
    **search: Any,
) -> Choice:
    """Chooses the objective's strength and the number of latents for a data set without factors.

    Optuna's tree-structured Parzen estimator draws settings, and each is trained with several
    seeds. A setting whose seeds find the same latents has a high UDR, in which latents are weighted
    by the square of their KL (`metrics.udr_scores(..., kl_power=2)`). The setting with the highest
    UDR is chosen among those with at least 2 active latents whose reconstructions explain at least
    80 % of the variance that the best setting's explain; other settings are given up after their
    first seed. The chosen setting is then trained in full. Known factors are never used to choose.

    Several processes may call this function for the same folder, as with `sweeps.run`.

    Args:
        folder: As in `create`, which is called if `base` is given.
        base: As in `create`; None resumes the search in the folder.
        budget: Minutes. Settings that would not end within four fifths of them are not started;
            the rest is for the full training, which is not cut short.
        jobs: As in `sweeps.run`.
        storage: As in `sweeps.run`.
        verbose: As in `sweeps.run`.
        **search: The options of `create`.

    Returns:
        The choice and the reasons, with the path of the page `index.html` in the folder.

    Raises:
        ImportError: If Optuna is not installed.
        RuntimeError: If no setting was trained to its end.
        ValueError: As `create`, or if `jobs` is below 1 or the budget is not above 0.

    References:
        Duan et al., Unsupervised Model Selection for Variational Disentangled Representation
        Learning, ICLR 2020.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    if budget is not None and not budget > 0:
        raise ValueError(f"budget must be above 0 minutes, got {budget}")
    check_installed()
    if base is not None:
        create(folder, base, **search)
    elif search:
        raise ValueError(f"a resumed search keeps its settings; leave out {', '.join(search)}")
    folder = Path(folder)
    until = None if budget is None else time.time() + _FOR_SEARCH * 60 * budget
    plan, study = Trials(folder, load(folder), until), open_study(folder, storage)
    first = len(checked_trials(plan, study))
    if jobs == 1:
        work(plan, study, first, verbose)
    else:
        work_in_processes(__name__, folder, jobs, first, verbose, storage, until)
    choice = choose(plan, study.get_trials(deepcopy=False))
    if verbose:
        print(f"{choice.why}\nTraining it in full ...", flush=True)
    with waiting_for(folder, "full", seconds=1.0):
        settings = plan.search.full_settings(choice.chosen.parameters)
        train_run(choice.folder, settings, record=folder / "data.json")
        write_page(choice)
    return choice
