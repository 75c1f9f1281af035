"""Local worker processes of a study, which are restarted if they die."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_betavae._utils.files import check_own_places
from keras_betavae.experiments.sweeps.study import Plan, open_study, work

_RESTARTS = 5
_RUNS_PER_PROCESS = 8
_GIVES_WAY = 75
_STORAGE = "KERAS_BETAVAE_STORAGE"
_THREADS = (
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"),
    "LOKY_MAX_CPU_COUNT",  # Of the scores.
)


def work_in_processes(
    module: str, folder: Path, jobs: int, first: int, verbose: bool, storage: str | None, more: Any
) -> None:
    """Runs workers, and restarts those that die, until all work is done.

    Args:
        module: The module to run, which calls `worker`.
        folder: Folder of the study.
        jobs: Number of workers, which share the cores evenly.
        first: As in `work`.
        verbose: As in `work`.
        storage: As in `open_study`.
        more: What the worker's plan takes besides the folder, as JSON can hold it.

    Raises:
        FileExistsError: If a worker's log is a link, or no file.
    """
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {**dict.fromkeys(_THREADS, threads), **os.environ}
    if storage is not None:
        environment[_STORAGE] = storage  # Everybody may read a process's arguments.
    command = [sys.executable, "-m", module, json.dumps([str(folder), first, verbose, more])]

    def started(name: str) -> subprocess.Popen:
        check_own_places(folder, files=[f"{name}.log"])
        # They end with the pipe to this process, which a kill closes too.
        with (folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, env=environment)

    workers = {f"worker{n}": started(f"worker{n}") for n in range(jobs)}
    restarts: Counter[str] = Counter()
    try:
        while workers:
            time.sleep(0.2)
            for name, worker in list(workers.items()):
                if worker.poll() is None:
                    continue
                worker.communicate()
                if worker.returncode == 0 or restarts[name] == _RESTARTS:
                    del workers[name]
                    continue
                if worker.returncode != _GIVES_WAY:
                    restarts[name] += 1
                    print(f"{name} died ({worker.returncode}) and is restarted", flush=True)
                workers[name] = started(name)
    finally:
        for process in workers.values():
            process.kill()
            process.communicate()


def worker(plan_of: Callable[[Path, Any], Plan]) -> None:
    """Is a process that `work_in_processes` has started."""

    def end_with_parent() -> None:
        # Not sys.stdin, whose lock a daemon thread may not hold when the interpreter ends.
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    name, first, verbose, more = json.loads(sys.argv[1])
    study, plan = open_study(Path(name), os.environ.get(_STORAGE)), plan_of(Path(name), more)
    # TensorFlow does not give back all that a model took.
    at_most = max(1, _RUNS_PER_PROCESS // plan.runs_per_trial)
    if not work(plan, study, first, verbose, at_most):
        sys.exit(_GIVES_WAY)
