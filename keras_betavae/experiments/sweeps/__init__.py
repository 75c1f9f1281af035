"""Grids of runs: KerasTuner's grid search hands them out, each becomes a run's folder."""

import dataclasses
import json
import os
from pathlib import Path

from keras_betavae import metrics
from keras_betavae._utils.files import left_aside
from keras_betavae._utils.tables import (
    csv_text,
    markdown_table,
    number_text,
    write_json,
    write_text,
)
from keras_betavae.evaluation.inspection import inspect
from keras_betavae.experiments import runs
from keras_betavae.experiments.sweeps._plan import Axes, Sweep, axis, run_name
from keras_betavae.experiments.sweeps._search import leads, search, search_in_processes

__all__ = ["Axes", "Sweep", "axis", "create", "leads", "load", "run", "run_name", "scores"]


def create(folder: str | os.PathLike, sweep: Sweep) -> Path:
    """Makes a sweep's folder and writes its `sweep.json`; leaves one that is there already.

    Args:
        folder: A folder that does not exist yet, is empty, or holds this sweep.
        sweep: What is trained.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder holds another sweep, or something else.
        ValueError: If the settings are out of range, or a name cannot be part of a folder's.
    """
    folder = Path(folder)
    sweep.trials()
    for left in left_aside(folder, "sweep.json"):
        left.unlink()  # Of a process that was killed while it made the folder.
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "sweep.json").is_file() or load(folder) != _as_read(sweep):
            raise FileExistsError(
                f"{folder} is not empty and does not hold a sweep of these settings; choose "
                "another folder"
            )
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "sweep.json", dataclasses.asdict(sweep))
    return folder


def load(folder: str | os.PathLike) -> Sweep:
    """Returns a folder's sweep.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its `sweep.json` is damaged, or names a run outside the folder.
    """
    path = Path(folder) / "sweep.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a sweep folder: there is no {path}")
    try:
        sweep = Sweep(**json.loads(path.read_text(encoding="utf-8")))
        sweep.trials()
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} does not hold a sweep: {error}") from error
    return sweep


def run(folder: str | os.PathLike, *, jobs: int = 1, verbose: bool = True) -> dict[str, Path]:
    """Trains and scores every run of a sweep that is not finished.

    Each run is a folder in `runs/`, as `runs.train` and `runs.finish` make it, without the
    controls. KerasTuner says which is next. A run that was killed resumes from its latest
    checkpoint.

    With more than one job, KerasTuner's chief and as many workers are started as processes of
    this machine, which share its cores evenly; a worker that dies is started again and takes up
    its run. On several machines that share the folder, start this function (or
    `keras-betavae sweep --resume`) on each with KerasTuner's own variables: `KERASTUNER_TUNER_ID`,
    which is "chief" on one and differs between all, `KERASTUNER_ORACLE_IP` and
    `KERASTUNER_ORACLE_PORT`; `jobs` is then of no use. A worker that was lost there is started
    again under its own id.

    Args:
        folder: A folder that `create` has made.
        jobs: Runs at a time, at least 1.
        verbose: Whether a line is printed for each run.

    Returns:
        The runs' folders by name.

    Raises:
        ImportError: If KerasTuner is not installed.
        ValueError: If `jobs` is below 1.
        RuntimeError: If runs failed; the others are finished, and each has its `error.txt`.
    """
    folder, sweep = Path(folder), load(folder)
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    _check_tuner()
    folders = {name: folder / "runs" / name for name in sweep.trials()}
    waiting = [name for name, each in folders.items() if not runs.is_finished(each)]
    if "KERASTUNER_ORACLE_IP" in os.environ or (waiting and jobs == 1):
        search(folder, sweep, verbose)
    elif waiting:
        search_in_processes(folder, min(jobs, len(waiting)), verbose)
    failed = [name for name, each in folders.items() if not runs.is_finished(each)]
    if failed and leads():
        raise RuntimeError(
            f"{len(failed)} of {len(folders)} runs are not finished; see error.txt in "
            + ", ".join(str(folders[name]) for name in failed)
        )
    return folders


def scores(folder: str | os.PathLike, *, n_images: int = 10_000) -> str:
    """Writes what a sweep's runs scored to `scores.csv` and returns it as a Markdown table.

    Where an axis is called "seed", `udr_score` compares the seeds of each other combination.

    Args:
        folder: A folder whose runs are finished.
        n_images: Images that are encoded for UDR.

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


def _as_read(sweep: Sweep) -> Sweep:
    return Sweep(**json.loads(json.dumps(dataclasses.asdict(sweep))))


def _check_tuner() -> None:
    try:
        import keras_tuner  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "sweeps need KerasTuner; run: pip install 'keras-betavae[sweep]'"
        ) from error
