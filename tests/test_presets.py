import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras.optimizers import Adagrad, Adam

from keras_betavae import AdaGVAE, BetaVAE, FactorVAE, likelihoods, networks, presets
from keras_betavae.datasets import ImageDataset
from keras_betavae.objectives import DIP, Beta, BetaTC, Capacity
from tests.helpers import narrow_networks, tiny_networks

NETWORKS = {
    "dense": (networks.dense_encoder, networks.dense_decoder),
    "conv": (networks.conv_encoder, networks.conv_decoder),
    "burgess": (networks.burgess_encoder, networks.burgess_decoder),
    "locatello": (networks.locatello_encoder, networks.locatello_decoder),
}


class Recipe(NamedTuple):
    """One line of the papers' table; None where they say nothing."""

    networks: str
    latent_dim: int
    objective: type
    config: dict
    optimizer: type
    learning_rate: float
    batch_size: int | None = None
    steps: int | None = None
    channels: int = 1
    likelihood: type = likelihoods.Bernoulli


BURGESS = {"gamma": 1000.0, "min_capacity": 0.0, "n_steps": 100_000}
RECIPES = {
    "higgins_dsprites": Recipe("dense", 10, Beta, {"beta": 4.0}, Adagrad, 1e-2),
    "higgins_chairs": Recipe("conv", 32, Beta, {"beta": 5.0}, Adam, 1e-4),
    "higgins_faces": Recipe("conv", 32, Beta, {"beta": 20.0}, Adam, 1e-4),
    "higgins_celeba": Recipe(
        "conv", 32, Beta, {"beta": 250.0}, Adam, 1e-4, channels=3, likelihood=likelihoods.Gaussian
    ),
    "burgess_dsprites": Recipe(
        "burgess", 10, Capacity, {**BURGESS, "max_capacity": 25.0}, Adam, 5e-4, 64
    ),
    "burgess_celeba": Recipe(
        "burgess", 32, Capacity, {**BURGESS, "max_capacity": 50.0}, Adam, 5e-4, 64, channels=3
    ),
    "locatello_beta": Recipe("locatello", 10, Beta, {}, Adam, 1e-4, 64, 300_000),
    "locatello_capacity": Recipe("locatello", 10, Capacity, BURGESS, Adam, 1e-4, 64, 300_000),
    "locatello_tc": Recipe(
        "locatello", 10, BetaTC, {"alpha": 1.0, "gamma": 1.0}, Adam, 1e-4, 64, 300_000
    ),
    "locatello_factor": Recipe("locatello", 10, Beta, {"beta": 1.0}, Adam, 1e-4, 128, 300_000),
    "locatello_dip_i": Recipe("locatello", 10, DIP, {"kind": "i"}, Adam, 1e-4, 64, 300_000),
    "locatello_dip_ii": Recipe("locatello", 10, DIP, {"kind": "ii"}, Adam, 1e-4, 64, 300_000),
}
OURS = {
    "sprites_quick",
    "sprites_full",
    "higgins_quick",
    "capacity_quick",
    "burgess_controlled",
    "vectors",
    "signals",
}
GRIDS = {
    "locatello_beta": ("beta", {1, 2, 4, 6, 8, 16}),
    "locatello_capacity": ("max_capacity", {5, 10, 25, 50, 75, 100}),
    "locatello_tc": ("beta", {1, 2, 4, 6, 8, 10}),
    "locatello_dip_i": ("lambda_od", {1, 2, 5, 10, 20, 50}),
    "locatello_dip_ii": ("lambda_od", {1, 2, 5, 10, 20, 50}),
}


def test_every_preset_is_listed_here():
    assert set(presets.names()) == set(RECIPES) | OURS


@pytest.mark.parametrize("name", RECIPES)
def test_presets_are_the_papers_recipes(name):
    published, recipe, optimizer = RECIPES[name], presets.get(name), presets.get(name).optimizer()
    assert (recipe.encoder, recipe.decoder) == NETWORKS[published.networks]
    assert tuple(recipe.input_shape) == (64, 64, published.channels)
    assert recipe.latent_dim == published.latent_dim
    assert type(recipe.likelihood) is published.likelihood
    assert type(recipe.objective) is published.objective
    assert recipe.objective.get_config().items() >= published.config.items()
    assert type(optimizer) is published.optimizer
    assert float(optimizer.learning_rate) == pytest.approx(published.learning_rate)
    assert published.batch_size in (recipe.batch_size, None)
    assert published.steps in (recipe.steps, None)


@pytest.mark.parametrize("name", GRIDS)
def test_locatello_presets_are_on_the_published_grid(name):
    argument, grid = GRIDS[name]
    assert presets.get(name).objective.get_config()[argument] in grid
    optimizer = presets.get(name).optimizer().get_config()
    assert (optimizer["beta_1"], optimizer["beta_2"], optimizer["epsilon"]) == (0.9, 0.999, 1e-8)


def test_dips_two_weights_are_in_the_published_proportion():
    first, second = presets.get("locatello_dip_i"), presets.get("locatello_dip_ii")
    assert first.objective.lambda_d == 10 * first.objective.lambda_od
    assert second.objective.lambda_d == second.objective.lambda_od


def test_a_recipe_of_another_model_gives_that_model():
    small = {"input_shape": (32, 32, 1)}
    for called in (BetaVAE, FactorVAE):
        vae = called.from_preset("locatello_factor", **small)
        assert type(vae) is FactorVAE
        assert vae.gamma in {10, 20, 30, 40, 50, 100}
        optimizer = vae.discriminator_optimizer.get_config()
        assert (optimizer["beta_1"], optimizer["beta_2"]) == (0.5, 0.9)
    assert FactorVAE.from_preset("locatello_factor", gamma=7.0, **small).gamma == 7.0


@pytest.mark.parametrize("model", [FactorVAE, AdaGVAE])
def test_any_model_takes_the_networks_of_a_recipe(model):
    vae = model.from_preset("locatello_beta", input_shape=(32, 32, 1))
    assert type(vae) is model
    assert vae.objective.beta == 4.0


def test_another_model_takes_a_recipe_without_what_is_the_recipes_model_alone():
    vae = AdaGVAE.from_preset("locatello_factor", input_shape=(32, 32, 1))
    assert type(vae) is AdaGVAE


@pytest.fixture
def small_networks(monkeypatch):
    """Every recipe with dense networks of few units, for what does not depend on the networks."""
    small = {
        name: dataclasses.replace(
            recipe,
            encoder=partial(networks.dense_encoder, units=(4,)),
            decoder=partial(networks.dense_decoder, units=(4,)),
            input_shape=(8, 8, 1),
        )
        for name, recipe in presets._PRESETS.items()
    }
    monkeypatch.setattr(presets, "_PRESETS", small)


# A preset of each kind of networks, and of the other model.
BUILT = [
    "higgins_dsprites",
    "higgins_celeba",
    "burgess_dsprites",
    "locatello_factor",
    "sprites_quick",
]


@pytest.mark.parametrize("name", BUILT)
def test_presets_build_a_compiled_model(name):
    recipe, vae = presets.get(name), BetaVAE.from_preset(name, seed=3)
    assert vae.compiled
    assert vae.image_shape == tuple(recipe.input_shape)
    assert vae.latent_dim == recipe.latent_dim
    for built, make in (
        (vae.encoder, recipe.encoder(recipe.input_shape, recipe.latent_dim)),
        (vae.decoder, recipe.decoder(recipe.latent_dim, recipe.input_shape)),
    ):
        assert [w.shape for w in built.weights] == [w.shape for w in make.weights]
    assert vae.seed == 3


# Presets with the objectives and the models that the others have too.
ALIKE = set(presets.names()) - {
    "burgess_controlled",
    "higgins_celeba",
    "locatello_dip_i",
    "locatello_factor",
    "sprites_full",
    "vectors",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in ALIKE else []) for n in presets.names()],
)
def test_two_models_of_a_preset_share_nothing_and_leave_the_recipe_as_it_is(small_networks, name):
    recipe = presets.get(name)
    assert recipe.source
    assert recipe.batch_size >= 1
    assert recipe.steps >= 1
    before = [part.get_config() for part in (recipe.objective, recipe.likelihood)]
    first = BetaVAE.from_preset(name)
    assert [part.get_config() for part in (first.objective, first.likelihood)] == before
    assert first.objective is not recipe.objective
    assert first.likelihood is not recipe.likelihood
    second = BetaVAE.from_preset(name)
    assert [part.get_config() for part in (second.objective, second.likelihood)] == before
    assert not {id(weight) for weight in first.weights} & {id(weight) for weight in second.weights}
    assert first.optimizer is not second.optimizer


def test_the_quick_dense_recipes_learning_rate_has_fallen_to_0_when_its_steps_are_done():
    recipe = presets.get("higgins_quick")
    rate = recipe.optimizer()._learning_rate
    rates = [float(rate(step)) for step in range(0, recipe.steps + 1, 100)]
    highest = rates.index(max(rates))
    assert 0 < highest < len(rates) - 1
    assert rates[: highest + 1] == sorted(rates[: highest + 1])
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
    assert rates[-2] > 0
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_a_longer_training_has_a_longer_schedule_of_the_learning_rate(small_networks):
    shorter, longer = (
        BetaVAE.from_preset("sprites_quick", steps=steps).optimizer._learning_rate
        for steps in (2_000, 5_000)
    )
    for step in (0, 900, 1_250, 1_500, 1_999, 2_000):
        assert float(longer(2.5 * step)) == pytest.approx(float(shorter(step)), abs=1e-9)
    constant = BetaVAE.from_preset("locatello_beta", steps=10).optimizer
    assert float(constant.learning_rate) == pytest.approx(1e-4)
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, got 0"):
        BetaVAE.from_preset("sprites_quick", steps=0)


@pytest.mark.parametrize("name", ["burgess_dsprites", "locatello_factor"])
def test_overrides_replace_the_recipe(name):
    objective, likelihood = Beta(7.0), likelihoods.Gaussian(0.5)
    optimizer = keras.optimizers.SGD(0.25)
    vae = BetaVAE.from_preset(
        name,
        input_shape=(32, 32, 4),
        latent_dim=3,
        objective=objective,
        likelihood=likelihood,
        optimizer=optimizer,
        log_var_limit=5.0,
    )
    assert vae.image_shape == (32, 32, 4)
    assert vae.latent_dim == 3
    for part, given in ((vae.objective, objective), (vae.likelihood, likelihood)):
        assert type(part) is type(given)
        assert part.get_config() == given.get_config()
    assert vae.optimizer is optimizer
    assert vae.log_var_limit == 5.0
    assert presets.get(name).latent_dim != 3


def test_an_objective_and_a_likelihood_are_used_as_they_are_given():
    class Weighted(Beta):
        def get_config(self):
            return {}

    objective, likelihood = Weighted(5.0), likelihoods.Gaussian(0.1, learned=True)
    vae = BetaVAE.from_preset("higgins_quick", objective=objective, likelihood=likelihood)
    assert vae.objective is objective
    assert vae.likelihood is likelihood


def test_an_optimizer_may_be_given_by_name():
    vae = BetaVAE.from_preset("higgins_dsprites", input_shape=(8, 8, 1), optimizer="sgd")
    assert isinstance(vae.optimizer, keras.optimizers.SGD)


def test_networks_may_be_replaced():
    vae = BetaVAE.from_preset("higgins_celeba", **tiny_networks((8, 8, 3), 2))
    assert vae.image_shape == (8, 8, 3)
    assert vae.latent_dim == 2
    assert vae.objective.beta == 250.0


def test_networks_that_misfit_the_other_half_of_the_recipe_are_refused():
    with pytest.raises(ValueError, match="decoder must take the encoder's codes"):
        BetaVAE.from_preset(
            "burgess_dsprites", encoder=networks.dense_encoder((64, 64, 1), 3, units=())
        )


@pytest.mark.parametrize("build", [presets.get, BetaVAE.from_preset])
def test_an_unknown_name_is_refused_with_the_known_ones(build):
    with pytest.raises(ValueError, match="unknown preset 'higgins'") as error:
        build("higgins")
    assert all(name in str(error.value) for name in presets.names())


def test_an_unknown_override_is_refused():
    with pytest.raises((TypeError, ValueError), match="latent_dims"):
        BetaVAE.from_preset("burgess_dsprites", latent_dims=3)


def data_of(n, shape):
    return ImageDataset(np.zeros((n, *shape), "uint8"))


def test_a_preset_is_fitted_to_the_data(capsys):
    vae = BetaVAE.from_preset("locatello_tc", data_of(50, (28, 20, 2)))
    assert vae.image_shape == (28, 20, 2)
    assert vae.objective.n_data == 50
    assert capsys.readouterr().out == (
        "locatello_tc for this data: input_shape (28, 20, 2) instead of (64, 64, 1), "
        "n_data 50 instead of 737,280\n"
    )


def knows_its_number_of_images(name):
    return "737280" in json.dumps(presets.get(name).objective.get_config())


@pytest.mark.parametrize("name", [n for n in presets.names() if knows_its_number_of_images(n)])
def test_no_preset_keeps_the_number_of_other_images(name):
    with narrow_networks():
        vae = BetaVAE.from_preset(name, data_of(50, (8, 8, 1)), verbose=False)
    assert "737280" not in json.dumps(vae.objective.get_config())
    assert vae.objective.fits_data(50)


def test_what_is_chosen_stays_and_what_fits_is_not_told(capsys):
    own = BetaTC(beta=2.0, n_data=7)
    vae = BetaVAE.from_preset("locatello_tc", data_of(50, (32, 32, 1)), objective=own, latent_dim=3)
    assert (vae.objective.n_data, vae.latent_dim) == (7, 3)
    assert "n_data" not in capsys.readouterr().out
    BetaVAE.from_preset("locatello_beta", data_of(5, (64, 64, 1)))
    BetaVAE.from_preset("locatello_beta", data_of(5, (32, 32, 1)), verbose=False)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match=r"at least 8, got \(4, 4, 1\)"):
        BetaVAE.from_preset("locatello_beta", data_of(5, (4, 4, 1)))


def test_the_documented_table_is_that_of_the_presets():
    lines = Path("docs/api/presets.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    assert [row[0].split("`")[1] for row in rows] == list(presets.names())
    for row in rows:
        recipe = presets.get(row[0].split("`")[1])
        numbers = recipe.latent_dim, recipe.batch_size, recipe.steps
        assert tuple(int(row[k].replace(",", "")) for k in (2, 5, 6)) == numbers
        assert f"{type(recipe.objective).__name__}" in row[3] or recipe.model in row[3]
        assert row[4].startswith(type(recipe.optimizer()).__name__)
