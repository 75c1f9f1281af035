"""Everything that is public is in tests/examples.py."""

import inspect

import pytest

import keras_betavae as kbv
from keras_betavae import likelihoods, networks, objectives
from tests import examples


@pytest.mark.parametrize(
    ("module", "base", "listed"),
    [
        (objectives, objectives.Objective, examples.OBJECTIVES),
        (objectives.schedules, objectives.schedules._Ramp, examples.SCHEDULES),
        (likelihoods, likelihoods.Likelihood, examples.LIKELIHOODS),
        (kbv, kbv.BetaVAE, examples.MODELS),
    ],
    ids=["objectives", "schedules", "likelihoods", "models"],
)
def test_everything_public_has_examples(module, base, listed):
    public = {
        name
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, base) and not inspect.isabstract(value) and name[0] != "_"
    }
    assert public == set(listed)


def test_every_pair_of_networks_is_listed():
    pairs = {name.removesuffix("_encoder") for name in dir(networks) if name.endswith("_encoder")}
    assert pairs == set(examples.NETWORKS)


def test_examples_are_what_their_names_say():
    for listed in (examples.OBJECTIVES, examples.SCHEDULES, examples.LIKELIHOODS):
        for name, example in examples.all_of(listed).items():
            assert type(example).__name__ == name.rpartition("-")[0]
    for name, member in examples.MODELS.items():
        assert type(member.make()).__name__ == name
