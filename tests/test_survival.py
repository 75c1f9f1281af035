"""Trainings that are killed, whose disk is full, whose files are damaged or gone."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_betavae import networks
from keras_betavae._utils.files import clear_left_aside, moved_into_place
from keras_betavae._utils.locks import locked
from keras_betavae.callbacks import LossCurves
from keras_betavae.datasets import FactorDataset
from keras_betavae.experiments.runs._metrics_file import MetricsFile
from keras_betavae.models.beta_vae import BetaVAE
from tests import killing
from tests.helpers import EAGER, SHAPE, patterns, reused, weights_of


def kill(folder, **plan):
    """Runs tests/killing.py, which checks the runs; returns what it prints."""
    plan = {"moved": [], "kills": 0, "seed": 0, "quickly": False, **plan}
    process = subprocess.run(
        [sys.executable, "-m", "tests.killing", str(folder), json.dumps(plan)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2_000:]
    return process.stdout


def test_a_run_survives_kills_at_the_hard_places(tmp_path, unbroken):
    killed = tmp_path / "killed"
    moved = ["step-000000002.keras", "1", "scores.json"]
    kill(tmp_path, steps=2, every=1, moved=moved, quickly=True)
    assert (killed / "saved_model" / "1").is_dir()
    assert not (killed / "scores.json").exists()
    killing.check_whole(killed, every=1)
    assert train(killed) == 0
    killing.compare(killed, unbroken)


@pytest.mark.slow
def test_a_run_survives_twenty_kills_at_random_moments(tmp_path):
    printed = kill(tmp_path, steps=120, every=4, kills=20, seed=1)
    moments = json.loads(printed.splitlines()[-1])
    print(moments)
    assert [status for _, status, _ in moments].count(-signal.SIGKILL) >= 15
    # They came before the first checkpoint, and after many others.
    seen = {newest for _, _, newest in moments}
    assert None in seen
    assert len(seen) >= 5


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    assert train(folder) == 0
    return folder


def train(folder):
    """Trains in this process, or resumes."""
    return killing.train_quickly(folder, "--steps=2", "--every=1")


def test_a_disk_that_is_full_in_between_stops_it_and_nothing_is_lost(
    tmp_path, unbroken, monkeypatch, capsys
):
    save = BetaVAE.save

    def save_or_fill(vae, path):
        save(vae, path)
        if "step-000000002" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(BetaVAE, "save", save_or_fill)
    assert train(tmp_path / "run") == 1
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "step-000000002.keras" in said
    killing.check_whole(tmp_path / "run", every=1)
    assert killing.newest(tmp_path / "run") == "step-000000001.keras"
    monkeypatch.undo()
    assert train(tmp_path / "run") == 0
    killing.compare(tmp_path / "run", unbroken)


def test_a_batch_of_nan_stops_it_at_its_step_and_nothing_is_lost(
    tmp_path, unbroken, monkeypatch, capsys
):
    stream = FactorDataset.to_tf_data

    def with_nan(data, *arguments, **options):
        def spoilt(number, images):
            scaled = tf.cast(images, "float32") / 255.0
            return tf.where(number == 1, tf.fill(tf.shape(scaled), np.nan), scaled)

        return stream(data, *arguments, **options).enumerate().map(spoilt)

    monkeypatch.setattr(FactorDataset, "to_tf_data", with_nan)
    assert train(tmp_path / "run") == 1
    assert "those of step 2 hold other values or NaN" in capsys.readouterr().err
    killing.check_whole(tmp_path / "run", every=1)
    assert killing.newest(tmp_path / "run") == "step-000000001.keras"
    monkeypatch.undo()
    assert train(tmp_path / "run") == 0
    killing.compare(tmp_path / "run", unbroken)


def with_dropout():
    image = keras.Input(SHAPE)
    h = keras.layers.Dropout(0.5)(keras.layers.Flatten()(image))
    outputs = [keras.layers.Dense(3)(h), keras.layers.Dense(3)(h)]
    decoder = networks.dense_decoder(3, SHAPE, (16,))
    vae = BetaVAE(keras.Model(image, outputs), decoder, seed=0)
    vae.compile("adam", **EAGER)
    return vae


def test_a_loaded_model_goes_on_with_the_streams_of_its_layers(tmp_path):
    keras.utils.set_random_seed(0)
    vae, images = with_dropout(), patterns()
    vae.fit(images, epochs=1, shuffle=False, verbose=0)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    for model in (vae, loaded):
        model.fit(images, epochs=1, shuffle=False, verbose=0)
    for ours, theirs in zip(weights_of(loaded), weights_of(vae), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(loaded.sample(2), vae.sample(2))


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fill():
        with moved_into_place(path) as aside:
            aside.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=rf"No space left on device: '{path}'"):
        fill()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"file": "old"}


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "1"
    for name in ("old", "new"):
        with moved_into_place(path, replaces=("old",)) as aside:
            aside.mkdir()
            (aside / name).write_text(name)
    assert [file.name for file in path.iterdir()] == ["new"]
    (tmp_path / "saving-0a1b2c3d-1").mkdir()
    (path / "saving-0a1b2c3d-new").write_text("half")
    clear_left_aside(tmp_path)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["1", "new"]


@pytest.mark.parametrize(
    "linked",
    ["saved_model/1", "saved_model/1/variables/x", "logs/loss", "saved_model", "checkpoints"],
)
def test_a_resumed_run_deletes_nothing_that_a_link_points_to(tmp_path, unbroken, linked, capsys):
    run, deployed = tmp_path / "run", tmp_path / "deployed"
    shutil.copytree(unbroken, run)
    (run / "model.keras").unlink()
    (run / "scores.json").unlink()
    for path in killing.newest_first(run)[:1]:
        path.unlink()
    link = run / linked
    if link.is_dir():
        shutil.rmtree(link)
    deployed.mkdir()
    for name in ("events.out.tfevents.0", ".hidden", "saved_model.pb"):
        (deployed / name).write_text("precious")
    link.symlink_to(deployed)
    status = train(run)
    if linked != "logs/loss":
        assert status == 1
        assert "link" in capsys.readouterr().err
        # Found out before the training, not after it.
        assert not (run / "model.keras").is_file()
    for name in ("events.out.tfevents.0", ".hidden", "saved_model.pb"):
        assert (deployed / name).read_text() == "precious"


def test_a_run_is_resumed_on_its_own_data_by_one_process(tmp_path, unbroken, capsys):
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    with locked(run):
        thread = threading.Thread(target=train, args=(run,))
        thread.start()
        thread.join()
    assert f"{run} is in use by process {os.getpid()} on" in capsys.readouterr().err
    note = json.loads((run / "data.json").read_text())
    note["mean_levels"][0] += 10
    (run / "data.json").write_text(json.dumps(note))
    assert train(run) == 1
    assert "the images have changed since the run was started" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["checkpoints/step-000000009.keras", "scores.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path, unbroken, name, capsys):
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    (run / "model.keras").unlink()
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    if name == "scores.json":
        assert train(run) == 1
        assert f"{run / name} must be a regular file" in capsys.readouterr().err
    else:
        with pytest.warns(UserWarning, match="it is not a regular file"):
            assert train(run) == 0


def lose(logs, in_its_place):
    """Takes away the files that a training writes to."""
    if in_its_place == "a cut":
        for file in logs.rglob("events*"):
            os.truncate(file, 10)
        return
    logs.rename(logs.with_name("before"))
    if in_its_place == "a file":
        logs.write_text("")
    elif in_its_place == "copies":
        shutil.copytree(logs.with_name("before"), logs)


@pytest.mark.parametrize("in_its_place", ["nothing", "a file", "copies", "a cut"])
def test_logs_that_are_lost_while_it_trains_stop_the_training(tmp_path, in_its_place):
    class Lose(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                lose(tmp_path / "logs", in_its_place)

    said = r"tfevents.*(deleted|replaced or truncated) while|could not write TensorBoard"
    with pytest.raises(OSError, match=said):
        reused().fit(
            patterns(), epochs=2, verbose=0, callbacks=[Lose(), LossCurves(tmp_path / "logs")]
        )


def test_metrics_hold_each_interval_once_with_all_columns(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss,old\n0,3.0,1\n1,2.0,1\n2,1")
    rows = MetricsFile(path, 1)
    rows.on_epoch_end(1, {"loss": 1.5, "new": 7})
    assert path.read_text().split() == ["epoch,loss,old,new", "0,3.0,1,NA", "1,1.5,NA,7"]
    with pytest.warns(UserWarning, match="rows of 2 of the 3 intervals"):
        MetricsFile(path, 3)


@pytest.mark.parametrize("content", ["epoch;loss\n0;3.0\n", "epoch,loss\nfirst,3.0\n", ""])
def test_metrics_of_another_kind_are_named_and_kept(tmp_path, content):
    path = tmp_path / "metrics.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"{path} must"):
        MetricsFile(path, 1)
    assert path.read_text() == content
