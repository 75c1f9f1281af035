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
from keras_betavae.objectives.schedules import Cosine, Cyclical, Linear
from tests.helpers import SHAPE, on_two_replicas, patterns, tiny_networks, weights_of

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
# Under two replicas: one of each kind of training step. tests/test_training.py has a third.
FITTED = ("SemiSupervised", "FactorVAE")
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


def gradients(member, strategy, sizes, objective=None):
    """The gradients of one step on `sizes` images for each replica, or on all at once."""
    rng = np.random.default_rng(2)
    images, partners = rng.random((2, sum(sizes), *SHAPE)).astype("float32")
    beside = FAMILY[member][1]
    beside = beside[: len(images)] if beside is LABELS else beside if beside is None else partners
    groups = np.split(np.arange(len(images)), np.cumsum(sizes)[:-1])
    with strategy.scope():
        keras.utils.set_random_seed(0)
        vae = FAMILY[member][0]()
        vae.objective = objective or vae.objective
        rates = [keras.optimizers.SGD(1.0) for _ in range(1 + isinstance(vae, FactorVAE))]
        vae.compile(*rates, run_eagerly=True)
    if strategy.num_replicas_in_sync == 1:
        # FactorVAE takes the codes of the first half of each replica's images.
        halves = [np.array_split(group, 2) for group in groups]
        groups = [np.concatenate(groups)]
        if isinstance(vae, FactorVAE):
            groups = [np.concatenate([half[i] for i in (0, 1) for half in halves])]

    def of_replica(values):
        parts = [tf.constant(values[group]) for group in groups]
        return strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group]
        )

    data = of_replica(images) if beside is None else (of_replica(images), of_replica(beside))
    before = [np.asarray(weight, "float64") for weight in vae.trainable_variables]
    strategy.run(vae.train_step, args=(data,))
    return [
        b - np.asarray(w, "float64") for w, b in zip(vae.trainable_variables, before, strict=True)
    ]


def distance_of_gradients(member, strategies, sizes=(32, 32), objective=None):
    """How far apart two strategies' gradients are, in parts of the largest."""
    one, other = (gradients(member, strategy, sizes, objective) for strategy in strategies)
    largest = max(np.abs(gradient).max() for gradient in one)
    assert all(np.any(gradient) for gradient in one)
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)) / largest


def capacity_between_replicas():
    """A capacity above the KL of one replica's images and below that of the other's."""
    images = np.random.default_rng(2).random((2, 64, *SHAPE)).astype("float32")[0]
    keras.utils.set_random_seed(0)
    vae = FAMILY["Capacity"][0]()
    own = [float(vae.compute_terms(half)["kl_loss"]) for half in np.split(images, 2)]
    capacity = sum(own) / 2
    signs = np.sign(np.array(own) - capacity) * np.sign(own[0] - own[1])
    return signs.tolist(), Capacity(50.0, capacity, 1, capacity)


TWO_REPLICAS = """
from tests import test_family as family
one = tf.distribute.get_strategy()
fitted = {}
for member in family.FITTED:
    histories = []
    for strategy in (one, two):
        with strategy.scope():
            vae = family.compiled(member)
        histories.append(family.fit(vae, member))
    fitted[member] = histories
apart = {member: family.distance_of_gradients(member, (one, two)) for member in family.FAMILY}
uneven = {
    member: family.distance_of_gradients(member, (one, two), (39, 25))
    for member in ("BetaTC, mss", "SemiSupervised", "AdaGVAE")
}
signs, between = family.capacity_between_replicas()
apart_between = family.distance_of_gradients("Capacity", (one, two), objective=between)
print(json.dumps([fitted, apart, uneven, signs, apart_between]))
"""


@pytest.fixture(scope="module")
def two_replicas():
    names = ("fitted", "apart", "uneven", "signs", "apart_between")
    return dict(zip(names, on_two_replicas(TWO_REPLICAS), strict=True))


def test_fit_under_two_replicas_is_that_of_one(two_replicas):
    assert set(two_replicas["fitted"]) == set(FITTED)
    for member, (one, two) in two_replicas["fitted"].items():
        assert one.keys() == two.keys()
        assert_learns(two)
        # FactorVAE's first half of a batch is then that of each replica, which are other images.
        for name in one if member != "FactorVAE" else ():
            np.testing.assert_allclose(two[name], one[name], rtol=1e-4, err_msg=name)


def test_two_replicas_of_32_give_the_gradient_of_one_batch_of_64(two_replicas):
    assert two_replicas["apart"].keys() == FAMILY.keys()
    assert max(two_replicas["apart"].values()) < 1e-5, two_replicas["apart"]


def test_replicas_of_unlike_sizes_give_the_gradient_of_one_batch(two_replicas):
    assert max(two_replicas["uneven"].values()) < 1e-5, two_replicas["uneven"]


def test_the_capacity_is_that_of_the_global_batch(two_replicas):
    # Each replica by itself would draw its KL the other way.
    assert two_replicas["signs"] == [1.0, -1.0]
    assert two_replicas["apart_between"] < 1e-5
