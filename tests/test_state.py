"""The training steps that a model counts, and the state that it keeps for its objective."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from keras import layers

from keras_betavae import BetaVAE, FactorVAE
from keras_betavae.likelihoods import Gaussian
from keras_betavae.objectives import Beta, BetaTC, Capacity, Cost
from keras_betavae.objectives.schedules import Linear
from tests.helpers import (
    EAGER,
    SHAPE,
    Integral,
    dtype_policy,
    no_graphs,
    patterns,
    tiny_networks,
    tiny_vae,
    weights_of,
)


class Counted(Integral):
    """Notes the step and the state of each call, outside of graphs."""

    def __init__(self):
        super().__init__(2.0)
        self.calls = []

    def __call__(self, sample, state):
        self.calls.append((int(sample.step), float(state["integral"])))
        return super().__call__(sample, state)


def still(objective, optimizer=None, **options):
    """A model whose weights do not move, so that the KL of each batch can be known."""
    optimizer = optimizer or keras.optimizers.SGD(0.0)
    return tiny_vae(objective, optimizer=optimizer, compile={"jit_compile": False, **options})


@no_graphs()
def kls_of(vae, batches):
    """The KL of each batch by its closed form."""
    moments = (map(np.asarray, vae.encode(batch)) for batch in batches)
    return [0.5 * (m**2 + np.exp(v) - v - 1.0).sum(axis=1).mean() for m, v in moments]


def integrals(kls, state=0.5):
    """The state after each batch, by a loop."""
    found = []
    for kl in kls:
        state += 0.1 * kl
        found.append(state)
    return found


def test_an_objective_is_called_once_a_step_and_its_state_is_that_of_a_loop():
    vae, images = still(Counted(), **EAGER), patterns(24)
    kls = kls_of(vae, np.split(images, 3))
    assert len({round(float(kl), 6) for kl in kls}) == 3
    history = vae.fit(
        images,
        batch_size=8,
        epochs=2,
        shuffle=False,
        verbose=0,
        validation_data=(images,),
        validation_batch_size=8,
    ).history
    expected = integrals(kls * 2)
    np.testing.assert_allclose(vae.objective_state["integral"], expected[-1], rtol=1e-5)
    means = np.reshape(expected, (2, 3)).mean(axis=1)
    np.testing.assert_allclose(history["integral"], means, rtol=1e-5)
    paid = np.reshape((2.0 + np.array(expected)) * np.array(kls * 2), (2, 3)).mean(axis=1)
    found = np.subtract(history["loss"], history["reconstruction_loss"])
    np.testing.assert_allclose(found, paid, rtol=1e-4)
    # Three steps and three batches of the validation, which moves neither.
    steps, states = zip(*vae.objective.calls, strict=True)
    assert steps == (0, 1, 2, 3, 3, 3, 3, 4, 5, 6, 6, 6)
    before = [0.5, *expected[:2], *[expected[2]] * 4, *expected[3:5], *[expected[5]] * 3]
    np.testing.assert_allclose(states, before, rtol=1e-5)
    vae.predict(images, verbose=0)
    vae.compute_terms(images)
    assert int(vae.step) == 6
    np.testing.assert_allclose(vae.objective_state["integral"], expected[-1], rtol=1e-5)


# The first two are slow, and quick for another state in tests/test_control.py.
@pytest.mark.parametrize(
    ("policy", "optimizer", "options"),
    [
        pytest.param("float32", None, {"steps_per_execution": 3}, marks=pytest.mark.slow),
        pytest.param("float32", None, {"jit_compile": True}, marks=pytest.mark.slow),
        ("mixed_float16", None, EAGER),
        ("float32", lambda: keras.optimizers.SGD(0.0, gradient_accumulation_steps=2), EAGER),
    ],
    ids=["three steps at once", "xla", "mixed_float16", "gradient accumulation"],
)
def test_the_state_moves_once_a_step_however_the_step_is_run(policy, optimizer, options):
    with dtype_policy(policy):
        vae = still(Integral(), optimizer and optimizer(), **options)
    images = patterns(12)
    vae.fit(images, batch_size=4, shuffle=False, verbose=0)
    assert int(vae.step) == 3
    expected = integrals(kls_of(vae, np.split(images, 3)))[-1]
    np.testing.assert_allclose(vae.objective_state["integral"], expected, rtol=1e-4)


def test_a_bad_batch_does_not_stay_in_the_state():
    vae, images = still(Integral(), **EAGER), patterns(12)
    images[5] = np.nan
    with pytest.raises(ValueError, match="step 2"):
        vae.fit(images, batch_size=4, shuffle=False, verbose=0)
    expected = integrals(kls_of(vae, [images[:4]]))[0]
    np.testing.assert_allclose(vae.objective_state["integral"], expected, rtol=1e-5)


def test_a_saved_model_continues_with_the_step_and_the_state(tmp_path):
    def fit(vae):
        return vae.fit(patterns(16), batch_size=8, shuffle=False, verbose=0).history

    vae = tiny_vae(Integral(Linear(0.0, 4.0, n_steps=3)), optimizer="sgd", compile=EAGER)
    fit(vae)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert int(loaded.step) == 2
    assert loaded.objective_state == vae.objective_state
    assert fit(loaded) == fit(vae)
    assert loaded.objective_state == vae.objective_state
    for weight, other in zip(weights_of(loaded), weights_of(vae), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_a_frozen_and_newly_compiled_model_does_not_start_its_capacity_over():
    vae = tiny_vae(Capacity(1.0, 10.0, n_steps=10), optimizer="sgd", compile=EAGER)
    vae.fit(patterns(8), batch_size=4, verbose=0)
    vae.encoder.trainable = False
    vae.compile(keras.optimizers.SGD(), **EAGER)
    history = vae.fit(patterns(4), batch_size=4, verbose=0).history
    assert history["capacity"] == [2.0]
    assert int(vae.step) == 3
    assert int(vae.optimizer.iterations) == 1


@pytest.mark.parametrize(
    ("returned", "error", "words"),
    [
        (tf.constant(0.0), TypeError, "Own must return a Cost, got"),
        (Cost(tf.zeros(4)), ValueError, r"loss of Own must be a scalar.*got the shape \(4,\)"),
        (Cost(tf.constant(0.0)), ValueError, r"Own must return the state \['error'\], got \[\]"),
    ],
)
def test_what_is_no_cost_is_refused(returned, error, words):
    class Own(Beta):
        def initial_state(self):
            return {"error": 0.0}

        def __call__(self, sample, state):
            return returned

    with pytest.raises(error, match=words):
        tiny_vae(Own(1.0)).compute_terms(patterns(4))


def test_a_likelihood_of_pixels_is_refused():
    class Pixels(Gaussian):
        def __call__(self, params):
            return tfp.distributions.Normal(params, 1.0)

    vae = tiny_vae(likelihood=Pixels())
    for call in (vae.compute_terms, vae.elbo):
        with pytest.raises(ValueError, match=r"shape \(batch,\), got .*8, 8, 1.*Independent"):
            call(patterns(4))


def test_a_log_may_not_have_the_name_of_another():
    class Named(Beta):
        log_names = ("kl_loss",)

    with pytest.raises(ValueError, match="the model logs kl_loss already"):
        tiny_vae(Named())
    with pytest.raises(ValueError, match="the model logs total_correlation_loss already"):
        FactorVAE(**tiny_networks(), objective=BetaTC(n_data=8))


def test_layer_losses_and_frozen_layers_count_in_a_training_loop_of_ones_own():
    image = keras.Input(SHAPE)
    normalize = layers.BatchNormalization()
    h = layers.Dense(4, activity_regularizer="l2")(normalize(layers.Flatten()(image)))
    encoder = keras.Model(image, [layers.Dense(3)(h), layers.Dense(3)(h)])
    vae, images = BetaVAE(encoder, tiny_networks()["decoder"], Beta(0.0)), patterns(4)
    for is_trained in (True, False):
        normalize.trainable, before = is_trained, normalize.moving_mean.numpy()
        terms = vae.compute_terms(images, training=True)
        assert float(terms["loss"]) > float(terms["reconstruction_loss"])
        assert (normalize.moving_mean.numpy() != before).any() == is_trained


def test_a_schedule_moves_in_a_training_loop_of_ones_own():
    schedule = Linear(1.0, 4.0, n_steps=3)
    vae, images = tiny_vae(Beta(schedule), optimizer="sgd"), patterns(4)
    for step in range(3):
        assert float(vae.compute_terms(images)["beta"]) == float(schedule(step))
        with tf.GradientTape() as tape:
            terms = vae.compute_terms(images, training=True)
        gradients = tape.gradient(terms["loss"], vae.trainable_variables)
        vae.optimizer.apply_gradients(zip(gradients, vae.trainable_variables, strict=True))
        assert float(terms["beta"]) == float(schedule(step))
        expected = terms["reconstruction_loss"] + schedule(step) * terms["kl_loss"]
        np.testing.assert_allclose(terms["loss"], expected, rtol=1e-6)
    assert int(vae.step) == 3
