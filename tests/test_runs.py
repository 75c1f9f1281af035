import csv
import json
import re

import keras
import numpy as np
import pytest
from PIL import Image

from keras_betavae import BetaVAE, FactorVAE, callbacks, cli, visualization
from keras_betavae._utils.steps import training_step
from keras_betavae.datasets import FactorDataset
from keras_betavae.evaluation.inspection import inspect
from keras_betavae.experiments import _choices, runs
from keras_betavae.objectives import Beta, Capacity
from tests.helpers import (
    SHAPE,
    narrow_networks,
    no_exports,
    no_graphs,
    quick_runs,
    quick_scores,
    tiny_networks,
    tiny_vae,
    weights_of,
)

# In few steps the KL does not reach the capacity.
pytestmark = pytest.mark.filterwarnings("ignore:by step .* from the capacity")

GRID = (3, 2, 4, 4, 4)


@pytest.fixture(scope="module", autouse=True)
def quick():
    with quick_scores(), narrow_networks():
        yield


@pytest.fixture
def few_steps():
    with quick_runs(), no_exports(), no_graphs():
        yield


def small(**options):
    chosen = {"grid": GRID, "batch_size": 16, "n_images": 100, **options}
    return runs.Settings.from_preset("burgess_dsprites", **chosen)


def random_images():
    images = np.random.default_rng(0).integers(0, 2, (48, *SHAPE), dtype="uint8")
    return FactorDataset(255 * images, ("shape", "x", "y"), (2, 4, 6))


# Settings.


def test_a_recipe_that_depends_on_the_number_of_images_takes_the_datas():
    data = FactorDataset(np.zeros((6, 32, 32, 1), "uint8"), "ab", (2, 3))
    settings = runs.Settings(preset="locatello_tc", batch_size=4, steps=1, every=1)
    assert settings.build_model(data).objective.n_data == 6


def test_a_run_may_be_of_a_model_of_its_own():
    data = FactorDataset(np.zeros((6, 32, 32, 1), "uint8"), "ab", (2, 3))
    settings = runs.Settings(preset="locatello_factor", batch_size=16, steps=1, every=1)
    vae = settings.build_model(data)
    assert type(vae) is FactorVAE


def test_settings_take_what_was_not_chosen_from_the_preset():
    settings = runs.Settings.from_preset("burgess_dsprites")
    assert (settings.batch_size, settings.steps, settings.every) == (64, 150_000, 15_000)
    assert (settings.data, settings.n_images, settings.seed) == ("sprites", 20_000, 0)
    assert runs.Settings.from_preset("sprites_quick", steps=7).every == 7
    assert runs.Settings.from_preset("sprites_quick", steps=7, every=3).every == 3


@pytest.mark.parametrize("options", [{}, {"grid": GRID, "beta": 0.5, "learning_rate": 1e-3}])
def test_settings_are_read_back_as_they_were_written(tmp_path, options):
    settings = runs.Settings.from_preset("sprites_quick", **options)
    folder = runs.create(tmp_path / "a" / "run", settings)
    assert runs.load_settings(folder) == settings
    assert json.loads((folder / "config.json").read_text()) == json.loads(
        json.dumps(settings.model_dump())
    )
    assert [path.name for path in folder.iterdir()] == ["config.json"]


@pytest.mark.parametrize("name", ["batch_size", "steps", "every"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        small(**{name: 0})


@pytest.mark.parametrize("n_images", [99, 1, 0, -5])
def test_fewer_than_a_hundred_images_to_score_are_refused(n_images):
    with pytest.raises(ValueError, match=f"n_images must be at least 100, got {n_images}"):
        small(n_images=n_images)
    assert small(n_images=100).n_images == 100


@pytest.mark.parametrize("learning_rate", [0.0, -1e-3])
def test_a_learning_rate_that_does_not_learn_is_refused(learning_rate):
    with pytest.raises(ValueError, match=f"learning_rate must be above 0, got {learning_rate}"):
        small(learning_rate=learning_rate)


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"preset must be one of .*burgess_dsprites.*got 'beta'"):
        runs.Settings.from_preset("beta")


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ValueError, match="shapes3d"):
        small(data="shapes3d")


def test_settings_build_the_model_they_name():
    settings = small(latent_dim=4, beta=0.5, learning_rate=3e-3, seed=5)
    data = settings.load_data()
    vae = settings.build_model(data)
    assert data.factor_sizes == GRID
    assert vae.latent_dim == 4
    assert isinstance(vae.objective, Beta)
    assert vae.objective.beta == 0.5
    assert float(vae.optimizer.learning_rate) == pytest.approx(3e-3)
    assert isinstance(small().build_model(data).objective, Capacity)


def test_a_chosen_learning_rate_takes_the_place_of_a_schedule():
    settings = runs.Settings.from_preset("sprites_quick", grid=GRID, learning_rate=2e-3)
    vae = settings.build_model(settings.load_data())
    for step in (0, 400, settings.steps):
        vae.optimizer.iterations.assign(step)
        assert float(vae.optimizer.learning_rate) == pytest.approx(2e-3)


def test_precision_is_that_of_the_networks_and_of_nothing_else():
    before = keras.config.dtype_policy().name
    settings = small(precision="mixed_bfloat16", steps=1)
    vae = settings.build_model(settings.load_data())
    assert vae.encoder.layers[1].compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == before


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [("avx2 avx512_bf16", "mixed_bfloat16"), ("amx_bf16", "mixed_bfloat16"), ("avx2", "float32")],
)
def test_auto_asks_the_processor_for_the_precision(flags, chosen, tmp_path, monkeypatch):
    processor = tmp_path / "cpuinfo"
    processor.write_text(f"processor : 0\nflags\t\t: fpu {flags}\n")
    monkeypatch.setattr(_choices, "PROCESSOR", processor)
    assert small(precision="auto").precision == chosen


def test_the_same_seed_builds_the_same_model():
    data = small().load_data()
    one, other, third = (small(seed=seed).build_model(data) for seed in (1, 1, 2))
    for weight, same in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(weight, same)
    assert (one.encoder.get_weights()[0] != third.encoder.get_weights()[0]).any()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1, 2]",
        "null",
        '{"preset": "sprites_quick"}',
        '{"preset": "other", "batch_size": 1, "steps": 1, "every": 1}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_config_is_named(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=re.escape(f"{path} does not hold a run's settings")):
        runs.load_settings(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"steps": 0', "steps must be at least 1, got 0"),
        ('"steps": "many"', "steps must be an integer, got 'many'"),
        ('"steps": true', "steps must be an integer, got True"),
        ('"every": 1e3', "every must be an integer, got 1000.0"),
        ('"batch_size": 3000000000', "batch_size must be at most 2147483647, got 3000000000"),
        ('"seed": -1', "seed must be at least 0, got -1"),
        ('"seed": null', "seed must be an integer, got None"),
        ('"preset": 3', "preset must be a string, got 3"),
        ('"data": "mnist"', "data must be one of blobs, .*, folder, got 'mnist'"),
        ('"data": "folder"', "data_path must be the folder with your pictures, got None"),
        ('"data_path": 5', "data_path must be a string, got 5"),
        ('"factors_path": "a.csv"', "factors_path must be left out unless data is folder, got"),
        (
            '"data": "folder", "data_path": "a", "channels": 2',
            "channels must be one of 1, 3, got 2",
        ),
        ('"channels": true', "channels must be an integer, got True"),
        ('"grid": 5', "grid must be a list of integers, got 5"),
        ('"grid": "33333"', "grid must be a list of integers, got '33333'"),
        ('"grid": [2.5, 3]', r"grid\.0 must be an integer, got 2\.5"),
        ('"grid": [3, 2, 4, 4, true]', r"grid\.4 must be an integer, got True"),
        ('"grid": [3, 2]', r"grid must be 5 sizes for sprites.*, got \(3, 2\)"),
        ('"grid": [3, 6, 40, 32, 1000]', "product of at most 10,000,000, got .*1000"),
        (f'"grid": {[2] * 1000}', r"grid must be 5 sizes .*, got \(2, 2, 2, 2, 2, 2, \.\.\.\)"),
        ('"data": "dsprites", "grid": [2, 2]', "grid must be left out unless data is rendered"),
        ('"grid": [3, 2, 4, 4, -4]', r"grid must be .*, each at least 2, .*-4"),
        ('"beta": NaN', "beta must be a finite number, got nan"),
        ('"beta": Infinity', "beta must be a finite number, got inf"),
        ('"beta": "4"', "beta must be a number, got '4'"),
        ('"beta": true', "beta must be a number, got True"),
        ('"learning_rate": NaN', "learning_rate must be a finite number, got nan"),
        ('"weights": [1]', r"weights must be numbers by name, got \[1\]"),
        ('"weights": {"beta": true}', r"weights\.beta must be a number, got True"),
        ('"data": "folder", "data_path": ""', "must not be empty"),
        ('"data": "folder", "data_path": "a", "continuous": ["b"]', "needs factors_path, got only"),
        ('"weights": {"b": 1}', "weights of sprites_quick must be of .*beta.*, got b"),
        ('"deterministic": 1', "deterministic must be a boolean, got 1"),
        ('"color": 3', "color is not a setting; settings are preset, .*, deterministic"),
    ],
)
def test_a_setting_of_the_wrong_type_or_size_is_named_with_its_file(tmp_path, text, words):
    path = tmp_path / "config.json"
    whole = '"preset": "sprites_quick", "batch_size": 1, "steps": 1, "every": 1'
    path.write_text(f"{{{whole}, {text}}}")  # Of two values by one name, JSON takes the last.
    with pytest.raises(ValueError, match=words) as caught:
        runs.load_settings(tmp_path)
    assert type(caught.value) is ValueError
    assert str(caught.value).startswith(f"{path} does not hold a run's settings: ")
    assert "\n" not in str(caught.value)


# Folders.


def test_a_run_never_goes_into_a_folder_with_something_in_it(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(FileExistsError, match=r"not empty; choose another .*--resume"):
        runs.create(tmp_path, small())
    assert [path.name for path in tmp_path.iterdir()] == ["note"]
    (tmp_path / "empty").mkdir()
    assert runs.create(tmp_path / "empty", small()) == tmp_path / "empty"


def test_a_folder_without_a_run_is_named(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(FileNotFoundError, match=re.escape(f"{folder} is not a run folder")):
            runs.load_settings(folder)


def test_the_trained_model_goes_before_the_latest_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model\.keras and no checkpoint"):
        runs.load_model(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for seed, name in (
        (1, "checkpoints/step-000000010.keras"),
        (2, "checkpoints/step-000000020.keras"),
        (3, "model.keras"),
    ):
        vae = tiny_vae(seed=seed)
        vae.save(tmp_path / name)
        assert runs.load_model(tmp_path).seed == seed


# Pictures.


def test_pictures_are_drawn_with_the_strongest_latent_first(tmp_path):
    vae, data = BetaVAE(**tiny_networks(latent_dim=2), seed=0), random_images()
    pictures = runs.draw(tmp_path, vae, data)
    inspection = inspect(vae, data)
    images = data.images_at(data.sample_indices(8, seed=1))
    names = {f"{name}.png" for name in inspection.pictures(vae, images)}
    assert {path.name for path in pictures.iterdir()} == {*names, "traversal.gif"}
    with Image.open(pictures / "samples.png") as image:
        assert image.size == (8 * 10 + 2, 3 * 10 + 2)
    order = inspection.by_kl
    code = np.asarray(vae.encode(images[:1])[0])[0]
    rows = visualization.traverse(vae, code, latents=order)
    grid = visualization.image_grid(rows)
    with Image.open(pictures / "traversal.png") as image:
        np.testing.assert_array_equal(np.asarray(image)[:, -grid.shape[1] :], grid)
    with Image.open(pictures / "traversal.gif") as film:
        first = np.asarray(film.convert("RGB"))
    np.testing.assert_array_equal(first, visualization.image_grid(rows[None, :, 0]))


# A training that was killed; tests/test_survival.py kills some in earnest.


def rows_of(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


class Interrupted(Exception):
    pass


def interrupt_at(step):
    """Returns a `fit` that is interrupted in the middle of an epoch."""
    fit = BetaVAE.fit

    def stop(batch, logs):
        stop.done += 1
        if stop.done == step:
            raise Interrupted

    def interrupted(vae, *arguments, callbacks, **options):
        stop.done = 0
        own = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
        return fit(vae, *arguments, callbacks=[*callbacks, own], **options)

    return interrupted


# Those of tests/test_survival.py resume as unbroken runs too.
@pytest.mark.slow
@pytest.mark.usefixtures("few_steps")
def test_an_interrupted_training_resumes_as_if_nothing_had_been(tmp_path, monkeypatch):
    settings = small(steps=5, every=2, seed=2)
    data = settings.load_data()
    broken = runs.create(tmp_path / "broken", settings)
    with monkeypatch.context() as patch:
        patch.setattr(BetaVAE, "fit", interrupt_at(3))
        with pytest.raises(Interrupted):
            runs.train(broken, data, verbose=0)
    checkpoint = callbacks.Checkpoint.latest(broken / "checkpoints")
    assert checkpoint.name == "step-000000002.keras"
    assert training_step(keras.saving.load_model(checkpoint)) == 2
    assert not (broken / "model.keras").exists()
    # As if it had been killed between the next row and its checkpoint.
    with open(broken / "metrics.csv", "r+", newline="") as file:
        last = file.readlines()[-1]
        file.write(last.replace("0,", "1,", 1))

    resume = ["train", "--resume", str(broken), "--verbose=0", "--no-controls"]
    assert cli.main(resume) == 0
    assert (broken / "scores.json").is_file()
    vae = runs.load_model(broken)
    assert training_step(vae) == 5
    rows = rows_of(broken)
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    assert [int(row["step"]) for row in rows] == [2, 4, 5]
    # C rises by 25 nats in 100,000 steps; a row has its mean over the row's steps.
    for row, mean_step in zip(rows, (0.5, 2.5, 4), strict=True):
        assert float(row["capacity"]) == pytest.approx(25e-5 * mean_step, rel=1e-4)

    unbroken = runs.train(runs.create(tmp_path / "unbroken", settings), data, verbose=0)
    for weight, other in zip(weights_of(vae), weights_of(unbroken), strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-5)
    for row, other in zip(rows, rows_of(tmp_path / "unbroken"), strict=True):
        for name in ("loss", "reconstruction_loss", "kl_loss", "capacity", "step"):
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-4)

    # Once it has ended there is nothing left to train.
    again = runs.train(broken, data, verbose=0)
    for weight, other in zip(weights_of(vae), weights_of(again), strict=True):
        np.testing.assert_array_equal(weight, other)
    assert rows_of(broken) == rows


@pytest.mark.usefixtures("few_steps")
def test_a_training_that_was_killed_before_its_first_checkpoint_starts_anew(tmp_path):
    settings = small(steps=2, every=1)
    folder = runs.create(tmp_path / "run", settings)
    (folder / "metrics.csv").write_text("epoch,loss\n0,1.0\n")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "saving-0a1b2c3d-step-000000001.keras").write_bytes(b"half a file")
    vae = runs.train(folder, settings.load_data(), verbose=0)
    assert training_step(vae) == 2
    assert [int(row["step"]) for row in rows_of(folder)] == [1, 2]
    names = ["step-000000001.keras", "step-000000002.keras"]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == names


def damaged(content, tmp_path):
    """A saved model's bytes, none, others, or only some of them."""
    path = tmp_path / "whole.keras"
    tiny_vae().save(path)
    whole = path.read_bytes()
    path.unlink()
    middle = len(whole) // 2
    return {
        "empty": b"",
        "not a model": b"not a model",
        "half": whole[:middle],
        "flipped": whole[:middle]
        + bytes(255 - byte for byte in whole[middle : middle + 64])
        + whole[middle + 64 :],
    }[content]


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("content", ["empty", "not a model", "half", "flipped"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    settings = small(steps=2, every=1)
    folder = runs.create(tmp_path / "run", settings)
    path = folder / "checkpoints" / "step-000000001.keras"
    path.parent.mkdir()
    path.write_bytes(damaged(content, tmp_path))
    message = re.escape(f"{path} is damaged or not a saved model")
    with pytest.raises(ValueError, match=message):
        runs.load_model(folder)
    with pytest.raises(ValueError, match=message):
        runs.train(folder, settings.load_data(), verbose=0)
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["checkpoints", "config.json", "data.json"]
    if content != "half":
        return
    # Without it the run starts again, as the message says.
    path.unlink()
    assert training_step(runs.train(folder, settings.load_data(), verbose=0)) == 2
