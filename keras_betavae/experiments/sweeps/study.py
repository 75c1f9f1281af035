"""An Optuna study shared by several processes."""

import contextlib
import datetime
import os
import statistics
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from keras_betavae._utils.files import check_own_places
from keras_betavae._utils.locks import InUseError, locked
from keras_betavae._utils.names import printable
from keras_betavae._utils.tables import number_text, write_text

JOURNAL = "study.journal"
"""The file of a study, unless it is in a database."""
_SECONDS_TO_WAIT = 1.0
_SECONDS_TO_WRITE = 0.05


class Plan(Protocol):
    """The trials of a study.

    Attributes:
        folder: Folder of the study, the locks of its trials and their runs.
        space: Optuna's distributions by the name of a parameter.
        n_trials: Total number of trials.
        runs_per_trial: Number of runs of a trial.
    """

    folder: Path
    space: Mapping[str, Any]
    n_trials: int
    runs_per_trial: int

    def name_of(self, parameters: Mapping[str, Any]) -> str:
        """Returns a trial's name, which can be part of a file's."""

    def is_done(self, name: str) -> bool:
        """Returns whether a trial's runs are finished."""

    def has_time(self, trials: Sequence[Any]) -> bool:
        """Returns whether one more trial may begin, after those in `trials`."""

    def propose(self, study: Any, tried: set[str]) -> dict[str, Any] | None:
        """Returns the next trial's parameters, {} for the sampler's choice, None at the end."""

    def train(self, trial: Any) -> float:
        """Trains a trial's runs and returns what they are worth.

        It says what that is as the trial's attribute `judged`.
        """


def check_installed() -> None:
    """Raises an ImportError that says how to install Optuna, if it is missing."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "sweeps and tuning need Optuna; run: pip install '.[sweep]' in a checkout"
        ) from error


def open_study(folder: Path, storage: str | None) -> Any:
    """Returns the study of a folder; creates it if necessary.

    Args:
        folder: Folder of the journal, and name of the study in a database.
        storage: The URL of a database; None for the journal.

    Raises:
        FileExistsError: If the journal or `runs/` is a link, or no file or folder.
        ValueError: If the database cannot be used, or the journal is damaged or another study's.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    check_own_places(folder, ["runs"], [JOURNAL])
    where: Any = storage
    with waiting_for(folder):
        name = folder / "study.txt"
        if not name.is_file():
            write_text(name, f"{printable(folder.resolve().name)}-{uuid.uuid4().hex[:8]}\n")
        place = folder / JOURNAL if storage is None else "the storage"
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            if storage is None:
                lock: Any = _JournalLock(folder)
                file = JournalFileBackend(os.fspath(folder / JOURNAL), lock_obj=lock)
                where = JournalStorage(file)
            study = optuna.create_study(
                storage=where,
                study_name=name.read_text(encoding="utf-8").strip(),
                direction="maximize",
                load_if_exists=True,
            )
        except Exception as error:
            # The URL may hold a password, and so may the error.
            raise ValueError(
                f"the study cannot be opened in {place}: {type(error).__name__}"
            ) from error
        finally:
            optuna.logging.set_verbosity(verbosity)
    if [direction.name for direction in study.directions] != ["MAXIMIZE"]:
        raise ValueError(f"{place} holds another study of this name")
    return study


def checked_trials(plan: Plan, study: Any) -> list[Any]:
    """Returns a study's trials, which may come from a stranger with the folder.

    Their parameters become parts of names of folders.

    Raises:
        ValueError: If one has other parameters than the plan.
    """
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        enqueued = trial.system_attrs.get("fixed_params")
        given = {**(enqueued if isinstance(enqueued, dict) else {}), **trial.params}
        same = all(plan.space.get(name) == each for name, each in trial.distributions.items())
        if not same or not all(
            name in plan.space and _holds(plan.space[name], value) for name, value in given.items()
        ):
            raise ValueError(
                f"the study of {plan.folder} holds trial {trial.number}, whose parameters are not "
                f"those of this folder; move its {JOURNAL} away, or take another storage"
            )
    return trials


def _holds(distribution: Any, value: Any) -> bool:
    if hasattr(distribution, "choices"):
        return value in distribution.choices
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high


def work(plan: Plan, study: Any, first: int, verbose: bool, at_most: int | None = None) -> bool:
    """Works on a study until no work is left for this process.

    It resumes the trials of dead processes from the latest checkpoints of their runs.

    Args:
        plan: The trials.
        study: The study, from `open_study`.
        first: Failed trials with lower numbers are tried again.
        verbose: Whether to print a line for each trial.
        at_most: Number of trials after which the process ends; None for all.

    Returns:
        Whether all trials are done.
    """
    import optuna

    n_done = 0
    while at_most is None or n_done < at_most:
        with contextlib.ExitStack() as held:
            with waiting_for(plan.folder):
                trial, waits = _claim(plan, study, first, held)
            if trial is None and not waits:
                return True
            if trial is None:
                time.sleep(_SECONDS_TO_WAIT)
                continue
            start, state, value = time.perf_counter(), optuna.trial.TrialState.FAIL, None
            try:
                value = plan.train(trial)
                state = optuna.trial.TrialState.COMPLETE
            except optuna.TrialPruned:
                state = optuna.trial.TrialState.PRUNED
            except Exception as error:
                trial.set_user_attr("error", f"{type(error).__name__}: {error}")
            study.tell(trial, value, state=state)
        n_done += 1
        if verbose:
            name, seconds = plan.name_of(trial.params), time.perf_counter() - start
            told = {"COMPLETE": "", "PRUNED": " (pruned)", "FAIL": " (failed)"}[state.name]
            print(f"{progress(plan, study, first)}; last {name}{told}, {seconds:.0f} s", flush=True)
    return False


def progress(plan: Plan, study: Any, first: int) -> str:
    """Returns one line: the time, trials done, best so far, time left."""
    trials = study.get_trials(deepcopy=False)
    done = {plan.name_of(t.params): t for t in trials if t.state.name in ("COMPLETE", "PRUNED")}
    failed = {
        plan.name_of(t.params) for t in trials if t.number >= first and "error" in t.user_attrs
    } - done.keys()
    now = datetime.datetime.now().strftime("%H:%M:%S")
    line = f"{now} {len(done)} of {plan.n_trials} done"
    line += f", {len(failed)} failed" if failed else ""
    judged = [t for t in done.values() if t.value is not None]
    if judged:
        best = max(judged, key=lambda trial: trial.value)
        what = best.user_attrs.get("judged", "value")
        line += f"; best {what} {number_text(best.value)} ({plan.name_of(best.params)})"
    left = plan.n_trials - len(done) - len(failed)
    if left > 0 and done:
        running = sum(trial.state.name == "RUNNING" for trial in trials)
        seconds = statistics.mean(trial.duration.total_seconds() for trial in done.values())
        line += f"; about {max(1, round(left * seconds / (running + 1) / 60))} min left"
    return line


def _claim(
    plan: Plan, study: Any, first: int, held: contextlib.ExitStack
) -> tuple[Any | None, bool]:
    """Returns a trial whose lock is held from now on, and if there is none, whether to wait."""
    from optuna.trial import TrialState

    trials, lost = study.get_trials(deepcopy=False), None
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if not plan.has_time(trials):
        return None, any(not _is_lost(plan, study, trial) for trial in running)
    # What waits was meant for a process that died, or is a user's own; `ask` returns it first.
    if not any(trial.state == TrialState.WAITING for trial in trials):
        tried = {
            name
            for trial in trials
            if set(trial.params) == set(plan.space)
            for name in [plan.name_of(trial.params)]
            if trial.number >= first
            or trial.state == TrialState.RUNNING
            or (trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and plan.is_done(name))
        }
        parameters = plan.propose(study, tried)
        if parameters is None:
            lost = next((trial for trial in running if _is_lost(plan, study, trial)), None)
            if lost is None:
                return None, bool(running)
            parameters = lost.params
        if parameters:
            study.enqueue_trial(parameters)
    trial = study.ask(dict(plan.space))
    try:
        held.enter_context(locked(plan.folder, child=plan.name_of(trial.params)))
    except InUseError:  # The sampler chose what another process tries just now.
        study.tell(trial, state=TrialState.FAIL)
        return None, True
    # The new one is there before the old one ends: a kill in between loses nothing.
    if lost is not None:
        study.tell(lost.number, state=TrialState.FAIL)
    return trial, False


def _is_lost(plan: Plan, study: Any, trial: Any) -> bool:
    """Returns whether the process of a running trial is dead and the trial can be resumed."""
    from optuna.trial import TrialState

    if set(trial.params) != set(plan.space):  # It died before it had a lock.
        study.tell(trial.number, state=TrialState.FAIL)
        return False
    try:
        with locked(plan.folder, child=plan.name_of(trial.params)):
            # It may have ended since it was read.
            return study.get_trials(deepcopy=False)[trial.number].state == TrialState.RUNNING
    except InUseError:
        return False


@contextlib.contextmanager
def waiting_for(
    folder: Path, child: str = "study", seconds: float = _SECONDS_TO_WRITE
) -> Iterator[None]:
    """Holds a lock in the folder; while others hold it, tries again after some seconds."""
    with contextlib.ExitStack() as held:
        while True:
            with contextlib.suppress(InUseError):
                held.enter_context(locked(folder, child=child))
                break
            time.sleep(seconds)
        yield


class _JournalLock:
    """Lets one process at a time write to a journal; unlike Optuna's own, a kill releases it."""

    def __init__(self, folder: Path):
        self._folder, self._held = folder, contextlib.ExitStack()

    def acquire(self) -> bool:
        with contextlib.ExitStack() as held:
            held.enter_context(waiting_for(self._folder))
            with (self._folder / JOURNAL).open("rb+") as file:
                written = file.read()
                # A process that was killed in a write leaves half a line, which Optuna cannot read.
                file.truncate(written.rfind(b"\n") + 1)
            self._held = held.pop_all()  # Not if the journal is gone: Optuna would not release it.
        return True

    def release(self) -> None:
        self._held.close()
