"""Two processes on loopback that train one model, on TensorFlow's own engine."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_betavae import callbacks, metrics
from keras_betavae.datasets import FactorDataset
from keras_betavae.models import BetaVAE, beta_vae
from tests import killing
from tests.helpers import SHAPE, Integral, patterns, tiny_vae, weights_of

ROOT = Path(__file__).parents[1]
N_STEPS = 6


def bars():
    """Images of a bar whose place and brightness are the factors."""
    images = np.zeros((8, 6, *SHAPE), "uint8")
    for x in range(8):
        for y in range(6):
            images[x, y, :, x] = 40 * (y + 1)
    return FactorDataset(images.reshape(-1, *SHAPE), ("x", "y"), (8, 6))


def model():
    return tiny_vae(Integral(), optimizer=keras.optimizers.Adam(1e-2))


def stream(start_step=0):
    return bars().to_tf_data(16, seed=1, repeat=True, start_step=start_step, drop_remainder=True)


def train(strategy, folder, watching=lambda data, logs: []):
    """What one of several workers, or the only one, gets of a training."""
    data, logs = bars(), Path(folder) / "logs"
    with strategy.scope():
        vae = model()
    history = vae.fit(
        stream(),
        epochs=2,
        steps_per_epoch=N_STEPS // 2,
        verbose=0,
        callbacks=[
            *watching(data, logs),
            callbacks.LossCurves(logs),
            callbacks.Checkpoint(Path(folder) / "checkpoints"),
        ],
    ).history
    state = {name: float(value) for name, value in vae.objective_state.items()}
    weights = [w.tolist() for w in weights_of(vae)]
    return vae, {"history": history, "weights": weights, "state": state}


def every_watch(data, logs):
    scores = {"mig": metrics.mig_score}
    return [
        callbacks.LatentActivity(logs),
        callbacks.DisentanglementMetric(data, logs, scores=scores, n_images=48),
        callbacks.LatentTraversal(data.images_at([0]), logs, n_steps=2),
        callbacks.LatentPictures(data, logs, every_n_epochs=9, n_images=40),
    ]


def quickly(strategy, folder):
    return train(strategy, folder)[1]


def error_of(function):
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def with_scalar_logs(vae):
    """Trains as if Keras could reduce scalar logs."""
    beta_vae.reducible = lambda logs: logs
    vae.make_train_function(force=True)
    vae.fit(stream(), steps_per_epoch=1, verbose=0)


def with_symbolic_build():
    """Trains as if Keras could reduce uint8 batches over workers."""
    build = BetaVAE._maybe_symbolic_build
    del BetaVAE._maybe_symbolic_build
    try:
        model().fit(stream(), steps_per_epoch=1, verbose=0)
    finally:
        BetaVAE._maybe_symbolic_build = build


def all_of_it(strategy, folder):
    vae, result = train(strategy, folder, every_watch)
    images = patterns(8)
    images[4:] += 2.0  # Of the second worker.
    bad = tf.data.Dataset.from_tensor_slices(images).batch(8)
    result["bad_images"] = error_of(lambda: vae.fit(bad, verbose=0))
    result["no_seed"] = error_of(lambda: bars().to_pairs(1, 8))
    result["scalar_logs"] = error_of(lambda: with_scalar_logs(vae))
    with strategy.scope():
        result["symbolic_build"] = error_of(with_symbolic_build)
    return result


def go_on(strategy, folder):
    """Trains to step 60, from the latest checkpoint if there is one."""
    latest = callbacks.Checkpoint.latest(folder)
    with strategy.scope():
        vae = keras.saving.load_model(latest) if latest else model()
    begun = int(vae.step)
    kept = callbacks.Checkpoint(folder)
    vae.fit(
        stream(begun),
        initial_epoch=begun // 5,
        epochs=12,
        steps_per_epoch=5,
        verbose=0,
        callbacks=[kept],
    )
    return {"begun": begun, "weights": [w.tolist() for w in weights_of(vae)]}


def main(task, ports, folders):
    """Runs two workers, forked before TensorFlow has started, which saves each its imports.

    Prints their process ids, and what each returns.
    """
    workers = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    results = [Path(tempfile.mkstemp()[1]) for _ in folders]

    def work(index):
        role = {"type": "worker", "index": index}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": workers, "task": role})
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        results[index].write_text(json.dumps(globals()[task](strategy, folders[index])))

    children = [killing.fork(work, index) for index in range(len(folders))]
    print(json.dumps(children), flush=True)
    statuses = [killing.wait(child) for child in children]
    for result in results:
        print(result.read_text())
        result.unlink()
    return max(map(abs, statuses))


WORKERS = """
import json, sys
from tests import test_workers
sys.exit(test_workers.main(sys.argv[1], *map(json.loads, sys.argv[2:])))
"""


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(task, folders):
    """Starts two workers that run a function of this module, each with a folder."""
    arguments = [task, json.dumps(free_ports(2)), json.dumps([str(folder) for folder in folders])]
    return subprocess.Popen(
        [sys.executable, "-c", WORKERS, *arguments],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def end(workers):
    """Ends the workers, if they are there, and the process that started them."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(workers.pid, signal.SIGKILL)
    workers.communicate()


def results_of(workers, timeout=240):
    try:
        printed, errors = workers.communicate(timeout=timeout)
    finally:
        end(workers)
    assert workers.returncode == 0, errors[-3000:]
    return [json.loads(line) for line in printed.splitlines()[-2:]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return [tmp_path_factory.mktemp(f"worker-{index}") for index in range(2)]


@pytest.fixture(scope="module")
def two_workers(folders):
    return results_of(start_workers("all_of_it", folders))


def assert_as_one_process(workers, expected):
    first, second = workers
    assert first["weights"] == second["weights"]
    assert first["history"] == second["history"]
    assert first["state"] == second["state"]
    for weight, other in zip(first["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-5, atol=1e-5)
    assert first["history"].keys() == expected["history"].keys()
    for name, values in expected["history"].items():
        np.testing.assert_allclose(
            first["history"][name], values, rtol=1e-4, atol=1e-4, err_msg=name
        )
    assert first["state"] == pytest.approx(expected["state"], rel=1e-5)


def written(folders):
    return [sorted(f.name for f in folder.rglob("*") if f.is_dir()) for folder in folders]


# tests/test_replicas.py holds the same reductions to one process.
@pytest.mark.slow
def test_two_workers_train_as_one_process_on_the_global_batch_and_the_chief_writes(tmp_path):
    folders = [tmp_path / "chief", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    workers = results_of(start_workers("quickly", folders))
    assert_as_one_process(workers, quickly(tf.distribute.get_strategy(), tmp_path / "alone"))
    assert written(folders) == [["checkpoints", "logs", "loss"], []]
    assert len(list((folders[0] / "checkpoints").iterdir())) == 2


@pytest.mark.slow
def test_two_workers_train_as_one_process_with_every_callback(two_workers, folders, tmp_path):
    alone = train(tf.distribute.get_strategy(), tmp_path, every_watch)[1]
    assert_as_one_process(two_workers, alone)
    assert len(two_workers[0]["history"]["mig"]) == 2
    chief, other = written(folders)
    assert chief == sorted(
        ["checkpoints", "disentanglement", "latents", "logs", "loss", "pictures", "traversal"]
    )
    assert other == []
    assert all(list((folders[0] / "logs").glob(f"{name}/events*")) for name in ("loss", "pictures"))


@pytest.mark.slow
def test_bad_images_of_one_worker_stop_both(two_workers):
    for worker in two_workers:
        assert worker["bad_images"].startswith("ValueError: images must be within [0, 1]")


@pytest.mark.slow
def test_a_worker_that_is_given_no_seed_is_told(two_workers):
    for worker in two_workers:
        assert worker["no_seed"].startswith("ValueError: seed must be given")


@pytest.mark.slow
def test_keras_still_cannot_build_from_bytes(two_workers):
    # If this fails, BetaVAE._maybe_symbolic_build may go.
    for worker in two_workers:
        assert "uint8 is not in the list of allowed values" in worker["symbolic_build"]


@pytest.mark.slow
def test_keras_still_cannot_reduce_scalar_logs(two_workers):
    # If this fails, replicas.reducible and its call may go.
    for worker in two_workers:
        assert "Invalid reduction dimension 0" in worker["scalar_logs"]


@pytest.mark.slow
def test_two_workers_go_on_after_one_was_killed(tmp_path):
    killed = start_workers("go_on", [tmp_path] * 2)
    _, second = json.loads(killed.stdout.readline())
    limit = time.monotonic() + 200
    while len(list(tmp_path.glob("step-*.keras"))) < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    os.kill(second, signal.SIGKILL)
    try:
        # The other does not wait for ever.
        assert killed.wait(timeout=120) != 0
    finally:
        end(killed)
    first, second = results_of(start_workers("go_on", [tmp_path] * 2))
    assert 0 < first["begun"] == second["begun"] < 60
    assert first["weights"] == second["weights"]
    unbroken = go_on(tf.distribute.get_strategy(), tmp_path / "unbroken")
    for weight, expected in zip(first["weights"], unbroken["weights"], strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_script_of_the_docs_runs(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    for given, smaller in {
        "MultiWorkerMirroredStrategy()": 'MirroredStrategy(["CPU:0"])',
        "load_sprites()": "load_sprites(scale=2, orientation=2, pos_x=4, pos_y=4)",
        '"shared/logs")': '"shared/logs", **less)',
        "LossCurves(": "LossCurves(log_dir=",
        'log_dir="shared/logs", **less)': 'log_dir="shared/logs")',
        "batch_size=64": "batch_size=8",
        "1_000": "1",
        "epochs=100": "epochs=epochs",
    }.items():
        assert given in code
        code = code.replace(given, smaller)
    monkeypatch.chdir(tmp_path)
    less = {"scores": ["active_units"], "n_images": 50}
    for epochs in (1, 2):  # The second goes on from the first.
        names = {"epochs": epochs, "less": less}
        exec(compile(code, "docs/scaling.md", "exec"), names)
        assert int(names["vae"].step) == epochs
        assert names["step"] == epochs - 1


def test_the_expected_step_of_many_workers_is_that_of_a_ring():
    path = ROOT / "benchmarks" / "scale.py"
    scale = {"__name__": "scale", "__file__": str(path)}
    exec(compile(path.read_text("utf-8"), str(path), "exec"), scale)
    expected = scale["expected_seconds"]
    # Each of 4 workers passes a quarter of 8 MB on 2 · 3 times, and a message each time.
    ring = 6 * (2e6 / 1e9 + 1e-4) + 6 * 1e-4
    assert expected(0.1, 8_000_000, 2, 0.0, 4, 1e9, 1e-4) == pytest.approx(0.1 + ring)
    assert expected(0.1, 8_000_000, 2, 0.0, 1, 1e9, 1e-4) == 0.1
    assert expected(0.1, 8_000_000, 2, 0.05, 4, 1e9, 1e-4) == 4 * 0.05
