"""Sweeps: grids of runs, assigned by an Optuna study."""

import os
from pathlib import Path

import keras_betavae._library  # noqa: F401, TensorFlow first, and quietly
from keras_betavae import metrics
from keras_betavae._utils.files import local_path
from keras_betavae._utils.tables import csv_text, markdown_table, number_text, write_text
from keras_betavae.evaluation.inspection import inspect
from keras_betavae.experiments import runs
from keras_betavae.experiments.sweeps._plan import Axes, Sweep, axis, run_name
from keras_betavae.experiments.sweeps.folders import create_folder, load_folder, settled
from keras_betavae.experiments.sweeps.grid import Grid, check_run
from keras_betavae.experiments.sweeps.study import check_installed, checked_trials, open_study, work
from keras_betavae.experiments.sweeps.workers import work_in_processes

__all__ = ["Axes", "Sweep", "axis", "create", "load", "run", "run_name", "scores"]


def create(folder: str | os.PathLike, sweep: Sweep) -> Path:
    """Makes a sweep's folder with its `sweep.json`, unless it exists.

    Args:
        folder: A folder that does not exist yet, is empty, or is of the same sweep.
        sweep: The sweep.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder holds another sweep, or something else.
        ValueError: If the settings are out of range, or a name cannot be part of a folder's.
    """
    folder = local_path(folder)
    axes = {
        name: {label: settled(changes) for label, changes in values.items()}
        for name, values in sweep.axes.items()
    }
    sweep = Sweep(settled(sweep.base), axes)
    sweep.trials()
    create_folder(folder, "sweep.json", sweep, load, "a sweep of these settings")
    return folder


def load(folder: str | os.PathLike) -> Sweep:
    """Returns a folder's sweep.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its `sweep.json` is damaged, or names a run outside the folder.
    """
    return load_folder(folder, "sweep.json", Sweep, Sweep.trials, "sweep")


def run(
    folder: str | os.PathLike, *, jobs: int = 1, storage: str | None = None, verbose: bool = True
) -> dict[str, Path]:
    """Trains and scores all unfinished runs of a sweep.

    Each run is a folder in `runs/`, made by `runs.train` and `runs.finish`, without controls. An
    Optuna study assigns the runs; `optuna-dashboard` shows it. Several processes, on this machine
    or on others that share the folder, may call this function at the same time and share the runs.
    Each trial has a lock that is released when its process ends; another process then resumes the
    run from its latest checkpoint.

    Args:
        folder: A folder made by `create`.
        jobs: Number of runs at a time, at least 1. Above 1, they are processes on this machine that
            share its cores evenly; a process that dies is restarted.
        storage: SQLAlchemy URL of a database for the study, the same for all processes. None is the
            file `study.journal` in the folder.
        verbose: Whether to print a line for each run: the number of finished runs, the best, the
            time left.

    Returns:
        The runs' folders by name.

    Raises:
        ImportError: If Optuna is not installed.
        FileExistsError: If a folder or file that is written is a link, or a pipe or device.
        ValueError: If `jobs` is below 1, the storage cannot be used or holds another study, or a
            run's folder is one of other settings.
        RuntimeError: If runs failed; the others are finished. A run that failed has its
            `error.txt`; of one whose process died, `worker<n>.log` may tell more.
    """
    folder, sweep = Path(folder), load(folder)
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    check_installed()
    folders = {name: folder / "runs" / name for name in sweep.trials()}
    for name, settings in sweep.trials().items():
        check_run(folders[name], settings)
    waiting = [name for name, each in folders.items() if not runs.is_finished(each)]
    if waiting:
        plan, study = Grid(folder, sweep), open_study(folder, storage)
        first, jobs = len(checked_trials(plan, study)), min(jobs, len(waiting))
        if jobs == 1:
            work(plan, study, first, verbose)
        else:
            work_in_processes(__name__, folder, jobs, first, verbose, storage, None)
    failed = [name for name, each in folders.items() if not runs.is_finished(each)]
    if failed:
        reports = [path for name in failed if (path := folders[name] / "error.txt").is_file()]
        told = ", ".join(map(str, reports or sorted(folder.glob("worker*.log")) or [folder]))
        raise RuntimeError(f"{len(failed)} of {len(folders)} runs are not finished; see {told}")
    return folders


def scores(folder: str | os.PathLike, *, n_images: int = 10_000) -> str:
    """Writes the scores of a sweep's runs to `scores.csv` and returns them as a Markdown table.

    If an axis is called "seed", `udr_score` compares the seeds of each other combination.

    Args:
        folder: A folder with finished runs.
        n_images: Number of images to encode for UDR.

    Raises:
        FileNotFoundError: If a run is not finished.
        ValueError: If a run's `scores.json` is damaged.
    """
    folder, sweep = Path(folder), load(folder)
    rows = []
    for labels in sweep.labels():
        each = folder / "runs" / run_name(labels)
        if not runs.is_finished(each):
            raise FileNotFoundError(f"{each} is not finished; resume the sweep with --resume")
        rows.append({**labels, **runs.load_scores(each)["trained"]})
    if "seed" in sweep.axes and len(sweep.axes["seed"]) > 1:
        for row, score in zip(rows, _udr(folder, sweep, n_images), strict=True):
            row["udr_score"] = score
    names = list(dict.fromkeys(name for row in rows for name in row))
    write_text(folder / "scores.csv", csv_text(names, rows))
    # Runs are few and scores many, so that runs are the columns.
    lines = [[name, *(_cell(row.get(name)) for row in rows)] for name in names]
    return markdown_table(lines[0], lines[1:])


def _cell(value: str | float | None) -> str:
    return value if isinstance(value, str) else "" if value is None else number_text(value)


def _udr(folder: Path, sweep: Sweep, n_images: int) -> list[float]:
    groups: dict[str, list[str]] = {}
    for labels in sweep.labels():
        others = {axis: label for axis, label in labels.items() if axis != "seed"}
        groups.setdefault(run_name(others), []).append(run_name(labels))
    found: dict[str, float] = {}
    for names in groups.values():
        data = runs.load_settings(folder / "runs" / names[0]).load_data()
        models = [runs.load_model(folder / "runs" / name) for name in names]
        seen = [inspect(model, data, n=n_images) for model in models]
        codes, kl = [each.codes for each in seen], [each.kl for each in seen]
        found |= dict(zip(names, metrics.udr_scores(codes, latent_kl=kl), strict=True))
    return [found[run_name(labels)] for labels in sweep.labels()]
