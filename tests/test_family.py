"""Every objective and every model, through everything that a Keras model is used for."""

import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_betavae as kbv
from keras_betavae import AdaGVAE, BetaVAE, FactorVAE, GroupVAE, networks, objectives
from keras_betavae.objectives import DIP, Beta, BetaTC, Capacity, SemiSupervised
from keras_betavae.schedules import Cosine, Cyclical, Linear
from tests.helpers import on_two_replicas, patterns, tiny_networks, weights_of

N = 64
LABELS = np.random.default_rng(0).integers(-1, 3, (N, 2))


def with_objective(objective):
    return lambda: BetaVAE(**tiny_networks(), objective=objective(), seed=0)


def factor_vae():
    small = networks.discriminator(3, units=(16, 16))
    return FactorVAE(**tiny_networks(), gamma=Linear(0.0, 2.0, 20), discriminator=small, seed=0)


# Each makes a model, and what comes beside the images, in a fit.
FAMILY = {
    "Beta": (with_objective(lambda: Beta(2.0)), None),
    "Beta, cosine": (with_objective(lambda: Beta(Cosine(0.0, 2.0, 20))), None),
    "Beta, cyclical": (with_objective(lambda: Beta(Cyclical(0.0, 2.0, 8))), None),
    "Capacity": (with_objective(lambda: Capacity(1.0, 2.0, n_steps=20)), None),
    "BetaTC, mss": (with_objective(lambda: BetaTC(beta=2.0, n_data=N)), None),
    "BetaTC, mws": (with_objective(lambda: BetaTC(beta=2.0, n_data=N, sampling="mws")), None),
    "DIP, i": (with_objective(lambda: DIP("i", 1.0, 1.0)), None),
    "DIP, ii": (with_objective(lambda: DIP("ii", 1.0, 1.0)), None),
    "SemiSupervised": (with_objective(lambda: SemiSupervised(Beta(1.0), (3, 3), 2.0)), LABELS),
    "FactorVAE": (factor_vae, None),
    "AdaGVAE": (lambda: AdaGVAE(**tiny_networks(), objective=Beta(2.0), seed=0), patterns(N)[::-1]),
    "GroupVAE": (lambda: GroupVAE(**tiny_networks(), shared=(0,), seed=0), patterns(N)[::-1]),
}
every_member = pytest.mark.parametrize("member", FAMILY)


def compiled(member, **options):
    keras.utils.set_random_seed(0)
    vae = FAMILY[member][0]()
    vae.compile(keras.optimizers.Adam(2e-2), **{"jit_compile": False, **options})
    return vae


def fit(vae, member, epochs=2):
    images, beside = patterns(N), FAMILY[member][1]
    return vae.fit(images, beside, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history


def assert_learns(history):
    assert all(np.all(np.isfinite(values)) for values in history.values())
    assert history["reconstruction_loss"][-1] < 0.95 * history["reconstruction_loss"][0]


def test_every_objective_and_model_is_in_the_family():
    public = [*vars(objectives).values(), *vars(kbv).values()]
    classes = {
        value.__name__
        for value in public
        if inspect.isclass(value)
        and issubclass(value, objectives.Objective | BetaVAE)
        and not inspect.isabstract(value)
    }
    assert classes - {"BetaVAE"} == {member.split(",")[0] for member in FAMILY}


@every_member
@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_learns_and_evaluate_reports_the_same_terms(member, jit_compile):
    vae = compiled(member, jit_compile=jit_compile)
    history = fit(vae, member, epochs=5)
    assert_learns(history)
    beside = FAMILY[member][1]
    terms = vae.evaluate(patterns(N), beside, batch_size=8, verbose=0, return_dict=True)
    assert terms.keys() == history.keys()
    assert all(np.isfinite(value) for value in terms.values())


@every_member
def test_fit_learns_in_mixed_precision(member):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert_learns(fit(compiled(member), member, epochs=5))
    finally:
        keras.config.set_dtype_policy(before)


@every_member
def test_a_saved_model_goes_on_as_an_unbroken_run(member, tmp_path):
    unbroken, stopped = compiled(member), compiled(member)
    for vae in (unbroken, stopped):
        fit(vae, member)
    stopped.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert type(loaded) is type(unbroken)
    assert fit(loaded, member) == fit(unbroken, member)
    for weight, other in zip(weights_of(loaded), weights_of(unbroken), strict=True):
        np.testing.assert_array_equal(weight, other)


@every_member
def test_a_config_goes_through_json(member):
    vae = FAMILY[member][0]()
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(vae)))
    again = keras.saving.deserialize_keras_object(config, safe_mode=True)
    assert type(again) is type(vae)
    assert again.objective.get_config() == vae.objective.get_config()


@every_member
def test_an_exported_model_gives_what_the_model_gives(member, tmp_path):
    vae = compiled(member)
    fit(vae, member, epochs=1)
    vae.export(tmp_path / "1", verbose=False)
    served, images = tf.saved_model.load(tmp_path / "1"), patterns(5)
    np.testing.assert_allclose(served.encode(images)["mean"], vae.encode(images)[0], atol=1e-5)
    np.testing.assert_allclose(served.reconstruct(images), vae.reconstruct(images), atol=1e-5)


TWO_REPLICAS = """
from tests import test_family
histories = {}
for member in test_family.FAMILY:
    with two.scope():
        vae = test_family.compiled(member)
    histories[member] = test_family.fit(vae, member, epochs=5)
print(json.dumps(histories))
"""


@pytest.fixture(scope="module")
def two_replicas():
    return on_two_replicas(TWO_REPLICAS)


def test_fit_learns_under_two_replicas(two_replicas):
    assert two_replicas.keys() == FAMILY.keys()
    for history in two_replicas.values():
        assert_learns(history)
