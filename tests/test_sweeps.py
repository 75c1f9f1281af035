import csv
import json
import shutil

import pytest

from keras_betavae import cli
from keras_betavae.datasets import from_arrays
from keras_betavae.experiments import runs, sweeps
from keras_betavae.experiments.sweeps import Sweep, folders, grid
from keras_betavae.objectives import Beta, Capacity
from tests.helpers import no_graphs, patterns, quick_runs

# In few steps the KL does not reach the capacity.
pytestmark = pytest.mark.filterwarnings("ignore:by step .* from the capacity")

BASE = {
    "preset": "burgess_dsprites",
    "grid": (3, 2, 4, 4, 4),
    "batch_size": 8,
    "steps": 2,
    "every": 2,
    "n_images": 100,
}
AXES = {
    "beta": {"1": {"beta": 1.0}, "4": {"beta": 4.0}},
    "seed": {"0": {"seed": 0}, "1": {"seed": 1}},
}


@pytest.fixture(scope="module", autouse=True)
def quick():
    with quick_runs(), no_graphs():
        yield


# What a sweep is.


def test_its_runs_are_all_combinations():
    trials = Sweep(BASE, AXES).trials()
    assert {name: (s.beta, s.seed) for name, s in trials.items()} == {
        "beta=1,seed=0": (1.0, 0),
        "beta=1,seed=1": (1.0, 1),
        "beta=4,seed=0": (4.0, 0),
        "beta=4,seed=1": (4.0, 1),
    }
    assert all(settings.steps == 2 for settings in trials.values())


def test_weights_of_two_axes_are_joined():
    axes = {
        "C": {"5": {"weights": {"max_capacity": 5.0}}},
        "γ": {"10": {"weights": {"gamma": 10.0}}},
    }
    (settings,) = Sweep({**BASE, "weights": {"n_steps": 7}}, axes).trials().values()
    objective = settings.build_model(settings.load_data()).objective
    assert objective.get_config() == Capacity(10.0, 5.0, n_steps=7).get_config()


def test_an_axis_may_be_spelled_as_the_option():
    assert sweeps.axis("latent-dim", ["5"]) == {"5": {"latent_dim": 5}}


def test_an_axis_of_no_numbers_is_named():
    with pytest.raises(ValueError, match="seed must be numbers, got 0, a"):
        sweeps.axis("seed", ["0", "a"])


def test_a_preset_may_be_an_axis_and_brings_its_own_batch():
    axes = {"preset": sweeps.axis("preset", ["higgins_quick", "locatello_beta"])}
    trials = Sweep({"preset": "higgins_quick"}, axes).trials()
    assert [settings.batch_size for settings in trials.values()] == [256, 64]


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"beta": {}}, "axis beta has no values"),
        ({"size": {"1": {"size": 1}}}, "size=1: size is not a setting"),
        ({"capcity": sweeps.axis("capcity", ["1"])}, "weights of .* must be of .*, got capcity"),
        ({"beta": sweeps.axis("beta", ["-1"])}, "beta must be .* got -1"),
        ({"steps": {"0": {"steps": 0}}}, "steps must be at least 1"),
        ({"beta": {"1": {"beta": 1.0, "beta_norm": 1.0}}}, "exclude each other"),
        ({"/elsewhere": {"0": {"seed": 0}}}, "must be text without .* got '/elsewhere'"),
        ({"seed": {"x" * 300: {"seed": 0}}}, "must have a name that is a folder's"),
        ({"seed": {"a": {"seed": 0}, "A": {"seed": 1}}}, "must have a name that is a folder's"),
        ({"seed": {"../../x": {"seed": 0}}}, r"must be text without .* got '\.\./\.\./x'"),
        ({"C:": {"0": {"seed": 0}}}, "must be text without .* got 'C:'"),
        ({"seed": {"a\\b": {"seed": 0}}}, "must be text without"),
        ({"seed": {"a\0b": {"seed": 0}}}, "must be text without"),
        ({"seed": {"..": {"seed": 0}}}, "must be text without"),
        ({"seed": {0: {"seed": 0}}}, "must be text without .* got 0"),
    ],
)
def test_bad_sweeps_leave_no_folder(axes, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        sweeps.create(tmp_path / "sweep", Sweep(BASE, axes))
    assert not (tmp_path / "sweep").exists()


def test_a_kill_while_the_folder_was_made_is_made_good(tmp_path):
    (tmp_path / "saving-0a1b2c3d-sweep.json").write_text('{"base"')
    folder = sweeps.create(tmp_path, Sweep(BASE, AXES))
    assert [path.name for path in folder.iterdir()] == ["sweep.json"]


def test_a_folder_holds_one_sweep(tmp_path):
    folder = sweeps.create(tmp_path / "sweep", Sweep(BASE, AXES))
    assert sweeps.create(folder, Sweep(BASE, AXES)) == folder
    assert sweeps.load(folder).trials() == Sweep(BASE, AXES).trials()
    with pytest.raises(FileExistsError, match="does not hold a sweep of these settings"):
        sweeps.create(folder, Sweep({**BASE, "steps": 3}, AXES))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="does not hold a sweep of these settings"):
        sweeps.create(tmp_path / "other", Sweep(BASE, AXES))


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "{", '{"base": 1}', '{"base": 1, "axes": 2}', '{"base": {}, "axes": {}}'),
        '{"base": {"preset": "sprites_quick"}, "axes": {"seed": [0, 1]}}',
        '{"base": {"preset": "sprites_quick", "weights": 1}, "axes": {}}',
        '{"base": {"preset": "sprites_quick"}, "axes": {"/x": {"0": {"seed": 0}}}}',
        '{"base": {"preset": "sprites_quick"}, "axes": {"seed": {"../../../x": {"seed": 0}}}}',
    ],
)
def test_a_damaged_sweep_is_named(text, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"sweep\.json does not exist"):
        sweeps.load(tmp_path)
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ValueError, match=r"sweep\.json does not hold a sweep"):
        sweeps.load(tmp_path)


# Settings that sweeps are made of.


def model_of(**chosen):
    settings = runs.Settings.from_preset(**{**BASE, **chosen})
    return settings.build_model(settings.load_data())


def test_beta_norm_is_in_the_papers_units():
    vae = model_of(beta_norm=0.02, latent_dim=5)
    assert vae.objective.beta == pytest.approx(0.02 * 64 * 64 / 5)
    assert isinstance(vae.objective, Beta)


@pytest.mark.parametrize("chosen", [{"beta": 6.0}, {"beta_norm": 6.0 * 10 / 64**2}])
def test_beta_may_rise_from_0(chosen):
    settings = runs.Settings.from_preset(**{**BASE, **chosen, "steps": 500, "warm_up": 100})
    data = settings.load_data()
    vae = settings.build_model(data)
    assert isinstance(vae.objective, Beta)
    betas = [float(vae.objective.beta(step)) for step in (0, 50, 100, 500)]
    assert betas == pytest.approx([0.0, 3.0, 6.0, 6.0])


def test_weights_reach_the_model_too():
    assert model_of(preset="locatello_factor", weights={"gamma": 7.0}).gamma == 7.0
    assert model_of(preset="locatello_beta", weights={"beta": 3.0}).objective.beta == 3.0


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"weights": {"alpha": 1.0}}, "weights of burgess_dsprites must be of .*max_capacity"),
        ({"weights": {"gamma": -1.0}}, "gamma must be"),
        ({"beta": 1.0, "weights": {"gamma": 1.0}}, "exclude each other"),
        ({"beta_norm": -1.0}, "beta_norm must be"),
        ({"warm_up": 10}, "warm_up needs beta or beta_norm"),
        ({"beta": 1.0, "warm_up": 0}, "warm_up must be at least 1, got 0"),
        ({"beta": 1.0, "warm_up": 3, "steps": 2}, "warm_up must be at most the 2 steps, got 3"),
        ({"weights": {"n_steps": [15_000]}}, "weights.n_steps must be a number"),
        ({"latent_dim": 2.5}, "latent_dim must be an integer, got 2.5"),
    ],
)
def test_bad_weights_are_refused(chosen, words):
    with pytest.raises(ValueError, match=words):
        model_of(**chosen)


# Runs.


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep that was run by the command line, in this process."""
    folder = tmp_path_factory.mktemp("sweeps") / "first"
    given = ["--preset", "burgess_dsprites", "--grid", "3,2,4,4,4", "--n-images", "100"]
    given += ["--batch-size", "8", "--steps", "2", "--every", "2"]
    over = ["--over", "beta=1,4", "--over", "seed=0,1"]
    assert cli.main(["sweep", "--out", str(folder), *given, *over]) == 0
    return folder


def test_every_run_is_a_run_as_train_makes_them(finished):
    for name, settings in Sweep(BASE, AXES).trials().items():
        folder = finished / "runs" / name
        assert runs.load_settings(folder) == settings
        vae = runs.load_model(folder)
        assert (int(vae.optimizer.iterations), vae.objective.beta) == (2, settings.beta)
        assert (folder / "saved_model" / "1" / "saved_model.pb").is_file()
        assert list((folder / "logs" / "hparams").iterdir())
        assert set(json.loads((folder / "scores.json").read_text())) == {"trained"}


def test_the_table_holds_every_runs_scores(finished):
    with (finished / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["beta"], row["seed"]) for row in rows] == [
        ("1", "0"),
        ("1", "1"),
        ("4", "0"),
        ("4", "1"),
    ]
    for row in rows:
        path = finished / "runs" / f"beta={row['beta']},seed={row['seed']}" / "scores.json"
        assert float(row["mig_score"]) == json.loads(path.read_text())["trained"]["mig_score"]
        assert 0.0 <= float(row["udr_score"]) <= 1.0


def test_a_finished_sweep_trains_nothing_again(finished, monkeypatch, capsys):
    monkeypatch.setattr(runs, "train", None)
    assert cli.main(["sweep", "--resume", str(finished)]) == 0
    assert "udr_score" in capsys.readouterr().out


def test_a_run_that_fails_leaves_the_others_and_its_reason(finished, tmp_path, monkeypatch, capsys):
    """All but two runs are finished: one will fail, and one comes after it."""
    folder = sweeps.create(tmp_path / "sweep", Sweep(BASE, AXES))
    fails, last = (folder / "runs" / name for name in ("beta=1,seed=1", "beta=4,seed=1"))
    for name in ("beta=1,seed=0", "beta=4,seed=0"):
        shutil.copytree(finished / "runs" / name, folder / "runs" / name)
    train = runs.train

    def sometimes(where, *arguments, **options):
        if where == fails:
            raise FloatingPointError("the loss became NaN")
        return train(where, *arguments, **options)

    monkeypatch.setattr(runs, "train", sometimes)
    assert cli.main(["sweep", "--resume", str(folder)]) == 1
    said = capsys.readouterr().err
    assert "1 of 4 runs are not finished" in said
    assert "beta=1,seed=1" in said
    assert "the loss became NaN" in (fails / "error.txt").read_text()
    # A run is the same, whatever came before it in its process.
    expected = finished / "runs" / last.name / "scores.json"
    assert (last / "scores.json").read_text() == expected.read_text()
    with pytest.raises(FileNotFoundError, match="beta=1,seed=1 is not finished; resume the sweep"):
        sweeps.scores(folder)
    monkeypatch.setattr(runs, "train", lambda *_, **__: None)
    monkeypatch.setattr(runs, "finish", lambda where, *_, **__: shutil.copy(expected, where))
    assert len(sweeps.run(folder, verbose=False)) == 4
    assert not (fails / "error.txt").exists()


@pytest.mark.parametrize("content", ["[]", "{}", '{"trained": [1]}', "half"])
def test_scores_that_are_something_else_are_named(finished, tmp_path, content):
    folder = sweeps.create(tmp_path / "sweep", Sweep(BASE, AXES))
    for name in Sweep(BASE, AXES).trials():
        (folder / "runs" / name).mkdir(parents=True)
        shutil.copy(finished / "runs" / name / "scores.json", folder / "runs" / name)
    path = folder / "runs" / "beta=1,seed=1" / "scores.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"{path} does not hold a run's scores"):
        sweeps.scores(folder)


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_run_of_other_settings_is_refused_and_not_touched(tmp_path, is_finished):
    folder = sweeps.create(tmp_path / "sweep", Sweep(BASE, {"seed": {"0": {"seed": 0}}}))
    run, other = folder / "runs" / "seed=0", runs.Settings.from_preset(**{**BASE, "seed": 5})
    runs.create(run, other)
    if is_finished:
        (run / "scores.json").write_text('{"trained": {"mig_score": 0.9}}')
    with pytest.raises(ValueError, match=f"{run} is a run of other settings"):
        sweeps.run(folder, verbose=False)
    with pytest.raises(ValueError, match=f"{run} is a run of other settings"):
        grid.train_run(run, runs.Settings.from_preset(**BASE))
    assert runs.load_settings(run) == other


def test_runs_on_the_same_data_share_a_record_of_it(tmp_path):
    record, images = tmp_path / "data.json", patterns(8)
    runs.check_data(record, from_arrays(images))
    other, settings = from_arrays(1.0 - images), runs.Settings.from_preset(**BASE)
    with pytest.raises(ValueError, match="the images have changed"):
        grid.train_run(tmp_path / "run", settings, data=other, record=record)
    for axis, n in (({"a": {"seed": 0}, "b": {"seed": 1}}, 1), ({"a": {}, "b": {"grid": None}}, 2)):
        assert len(grid.Grid(tmp_path, Sweep(BASE, {"axis": axis}))._records) == n


def test_a_sweep_means_the_same_in_any_folder_and_on_any_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders, "fastest_precision", lambda: "mixed_bfloat16")
    base = {**BASE, "grid": None, "data": "folder", "data_path": "pictures", "precision": "auto"}
    axes = {"f": {"a": {"factors_path": "a.csv"}, "b": {"factors_path": "b.csv"}}}
    sweep = sweeps.load(sweeps.create(tmp_path / "sweep", Sweep(base, axes)))
    assert sweep.base["data_path"] == str(tmp_path / "pictures")
    assert sweep.base["precision"] == "mixed_bfloat16"
    assert sweep.axes["f"]["b"] == {"factors_path": str(tmp_path / "b.csv")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "x"], "--over must name what to sweep over"),
        (["--out", "x", "--over", "seed=zero"], "seed must be numbers, got zero"),
        (["--resume", "x", "--over", "seed=0"], "leave out --over"),
        (["--resume", "x", "--beta", "1"], "leave out beta"),
        (["--resume", "x"], "x is not a sweep folder"),
    ],
)
def test_wrong_arguments_are_named(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", *arguments]) == 1
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_jobs_are_counted(tmp_path):
    folder = sweeps.create(tmp_path / "sweep", Sweep(BASE, AXES))
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        sweeps.run(folder, jobs=0)
