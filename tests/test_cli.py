import csv
import io
import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_betavae import callbacks, cli, metrics, presets
from keras_betavae.cli import doctor, reproduce
from keras_betavae.cli._settings import chosen_settings, settings_table
from keras_betavae.datasets import catalog, load_sprites
from keras_betavae.datasets.released import dsprites
from keras_betavae.experiments import reproduction, runs
from keras_betavae.experiments._choices import PRESETS
from tests.helpers import (
    narrow_networks,
    no_exports,
    no_graphs,
    quick_runs,
    quick_scores,
    run_python,
    weights_of,
)

# In few steps the KL does not reach the capacity.
pytestmark = pytest.mark.filterwarnings("ignore:by step .* from the capacity")

SMALL = ["--preset=burgess_dsprites", "--grid=3,2,4,4,4", "--batch-size=32", "--n-images=200"]
SEED = 3


@pytest.fixture(scope="module", autouse=True)
def quick():
    with quick_scores(), narrow_networks(), no_graphs():
        yield


@pytest.fixture
def undrawn():
    """No pictures and no SavedModel, which the run of the module has."""
    with quick_runs(), no_exports():
        yield


def train(folder, *options):
    return cli.main(["train", "--out", str(folder), *SMALL, *options])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that the command line has trained, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    with pytest.MonkeyPatch.context() as patch:
        # The run of tests/test_tensorboard.py has those of each interval.
        patch.setattr(callbacks.LatentPictures, "draw", lambda _: None)
        printed = []
        patch.setattr(
            "builtins.print", lambda *words, **_: printed.append(" ".join(map(str, words)))
        )
        options = f"--steps 3 --every 2 --seed {SEED} --latent-dim 3 --verbose 0".split()
        assert train(folder, *options) == 0
    return folder, "\n".join(printed)


def failed(capsys, *arguments, status=1):
    """Returns the one line that a failed command leaves on stderr."""
    capsys.readouterr()
    assert cli.main([str(argument) for argument in arguments]) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-betavae: ")
    return line


# What a run leaves.


def test_a_run_leaves_all_that_it_says(trained):
    folder, printed = trained
    names = {
        "config.json", "data.json", "metrics.csv", "latents.csv", "logs", "checkpoints", "pictures",
        "model.keras", "saved_model", "scores.json", "scores.md",
    }  # fmt: skip
    assert {path.name for path in folder.iterdir()} == names
    for line in ("logs", "metrics.csv", "pictures", "model.keras", "saved_model/1", "scores.json"):
        assert str(folder / line) in printed
    logs = {path.name for path in (folder / "logs").iterdir()}
    assert logs == {"disentanglement", "hparams", "latents", "loss", "pictures", "projector"}
    checkpoints = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert checkpoints == ["step-000000002.keras", "step-000000003.keras"]


def test_metrics_have_a_row_for_each_interval(trained):
    with open(trained[0] / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["epoch"]), int(row["step"])) for row in rows] == [(0, 2), (1, 3)]
    losses = [float(row["loss"]) for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert all(0 <= float(row["beta_vae_score"]) <= 1 for row in rows)


def test_the_run_can_be_made_again_from_its_settings(trained):
    settings = runs.load_settings(trained[0])
    assert (settings.preset, settings.steps, settings.every) == ("burgess_dsprites", 3, 2)
    assert (settings.batch_size, settings.n_images, settings.seed) == (32, 200, SEED)
    assert tuple(settings.grid) == (3, 2, 4, 4, 4)


def test_the_model_is_the_last_checkpoint_and_the_saved_model(trained):
    folder, _ = trained
    vae = keras.saving.load_model(folder / "model.keras")
    assert int(vae.optimizer.iterations) == 3
    images = runs.load_settings(folder).load_data().images_at([0, 100, 200])
    mean, log_var = vae.encode(images)
    last = keras.saving.load_model(folder / "checkpoints" / "step-000000003.keras")
    np.testing.assert_array_equal(last.encode(images)[0], mean)
    served = tf.saved_model.load(folder / "saved_model" / "1")
    served = served.encode(images / np.float32(255))
    np.testing.assert_allclose(served["mean"], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(served["log_var"], log_var, rtol=1e-4, atol=1e-5)


def test_the_table_is_printed_with_what_it_does_not_mean(trained):
    folder, printed = trained
    tables = json.loads((folder / "scores.json").read_text())
    table = (folder / "scores.md").read_text()
    assert table in printed
    assert list(tables) == [
        "trained", "untrained", "PCA, 10 components", "ICA, 10 components", "raw pixels",
    ]  # fmt: skip
    ours = tables["trained"]
    for name, value in ours.items():
        (line,) = (line for line in table.splitlines() if line.startswith(f"| {name} "))
        shown = line.split("|")[3].strip()
        assert float(shown) == pytest.approx(value, abs=5e-4)
    words = " ".join(printed.split())
    assert f"leaves the shape out, beta_vae_score is {ours['beta_vae_score']:.3f}" in words
    assert f"with {ours['active_units']:.0f} active latents" in words
    assert (
        f"by that of Locatello et al. (all factors) it is {ours['beta_vae_score_locatello']:.3f}"
        in words
    )
    assert "The score saturates" in words


# The other commands.


def test_evaluate_prints_the_scores_again_and_writes_the_models_table(trained, capsys, tmp_path):
    folder, path = trained[0], tmp_path / "scores.md"
    assert cli.main(["evaluate", str(folder), "--out", str(path)]) == 0
    assert (folder / "scores.md").read_text() in capsys.readouterr().out
    header, _, *rows = path.read_text().splitlines()
    assert header.split("|")[1].strip() == "score"
    written = {row.split("|")[1].strip(): float(row.split("|")[3]) for row in rows}
    scores = json.loads((folder / "scores.json").read_text())["trained"]
    assert written == pytest.approx(scores, abs=5e-4)


def test_evaluate_takes_other_scores_and_draws_when_asked(trained, capsys, tmp_path):
    folder, path = trained[0], tmp_path / "scores.csv"
    options = "--scores mig_score,active_units --n-images 177 --seed 8 --n-seeds 2 --no-controls"
    assert cli.main(["evaluate", str(folder), *options.split(), "--out", str(path)]) == 0
    data = runs.load_settings(folder).load_data()
    expected = [
        metrics.mig_score(*data.encode_with(runs.load_model(folder), 177, seed), seed=seed)
        for seed in (8, 9)
    ]
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["mig_score", "active_units"]
    assert float(rows[0]["value"]) == pytest.approx(np.mean(expected))
    assert (rows[0]["seed"], rows[0]["n_seeds"], rows[0]["n_images"]) == ("8", "2", "177")
    printed = capsys.readouterr().out
    assert f"{np.mean(expected):.3f}" in printed
    assert "untrained" not in printed
    assert printed.endswith(f"{path}\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scores", "mig"], "must be all, fast or of .*got 'mig'"),
        (["--n-seeds", "0"], "n_seeds must be at least 1, got 0"),
        (
            ["--out", "scores.txt", "--scores=active_units"],
            r"\.csv, \.json or \.md, got 'scores.txt'",
        ),
    ],
)
def test_evaluate_says_what_it_cannot_do(trained, tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert re.search(words, failed(capsys, "evaluate", trained[0], "--no-controls", *options))
    assert list(tmp_path.iterdir()) == []


def test_scores_lists_them(capsys):
    assert cli.main(["scores"]) == 0
    printed = capsys.readouterr().out
    assert all(f"`{name}`" in printed for name in metrics.SCORES)


def test_evaluate_refuses_to_encode_no_images(trained, capsys):
    assert "--n-images must be from 1 to" in failed(capsys, "evaluate", trained[0], "--n-images", 0)


def test_a_traversal_is_the_same_from_a_run_a_file_and_a_saved_model(
    trained, tmp_path, monkeypatch, capsys
):
    data = runs.load_settings(trained[0]).load_data()
    monkeypatch.setattr("keras_betavae.datasets.load", lambda name, path=None, **_: data)
    options = ["--image=5", "--limit=2", "--frames=5"]
    drawn = {}
    for name, data_options in (
        ("", []),
        ("model.keras", ["--data", "sprites"]),
        ("saved_model/1", ["--data", "sprites"]),
    ):
        path = tmp_path / f"{len(drawn)}.png"
        model = str(trained[0] / name)
        assert cli.main(["traverse", model, "--out", str(path), *options, *data_options]) == 0
        assert capsys.readouterr().out == f"{path}\n"
        drawn[name] = np.asarray(Image.open(path).convert("RGB")).astype(int)
    # Three latents of 64 pixels, with lines of 2 between, and labels on the left.
    height, width, _ = drawn[""].shape
    assert height == 3 * 66 + 2
    assert width > 5 * 66 + 2
    for other in ("model.keras", "saved_model/1"):
        assert drawn[other].shape == drawn[""].shape
        assert np.abs(drawn[other] - drawn[""]).max() <= 1


def test_a_model_without_a_run_needs_data(trained, tmp_path, capsys):
    out = ["--out", tmp_path / "t.png"]
    line = failed(capsys, "traverse", trained[0] / "model.keras", *out)
    assert "model.keras is not a run folder; name its data set" in line
    assert "has its own data" in failed(capsys, "traverse", trained[0], "--data", "sprites", *out)
    line = failed(capsys, "traverse", tmp_path / "absent.keras", "--data", "sprites", *out)
    assert "absent.keras" in line


def test_export_writes_what_serves(trained, tmp_path, capsys):
    path = tmp_path / "served"
    assert cli.main(["export", str(trained[0]), "--out", str(path)]) == 0
    z = np.zeros((2, 3), "float32")
    served, vae = tf.saved_model.load(path), runs.load_model(trained[0])
    np.testing.assert_allclose(served.decode(z), vae.decode(z), atol=1e-5)
    # One look at a path, not a listing of the graph's captures.
    assert len(capsys.readouterr().out.splitlines()) < 10
    assert "already exists" in failed(capsys, "export", trained[0], "--out", path)


def test_export_to_onnx_says_what_is_missing(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    options = ("--out", tmp_path / "model.onnx", "--format", "onnx")
    assert "onnx" in failed(capsys, "export", trained[0], *options)


def test_datasets_lists_them(capsys, tmp_path):
    assert cli.main(["datasets", "list", "--cache-dir", str(tmp_path)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    printed = {row.split("|")[1].strip(): row for row in rows}
    assert set(catalog.names()) <= set(printed)
    assert "737,280" in printed["sprites"]
    assert "rendered" in printed["sprites"]
    assert "not fetched" in printed["mpi3d_real"]


def test_datasets_info_has_factors_and_files(capsys):
    assert cli.main(["datasets", "info", "dsprites"]) == 0
    printed = capsys.readouterr().out
    for word in ("dsprites", "737,280", dsprites.FILE.url, "orientation 40", "64×64×1"):
        assert word in printed


def test_datasets_fetch_says_what_to_do_without_a_network(capsys, tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(keras.utils, "get_file", unreachable)
    message = failed(capsys, "datasets", "fetch", "cars3d", "--cache-dir", tmp_path)
    assert "no network" in message
    assert catalog.get("cars3d").files[0].url in message
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_datasets_fetch_refuses_a_path_of_what_is_rendered(capsys):
    assert "takes no path" in failed(capsys, "datasets", "fetch", "sprites", "--path", "x.npz")


def test_datasets_show_draws_a_row_for_each_factor(tmp_path, monkeypatch):
    small = load_sprites(scale=2, orientation=4, pos_x=4, pos_y=4)
    monkeypatch.setattr(catalog, "load", lambda *args, **options: small)
    assert cli.main(["datasets", "show", "sprites", "--out", str(tmp_path / "sheet.png")]) == 0
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.height == 2 + 66 * len(small.factor_names)
        assert picture.width > 2 + 66 * 10


OWN = ["--data=folder", "--data-path=mine", "--image-size=32", "--channels=1"]
FEW = ["--preset=locatello_beta", "--latent-dim=2", "--batch-size=4", "--steps=1"]
FEW += ["--no-controls", "--verbose=0"]


@pytest.fixture
def own_pictures(tmp_path, monkeypatch):
    """A working folder with pictures in `mine`, and what is known of them in a CSV file."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for number in range(12):
        picture = Image.fromarray(np.full((32, 32), 20 * number, "uint8"))
        picture.save(tmp_path / "mine" / f"{number}.png")
    rows = [f"{number}.png,{number % 2},{number % 3}" for number in range(12)]
    (tmp_path / "known.csv").write_text("\n".join(["path,parity,rest", *rows]))
    return tmp_path


@pytest.mark.usefixtures("undrawn")
def test_pictures_of_ones_own_train_and_score_without_factors(own_pictures, capsys):
    assert cli.main(["train", "--out", "run", *OWN, *FEW]) == 0
    scores = json.loads((own_pictures / "run" / "scores.json").read_text())
    assert set(scores["trained"]) == {"active_units"}
    assert "active_units" in capsys.readouterr().out
    again = ["evaluate", "run", "--scores", "mig_score", "--no-controls"]
    assert "needs factors" in failed(capsys, *again)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data=folder"], "data_path must be the folder with your pictures"),
        (["--data=folder", "--data-path=absent"], "absent"),
        (["--data=folder", "--data-path=.", "--grid=3,2,4,4,4"], "grid must be left out"),
        (["--data=sprites", "--data-path=."], "takes no path"),
        (
            ["--data=sprites", "--image-size=32"],
            "image_size must be left out unless data is folder",
        ),
    ],
)
def test_data_that_is_not_there_leaves_no_run(options, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert words in failed(capsys, "train", "--out", "run", *options)
    assert not (tmp_path / "run").exists()


def test_one_label_is_enough_for_every_command(own_pictures, capsys):
    for number in range(12):
        place = own_pictures / "classes" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        (own_pictures / "mine" / f"{number}.png").rename(place / f"{number}.png")
    own = ["--data=folder", "--data-path=classes", "--class-folders", "--image-size=16x24"]
    with quick_runs(), no_exports():
        assert cli.main(["train", "--out", "run", *own, *FEW]) == 0
    printed = capsys.readouterr().out
    assert "locatello_beta for this data: input_shape (16, 24, 3) instead of" in printed
    assert "12 of 12 pictures checked have another aspect ratio than 16×24" in printed
    told = r"Left out, because they need two factors and the data have only class: .*beta_vae_score"
    assert len(re.findall(told, printed)) == 1
    assert "orientation and shape" not in printed
    scores = json.loads((own_pictures / "run" / "scores.json").read_text())["trained"]
    assert {"mig_score", "active_units"} <= set(scores)
    assert cli.main(["evaluate", "run"]) == 0
    assert len(re.findall(told, capsys.readouterr().out)) == 1
    for command in (
        ["traverse", "run", "--out", "t.gif"],
        ["export", "run", "--out", "exported"],
        ["report", "run", "--out", "r.html"],
    ):
        assert cli.main(command) == 0


@pytest.mark.usefixtures("undrawn")
def test_a_run_keeps_to_the_pictures_it_was_made_with(own_pictures, monkeypatch, capsys):
    assert cli.main(["train", "--out", "run", *OWN, "--factors-path=known.csv", *FEW]) == 0
    scores = json.loads((own_pictures / "run" / "scores.json").read_text())
    assert "mig_score" in scores["trained"]
    monkeypatch.chdir("/")
    again = ["evaluate", str(own_pictures / "run"), "--scores", "mig_score", "--no-controls"]
    assert cli.main(again) == 0
    (own_pictures / "mine" / "11.png").unlink()
    known = (own_pictures / "known.csv").read_text().splitlines()[:-1]
    (own_pictures / "known.csv").write_text("\n".join(known))
    assert "has 11 images, but had 12" in failed(capsys, *again)


# Help and wrong arguments.


def test_the_module_runs_as_a_program(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["keras_betavae", "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("keras_betavae", run_name="__main__")
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    for word in ("train", "evaluate", "traverse", "export", "datasets", "exit status", "--resume"):
        assert word in printed


COMMANDS = [
    "train", "sweep", "tune", "reproduce", "evaluate", "traverse", "report", "export", "scores",
    "datasets", "doctor",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    assert f"usage: keras-betavae {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "fly",
        "train",
        "train --out a --resume b",
        "train --out a --preset nothing",
        "train --out a --steps many",
        "train --out a --grid 3,two",
        "train --out a --weight gamma",
        "train --out a --weight gamma=much",
        "sweep --out a --over seed",
        "sweep --out a --resume b",
        "reproduce",
        "reproduce everything --out a",
        "reproduce higgins-table --out a --budget week",
        "train --out a --data mnist",
        "train --out a --verbose 3",
        "evaluate",
        "traverse a",
        "export a",
        "export a --out b --format h5",
        "datasets",
        "datasets all",
        "datasets info nothing",
        "datasets show sprites",
    ],
)
def test_wrong_arguments_exit_with_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments.split())
    assert stopped.value.code == 2
    assert "usage: keras-betavae" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# Settings.


def test_every_setting_has_an_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = (
        "--preset=locatello_tc --batch-size=8 --steps=70 --every=7 --data=folder --data-path=mine "
        "--factors-path=known.csv --continuous=age,size --class-folders --image-size=32x48 "
        "--stretch --channels=1 "
        "--grid=3,2,4 --latent-dim=4 --beta=2.5 --beta-norm=0.1 --warm-up=5 "
        "--weight=alpha=2 --weight=gamma=0.5 --learning-rate=1e-3 --n-images=200 --seed=9 "
        "--deterministic --precision=mixed_bfloat16"
    )
    given = {
        "preset": "locatello_tc", "batch_size": 8, "steps": 70, "every": 7, "data": "folder",
        "data_path": "mine", "factors_path": "known.csv", "class_folders": True,
        "continuous": ("age", "size"),
        "image_size": (32, 48), "stretch": True, "channels": 1,
        "grid": (3, 2, 4), "latent_dim": 4, "beta": 2.5, "beta_norm": 0.1, "warm_up": 5,
        "weights": {"alpha": 2.0, "gamma": 0.5}, "learning_rate": 1e-3, "n_images": 200, "seed": 9,
        "precision": "mixed_bfloat16", "deterministic": True,
    }  # fmt: skip
    for command in ("train", "sweep", "tune"):
        given_words = [command, "--out=new", *arguments.split()]
        options = cli._parser(given_words).parse_args(given_words)
        assert chosen_settings(options) == given
    # The number of images is not chosen, but found.
    assert set(runs.Settings.model_fields) == {*given, "data_size"}


def test_the_documentation_and_the_help_have_each_settings_description(capsys):
    page = Path(__file__).parents[1] / "docs" / "command_line.md"
    assert settings_table() in page.read_text("utf-8")
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for name, field in runs.Settings.model_fields.items():
        words = " ".join((field.description or "").split())[1:-1]
        assert len(words) > 10
        assert words in printed or name == "data_size"


# What fails says so in a line.


def test_a_missing_run_is_named(tmp_path, capsys):
    absent = tmp_path / "absent"
    for command in (
        ["evaluate", absent],
        ["traverse", absent, "--out", tmp_path / "t.gif"],
        ["export", absent, "--out", tmp_path / "e"],
        ["train", "--resume", absent],
    ):
        assert str(absent) in failed(capsys, *command)
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_model_is_named(tmp_path, capsys):
    runs.create(tmp_path, runs.Settings.from_preset("burgess_dsprites", grid=(3, 2, 4, 4, 4)))
    line = failed(capsys, "evaluate", tmp_path)
    assert f"{tmp_path} holds no model.keras and no checkpoint" in line


def test_a_folder_in_use_is_left_alone(trained, capsys):
    folder = trained[0]
    before = {path: path.stat().st_mtime for path in folder.rglob("*")}
    assert "--resume" in failed(capsys, "train", "--out", folder, *SMALL)
    assert {path: path.stat().st_mtime for path in folder.rglob("*")} == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    line = failed(capsys, "train", "--out", tmp_path / "file" / "run", *SMALL)
    assert str(tmp_path / "file") in line


def test_a_damaged_config_is_named(trained, tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"preset": "burgess_dsp')
    for command in (["evaluate", tmp_path], ["train", "--resume", tmp_path]):
        assert "config.json does not hold a run's settings" in failed(capsys, *command)


def test_a_damaged_model_is_named(trained, tmp_path, capsys):
    shutil.copy(trained[0] / "config.json", tmp_path)
    whole = (trained[0] / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(whole[: len(whole) // 2])
    line = failed(capsys, "traverse", tmp_path, "--out", tmp_path / "t.gif")
    assert "model.keras" in line


NO_GRID = [option for option in SMALL if not option.startswith("--grid")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([*NO_GRID, "--data=dsprites", "--data-path=absent.npz"], r"absent\.npz"),
        ([*SMALL, "--data=dsprites"], r"grid must be left out .* for dsprites"),
        ([*SMALL, "--grid=4,2,4,4,4"], "at most 3 shapes.*got 4"),
        (
            [*SMALL, "--grid=3,1,2,2,2"],
            r"grid must .* at least 2, .*\(3, 1, 2, 2, 2\)",
        ),
        ([*SMALL, "--grid=3,2,4,4,4,4"], "grid must be 5 sizes for sprites"),
        ([*SMALL, "--weight=alpha=1"], "weights of .* must be of .*, got alpha"),
        ([*SMALL, "--beta-norm=-1"], "beta_norm must be .*got -1"),
        ([*SMALL, "--beta=1", "--beta-norm=1"], "exclude each other"),
        ([*SMALL, "--latent-dim=0"], "latent_dim must be at least 1, got 0"),
        ([*SMALL, "--beta=-1"], "beta must be .*got -1"),
        ([*SMALL, "--warm-up=10"], "warm_up needs beta or beta_norm"),
        ([*SMALL, "--steps=0"], "steps must be at least 1, got 0"),
        ([*SMALL, "--learning-rate=0"], "learning_rate must be above 0, got 0"),
        ([*SMALL, "--n-images=99"], "n_images must be at least 100, got 99"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_run_that_cannot_start_leaves_no_folder(tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    line = failed(capsys, "train", *options, "--out", "run")
    assert re.search(f"^keras-betavae: .*{words}", line)
    assert list(tmp_path.iterdir()) == []


def unfinished(trained, folder):
    """The run as it was before its last checkpoint."""
    folder.mkdir()
    for name in ("config.json", "metrics.csv"):
        shutil.copy(trained[0] / name, folder)
    shutil.copytree(trained[0] / "checkpoints", folder / "checkpoints")
    (folder / "checkpoints" / "step-000000003.keras").unlink()
    return folder


@pytest.mark.usefixtures("undrawn")
def test_a_resumed_run_passes_over_a_damaged_checkpoint_and_ends_as_the_unbroken(
    trained, tmp_path, capsys
):
    folder = unfinished(trained, tmp_path / "run")
    path = folder / "checkpoints" / "step-000000002.keras"
    shutil.copy(path, older := folder / "checkpoints" / "step-000000001.keras")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.warns(
        UserWarning, match=f"{path.name} is damaged .*{older.name} is used instead of"
    ):
        assert cli.main(["train", f"--resume={folder}", "--no-controls", "--verbose=0"]) == 0
    assert f"Resuming {folder}" in capsys.readouterr().out
    assert (folder / "checkpoints" / f"damaged-{path.name}").is_file()
    assert (folder / "scores.json").is_file()
    ours, theirs = (weights_of(runs.load_model(each)) for each in (folder, trained[0]))
    for weight, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--steps", "50"], "steps"),
        (["--learning-rate", "1e-3"], "learning_rate"),
        (["--seed", "0"], "seed"),
        (["--preset", "burgess_dsprites"], "preset"),
        (["--beta", "4", "--grid", "3,2,4,4,4"], "beta, grid"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_resumed_run_keeps_its_settings(trained, capsys, options, names):
    folder = trained[0]
    before = {path: path.stat().st_mtime for path in folder.rglob("*")}
    line = failed(capsys, "train", "--resume", folder, *options)
    assert line.endswith(f"--resume keeps the settings it finds; leave out {names}")
    assert {path: path.stat().st_mtime for path in folder.rglob("*")} == before


def test_logs_that_cannot_be_written_say_so(trained, tmp_path, capsys):
    folder = unfinished(trained, tmp_path / "run")
    (folder / "logs").write_text("")
    line = failed(capsys, "train", "--resume", folder, "--verbose", "0")
    assert str(folder / "logs") in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--image", "-1"], "--image must be from 0 to 383, got -1"),
        (["--image", "384"], "--image must be from 0 to 383, got 384"),
        (["--frames", "1"], "n_steps must be at least 2, got 1"),
        (["--out", "t.jpg"], r"must end in \.png, \.gif or \.webp"),
        (["--out", "no/such/folder/t.png"], "no/such/folder"),
    ],
)
def test_a_traversal_that_cannot_be_drawn_says_why(
    trained, tmp_path, capsys, monkeypatch, options, words
):
    monkeypatch.chdir(tmp_path)
    line = failed(capsys, "traverse", trained[0], "--out", "t.png", *options)
    assert re.search(words, line)
    assert list(tmp_path.iterdir()) == []


# A loss that becomes infinite.


@pytest.mark.usefixtures("undrawn")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("learning_rate", ["1e12", pytest.param("1e30", marks=pytest.mark.slow)])
def test_a_loss_that_explodes_stops_the_training_and_names_the_step(
    tmp_path, capsys, learning_rate
):
    options = ("--steps", 9, "--every", 1, "--verbose", 0, "--learning-rate", learning_rate)
    line = failed(capsys, "train", *SMALL, *options, "--out", tmp_path / "run")
    for path in tmp_path.glob("run/checkpoints/*"):
        assert path.name.startswith("step-")
        vae = keras.saving.load_model(path)
        assert all(np.isfinite(weight).all() for weight in vae.get_weights())
    assert not (tmp_path / "run" / "model.keras").exists()
    assert re.search(r"\bstep \d", line)


def test_an_interrupted_training_exits_with_130(tmp_path, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "train", interrupt)
    assert train(tmp_path / "run") == 130
    words = f"interrupted; to continue: keras-betavae train --resume {tmp_path / 'run'}\n"
    assert capsys.readouterr().err == words


def test_a_failure_shows_its_traceback_when_asked(capsys):
    assert cli.main(["--debug", "train", "--out=run", "--steps=0"]) == 1
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("Traceback")
    assert last == "keras-betavae: steps must be at least 1, got 0"


QUICK = ["--help", "train --help", "scores", "datasets list", "doctor", "train --out a --steps x"]


def test_what_needs_no_tensorflow_does_not_import_it():
    script = (
        "import contextlib, json, sys\n"
        "commands, found = sys.argv[1:], []\n"
        "sys.argv = ['keras-betavae']\n"
        "from keras_betavae.cli import main\n"
        "for words in commands:\n"
        "    sys.argv[1:] = words.split()\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main()\n"
        "    found.append('tensorflow' in sys.modules)\n"
        "print(json.dumps(found))"
    )
    process = run_python(script, *QUICK)
    assert json.loads(process.stdout.splitlines()[-1]) == [False] * len(QUICK), process.stderr


def test_the_command_knows_the_names_of_the_library():
    assert tuple(presets.names()) == PRESETS
    assert tuple(reproduction.EXPERIMENTS) == reproduce.NAMES
    assert reproduction.BUDGETS == reproduce.BUDGETS


def test_doctor_names_versions_and_what_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(doctor.OPTIONAL, "no-such-package", "nothing")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert cli.main(["doctor"]) == 0
    lines = dict(
        re.split(r" {2,}", line, maxsplit=1) for line in capsys.readouterr().out.splitlines()
    )
    assert lines["keras"] == keras.__version__
    assert lines["no-such-package"] == "not installed (for nothing)"
    assert "unset KERAS_BACKEND" in lines["Keras backend"]


def test_an_error_that_the_package_did_not_raise_names_its_kind(capsys, monkeypatch):
    def broken(*args, **kwargs):
        return int("seven")

    monkeypatch.setattr(tf.io.gfile, "exists", broken)
    assert cli.main(["export", "run", "--out", "a"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-betavae: ValueError: invalid literal")
    assert line.endswith("(keras-betavae --debug shows where)")


def test_an_output_without_greek_letters_is_no_failure(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    assert cli.main(["scores"]) == 0
    sys.stdout.flush()
    assert b"mig_score" in written.getvalue()


@pytest.mark.parametrize("command", ["train", "sweep", "tune", "reproduce burgess-blobs"])
def test_an_address_is_no_folder(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--out", "gs://bucket/run"])
    assert "must be of a local file or folder, got gs://bucket/run" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
