"""Grids of runs: KerasTuner's grid search hands them out, each becomes a run's folder."""

import csv
import dataclasses
import io
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_betavae import metrics, runs
from keras_betavae._files import moved_into_place
from keras_betavae.inspection import inspect
from keras_betavae.score_table import markdown_table, number_text
from keras_betavae.settings import Settings

Axes = Mapping[str, Mapping[str, Mapping[str, Any]]]
_JUDGES = ("mig_score", "active_units")
_RESTARTS = 5
_RUNS_PER_PROCESS = 8
_GIVES_WAY = 75


@dataclasses.dataclass(frozen=True)
class Sweep:
    """All combinations of some changes to one run's settings.

    Attributes:
        base: Arguments of `Settings.from_preset`.
        axes: By the name of an axis and the label of a value the arguments that it changes.

    Example:
        >>> base = {"preset": "sprites_quick", "steps": 100}
        >>> sweep = Sweep(base, {"β": {"1": {"beta": 1.0}, "4": {"beta": 4.0}}})
        >>> {name: settings.beta for name, settings in sweep.trials().items()}
        {'β=1': 1.0, 'β=4': 4.0}
    """

    base: Mapping[str, Any]
    axes: Axes

    def trials(self) -> dict[str, Settings]:
        """Returns the settings of each run by its name, the last axis varying fastest.

        Raises:
            ValueError: If an axis is empty, or settings are unknown or out of range.
        """
        for name, values in self.axes.items():
            if not values:
                raise ValueError(f"the axis {name} has no values")
        return {run_name(labels): self._settings(labels) for labels in self.labels()}

    def labels(self) -> Iterator[dict[str, str]]:
        """Yields the label on each axis of each run."""
        for labels in itertools.product(*self.axes.values()):
            yield dict(zip(self.axes, labels, strict=True))

    def _settings(self, labels: Mapping[str, str]) -> Settings:
        chosen = dict(self.base)
        for axis, label in labels.items():
            for name, value in self.axes[axis][label].items():
                if name == "weights":
                    value = {**(chosen.get(name) or {}), **value}
                chosen[name] = value
        try:
            return Settings.from_preset(**chosen)
        except TypeError as error:
            raise ValueError(f"{run_name(labels)} has unknown settings: {error}") from error


def run_name(labels: Mapping[str, str]) -> str:
    """Returns the name of a run and of its folder.

    Example:
        >>> run_name({"beta": "4", "seed": "0"})
        'beta=4,seed=0'
    """
    return ",".join(f"{axis}={label}" for axis, label in labels.items())


def axis(name: str, values: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns an axis of values that are given as text.

    Args:
        name: A field of `Settings`, or an argument of the preset's objective or model.
        values: Its values.

    Raises:
        ValueError: If a value is no number where one is needed.

    Example:
        >>> axis("seed", ["0", "1"])
        {'0': {'seed': 0}, '1': {'seed': 1}}
        >>> axis("max_capacity", ["25"])
        {'25': {'weights': {'max_capacity': 25}}}
    """
    if name in ("preset", "data"):
        return {value: {name: value} for value in values}
    numbers = {value: float(value) for value in values}
    numbers = {v: int(n) if n.is_integer() else n for v, n in numbers.items()}
    is_setting = name in {field.name for field in dataclasses.fields(Settings)}
    return {v: {name: n} if is_setting else {"weights": {name: n}} for v, n in numbers.items()}


def create(folder: str | os.PathLike, sweep: Sweep) -> Path:
    """Makes a sweep's folder and writes its `sweep.json`; leaves one that is there already.

    Raises:
        FileExistsError: If the folder holds another sweep, or something else.
        ValueError: If the settings are out of range.
    """
    folder = Path(folder)
    sweep.trials()
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "sweep.json").is_file() or load(folder) != _as_read(sweep):
            raise FileExistsError(
                f"{folder} is not empty and holds no sweep of these settings; choose another folder"
            )
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with moved_into_place(folder / "sweep.json") as aside:
        aside.write_text(_as_json(sweep) + "\n", encoding="utf-8")
    return folder


def load(folder: str | os.PathLike) -> Sweep:
    """Returns a folder's sweep.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its `sweep.json` is damaged.
    """
    path = Path(folder) / "sweep.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no sweep: there is no {path}")
    try:
        sweep = Sweep(**json.loads(path.read_text(encoding="utf-8")))
        sweep.trials()
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} does not hold a sweep: {error}") from error
    return sweep


def run(folder: str | os.PathLike, *, jobs: int = 1, verbose: bool = True) -> dict[str, Path]:
    """Trains and scores every run of a sweep that is not finished.

    Each run is a folder in `runs/`, as `runs.train` and `runs.finish` make it, without the
    controls. Which is next is KerasTuner's to say. A run that was killed goes on from its latest
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
        _search(folder, sweep, verbose)
    elif waiting:
        _search_in_processes(folder, min(jobs, len(waiting)), verbose)
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
    """
    folder, sweep = Path(folder), load(folder)
    rows = []
    for labels in sweep.labels():
        path = folder / "runs" / run_name(labels) / "scores.json"
        if not path.is_file():
            raise FileNotFoundError(f"{path.parent} is not finished; go on with the sweep")
        rows.append({**labels, **json.loads(path.read_text(encoding="utf-8"))["trained"]})
    if "seed" in sweep.axes and len(sweep.axes["seed"]) > 1:
        for row, score in zip(rows, _udr(folder, sweep, n_images), strict=True):
            row["udr_score"] = score
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with moved_into_place(folder / "scores.csv") as aside:
        aside.write_text(out.getvalue(), encoding="utf-8")
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


def _as_json(sweep: Sweep) -> str:
    return json.dumps(dataclasses.asdict(sweep), indent=2, ensure_ascii=False)


def _as_read(sweep: Sweep) -> Sweep:
    return Sweep(**json.loads(_as_json(sweep)))


def _check_tuner() -> None:
    try:
        import keras_tuner  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "sweeps need KerasTuner; run: pip install 'keras-betavae[sweep]'"
        ) from error


def leads() -> bool:
    """Returns whether this process speaks for a sweep: it is KerasTuner's chief, or alone."""
    return "chief" in os.environ.get("KERASTUNER_TUNER_ID", "chief")


def _search(folder: Path, sweep: Sweep, verbose: bool) -> None:
    """Runs the trials that KerasTuner gives out, or, as its chief, gives them out."""
    import keras_tuner

    trials, started, done = sweep.trials(), itertools.count(), itertools.count(1)

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
        def pre_create_trial(self):
            if not leads() and next(started) == _RUNS_PER_PROCESS:
                # TensorFlow does not give back all that a model took.
                sys.exit(_GIVES_WAY)

        def run_trial(self, trial, **options):
            del options  # KerasTuner's own, for Keras's fit.
            name = run_name(trial.hyperparameters.values)
            start = time.perf_counter()
            judged = _run_one(folder / "runs" / name, trials[name])
            if verbose:
                seconds = time.perf_counter() - start
                print(f"{name}: {seconds:.0f} s ({next(done)} here)", flush=True)
            return judged

    space = keras_tuner.HyperParameters()
    for axis, values in sweep.axes.items():
        space.Choice(axis, list(values))
    oracle = keras_tuner.oracles.GridSearchOracle(
        objective=keras_tuner.Objective("judged", "max"),
        hyperparameters=space,
        tune_new_entries=False,
        allow_new_entries=False,
        max_consecutive_failed_trials=len(trials) + 1,
    )
    # What is done stands in the runs' folders; KerasTuner's own files may be cut off in a write.
    tuner = Tuner(oracle, directory=folder, project_name="tuner", overwrite=leads())
    tuner.search(verbose=0)


def _run_one(folder: Path, settings: Settings) -> dict[str, float]:
    """Trains and scores a run to its end; returns what KerasTuner notes."""
    error_file = folder / "error.txt"
    try:
        if not runs.is_finished(folder):
            error_file.unlink(missing_ok=True)
            if not (folder / "config.json").is_file():
                runs.create(folder, settings)
            elif runs.load_settings(folder) != settings:
                raise ValueError(f"{folder} is a run of other settings")
            data = settings.load_data()
            runs.finish(folder, runs.train(folder, data, verbose=0), data, controls=False)
            keras.backend.clear_session()
        found = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["trained"]
    except Exception:
        folder.mkdir(parents=True, exist_ok=True)
        error_file.write_text(traceback.format_exc(), encoding="utf-8")
        raise
    return {"judged": next(found[name] for name in _JUDGES if name in found)}


def _search_in_processes(folder: Path, jobs: int, verbose: bool) -> None:
    """Starts a chief and workers, and a worker again that dies."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    threading_variables = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    environment = {
        **dict.fromkeys(threading_variables, threads),
        **os.environ,
        "KERASTUNER_ORACLE_IP": "127.0.0.1",
        "KERASTUNER_ORACLE_PORT": str(port),
    }

    def started(tuner_id: str) -> subprocess.Popen:
        command = [sys.executable, "-m", __name__, str(folder), str(int(verbose))]
        variables = {**environment, "KERASTUNER_TUNER_ID": tuner_id}
        # They end with the pipe to this process, which a kill closes too.
        with (folder / f"{tuner_id}.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, env=variables)

    chief = started("chief")
    workers = {f"worker{n}": started(f"worker{n}") for n in range(jobs)}
    restarts = dict.fromkeys(workers, 0)
    try:
        while workers:
            time.sleep(0.2)
            if chief.poll() is not None and chief.returncode:
                raise RuntimeError(f"the sweep's chief died; see {folder / 'chief.log'}")
            for name, worker in list(workers.items()):
                if worker.poll() is None:
                    continue
                if worker.returncode == 0 or restarts[name] == _RESTARTS:
                    del workers[name]
                    continue
                if worker.returncode != _GIVES_WAY:
                    restarts[name] += 1
                    print(f"{name} died ({worker.returncode}) and is started again", flush=True)
                workers[name] = started(name)
    finally:
        for process in (chief, *workers.values()):
            process.kill()
            process.wait()


def _end_with_parent() -> None:
    # Not sys.stdin, whose lock a daemon thread may not hold when the interpreter ends.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run(sys.argv[1], verbose=bool(int(sys.argv[2])))
