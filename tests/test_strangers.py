"""Sweeps, searches, tables and names that a stranger made."""

import os

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from keras_betavae._utils.files import moved_into_place
from keras_betavae._utils.locks import locked
from keras_betavae.experiments import sweeps, tuning
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
FOUND = {"reconstruction": 1.0, "blind": 2.0, "active": 3.0, "udr": [0.4, 0.5]}


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
