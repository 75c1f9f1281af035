"""Two replicas on one machine: all of it in one process, which prints what it found."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_betavae import FactorVAE
from keras_betavae.objectives import Capacity
from tests import test_family as family
from tests.examples import LABELS, MODELS, OBJECTIVES, Member, beta_vae
from tests.helpers import SHAPE, Integral, on_two_replicas, patterns, tiny_vae, without_noise

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
    history = vae.fit(data, epochs=4, verbose=0, validation_data=data).history
    variables = (vae.step_counter, vae._state["integral"])
    return vae, {
        "history": history,
        "latent_kl": float(np.sum(vae.latent_kl)),
        "step_and_state": [
            [float(value) for value in strategy.experimental_local_results(variable.value)]
            for variable in variables
        ],
    }


def loss_or_error(vae, images, batch_size):
    data = tf.data.Dataset.from_tensor_slices(images).batch(batch_size)
    try:
        return vae.fit(data, verbose=0).history["loss"][-1]
    except (ValueError, ArithmeticError) as error:
        return str(error)


TWO_REPLICAS = """
from tests.test_replicas import *
one = tf.distribute.get_strategy()
members = family.FAMILY
apart = {m: distance_of_gradients(members[m], (one, two), sizes) for m, sizes in SIZES.items()}
signs, between = capacity_between_replicas()
apart_between = distance_of_gradients(between, (one, two))
_, of_one = fitted(one)
vae, of_two = fitted(two)
with two.scope():
    factor_vae = family.compiled("FactorVAE")
    vae.encoder.get_layer("log_var").bias.assign([0.0] * 3)
losses = two.run(lambda: vae.compute_terms(tf.zeros((4, 8, 8, 1)))["reconstruction_loss"])
print(json.dumps({
    "apart": apart,
    "signs": signs,
    "apart_between": apart_between,
    "one": of_one,
    "two": of_two,
    "factor_vae": family.fit(factor_vae, "FactorVAE", epochs=5),
    "losses_on_the_same_images": [float(loss) for loss in two.experimental_local_results(losses)],
    "bad_images": loss_or_error(vae, 2.0 * patterns(8), 8),
    "one_image_left": loss_or_error(vae, patterns(5), 4),
}))
"""


@pytest.fixture(scope="module")
def two_replicas():
    return on_two_replicas(TWO_REPLICAS)


def test_two_replicas_give_the_gradient_of_one_batch_of_64(two_replicas):
    assert two_replicas["apart"].keys() == SIZES.keys()
    assert {"Capacity", *(m.partition("-")[0] for m in SIZES)} >= {*MODELS, *OBJECTIVES} - {"Beta"}
    assert max(two_replicas["apart"].values()) < 1e-5, two_replicas["apart"]


def test_the_capacity_is_that_of_the_global_batch(two_replicas):
    # Each replica by itself would draw its KL the other way.
    assert two_replicas["signs"] == [1.0, -1.0]
    assert two_replicas["apart_between"] < 1e-5


def test_fit_under_two_replicas_is_that_of_one(two_replicas):
    one, two = two_replicas["one"], two_replicas["two"]
    assert two["history"]["reconstruction_loss"][-1] < two["history"]["reconstruction_loss"][0]
    assert two["latent_kl"] == pytest.approx(two["history"]["val_kl_loss"][-1], rel=1e-4)
    assert one["history"].keys() == two["history"].keys()
    for name, values in one["history"].items():
        np.testing.assert_allclose(two["history"][name], values, rtol=1e-3, err_msg=name)


def test_the_step_and_the_objectives_state_are_the_same_on_both_replicas(two_replicas):
    (steps, states), (_, alone) = (two_replicas[n]["step_and_state"] for n in ("two", "one"))
    assert steps == [12, 12]
    assert states[0] == states[1]
    np.testing.assert_allclose(states[0], alone[0], rtol=1e-4)


def test_a_factor_vae_learns_under_two_replicas(two_replicas):
    family.assert_learns(two_replicas["factor_vae"])


def test_replicas_draw_codes_of_their_own(two_replicas):
    first, second = two_replicas["losses_on_the_same_images"]
    assert first != second


def test_bad_images_stop_two_replicas(two_replicas):
    assert "within [0, 1] under Bernoulli, but those of step 1" in two_replicas["bad_images"]


def test_a_last_batch_of_fewer_images_than_replicas_does_no_harm(two_replicas):
    assert isinstance(two_replicas["one_image_left"], float), two_replicas["one_image_left"]
    assert np.isfinite(two_replicas["one_image_left"])
