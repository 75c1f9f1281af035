"""A training that is killed again and again; run as a program by tests/test_survival.py.

The children are forked before TensorFlow has started anything, which saves each its imports.
The plan says: `moved`, names of files whose move into place kills the process, one after the
other; `kills`, how often it is killed at random moments drawn by `seed`; `steps` and `every`; and
`quickly`, whether to train by `train_quickly` and to leave it killed. Otherwise the runs have all
their pictures and graphs, and the last resumption must end as a training that was never killed.
"""

import csv
import json
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import keras
import numpy as np

from keras_betavae import cli
from keras_betavae._utils.steps import training_step
from tests.helpers import no_graphs, quick_runs, quick_scores, weights_of

OPTIONS = ["--preset=burgess_dsprites", "--grid=3,2,4,4,4", "--batch-size=16"]
OPTIONS += ["--n-images=100", "--seed=2", "--verbose=0"]


def main():
    folder, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    numbers = [f"--steps={plan['steps']}", f"--every={plan['every']}"]

    def train(run, kill_before=None):
        """Trains as a user would: a new run, or what there is of one."""
        if (run / "config.json").is_file():
            check_whole(run, plan["every"])
        if kill_before:
            die_before_moving(kill_before)
        if plan["quickly"]:
            return train_quickly(run, *numbers)
        with quick_scores():
            return resume_or_train(run, "--deterministic", *numbers)

    killed, unbroken, found = folder / "killed", folder / "unbroken", []
    for name in plan["moved"]:
        assert wait(fork(train, killed, name)) == -signal.SIGKILL, name
    if plan["quickly"]:
        return
    start, child = time.monotonic(), fork(train, unbroken)
    while newest(unbroken) is None and time.monotonic() < start + 600:
        time.sleep(0.05)
    first = time.monotonic() - start
    assert wait(child) == 0
    length = time.monotonic() - start
    moments = random.Random(plan["seed"])
    for kill in range(plan["kills"]):
        # Once before the first checkpoint; then about the time that a run takes to the next ones,
        # so that it takes many kills to get through.
        until = first + (length - first) / 8 if kill else first / 2
        child, moment = fork(train, killed), moments.uniform(first / 2 if kill else 0.0, until)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        status = wait(child)
        assert status in (0, -signal.SIGKILL), status
        found.append([round(moment, 2), status, newest(killed)])
    assert wait(fork(train, killed)) == 0
    assert wait(fork(compare, killed, unbroken)) == 0
    print(json.dumps(found))


def train_quickly(run, *numbers):
    """Trains without graphs, pictures and controls."""
    with quick_runs(), no_graphs():
        return resume_or_train(run, *numbers, "--no-controls")


def resume_or_train(run, *options):
    if (run / "config.json").is_file():
        own = [option for option in options if option == "--no-controls"]
        return cli.main(["train", "--resume", str(run), "--verbose=0", *own])
    return cli.main(["train", *OPTIONS, *options, "--out", str(run)])


def newest(run):
    """What the run has come to."""
    paths = [*sorted(run.glob("checkpoints/step-*")), *run.glob("model.keras")]
    paths += run.glob("scores.json")
    return paths[-1].name if paths else None


def newest_first(run):
    """The run's checkpoints."""
    return sorted(run.glob("checkpoints/step-*"), reverse=True)


def fork(function, *arguments):
    child = os.fork()
    if child:
        return child
    status = 99
    try:
        status = function(*arguments) or 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def wait(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_before_moving(name):
    """Kills the process when it has written half of a file of that name aside."""

    def dying(move):
        def move_or_die(aside, target):
            if re.fullmatch(name, Path(target).name):
                if Path(aside).is_file():
                    os.truncate(aside, Path(aside).stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return move(aside, target)

        return move_or_die

    Path.replace = dying(Path.replace)
    Path.rename = dying(Path.rename)


def check_whole(run, every):
    """Raises if what a killed training left is not whole or does not fit together."""
    step = 0
    for path in (*sorted((run / "checkpoints").glob("step-*")), *run.glob("model.keras")):
        step = training_step(keras.saving.load_model(path))
        assert path.stem in (f"step-{step:09d}", "model"), path
    if (run / "metrics.csv").is_file():
        with open(run / "metrics.csv", newline="") as file:
            epochs = [int(row["epoch"]) for row in csv.DictReader(file)]
        # The row of an interval goes before its checkpoint.
        n_done = -(-step // every)
        assert epochs in (list(range(n_done)), list(range(n_done + 1))), (epochs, step)
    for path in (run / "config.json", *run.glob("scores.json")):
        json.loads(path.read_text())


def metrics_of(run):
    """The rows of metrics.csv but for the seconds, which no two runs share."""
    with open(run / "metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def compare(run, other):
    """Raises if two runs do not hold the same."""
    pairs = zip(metrics_of(run), metrics_of(other), strict=True)
    assert all(ours == theirs for ours, theirs in pairs), (metrics_of(run), metrics_of(other))
    for name in ("latents.csv", "scores.json"):
        assert (run / name).read_text() == (other / name).read_text(), name
    models = [keras.saving.load_model(path / "model.keras") for path in (run, other)]
    states = [
        [*weights_of(vae), *(variable.numpy() for variable in vae.optimizer.variables)]
        for vae in models
    ]
    for ours, theirs in zip(*states, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    names = [{str(file.relative_to(path)) for file in path.rglob("*")} for path in (run, other)]
    names = [{name for name in found if "tfevents" not in name} for found in names]
    assert names[0] == names[1], names[0] ^ names[1]


if __name__ == "__main__":
    main()
