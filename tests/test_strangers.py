"""Sweeps, searches, tables and names that a stranger made."""

import csv
import json
import os

import numpy as np
import optuna
import pytest
import tensorflow as tf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from PIL import Image

from keras_betavae import cli
from keras_betavae._utils.files import moved_into_place
from keras_betavae._utils.locks import locked
from keras_betavae._utils.tables import csv_text, markdown_table, read_table
from keras_betavae.datasets import from_arrays, from_folder, from_table
from keras_betavae.experiments import runs, sweeps, tuning
from keras_betavae.experiments.report._shown import read_curves, read_latent_kl
from keras_betavae.experiments.runs._folder import check_places
from keras_betavae.experiments.runs._models import _first_whole
from keras_betavae.experiments.sweeps import Sweep, study
from keras_betavae.experiments.sweeps.grid import Grid, train_run
from keras_betavae.experiments.tuning._choice import choose
from keras_betavae.experiments.tuning._search import Trials

BASE = {"preset": "burgess_dsprites", "grid": [2, 2, 2, 4, 4], "n_images": 100, "steps": 2}
SEEDS = {"seed": {seed: {"seed": int(seed)} for seed in "01"}}


@pytest.fixture
def folder(tmp_path):
    return sweeps.create(tmp_path / "sweep", Sweep(BASE, SEEDS))


@pytest.fixture
def outside(tmp_path):
    """A folder with a file, neither of which may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("half a line")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert (folder / "file").read_text() == "half a line"


# Places.


@pytest.mark.parametrize(
    ("name", "target"),
    [("runs", ""), ("study.journal", "file"), ("study.journal", "new"), ("worker0.log", "file")],
)
def test_a_sweep_writes_through_no_link(folder, outside, name, target):
    os.symlink(outside / target, folder / name)
    with pytest.raises(FileExistsError, match=f"{name} must be a "):
        sweeps.run(folder, jobs=2, verbose=False)


def test_a_run_of_a_sweep_is_no_link(folder, outside):
    (folder / "runs").mkdir()
    os.symlink(outside, folder / "runs" / "seed=0")
    with pytest.raises(FileExistsError, match="seed=0 must be a folder, not a link"):
        train_run(folder / "runs" / "seed=0", Sweep(BASE, SEEDS).trials()["seed=0"])


def test_the_logs_of_a_run_hold_no_links(tmp_path, outside):
    (tmp_path / "logs").mkdir()
    check_places(tmp_path)
    os.symlink(outside, tmp_path / "logs" / "loss")
    with pytest.raises(FileExistsError, match="loss must be a folder, not a link"):
        check_places(tmp_path)


def test_a_checkpoint_that_the_training_has_deleted_is_not_damaged(tmp_path):
    assert _first_whole([tmp_path / "step-1.keras"]) == (None, [])


def test_a_copy_of_pictures_that_another_process_uses_stays(tmp_path, monkeypatch):
    unlink = type(tmp_path).unlink

    def refuse(path, missing_ok=False):
        if path.suffix == ".npy" and path.is_file():
            raise PermissionError(13, "The process cannot access the file", str(path))
        unlink(path, missing_ok)

    (tmp_path / "pictures").mkdir()
    for n, width in enumerate((8, 9), 1):
        Image.new("L", (width, 8)).save(tmp_path / "pictures" / "a.png")
        if n == 2:
            monkeypatch.setattr(type(tmp_path), "unlink", refuse)
        from_folder(tmp_path / "pictures", 8, 1, cache_dir=tmp_path / "cache")
        assert len(list((tmp_path / "cache").iterdir())) == n


@pytest.mark.parametrize("name", ["study.journal", "worker0.log"])
def test_a_pipe_is_not_waited_for(folder, name):
    os.mkfifo(folder / name)
    with pytest.raises(FileExistsError, match=f"{name} must be a regular file"):
        sweeps.run(folder, jobs=2, verbose=False)


def test_a_device_is_not_replaced(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for path in (pipe, link):
        with pytest.raises(FileExistsError, match="is a device"), moved_into_place(path):
            pytest.fail("it may not be written")
    stdout = tmp_path / "stdout"
    stdout.symlink_to("/proc/self/fd/1")
    with pytest.raises(FileExistsError, match="is a device"), moved_into_place(stdout):
        pass


def test_names_may_be_as_long_as_the_file_system_takes(tmp_path):
    path = tmp_path / ("é" * 120 + ".html")
    with moved_into_place(path) as aside, locked(tmp_path, path.name):
        assert aside.suffix == ".html"
        aside.write_text("new")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


# Studies.


@pytest.mark.parametrize("content", [b"\x80\x04}.\n", b"[]\n5\n", b"[" * 100_000 + b"\n", b"{\n"])
def test_a_damaged_study_is_named(folder, content):
    (folder / "study.journal").write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be opened in .*study\.journal: \w+$"):
        study.open_study(folder, None)


def add_trial(opened, parameters, state="COMPLETE", attributes=None, value=0.5):
    values = {name: value for name, (value, _) in parameters.items()}
    distributions = {name: each for name, (_, each) in parameters.items()}
    opened.add_trial(
        optuna.trial.create_trial(
            params=values,
            distributions=distributions,
            state=optuna.trial.TrialState[state],
            value=value if state == "COMPLETE" else None,
            user_attrs=attributes or {},
        )
    )


@pytest.mark.parametrize(
    ("parameters", "state"),
    [
        ({"seed": ("../../x", CategoricalDistribution(["../../x"]))}, "RUNNING"),
        ({"seed": ("0", CategoricalDistribution(["0", "../../x"]))}, "COMPLETE"),
        ({"other": (1.0, FloatDistribution(0.0, 2.0))}, "FAIL"),
    ],
)
def test_trials_of_another_sweep_are_refused(folder, parameters, state):
    add_trial(study.open_study(folder, None), parameters, state)
    before = sorted(folder.iterdir())
    with pytest.raises(ValueError, match="holds trial 0, whose parameters are not those"):
        sweeps.run(folder, verbose=False)
    assert sorted(folder.iterdir()) == before


def test_enqueued_trials_of_another_sweep_are_refused(folder):
    opened = study.open_study(folder, None)
    opened.enqueue_trial({"seed": "../../x"})
    with pytest.raises(ValueError, match="holds trial 0"):
        study.checked_trials(Grid(folder, Sweep(BASE, SEEDS)), opened)


def test_a_study_of_another_kind_is_refused(folder):
    name = study.open_study(folder, None).study_name
    (folder / "study.journal").unlink()
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "study.journal"))
    storage = optuna.storages.JournalStorage(backend)
    optuna.create_study(storage=storage, study_name=name, direction="minimize")
    with pytest.raises(ValueError, match="holds another study of this name"):
        study.open_study(folder, None)


@pytest.fixture
def search(tmp_path):
    options = {"strength": (0.5, 2.0), "latent_dim": (2, 4), "seeds": 2, "trials": 1}
    return tuning.create(tmp_path / "search", {**BASE, "every": 1}, **options)


SPACE = {
    "preset": ("burgess_dsprites", CategoricalDistribution(["burgess_dsprites"])),
    "strength": (1.0, FloatDistribution(0.5, 2.0, log=True)),
    "latent_dim": (3, IntDistribution(2, 4)),
}
FOUND = {"reconstruction": 1.0, "explained": 2.0, "active": 3.0, "udr": [0.4, 0.5]}


@pytest.mark.parametrize("name", ["reconstruction", "active"])
@pytest.mark.parametrize("value", [None, "<b>", [1.0]])
def test_a_trial_without_its_numbers_is_not_chosen(search, name, value):
    plan, opened = Trials(search, tuning.load(search)), study.open_study(search, None)
    add_trial(opened, SPACE, attributes={**FOUND, name: value})
    with pytest.raises(RuntimeError, match="no setting was trained to its end"):
        choose(plan, study.checked_trials(plan, opened))


@pytest.mark.parametrize(
    ("attributes", "seed"),
    [({}, 1), ({"udr": []}, 0), ({"udr": ["a", "b"]}, 0), ({"udr": "ab"}, 0), ({"mig": "<b>"}, 1)],
)
def test_what_else_a_trial_holds_may_be_anything(search, attributes, seed):
    plan, opened = Trials(search, tuning.load(search)), study.open_study(search, None)
    add_trial(opened, SPACE, attributes={**FOUND, **attributes})
    chosen = choose(plan, study.checked_trials(plan, opened)).chosen
    assert chosen.folder.name.endswith(f"seed={seed}")
    assert chosen.mig is None


# Files.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "must be an object of JSON, got a list"),
        ("[" * 100_000, "nested too deeply"),
        ('{"base": [], "axes": {}}', "base must be numbers or text by name"),
        ('{"base": {"preset": "vectors"}, "axes": {"a": {"1": 5}}}', "axes.a.1 must be"),
        ('{"base": {}, "axes": {}, "x": 1}', "unexpected keyword argument 'x'"),
    ],
)
def test_a_sweep_of_other_types_is_named(tmp_path, text, words):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ValueError, match=f"sweep.json does not hold a sweep: .*{words}"):
        sweeps.load(tmp_path)


def test_a_sweep_of_too_many_runs_is_refused_at_once(tmp_path):
    axes = {f"a{k}": {str(n): {} for n in range(10)} for k in range(12)}
    (tmp_path / "sweep.json").write_text(json.dumps({"base": BASE, "axes": axes}))
    with pytest.raises(ValueError, match="at most 10,000 runs, got 1,000,000,000,000"):
        sweeps.load(tmp_path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"strength": [1.0]}, "strength must be two numbers from low to high, got 1.0"),
        ({"strength": "ab"}, "strength must be a list"),
        ({"strength": [1.0, float("inf")]}, "strength must be two numbers"),
        ({"seeds": 2.5}, "seeds must be an integer"),
        ({"trials": "5"}, "trials must be an integer, got '5'"),
        ({"presets": []}, "presets must name at least one preset"),
    ],
)
def test_a_search_of_other_types_is_named(search, changed, words):
    content = json.loads((search / "tune.json").read_text())
    (search / "tune.json").write_text(json.dumps({**content, **changed}))
    with pytest.raises(ValueError, match=f"tune.json does not hold a search: {words}"):
        tuning.load(search)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "must be an object of JSON"),
        ('{"trained": {"mig_score": ' + "9" * 4_000 + "}}", "trained.mig_score must be"),
        ('{"trained": {"mig_score": NaN}}', "trained.mig_score must be a finite number"),
        ('{"trained": {"mig_score": true}}', "trained.mig_score must be a number"),
        ('{"trained": []}', "trained must be numbers or text by name"),
    ],
)
def test_scores_of_other_types_are_named(tmp_path, text, words):
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(ValueError, match=f"scores.json does not hold a run's scores: .*{words}"):
        runs.load_scores(tmp_path)


def test_a_byte_order_mark_changes_nothing(tmp_path):
    (tmp_path / "scores.json").write_text('{"trained": {"mig_score": 1}}', "utf-8-sig")
    assert runs.load_scores(tmp_path) == {"trained": {"mig_score": 1.0}}
    (tmp_path / "metrics.csv").write_text("epoch,step,loss\n0,1,2\n", "utf-8-sig")
    assert read_curves(tmp_path / "metrics.csv")["loss"][1].tolist() == [2.0]


def test_events_that_are_none_are_named(tmp_path):
    file = tmp_path / "events.out.tfevents.1"
    os.mkfifo(file)
    with pytest.raises(ValueError, match=r"tfevents\.1 must be a regular file"):
        read_latent_kl(tmp_path)
    file.unlink()
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        tf.summary.text("kl/latent_0", "text", 1)
    with pytest.raises(ValueError, match="must hold numbers as kl/latent_0"):
        read_latent_kl(tmp_path)


# Tables.


def test_no_cell_is_a_formula(tmp_path):
    texts = ["=1+2", "@SUM(A1)", "+a", "-a", "'=1", "''@", "'a", "a=1", "1"]
    numbers = [-1.5, "-1.5", "+2e-3", None]
    path = tmp_path / "table.csv"
    path.write_text(csv_text(texts, [texts, numbers]), newline="")
    raw = list(csv.reader(path.read_text().splitlines()))
    assert not [cell for row in raw[:2] for cell in row if cell[0] in "=+-@\t"]
    assert raw[2] == ["-1.5", "-1.5", "+2e-3", ""]
    assert read_table(path) == [texts, texts, raw[2]]


def test_a_table_does_nothing_to_a_terminal():
    assert "\x1b" not in markdown_table(["score"], [["\x1b[31mred\n"]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "t.csv is not a CSV file"),
        (b"\x89PNG\r\n", "t.csv is not a CSV file"),
        (b"a,b\n", "row"),
        (b",a,b\n0,1,2\n1,3,4\n", "columns without a name, such as number 0; an index of pandas"),
        (b"5.1,3.5\n4.9,3.0\n", "must begin with a header, got 5.1,3.5"),
        (b"a;b\n1;2\n", "must have commas between its values, got 'a;b'"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path, content, words):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        from_table(tmp_path / "t.csv")


def test_a_table_is_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "http://localhost/t.csv"):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            from_table(path)


def test_factors_have_names():
    with pytest.raises(ValueError, match="names must not be empty"):
        from_arrays(np.zeros((2, 8, 8), bool), [[0], [1]], [" "])


# The terminal.


def error_of(function):
    with pytest.raises((TypeError, ValueError), match=r".") as caught:
        function()
    return caught.value


def test_the_command_line_knows_whose_error_it_is():
    ours = error_of(lambda: from_arrays([]))
    theirs = error_of(lambda: csv_text(["a"], [5]))
    assert cli._is_raised_here(ours)
    assert not cli._is_raised_here(theirs)
    assert cli._one_line(ours) == str(ours)
    assert cli._one_line(theirs).startswith("TypeError: ")


def test_an_error_is_one_line_that_does_nothing_to_a_terminal():
    def fail():
        raise ValueError("a\nb\x1b[31m" + "k" * 100_000)

    line = cli._one_line(error_of(fail))
    assert line.startswith("ValueError: a b [31mkkk")
    assert line.isprintable()
    assert len(line) < 2_100
