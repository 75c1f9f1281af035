"""How the runs of a sweep are trained: KerasTuner gives them out, to one process or to many."""

import os
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

import keras

from keras_betavae._utils.tables import write_text
from keras_betavae.experiments import runs
from keras_betavae.experiments.settings import Settings
from keras_betavae.experiments.sweeps._plan import Sweep, run_name

_JUDGES = ("mig_score", "active_units")
_RESTARTS = 5
_RUNS_PER_PROCESS = 8
_GIVES_WAY = 75
_SECONDS_TO_WAIT = 1.0


def leads() -> bool:
    """Returns whether this process speaks for a sweep: it is KerasTuner's chief, or alone."""
    return "chief" in os.environ.get("KERASTUNER_TUNER_ID", "chief")


def grid_oracle(sweep: Sweep):
    """Returns KerasTuner's grid search over a sweep's axes, the last varying fastest."""
    import keras_tuner

    class Grid(keras_tuner.oracles.GridSearchOracle):
        def populate_space(self, trial_id):
            found = super().populate_space(trial_id)
            if found["values"] is not None:
                # By itself the search gives a combination out when the one before it has ended,
                # in case that run adds axes, and so keeps but one worker busy. No run adds axes.
                self._populate_next.append(trial_id)
            return found

    space = keras_tuner.HyperParameters()
    for axis, values in sweep.axes.items():
        space.Choice(axis, list(values))
    return Grid(
        objective=keras_tuner.Objective("judged", "max"),
        hyperparameters=space,
        tune_new_entries=False,
        allow_new_entries=False,
        max_consecutive_failed_trials=len(sweep.trials()) + 1,
    )


def search(folder: Path, sweep: Sweep, verbose: bool) -> None:
    """Runs the trials that KerasTuner gives out, or, as its chief, gives them out."""
    import keras_tuner

    trials = sweep.trials()

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
        n_runs, waits = 0, False

        def pre_create_trial(self):
            if not leads() and self.n_runs == _RUNS_PER_PROCESS:
                # TensorFlow does not give back all that a model took.
                sys.exit(_GIVES_WAY)
            if self.waits:
                time.sleep(_SECONDS_TO_WAIT)
            self.waits = True

        def run_trial(self, trial, **options):
            del options  # KerasTuner's own, for Keras's fit.
            name = run_name(trial.hyperparameters.values)
            start = time.perf_counter()
            self.n_runs, self.waits = self.n_runs + 1, False
            judged = _run_one(folder / "runs" / name, trials[name])
            if verbose:
                seconds = time.perf_counter() - start
                print(f"{name}: {seconds:.0f} s (run {self.n_runs} of this process)", flush=True)
            return judged

    # What is done stands in the runs' folders; KerasTuner's own files may be cut off in a write.
    tuner = Tuner(grid_oracle(sweep), directory=folder, project_name="tuner", overwrite=leads())
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
        found = runs.load_scores(folder)["trained"]
    except Exception:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(error_file, traceback.format_exc())
        raise
    return {"judged": next((v for name in _JUDGES if (v := found.get(name)) is not None), 0.0)}


def search_in_processes(folder: Path, jobs: int, verbose: bool) -> None:
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
        command = [
            sys.executable,
            "-m",
            "keras_betavae.experiments.sweeps",
            str(folder),
            str(int(verbose)),
        ]
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
