"""Reports, pictures and commands of any model, not only of runs."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

import keras_betavae as kbv
from keras_betavae import BetaVAE, cli, networks, visualization
from keras_betavae.datasets import from_arrays, from_table
from keras_betavae.evaluation import inspect, showcase
from keras_betavae.experiments.report._shown import _curves_of

COLUMNS = ("area of <it>", "smoothness", "depth")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(120, 3)), columns=list(COLUMNS))
    frame["age"] = rng.uniform(20, 80, 120)
    frame["kind"] = np.repeat(["a", "b"], 60)
    path = tmp_path_factory.mktemp("table") / "table.csv"
    frame.to_csv(path, index=False)
    return path


def small(shape, **options):
    return BetaVAE(
        networks.dense_encoder(shape, 2, units=(4,)),
        networks.dense_decoder(2, shape, units=(4,)),
        seed=0,
        **options,
    )


@pytest.fixture(scope="module")
def vae(table):
    data = from_table(table, factors=["age", "kind"])
    pair = networks.standardized(
        networks.dense_encoder((3,), 2, units=(4,)),
        networks.dense_decoder(2, (3,), units=(4,)),
        *data.mean_and_std(),
    )
    likelihood = kbv.likelihoods.Gaussian(units=data.mean_and_std()[1])
    return BetaVAE(*pair, likelihood=likelihood, seed=0)


@pytest.fixture(scope="module")
def files(vae, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    vae.save(folder / "vae.keras")
    vae.export(folder / "served", verbose=False)
    return folder


def width_of(path):
    with Image.open(path) as picture:
        return picture.width


def test_a_report_of_any_model_names_columns_and_bins(vae, table, tmp_path):
    data = from_table(table, factors=["age", "kind"])
    scores = ["mig_score", "sap_score"]
    path = kbv.report(vae, data, tmp_path / "mine.html", scores=scores)
    text = path.read_text("utf-8")
    assert "mig_score" in text
    assert "into 20 quantile bins, except for sap_score" in text
    assert "120 vectors (3,); age continuous, kind 2" in text
    assert text.count('class="frame"') >= 1


def test_a_report_takes_an_array(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype="uint8")
    path = kbv.report(small((8, 8, 1)), images, tmp_path / "images.html", scores=())
    assert "ImageDataset(40 images (8, 8, 1))" in path.read_text("utf-8")
    with pytest.raises(TypeError, match=r"make a data set with datasets\.from_arrays"):
        kbv.report(small((8, 8, 1)), images.tolist(), tmp_path / "images.html")


def test_the_curves_of_a_second_fit_end_at_the_models_step(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype="uint8")
    model = small((8, 8, 1))
    model.compile("sgd", run_eagerly=True)
    for epochs in (3, 2):
        model.fit(images, batch_size=8, epochs=epochs, verbose=0)
    steps, loss = _curves_of(model, model.history.history)["loss"]
    assert steps.tolist() == [20, 25]
    assert loss.tolist() == model.history.history["loss"]


def test_curves_end_at_the_last_step_though_earlier_weights_were_restored():
    history = {"loss": [3.0, 2.0, 1.0], "mig_score": [np.nan, 0.1, 0.2], "note": ["a", "b", "c"]}
    model = SimpleNamespace(
        step=10,  # Restored with the weights.
        optimizer=SimpleNamespace(iterations=tf.constant(30)),
        history=SimpleNamespace(params={"steps": 10}),
    )
    curves = _curves_of(model, history)
    assert curves["loss"][0].tolist() == [10, 20, 30]
    assert [part.tolist() for part in curves["mig_score"]] == [[20, 30], [0.1, 0.2]]
    assert "note" not in curves


@pytest.mark.parametrize("name", ["vae.keras", "served"])
def test_commands_take_files_of_models_with_a_table(name, files, table, tmp_path, capsys):
    given = ["--data", "table", "--data-path", str(table), "--factors", "age,kind"]
    model = str(files / name)
    assert cli.main(["traverse", model, *given, "--out", str(tmp_path / "t.png")]) == 0
    assert cli.main(["traverse", model, *given, "--out", str(tmp_path / "t.gif")]) == 0
    evaluated = ["evaluate", model, *given, "--scores", "mig_score", "--no-controls"]
    assert cli.main(evaluated) == 0
    printed = capsys.readouterr().out
    assert "into 20 quantile bins" in printed
    assert width_of(tmp_path / "t.png") > 400


def test_a_keras_file_has_controls_and_an_export_and_a_saved_model_says_what_it_lacks(
    files, table, tmp_path, capsys
):
    given = ["--data", "table", "--data-path", str(table), "--factors", "age,kind"]
    scored = [*given, "--scores", "mig_score"]
    printed = []
    for _ in range(2):
        assert cli.main(["evaluate", str(files / "vae.keras"), *scored]) == 0
        printed.append(capsys.readouterr().out)
    assert "untrained" in printed[0]
    assert printed[0] == printed[1]
    assert cli.main(["evaluate", str(files / "served"), *scored]) == 0
    assert "cannot be rebuilt untrained" in capsys.readouterr().out
    assert cli.main(["export", str(files / "vae.keras"), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "saved_model.pb").is_file()
    assert cli.main(["export", str(files / "served"), "--out", str(tmp_path / "third")]) == 1
    assert "is already a SavedModel" in capsys.readouterr().err
    assert cli.main(["evaluate", str(files / "vae.keras"), "--scores", "mig_score"]) == 1
    assert "not a run folder" in capsys.readouterr().err
    assert cli.main(["evaluate", str(files / "vae.keras"), *given, "--factors-path", "f.csv"]) == 1
    assert "--factors-path needs --data folder, got --data table" in capsys.readouterr().err


def test_a_folder_of_pictures_is_scaled_to_the_model(tmp_path):
    (tmp_path / "pictures").mkdir()
    for number in range(12):
        image = np.random.default_rng(number).integers(0, 256, (10, 10, 3), dtype="uint8")
        Image.fromarray(image).save(tmp_path / "pictures" / f"{number}.png")
    small((8, 8, 3)).save(tmp_path / "vae.keras")
    given = ["--data", "folder", "--data-path", str(tmp_path / "pictures")]
    out = tmp_path / "t.png"
    assert cli.main(["traverse", str(tmp_path / "vae.keras"), *given, "--out", str(out)]) == 0
    assert width_of(out) > 11 * 8


# How vectors, signals and images of real values are drawn.


def test_images_of_real_values_keep_their_hue_and_their_black():
    images = np.full((40, 4, 4, 3), [0.9, -0.9, -0.9], "float32")
    images[:, :2] = [-1.0, -1.0, -1.0]
    images[0, 0] = 1.0
    cells = visualization.View.of(from_arrays(images)).cells(images)
    np.testing.assert_allclose(cells, (images + 1) / 2, atol=1e-6)


def test_bars_and_lines_rise_with_the_values():
    view = visualization.View("vectors", ("a", "b"), np.zeros(2), np.ones(2))
    low, high = view.cells(np.array([[-3.5, 3.5], [3.5, -3.5]]))
    np.testing.assert_allclose(low[:, :40].mean((0, 1)), high[:, 50:90].mean((0, 1)), atol=0.05)
    blue, orange = high[5, 10], high[-5, 80]
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]
    signal = np.linspace(-3, 3, 50)[:, None]
    lines = visualization.View("signals", ("volts",), np.zeros(1), np.ones(1))
    dark = lines.cells(signal).min(axis=-1)
    heights = [int(dark[:, column].argmin()) for column in (5, 48, 90)]
    assert heights[0] > heights[1] > heights[2]
    assert lines.cells(signal, wide=True).shape == (110, 240, 3)


def test_the_inspection_of_continuous_factors_knows_their_values(vae, table):
    data = from_table(table, factors=["age", "kind"])
    inspection = inspect(vae, data)
    centers = inspection.centers["age"]
    assert len(centers) == 20
    assert (np.diff(centers) > 0).all()
    assert 20 <= centers[0] < centers[-1] <= 80
    pictures = inspection.pictures(vae, showcase(data))
    assert {"traversal", "curves_age", "reconstructions"} <= set(pictures)


def test_callbacks_and_inspect_take_arrays(tmp_path):
    images = np.random.default_rng(0).normal(size=(30, 5))
    model = small((5,), likelihood=kbv.likelihoods.Gaussian())
    assert inspect(model, images).kl.shape == (2,)
    callback = kbv.callbacks.DisentanglementMetric(images, scores=["active_units"])
    assert callback.data.kind == "vectors"
    traversal = kbv.callbacks.LatentTraversal(from_arrays(images), tmp_path)
    traversal.set_model(model)
    traversal.on_train_begin()
    traversal.on_epoch_begin(0)
    assert list(tmp_path.rglob("*tfevents*"))
