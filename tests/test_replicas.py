"""Two replicas on one machine: the two logical CPUs of tests/conftest.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_betavae import BetaVAE, FactorVAE
from keras_betavae.models._descent import descend
from keras_betavae.objectives import Capacity
from tests import test_family as family
from tests.examples import LABELS, MODELS, OBJECTIVES, Member, beta_vae
from tests.helpers import SHAPE, Integral, patterns, tiny_networks, tiny_vae, without_noise

# The images of each replica in one step; unlike sizes where rows of the batch are compared or left
# out. Capacity has a test of its own.
SIZES = {
    "BetaVAE": (32, 32),
    "FactorVAE": (32, 32),
    "AdaGVAE": (39, 25),
    "GroupVAE": (32, 32),
    "BetaTC-0": (39, 25),
    "BetaTC-1": (32, 32),
    "Cascade-1": (32, 32),
    "ControlledCapacity-0": (39, 25),
    "DIP-1": (32, 32),
    "SemiSupervised-0": (39, 25),
    "TargetReconstruction-0": (39, 25),
}
# They reduce over the replicas as others do.
SLOW = ("BetaVAE", "GroupVAE", "BetaTC-1", "Cascade-1", "TargetReconstruction-0")


def gradients(member, strategy, sizes):
    """What one step on `sizes` images for each replica, or on all at once, moves."""
    rng = np.random.default_rng(2)
    images, partners = rng.random((2, sum(sizes), *SHAPE)).astype("float32")
    y = partners
    if member.y is None or member.y is LABELS:
        y = member.y if member.y is None else LABELS[: len(images)]
    groups = np.split(np.arange(len(images)), np.cumsum(sizes)[:-1])
    with strategy.scope():
        keras.utils.set_random_seed(0)
        vae = member.make()
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

    data = of_replica(images) if y is None else (of_replica(images), of_replica(y))
    before = [np.asarray(weight, "float64") for weight in vae.trainable_variables]
    strategy.run(vae.train_step, args=(data,))
    moved = [
        b - np.asarray(w, "float64") for w, b in zip(vae.trainable_variables, before, strict=True)
    ]
    return moved, [float(value) for value in vae.objective_state.values()]


def distance_of_gradients(member, strategies, sizes=(32, 32)):
    """How far apart two strategies' gradients are, in parts of the largest."""
    (one, state), (other, other_state) = (
        gradients(member, strategy, sizes) for strategy in strategies
    )
    np.testing.assert_allclose(state, other_state, rtol=1e-5)
    largest = max(np.abs(gradient).max() for gradient in one)
    assert all(np.any(gradient) for gradient in one)
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)) / largest


def capacity_between_replicas():
    """A capacity above the KL of one replica's images and below that of the other's."""
    images = np.random.default_rng(2).random((2, 64, *SHAPE)).astype("float32")[0]
    keras.utils.set_random_seed(0)
    vae = beta_vae(Capacity())
    own = [float(vae.compute_terms(half)["kl_loss"]) for half in np.split(images, 2)]
    capacity = sum(own) / 2
    signs = np.sign(np.array(own) - capacity) * np.sign(own[0] - own[1])
    return signs.tolist(), Member(lambda: beta_vae(Capacity(50.0, capacity, 1, capacity)))


def fitted(strategy):
    """A fit of an objective with state, whose last batch is odd."""
    with strategy.scope():
        # Steps that do not follow the sign of a gradient of 0 but for rounding.
        optimizer = keras.optimizers.Adam(1e-2, epsilon=1e-2)
        vae = without_noise(tiny_vae(Integral(0.01), optimizer=optimizer))
    data = tf.data.Dataset.from_tensor_slices(patterns(35)).batch(16)
    return vae, vae.fit(data, epochs=4, verbose=0, validation_data=data).history


@pytest.fixture(scope="module")
def one():
    return tf.distribute.get_strategy()


@pytest.fixture(scope="module")
def two():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    return strategy


@pytest.fixture(scope="module")
def both_fitted(one, two):
    return fitted(one), fitted(two)


@pytest.mark.parametrize(
    "member", [pytest.param(m, marks=[pytest.mark.slow] if m in SLOW else []) for m in SIZES]
)
def test_two_replicas_give_the_gradient_of_one_batch_of_64(one, two, member):
    assert distance_of_gradients(family.FAMILY[member], (one, two), SIZES[member]) < 1e-5


def test_every_member_of_the_family_is_above():
    assert {"Capacity", *(m.partition("-")[0] for m in SIZES)} >= {*MODELS, *OBJECTIVES} - {"Beta"}


def test_the_capacity_is_that_of_the_global_batch(one, two):
    signs, between = capacity_between_replicas()
    # Each replica by itself would draw its KL the other way.
    assert signs == [1.0, -1.0]
    assert distance_of_gradients(between, (one, two)) < 1e-5


def test_fit_under_two_replicas_is_that_of_one(both_fitted):
    (_, one), (vae, two) = both_fitted
    assert two["reconstruction_loss"][-1] < two["reconstruction_loss"][0]
    assert float(np.sum(vae.latent_kl)) == pytest.approx(two["val_kl_loss"][-1], rel=1e-4)
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-3, err_msg=name)


def test_the_step_and_the_objectives_state_are_the_same_on_both_replicas(two, both_fitted):
    (alone, _), (vae, _) = both_fitted
    of_replicas = [
        [float(value) for value in two.experimental_local_results(variable.value)]
        for variable in (vae.step_counter, vae._state["integral"])
    ]
    assert of_replicas[0] == [12, 12]
    assert of_replicas[1] == [of_replicas[1][0]] * 2
    np.testing.assert_allclose(of_replicas[1][0], alone._state["integral"], rtol=1e-4)


@pytest.mark.slow
def test_a_factor_vae_learns_under_two_replicas(two):
    with two.scope():
        vae = family.compiled("FactorVAE")
    family.assert_learns(family.fit(vae, "FactorVAE", epochs=5))


def test_replicas_draw_codes_of_their_own(two):
    with two.scope():
        vae = tiny_vae()
    vae.encoder.get_layer("log_var").bias.assign([0.0] * 3)
    losses = two.run(lambda: vae.compute_terms(tf.zeros((4, *SHAPE)))["reconstruction_loss"])
    first, second = two.experimental_local_results(losses)
    assert float(first) != float(second)


def test_an_overflow_on_one_replica_skips_the_step_on_both(two):
    with two.scope():
        weight = keras.Variable([1.0, 2.0])
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0))
        optimizer.build([weight])

    def step():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        gradient = tf.where(number == 1, [np.inf, 1.0], [1.0, 1.0])
        descend(optimizer, [gradient], [weight], tf.constant(True), in_xla=False)

    two.run(tf.function(step))
    np.testing.assert_array_equal(weight, [1.0, 2.0])
    assert float(optimizer.dynamic_scale.numpy()) == 2.0**14


def test_moving_statistics_are_restored_on_two_replicas(two):
    with two.scope():
        image = keras.Input(SHAPE)
        h = keras.layers.BatchNormalization()(keras.layers.Flatten()(image))
        encoder = keras.Model(image, [keras.layers.Dense(3)(h), keras.layers.Dense(3)(h)])
        vae = BetaVAE(encoder, tiny_networks()["decoder"], seed=0)
        vae.compile("sgd", jit_compile=False)
    images = patterns(8)
    images[[0, 7]] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        vae.fit(tf.data.Dataset.from_tensors(images), verbose=0)
    assert np.isfinite(vae.encode(patterns(2))[0]).all()


def test_bad_images_stop_two_replicas(both_fitted):
    _, (vae, _) = both_fitted
    data = tf.data.Dataset.from_tensor_slices(2.0 * patterns(8)).batch(8)
    with pytest.raises(ValueError, match=r"within \[0, 1\] under Bernoulli, but those of step 1"):
        vae.fit(data, verbose=0)


def test_a_last_batch_of_fewer_images_than_replicas_does_no_harm(both_fitted):
    _, (vae, _) = both_fitted
    data = tf.data.Dataset.from_tensor_slices(patterns(5)).batch(4)
    assert np.isfinite(vae.fit(data, verbose=0).history["loss"][-1])
