"""Models that change between two trainings, or within one."""

import keras
import numpy as np
import pytest

from keras_betavae import BetaVAE, FactorVAE
from tests.helpers import EAGER, patterns, tiny_networks, tiny_vae

IMAGES = patterns(8)


def train(vae, **options):
    vae.fit(IMAGES, batch_size=8, verbose=0, **options)
    return vae


def moved(vae, network, **options):
    """Whether any weight of a network moves while the model trains."""
    before = [weight.numpy() for weight in network.weights]
    train(vae, **options)
    after = [weight.numpy() for weight in network.weights]
    return any((a != b).any() for a, b in zip(before, after, strict=True))


@pytest.fixture(scope="module")
def vae():
    """A model whose step is a graph, as it is wherever a change could go unseen."""
    return tiny_vae(optimizer="sgd")


class AtSecondEpoch(keras.callbacks.Callback):
    def __init__(self, action):
        super().__init__()
        self.action = action

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            self.action(self.model)


def test_layers_are_frozen_from_the_next_epoch_on(vae):
    kept = []

    def freeze(vae):
        vae.encoder.trainable = False
        kept.extend(weight.numpy() for weight in vae.weights)

    train(vae, epochs=2, callbacks=[AtSecondEpoch(freeze)])
    own = {weight.path for weight in vae.encoder.weights}
    for before, weight in zip(kept, vae.weights, strict=True):
        assert np.array_equal(before, weight.numpy()) == (weight.path in own)
    vae.encoder.trainable = True


def test_statistics_of_a_frozen_layer_stay_though_it_has_no_weights_to_train():
    image = keras.Input((8, 8, 1))
    norm = keras.layers.BatchNormalization(center=False, scale=False)
    h = norm(keras.layers.Flatten()(image))
    encoder = keras.Model(image, [keras.layers.Dense(3)(h), keras.layers.Dense(3)(h)])
    vae = BetaVAE(encoder, tiny_networks()["decoder"], seed=np.int64(0))
    vae.compile("sgd")
    assert moved(vae, norm)
    norm.trainable = False
    assert not moved(vae, norm)


def test_a_change_makes_the_functions_again(vae):
    def functions():
        vae.make_train_function()
        vae.make_test_function()
        vae.make_predict_function()
        return vae.train_function, vae.test_function, vae.predict_function

    before = functions()
    assert functions() == before
    vae.run_eagerly = True
    after = functions()
    vae.run_eagerly = False
    assert not {*before} & {*after}


def test_a_model_is_compiled_within_a_training():
    vae = tiny_vae(compile=EAGER)
    compiled = AtSecondEpoch(lambda vae: vae.compile("sgd", **EAGER))
    train(vae, epochs=2, callbacks=[compiled])
    assert int(vae.step) == 2
    assert isinstance(vae.optimizer, keras.optimizers.SGD)


def test_what_needs_compile_says_so():
    vae = tiny_vae(compile=EAGER)
    vae.encoder.trainable = False
    vae.compile("sgd", **EAGER)
    vae.encoder.trainable = True
    for _ in range(2):
        with pytest.raises(ValueError, match=r"6 weights were frozen .* call compile again"):
            train(vae)
    vae.compile("sgd", **EAGER)
    train(vae)
    vae.optimizer = keras.optimizers.SGD()
    for _ in range(2):
        with pytest.raises(ValueError, match="optimizer was replaced; give the new one to compile"):
            train(vae)


def test_averaged_weights_are_those_that_are_trained():
    vae = FactorVAE(**tiny_networks(), discriminator=discriminator())
    averaging = keras.optimizers.SGD(0.1, use_ema=True)
    vae.compile("sgd", averaging, **EAGER)
    train(vae, epochs=0)
    assert all(np.any(weight.numpy()) for weight in vae.discriminator.trainable_variables[::2])
    train(vae)
    averages = averaging._model_variables_moving_average
    for weight, average in zip(vae.discriminator.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(weight.numpy(), average.numpy())
    vae = tiny_vae(optimizer=keras.optimizers.SGD(0.1, use_ema=True), compile=EAGER)
    vae.encoder.trainable = False
    with pytest.raises(ValueError, match=r"averages the weights \(use_ema\).*call compile again"):
        train(vae)


class Counting(BetaVAE):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.count = keras.metrics.Sum(name="count")

    def train_step(self, data):
        self.count.update_state(1.0)
        return {**super().train_step(data), "count": self.count.result()}


def test_the_metrics_of_a_subclass_are_reset():
    vae = Counting(**tiny_networks())
    vae.compile("sgd", **EAGER)
    history = vae.fit(IMAGES, batch_size=4, epochs=2, verbose=0).history
    assert history["count"] == [2.0, 2.0]


def test_the_optimizer_of_the_discriminator_is_not_replaced():
    vae = FactorVAE(**tiny_networks(), discriminator=discriminator())
    vae.compile("sgd", **EAGER)
    vae.discriminator_optimizer = keras.optimizers.SGD()
    with pytest.raises(ValueError, match="discriminator_optimizer was replaced"):
        train(vae)


def discriminator():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def test_a_model_without_weights_to_train_warns():
    vae = tiny_vae()
    vae.trainable = False
    vae.compile("sgd", **EAGER)
    with pytest.warns(UserWarning, match="all weights are frozen"):
        assert not moved(vae, vae.encoder)


@pytest.mark.parametrize("name", ["image_shape", "latent_dim", "seed_generator", "step_counter"])
def test_what_the_model_is_made_of_is_not_replaced(name, vae):
    with pytest.raises(AttributeError, match=f"{name} of a BetaVAE cannot be changed"):
        setattr(vae, name, 5)


@pytest.mark.parametrize("name", ["compute_terms", "compute_loss"])
def test_what_fit_does_not_call_is_not_overridden(name):
    with pytest.raises(TypeError, match=f"Own overrides {name}, which fit does not call"):
        type("Own", (BetaVAE,), {name: lambda self, *_: None})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda vae: vae.compile(None), "optimizer must be a Keras optimizer"),
        (lambda vae: vae.compile(steps_per_execution=0), "steps_per_execution must be a whole"),
        (lambda vae: vae.compile(steps_per_execution=1.5), "steps_per_execution must be a whole"),
        (lambda vae: vae.fit(IMAGES, sample_weight=np.ones(8)), "sample_weight and class_weight"),
        (lambda vae: vae.fit(IMAGES, class_weight={0: 1.0}), "sample_weight and class_weight"),
        (lambda vae: vae.evaluate(IMAGES, sample_weight=np.ones(8)), "sample_weight and"),
        (lambda vae: vae.fit(None), "x must hold images, got None"),
        (lambda vae: vae.fit(IMAGES.astype(object)), "images must be numbers, got .* object"),
        (lambda vae: vae.predict(IMAGES.astype(str)), "images must be numbers, got an array of <U"),
    ],
)
def test_wrong_arguments_are_named(call, words, vae):
    with pytest.raises(ValueError, match=words):
        call(vae)
