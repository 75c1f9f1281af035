"""Searches that train nothing: what is tried, what is chosen, what the page says."""

import dataclasses
import datetime

import numpy as np
import optuna
import pytest
import tensorflow as tf
from optuna.trial import TrialState

from keras_betavae import cli, metrics
from keras_betavae.datasets import ImageDataset
from keras_betavae.experiments import runs, tune, tuning
from keras_betavae.experiments.tuning import _guards, _search
from keras_betavae.experiments.tuning._choice import choose
from keras_betavae.experiments.tuning._guards import Measured, fault_of, share
from keras_betavae.experiments.tuning._search import Search, Trials
from tests.helpers import patterns, tiny_vae

BASE = {"preset": "higgins_quick", "steps": 30}


def search(**changed):
    given = {"strength": [0.5, 2.0], "latent_dim": [4, 8], "seeds": 2, "steps": 10, "trials": 5}
    return Search(BASE, ["higgins_quick"], **{**given, **changed})


def parameters(**changed):
    return {"preset": "higgins_quick", "strength": 0.5, "latent_dim": 5, **changed}


# Settings.


@pytest.mark.parametrize(
    ("base", "preset", "expected"),
    [
        ({}, "higgins_quick", {"weights": {"beta": 8.0}}),
        ({"beta": 3.0}, "higgins_quick", {"beta": 1.5}),
        ({"beta_norm": 1.0}, "higgins_quick", {"beta_norm": 0.5}),
        ({"weights": {"beta": 2.0}}, "sprites_quick", {"weights": {"beta": 1.0}}),
        ({}, "locatello_factor", {"weights": {"gamma": 15.0}}),
        ({}, "capacity_quick", {"weights": {"capacity": 9.0}}),
        ({"weights": {"capacity.end": 30}}, "capacity_quick", {"weights": {"capacity": 15.0}}),
        ({"beta": 4.0, "warm_up": 20, "steps": 40}, "higgins_quick", {"warm_up": 5}),
        ({}, "locatello_dip_i", {"weights": {"lambda_od": 5.0}}),
        # C is the strength, not γ; it rises in a third of the steps in a third of the training.
        ({}, "burgess_dsprites", {"weights": {"max_capacity": 12.5, "n_steps": 33_333}}),
        (
            {"weights": {"n_steps": 600}},
            "burgess_dsprites",
            {"weights": {"max_capacity": 12.5, "n_steps": 200}},
        ),
    ],
)
def test_the_strength_is_that_of_the_objective(base, preset, expected):
    steps = {"burgess_dsprites": 50_000}.get(preset, 10)
    made = Search({"preset": preset, **base}, [preset], [0.5, 2], [4, 8], 2, steps, 5)
    settings = made.settings(parameters(preset=preset))
    assert {name: getattr(settings, name) for name in expected} == expected
    assert (settings.latent_dim, settings.steps, settings.preset) == (5, steps, preset)


def test_the_training_in_full_has_the_steps_of_the_base():
    made = search()
    assert made.full_settings(parameters()).steps == 30
    assert made.settings(parameters()).weights == made.full_settings(parameters()).weights


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seeds": 1}, "seeds must be at least 2, got 1"),
        ({"trials": 0}, "trials must be at least 1"),
        ({"strength": (0.0, 1.0)}, "strength must be two numbers from low to high, got 0.0, 1.0"),
        ({"latent_dim": (9, 3)}, "latent_dim must be two numbers from low to high, got 9, 3"),
        ({"presets": ["sprites_full"]}, "sprites_full has no constant β, C, γ or λ"),
        ({"presets": ["unknown"]}, "unknown preset 'unknown'"),
    ],
)
def test_bad_searches_leave_no_folder(changed, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        tuning.create(tmp_path / "search", BASE, **changed)
    assert not (tmp_path / "search").exists()


def test_a_folder_holds_one_search(tmp_path):
    folder = tuning.create(tmp_path / "search", BASE)
    assert tuning.create(folder, BASE) == folder
    made = tuning.load(folder)
    assert (made.steps, made.seeds, made.trials, made.latent_dim) == (10, 3, 12, [5, 20])
    with pytest.raises(FileExistsError, match="does not hold this search"):
        tuning.create(folder, BASE, trials=3)
    with pytest.raises(ValueError, match="leave out trials"):
        tune(folder, trials=3)
    (folder / "tune.json").write_text('{"base": 1}')
    with pytest.raises(ValueError, match=r"tune\.json does not hold a search"):
        tuning.load(folder)
    with pytest.raises(FileNotFoundError, match="is not a search folder"):
        tuning.load(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--jobs", "0"], "jobs must be at least 1, got 0"),
        (["--budget", "0"], "budget must be above 0 minutes, got 0.0"),
        (["--seeds", "1"], "seeds must be at least 2"),
    ],
)
def test_wrong_arguments_are_named(arguments, words, tmp_path, capsys):
    assert cli.main(["tune", "--out", str(tmp_path / "x"), *arguments]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


# Guards.


def test_a_model_is_measured_as_by_hand():
    vae = tiny_vae()
    images = patterns(64, "uint8")
    data = ImageDataset(images)
    found = _guards.measure(vae, data, 64)
    mean, log_var = (np.asarray(part) for part in vae.encode(images))
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).mean(axis=0)
    np.testing.assert_allclose(np.sort(found.kl), np.sort(kl), rtol=1e-4)
    assert found.active == (kl > 0.01).sum()
    x, logits = images / np.float32(255), np.asarray(vae.decoder(tf.constant(mean, tf.float32)))
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(x, logits)
    assert found.reconstruction == pytest.approx(float(np.sum(entropy) / 64), rel=1e-4)
    errors = np.sum((x - 1 / (1 + np.exp(-logits))) ** 2)
    assert found.explained == pytest.approx(1 - errors / (64 * np.var(x, axis=0).sum()), abs=1e-4)


def test_guards_are_the_explained_variance_and_the_active_latents():
    best, other = Measured(100.0, 0.9, 5.0), Measured(150.0, 0.765, 5.0)
    assert share(other, [best, other]) == pytest.approx(0.85)
    assert share(best, [best, other]) == 1.0
    assert fault_of(other, [best, other]) == ""
    worse = dataclasses.replace(other, explained=0.63)
    told = "70% of the best setting's explained variance, less than 80%"
    assert fault_of(worse, [best, worse]) == told
    dead = Measured(100.0, 0.0, 1.0)
    assert fault_of(dead, [dead]) == "1.0 active latents, fewer than 2"


# A search whose runs train nothing: the latents of a strong β agree, and reconstruct less.


class Runs:
    """Stands for training and measuring."""

    def __init__(self):
        self.trained = []
        self.fails, self.active = (), 3.0
        self.kl = np.array([2.0, 1.0, 0.5])
        self.sources = np.random.default_rng(0).normal(size=(200, 3))

    def train_run(self, folder, settings, data=None, brief=False, record=None):
        if settings.latent_dim in self.fails:
            raise FloatingPointError("the loss became NaN")
        self.trained.append((settings.weights["beta"], settings.seed))
        self.current = settings
        return {"mig_score": settings.weights["beta"] / 100}

    def measure(self, vae, data, n):
        beta, seed = self.current.weights["beta"], self.current.seed
        noise = np.random.default_rng(seed).normal(size=(3, 3))
        codes = self.sources @ (np.eye(3) + noise / beta)
        return Measured(100 + 4 * beta, 1 - beta / 100, self.active, codes, self.kl)


@pytest.fixture
def stand_in(monkeypatch):
    made = Runs()
    monkeypatch.setattr(_search, "train_run", made.train_run)
    monkeypatch.setattr(tuning, "train_run", made.train_run)
    monkeypatch.setattr(_search, "measure", made.measure)
    monkeypatch.setattr(runs, "load_model", lambda folder: None)
    monkeypatch.setattr(runs.Settings, "load_data", lambda self: None)
    monkeypatch.setattr(runs, "check_data", lambda path, data: None)
    monkeypatch.setattr(tuning, "write_page", lambda choice: None)
    return made


def test_the_highest_udr_that_reconstructs_is_chosen(stand_in, tmp_path, capsys):
    choice = tune(tmp_path / "search", BASE, trials=8, seeds=2, strength=(0.1, 4.0))
    sound = [each for each in choice.tried if not each.fault]
    ruled_out = [each for each in choice.tried if each.fault]
    assert choice.chosen.udr == max(each.udr for each in sound)
    assert len(choice.tried) == 8
    # UDR without guards takes the largest β.
    best = max(each.explained for each in choice.tried)
    assert all(each.explained < 0.8 * best for each in ruled_out)
    assert ruled_out
    assert len(choice.rivals) == 2
    assert f"Chosen: {choice.chosen.name}" in choice.why
    assert "which were not used" in choice.why
    rank = sorted((e.mig for e in choice.tried if e.udr is not None), reverse=True)
    assert f"number {rank.index(choice.chosen.mig) + 1} of {len(rank)}" in choice.why
    lines = [line for line in capsys.readouterr().out.splitlines() if " of 8 done" in line]
    assert len(lines) == 8
    # Its runs are those of a search from 0, and the last one is in full.
    n_trained = len(stand_in.trained)
    again = tune(tmp_path / "search", verbose=False)
    assert again.chosen == choice.chosen
    assert len(stand_in.trained) == n_trained + 1


def test_a_setting_that_cannot_be_chosen_is_given_up_after_one_seed(stand_in, tmp_path):
    choice = tune(tmp_path / "search", BASE, trials=8, seeds=2, strength=(0.1, 4.0), verbose=False)
    given_up = [each for each in choice.tried if each.udr is None]
    assert given_up
    for each in choice.tried:
        seeds = [seed for beta, seed in stand_in.trained if f"beta={beta:g}," in each.name]
        assert set(seeds) == ({0} if each.udr is None else {0, 1})


def test_failures_are_told_and_the_others_are_chosen_from(stand_in, tmp_path):
    stand_in.fails = range(5, 9)
    choice = tune(tmp_path / "a", BASE, trials=6, seeds=2, verbose=False)
    assert choice.failed
    assert set(choice.failed.values()) == {"FloatingPointError: the loss became NaN"}
    assert len(choice.failed) + len(choice.tried) == 6
    stand_in.fails = range(100)
    with pytest.raises(RuntimeError, match=r"no setting was trained .*the loss became NaN"):
        tune(tmp_path / "b", BASE, trials=2, seeds=2, verbose=False)


def test_if_all_settings_are_ruled_out_the_error_says_why(stand_in, tmp_path):
    stand_in.active = 1.0
    with pytest.raises(RuntimeError, match=r"no setting was trained .*active latents"):
        tune(tmp_path / "a", BASE, trials=2, seeds=2, verbose=False)


def test_the_scores_of_factors_change_nothing(stand_in, tmp_path, monkeypatch):
    first = tune(tmp_path / "a", BASE, trials=4, seeds=2, verbose=False)
    train = stand_in.train_run
    monkeypatch.setattr(
        _search, "train_run", lambda *each, **_: {"mig_score": 1 - train(*each)["mig_score"]}
    )
    second = tune(tmp_path / "b", BASE, trials=4, seeds=2, verbose=False)
    assert [each.name for each in first.tried] == [each.name for each in second.tried]
    assert first.chosen.udr == second.chosen.udr


def test_no_setting_is_started_that_would_not_end_in_time(tmp_path, monkeypatch):
    plan = Trials(tmp_path, search(), until=800.0)
    seconds = {TrialState.COMPLETE: 100.0, TrialState.FAIL: 9_000.0}  # The latter lay dead.
    start = datetime.datetime(2026, 1, 1)
    ended = optuna.create_study()
    for state, each in seconds.items():
        trial = optuna.trial.create_trial(
            state=state,
            value=0.5 if state == TrialState.COMPLETE else None,
            params=parameters(),
            distributions=dict(plan.space),
        )
        trial.datetime_start, trial.datetime_complete = start, start + datetime.timedelta(0, each)
        ended.add_trial(trial)
    for now, expected in ((600.0, True), (701.0, False)):
        monkeypatch.setattr(_search.time, "time", lambda now=now: now)
        assert plan.has_time(ended.trials) == expected
    assert plan.has_time([])
    assert plan.propose(ended, set("abcd")) == {}
    assert plan.propose(ended, set("abcde")) is None


def test_a_search_of_fewer_settings_than_trials_ends(stand_in, tmp_path):
    options = {"trials": 4, "seeds": 2, "strength": (1.0, 1.0), "latent_dim": (6, 7)}
    choice = tune(tmp_path / "search", BASE, **options, verbose=False)
    assert 1 <= len(choice.tried) <= 2


def test_what_failed_is_tried_again_in_the_next_session(stand_in, tmp_path):
    options = {"trials": 4, "seeds": 2, "strength": (1.0, 1.0), "latent_dim": (6, 7)}
    stand_in.fails = (6, 7)
    with pytest.raises(RuntimeError, match="no setting was trained to its end"):
        tune(tmp_path / "search", BASE, **options, verbose=False)
    stand_in.fails = ()
    assert tune(tmp_path / "search", verbose=False).chosen.udr is not None


def test_a_setting_keeps_its_udr_if_it_is_given_up_when_drawn_again(stand_in, tmp_path):
    plan = Trials(tmp_path, search())
    study = optuna.create_study(direction="maximize")
    trial = study.ask(dict(plan.space))
    study.tell(trial, value := plan.train(trial))
    study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.PRUNED,
            params=trial.params,
            distributions=dict(plan.space),
            user_attrs=trial.user_attrs,
        )
    )
    assert choose(plan, study.trials).chosen.udr == value


def test_the_median_udr_is_the_value(stand_in, tmp_path):
    plan = Trials(tmp_path, search(seeds=3))
    study = optuna.create_study(direction="maximize")
    trial = study.ask(dict(plan.space))
    value = plan.train(trial)
    udr = trial.user_attrs["udr"]
    assert value == pytest.approx(np.median(udr))
    beta = plan.search.settings(trial.params).weights["beta"]
    codes = [
        stand_in.sources @ (np.eye(3) + np.random.default_rng(n).normal(size=(3, 3)) / beta)
        for n in range(3)
    ]
    kl = [stand_in.kl] * 3
    assert udr == metrics.udr_scores(codes, latent_kl=kl, kl_power=2.0)
    published = metrics.udr_scores(codes, latent_kl=kl)
    assert published != udr
    assert trial.user_attrs["udr_published"] == np.median(published)


def test_nothing_ended_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="no setting was trained to its end"):
        choose(Trials(tmp_path, search()), [])
