"""Every objective and every model, through what a Keras model is used for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_betavae import FactorVAE, networks
from tests.examples import FAMILY, MODELS, OBJECTIVES, N
from tests.helpers import EAGER, dtype_policy, no_graphs, patterns, tiny_networks, weights_of

# BetaVAE with Beta is what tests/test_training.py trains. Its graphs are made there, those of an
# objective with state in tests/test_control.py, of a FactorVAE in tests/test_factor_vae.py and of
# pairs in tests/test_pair_vae.py; tests/test_objectives.py compiles each objective.
ONE_OF_EACH = [
    *(name for name in MODELS if name not in ("BetaVAE", "FactorVAE")),
    *(f"{name}-0" for name in OBJECTIVES if name != "Beta"),
]


def compiled(member):
    keras.utils.set_random_seed(0)
    vae = FAMILY[member].make()
    vae.compile(keras.optimizers.SGD(0.3), **EAGER)
    return vae


def fit(vae, member, epochs=1, batch_size=N):
    options = {"batch_size": batch_size, "epochs": epochs, "shuffle": False, "verbose": 0}
    return vae.fit(patterns(N), FAMILY[member].y, **options).history


def assert_learns(history):
    assert all(np.all(np.isfinite(values)) for values in history.values())
    assert history["reconstruction_loss"][-1] < 0.95 * history["reconstruction_loss"][0]


# Other files train these too.
TRAINED_ELSEWHERE = (
    "GroupVAE", "Capacity-0", "Cascade-0", "ControlledCapacity-0", "SemiSupervised-0"
)  # fmt: skip


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(m, marks=[pytest.mark.slow] if m in TRAINED_ELSEWHERE else [])
        for m in ONE_OF_EACH
    ],
)
def test_fit_learns_and_evaluate_reports_the_same_terms(member):
    vae = compiled(member)
    history = fit(vae, member, epochs=5)
    assert_learns(history)
    assert_evaluates(vae, member, history)


def assert_evaluates(vae, member, history):
    with no_graphs():
        terms = vae.evaluate(patterns(N), FAMILY[member].y, N, verbose=0, return_dict=True)
    assert terms.keys() == history.keys()
    assert all(np.isfinite(value) for value in terms.values())


def test_fit_of_a_factor_vae_learns_when_xla_compiles_it():
    # The others are compiled by XLA in tests/test_objectives.py and tests/test_state.py.
    discriminator = networks.discriminator(3, units=(8,))
    vae = FactorVAE(**tiny_networks(units=()), gamma=2.0, discriminator=discriminator, seed=0)
    vae.compile(keras.optimizers.SGD(3e-2), keras.optimizers.SGD(1e-2), jit_compile=True)
    history = fit(vae, "FactorVAE", epochs=3, batch_size=8)
    assert_learns(history)
    assert_evaluates(vae, "FactorVAE", history)


# In mixed_float16, tests/test_training.py fits a BetaVAE and tests/test_factor_vae.py a FactorVAE.
QUICK = {
    ("BetaVAE", "float64"),
    ("BetaVAE", "bfloat16"),
    ("BetaVAE", "mixed_bfloat16"),
    ("AdaGVAE", "mixed_float16"),
}


@pytest.mark.parametrize(
    ("member", "policy"),
    [
        pytest.param(member, policy, marks=[pytest.mark.slow] * ((member, policy) not in QUICK))
        for member in ("BetaVAE", "FactorVAE", "AdaGVAE")
        for policy in ("float64", "mixed_float16", "bfloat16", "mixed_bfloat16")
    ],
)
def test_fit_runs_under_every_dtype_policy(member, policy):
    with dtype_policy(policy):
        vae = compiled(member)
        history = fit(vae, member)
    assert all(np.all(np.isfinite(values)) for values in history.values())
    assert all(np.all(np.isfinite(weight)) for weight in weights_of(vae))
    with no_graphs():
        assert vae.encode(patterns(2))[0].dtype == vae.elbo(patterns(2)).dtype == tf.float32


@pytest.mark.parametrize(
    "member",
    [
        "GroupVAE",
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("AdaGVAE", "SemiSupervised-0")),
    ],
)
def test_a_saved_model_continues_as_an_unbroken_run(member, tmp_path):
    # FactorVAE's is in tests/test_factor_vae.py, that of BetaVAE in tests/test_state.py.
    unbroken = compiled(member)
    fit(unbroken, member)
    unbroken.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert type(loaded) is type(unbroken)
    assert fit(loaded, member) == fit(unbroken, member)
    for weight, other in zip(weights_of(loaded), weights_of(unbroken), strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize("member", ["FactorVAE", pytest.param("AdaGVAE", marks=pytest.mark.slow)])
def test_an_exported_model_gives_what_the_model_gives(member, tmp_path):
    vae, images = FAMILY[member].make(), patterns(5)
    vae.export(tmp_path / "1", verbose=False)
    served = tf.saved_model.load(tmp_path / "1")
    np.testing.assert_allclose(served.encode(images)["mean"], vae.encode(images)[0], atol=1e-5)
    np.testing.assert_allclose(served.reconstruct(images), vae.reconstruct(images), atol=1e-5)
