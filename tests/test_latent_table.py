import csv

import keras
import numpy as np
import pytest

from keras_betavae import metrics
from keras_betavae.callbacks import Checkpoint, LatentTable
from keras_betavae.datasets import FactorDataset, ImageDataset
from tests.helpers import SHAPE, reused

IMAGES = 255 * np.random.default_rng(0).integers(0, 2, (24, *SHAPE), dtype="uint8")
DATA = FactorDataset(IMAGES, ("shape", "place"), (4, 6))


def lines_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def train(vae, path, epochs, **options):
    table = LatentTable(DATA, path, **options)
    vae.fit(DATA.to_tf_data(8, seed=0), epochs=epochs, verbose=0, callbacks=[table])


def test_there_is_a_line_for_each_latent_before_training_and_after_each_epoch(tmp_path):
    vae = reused()
    train(vae, tmp_path / "new" / "latents.csv", epochs=2)
    lines = lines_of(tmp_path / "new" / "latents.csv")
    assert [(int(line["step"]), int(line["latent"])) for line in lines] == [
        (step, latent) for step in (0, 3, 6) for latent in range(3)
    ]
    # The last lines are of the model as it is now, by closed form and by the score's own matrix.
    mean, log_var = (np.asarray(part, float) for part in vae.encode(IMAGES))
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).mean(axis=0)
    factors, codes = DATA.encode_with(vae, 10_000, seed=0)
    information = metrics.mutual_information(factors, codes, n_samples=10_000)
    for latent, line in enumerate(lines[-3:]):
        assert float(line["kl"]) == pytest.approx(kl[latent], rel=1e-3)
        found = [float(line[name]) for name in ("shape", "place")]
        np.testing.assert_allclose(found, information[latent], rtol=1e-3, atol=1e-6)


def test_lines_of_later_steps_than_the_training_begins_at_are_dropped(tmp_path):
    path = tmp_path / "latents.csv"
    train(reused(), path, epochs=3)
    vae = reused()
    vae.step_counter.assign(3)  # As if it were loaded from the checkpoint after one epoch.
    before = lines_of(path)
    train(vae, path, epochs=1)
    lines = lines_of(path)
    assert [int(line["step"]) for line in lines[::3]] == [0, 3, 6]
    assert lines[:3] == before[:3]
    assert lines[3:6] != before[3:6]  # Made anew, of other weights.


class Restores(keras.callbacks.Callback):
    """Restores the model as training begins, as `BackupAndRestore`."""

    def on_train_begin(self, logs=None):
        self.model.step_counter.assign(3)


def test_a_callback_behind_it_may_restore_the_model(tmp_path):
    path, folder = tmp_path / "latents.csv", tmp_path / "checkpoints"
    train(reused(), path, epochs=1)
    before, vae = lines_of(path), reused()
    folder.mkdir()
    (folder / "step-000000003.keras").touch()
    callbacks = [LatentTable(DATA, path), Checkpoint(folder), Restores()]
    vae.fit(DATA.to_tf_data(8, seed=0), epochs=1, verbose=0, callbacks=callbacks)
    lines = lines_of(path)
    assert [int(line["step"]) for line in lines[::3]] == [0, 3, 6]
    assert lines[:3] == before[:3]
    assert Checkpoint.latest(folder).name == "step-000000006.keras"


def test_it_keeps_to_its_epochs_and_to_data_without_factors(tmp_path):
    data, vae = ImageDataset(IMAGES), reused()
    table = LatentTable(data, tmp_path / "latents.csv", every_n_epochs=2, n_images=10)
    vae.fit(data.to_tf_data(8, seed=0), epochs=3, verbose=0, callbacks=[table])
    lines = lines_of(tmp_path / "latents.csv")
    assert list(lines[0]) == ["step", "latent", "kl"]
    assert [int(line["step"]) for line in lines[::3]] == [0, 6]


def test_bad_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="n_images must be at least 1, got 0"):
        LatentTable(DATA, tmp_path / "latents.csv", n_images=0)
    with pytest.raises(ValueError, match="every_n_epochs must be at least 1"):
        LatentTable(DATA, tmp_path / "latents.csv", every_n_epochs=0)
