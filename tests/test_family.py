"""Every objective and every model, through what a Keras model is used for."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.examples import FAMILY, MODELS, OBJECTIVES, N
from tests.helpers import EAGER, dtype_policy, patterns, weights_of

# BetaVAE with Beta is what tests/test_training.py trains.
ONE_OF_EACH = [
    *(name for name in MODELS if name != "BetaVAE"),
    *(f"{name}-0" for name in OBJECTIVES if name != "Beta"),
]


def compiled(member, **options):
    keras.utils.set_random_seed(0)
    vae = FAMILY[member].make()
    vae.compile(keras.optimizers.Adam(2e-2), **{"jit_compile": False, **options})
    return vae


def fit(vae, member, epochs=2, batch_size=8):
    options = {"batch_size": batch_size, "epochs": epochs, "shuffle": False, "verbose": 0}
    return vae.fit(patterns(N), FAMILY[member].y, **options).history


def assert_learns(history):
    assert all(np.all(np.isfinite(values)) for values in history.values())
    assert history["reconstruction_loss"][-1] < 0.95 * history["reconstruction_loss"][0]


@pytest.mark.parametrize("member", ONE_OF_EACH)
def test_fit_learns_and_evaluate_reports_the_same_terms(member):
    vae = compiled(member)
    history = fit(vae, member, epochs=5, batch_size=16)
    assert_learns(history)
    terms = vae.evaluate(patterns(N), FAMILY[member].y, 32, verbose=0, return_dict=True)
    assert terms.keys() == history.keys()
    assert all(np.isfinite(value) for value in terms.values())


def test_fit_of_a_factor_vae_learns_when_xla_compiles_it():
    # The others are compiled by XLA in tests/test_objectives.py and tests/test_state.py.
    vae = FAMILY["FactorVAE"].make()
    vae.compile(keras.optimizers.SGD(3e-2), keras.optimizers.SGD(1e-2), jit_compile=True)
    assert_learns(fit(vae, "FactorVAE", epochs=3))


@pytest.mark.parametrize(
    ("member", "policy"),
    [
        *itertools.product(("BetaVAE", "FactorVAE", "AdaGVAE"), ("float64", "mixed_float16")),
        *itertools.product(("BetaVAE",), ("bfloat16", "mixed_bfloat16")),
        *(
            pytest.param(member, policy, marks=pytest.mark.slow)
            for member in ("FactorVAE", "AdaGVAE")
            for policy in ("bfloat16", "mixed_bfloat16")
        ),
    ],
)
def test_fit_runs_under_every_dtype_policy(member, policy):
    with dtype_policy(policy):
        vae = compiled(member, **EAGER)
        history = fit(vae, member, epochs=1, batch_size=N)
    assert all(np.all(np.isfinite(values)) for values in history.values())
    assert all(np.all(np.isfinite(weight)) for weight in weights_of(vae))
    assert vae.encode(patterns(2))[0].dtype == vae.elbo(patterns(2)).dtype == tf.float32


@pytest.mark.parametrize("member", ["AdaGVAE", "GroupVAE", "SemiSupervised-0"])
def test_a_saved_model_continues_as_an_unbroken_run(member, tmp_path):
    # FactorVAE's is in tests/test_factor_vae.py, that of BetaVAE in tests/test_state.py.
    unbroken = compiled(member, **EAGER)
    fit(unbroken, member, epochs=1, batch_size=N)
    unbroken.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert type(loaded) is type(unbroken)
    assert fit(loaded, member, 1, N) == fit(unbroken, member, 1, N)
    for weight, other in zip(weights_of(loaded), weights_of(unbroken), strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize("member", ["FactorVAE", "AdaGVAE"])
def test_an_exported_model_gives_what_the_model_gives(member, tmp_path):
    vae, images = FAMILY[member].make(), patterns(5)
    vae.export(tmp_path / "1", verbose=False)
    served = tf.saved_model.load(tmp_path / "1")
    np.testing.assert_allclose(served.encode(images)["mean"], vae.encode(images)[0], atol=1e-5)
    np.testing.assert_allclose(served.reconstruct(images), vae.reconstruct(images), atol=1e-5)
