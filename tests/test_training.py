import functools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_betavae import BetaVAE
from keras_betavae.likelihoods import Bernoulli, Gaussian
from keras_betavae.objectives import Beta, BetaTC, Capacity
from tests.helpers import (
    EAGER,
    SHAPE,
    dtype_policy,
    no_graphs,
    patterns,
    reused,
    tiny_networks,
    tiny_vae,
    weights_of,
    without_noise,
)

MODES = {
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
    "eager": EAGER,
    "eight_steps": {"steps_per_execution": 8, "jit_compile": False},
}


BERNOULLI, GAUSSIAN = Bernoulli(), Gaussian(0.3)


def assert_all_equal(weights, others):
    for weight, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(weight, other)


def assert_learns(vae, *data, epochs=3, **options):
    """Fits, and sees that every loss is finite and the last epoch better than the first."""
    history = vae.fit(*data, epochs=epochs, verbose=0, **options).history
    assert all(np.all(np.isfinite(values)) for values in history.values())
    assert history["loss"][-1] < 0.95 * history["loss"][0]
    return history


@keras.saving.register_keras_serializable(package="tests")
class NanAt(Beta):
    """An objective that is NaN at one step (counted from 1)."""

    def __init__(self, beta=1.0, bad_step=1):
        super().__init__(beta)
        self.bad_step = bad_step

    def __call__(self, sample, state):
        found = super().__call__(sample, state)
        is_bad = tf.equal(sample.step + 1, self.bad_step)
        return found._replace(loss=tf.where(is_bad, np.nan, 1.0) * found.loss)

    def get_config(self):
        return {**super().get_config(), "bad_step": self.bad_step}


BAD_STEP = 11
NAN_AT_ONCE = NanAt(bad_step=1)


def in_mode(mode):
    """A model in a mode, to be reused; its loss is NaN at one step."""
    keras.utils.set_random_seed(0)
    vae = BetaVAE(**tiny_networks(units=()), objective=NanAt(2.0, BAD_STEP), seed=0)
    vae.compile(optimizer="sgd", **MODES[mode])
    return vae


def eager_vae(*arguments, optimizer="sgd", **options):
    return tiny_vae(*arguments, optimizer=optimizer, compile=EAGER, **options)


@pytest.fixture(scope="module")
def trained_in():
    """Trains in a mode, and remembers what came of it."""

    @functools.cache
    def trained(mode):
        # XLA has random numbers of its own.
        vae = without_noise(reused(in_mode, mode))
        vae.optimizer.learning_rate = 1e-3
        vae.fit(patterns(24), batch_size=8, epochs=2, shuffle=False, verbose=0)
        assert int(vae.step) == 6
        return weights_of(vae)

    return trained


@pytest.mark.parametrize("mode", ["xla", "eager", "eight_steps"])
def test_every_mode_trains_the_same_weights(mode, trained_in):
    for weight, other in zip(trained_in("graph"), trained_in(mode), strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-3, atol=1e-4)


def test_fit_learns_in_mixed_precision():
    with dtype_policy("mixed_float16"):
        vae = tiny_vae(Beta(2.0), optimizer=keras.optimizers.SGD(3e-2, momentum=0.9))
        start = weights_of(vae)
        assert_learns(vae, patterns(80), batch_size=8)
    assert isinstance(vae.optimizer, keras.optimizers.LossScaleOptimizer)
    for network, n_last in ((vae.encoder, 2), (vae.decoder, 1)):
        dtypes = [x.compute_dtype for x in network.layers if isinstance(x, layers.Dense)]
        assert dtypes == ["float16"] + ["float32"] * n_last
    for weight, before in zip(weights_of(vae), start, strict=True):
        assert weight.dtype == before.dtype
        assert np.any(weight != before)


@functools.cache
def after_a_step(dtype, likelihood):
    vae = reused(eager_vae, None, likelihood)
    return vae.train_on_batch(patterns(16, dtype), return_dict=True)


@pytest.mark.parametrize(
    ("dtype", "likelihood"),
    [
        *((dtype, BERNOULLI) for dtype in ("uint8", "bool", "float16", "float64")),
        *((dtype, GAUSSIAN) for dtype in ("uint8", "bool")),
    ],
)
def test_images_of_any_dtype_train_as_floats_do(dtype, likelihood):
    expected = after_a_step("float32", likelihood)
    assert after_a_step(dtype, likelihood) == pytest.approx(expected, rel=1e-5)


def test_fit_takes_tf_data():
    images, labels = patterns(80, "uint8"), np.full(80, 10**6)
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    vae = tiny_vae(optimizer=keras.optimizers.Adam(2e-2))
    history = assert_learns(vae, data.batch(8), validation_data=data.batch(16))
    assert history["val_loss"][-1] < history["val_loss"][0]


def test_fit_takes_tf_data_without_a_warning_and_in_its_own_order():
    images = patterns(16)
    data = tf.data.Dataset.from_tensor_slices(images).batch(8)
    weights = []
    for options in ({"x": data}, {"x": data, "shuffle": False}, {"x": images, "shuffle": False}):
        vae = reused(eager_vae)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            vae.fit(**options, batch_size=None if options["x"] is data else 8, verbose=0)
        assert not [str(w.message) for w in caught if "shuffle" in str(w.message)]
        weights.append(weights_of(vae))
    assert_all_equal(weights[0], weights[1])
    assert_all_equal(weights[0], weights[2])


def test_arrays_are_shuffled_as_keras_does():
    def trained(**options):
        vae = reused(eager_vae)
        vae.fit(patterns(16), batch_size=8, verbose=0, **options)
        return weights_of(vae)

    shuffled = trained()
    assert_all_equal(shuffled, trained(shuffle=True))
    assert np.any(shuffled[-1] != trained(shuffle=False)[-1])


@pytest.mark.parametrize("accumulated", [None, 2])
def test_steps_without_a_learning_rate_are_told(accumulated):
    rate = keras.optimizers.schedules.CosineDecay(1e-3, decay_steps=4)
    vae = eager_vae(optimizer=keras.optimizers.SGD(rate, gradient_accumulation_steps=accumulated))
    vae.fit(patterns(16), batch_size=8, epochs=2, verbose=0)  # The four steps of the schedule.
    with pytest.warns(UserWarning, match="has reached 0 by step 6, and steps at 0") as told:
        vae.fit(patterns(16), batch_size=8, epochs=2, verbose=0)
    assert len(told) == 1


@pytest.mark.filterwarnings("error")
def test_the_images_held_out_do_not_count_as_those_of_the_data():
    images = patterns(16)
    held_out = BetaTC(beta=1.0, n_data=6)  # Of 16 images, 10 are held out.
    eager_vae(held_out).fit(images, validation_split=0.625, batch_size=6, verbose=0)
    whole = BetaTC(beta=1.0, n_data=16)
    eager_vae(whole).fit(images, validation_data=images, batch_size=8, verbose=0)


def test_labels_are_not_used():
    losses = []
    for labels in (None, np.full((8, 3), np.nan)):
        vae = reused(eager_vae)
        history = vae.fit(patterns(8), labels, batch_size=8, shuffle=False, verbose=0).history
        losses.append(history["loss"])
    assert losses[0] == losses[1]


def test_validation_data_is_watched_under_its_own_names():
    vae = eager_vae(Capacity(1.0, 5.0))
    history = vae.fit(patterns(8), verbose=0, validation_data=(patterns(8),)).history
    names = {"loss", "reconstruction_loss", "kl_loss", "capacity", "capacity_distance"}
    assert set(history) == names | {f"val_{name}" for name in names}


def test_validation_split_and_single_batches_work_as_in_keras():
    vae = reused(eager_vae)
    vae.optimizer.learning_rate = 0.1
    assert "val_loss" in vae.fit(patterns(40), validation_split=0.2, verbose=0).history
    first = vae.train_on_batch(patterns(16), return_dict=True)
    for _ in range(4):
        last = vae.train_on_batch(patterns(16), return_dict=True)
    assert last["loss"] < first["loss"]
    assert vae.test_on_batch(patterns(16), return_dict=True)["loss"] < first["loss"]


def evaluated(vae, images):
    return vae.evaluate(images, batch_size=4, return_dict=True, verbose=0)


def test_evaluate_is_a_mean_over_images_and_not_over_batches():
    vae = tiny_vae(Beta(2.0), compile={"steps_per_execution": 2, "jit_compile": False})
    # Ten images in batches of 4, 4 and 2, the last two unlike the others.
    images = np.concatenate([patterns(8), np.ones((2, *SHAPE), "float32")])
    with no_graphs():
        mean, log_var = (np.asarray(part, "float64") for part in vae.encode(images))
    latent_kl = 0.5 * (mean**2 + np.exp(log_var) - log_var - 1.0).mean(axis=0)
    result = evaluated(vae, images)
    assert result["kl_loss"] == pytest.approx(latent_kl.sum(), rel=1e-4)
    assert result["loss"] == pytest.approx(
        result["reconstruction_loss"] + 2.0 * result["kl_loss"], rel=1e-4
    )
    np.testing.assert_allclose(vae.latent_kl, latent_kl, rtol=1e-4)


def test_the_reconstruction_loss_is_weighted_by_images_as_well():
    vae = reused(eager_vae)
    # Whatever the code, every pixel has the logit 2.
    output = vae.decoder.layers[-2]
    output.set_weights([np.zeros_like(output.kernel), np.full_like(output.bias, 2.0)])
    images = np.concatenate([np.zeros((8, *SHAPE)), np.ones((2, *SHAPE))]).astype("float32")
    expected = 64 * np.mean([np.log1p(np.exp(2.0))] * 8 + [np.log1p(np.exp(-2.0))] * 2)
    result = evaluated(vae, images)
    assert result["reconstruction_loss"] == pytest.approx(expected, rel=1e-5)


def test_the_latents_kls_sum_to_the_epochs_kl():
    vae = reused(eager_vae)
    vae.reset_metrics()
    np.testing.assert_array_equal(vae.latent_kl, np.zeros(3))
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((float(np.sum(vae.latent_kl)), logs))
    )
    vae.fit(patterns(11), batch_size=8, epochs=2, verbose=0, callbacks=[callback])
    assert len(seen) == 2
    for total, logs in seen:
        assert total == pytest.approx(logs["kl_loss"], rel=1e-4)


def test_each_epoch_starts_its_means_afresh():
    vae, images = reused(eager_vae), patterns(8)
    first, again = (vae.evaluate(images, return_dict=True, verbose=0)["kl_loss"] for _ in range(2))
    assert first == again


@pytest.mark.parametrize("weights", [{"sample_weight": np.ones(8)}, {"class_weight": {0: 1.0}}])
def test_weights_of_samples_and_classes_are_refused(weights):
    vae = reused(eager_vae)
    with pytest.raises(ValueError, match="sample_weight and class_weight are not supported"):
        vae.fit(patterns(8), np.zeros(8), verbose=0, **weights)
    with pytest.raises(ValueError, match="sample_weight and class_weight are not supported"):
        vae.evaluate(patterns(8), np.zeros(8), sample_weight=np.ones(8), verbose=0)


@pytest.mark.parametrize(("frozen", "training"), [("encoder", "decoder"), ("decoder", "encoder")])
def test_a_frozen_half_stays_while_the_other_trains(frozen, training):
    vae = eager_vae()
    getattr(vae, frozen).trainable = False
    vae.compile(optimizer="sgd", **EAGER)
    kept, changed = weights_of(getattr(vae, frozen)), weights_of(getattr(vae, training))
    vae.fit(patterns(8), batch_size=8, verbose=0)
    for before, after in zip(kept, weights_of(getattr(vae, frozen)), strict=True):
        np.testing.assert_array_equal(before, after)
    pairs = zip(changed, weights_of(getattr(vae, training)), strict=True)
    assert all(np.any(before != after) for before, after in pairs)


def batch_normalized():
    image = keras.Input(SHAPE)
    h = layers.BatchNormalization()(layers.Dense(16)(layers.Flatten()(image)))
    encoder = keras.Model(image, [layers.Dense(3)(h), layers.Dense(3)(h)])
    vae = BetaVAE(encoder, tiny_networks()["decoder"], seed=0)
    vae.compile(optimizer="sgd", **EAGER)
    return vae


def test_fit_moves_batch_statistics_and_evaluate_does_not():
    vae = batch_normalized()
    encoder = vae.encoder
    start = [weight.numpy() for weight in encoder.non_trainable_weights]
    vae.evaluate(patterns(16), verbose=0)
    for before, weight in zip(start, encoder.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(before, weight)
    vae.fit(patterns(8), batch_size=8, verbose=0)
    pairs = zip(start, encoder.non_trainable_weights, strict=True)
    assert all(np.any(before != weight) for before, weight in pairs)


def test_the_same_seed_trains_the_same_weights():
    def trained(seed):
        vae = eager_vae(seed=seed)
        vae.fit(patterns(16), batch_size=16, verbose=0)
        return weights_of(vae)

    first, again, other = trained(1), trained(1), trained(2)
    assert_all_equal(first, again)
    assert np.any(first[-1] != other[-1])


def test_codes_differ_from_step_to_step():
    vae = reused(eager_vae)
    vae.optimizer.learning_rate = 0.0
    images = patterns(8)
    losses = [vae.train_on_batch(images, return_dict=True)["loss"]]
    vae.reset_metrics()
    losses.append(vae.train_on_batch(images, return_dict=True)["loss"])
    assert losses[0] != losses[1]


# Bad input.


@keras.saving.register_keras_serializable(package="tests")
class NanGradient(Beta):
    """An objective of finite value whose gradient is NaN."""

    def __call__(self, sample, state):
        nothing = sample.z * tf.stop_gradient(tf.cast(sample.z > 1e9, sample.z.dtype))
        distance = tf.sqrt(tf.reduce_sum(tf.square(nothing)))
        found = super().__call__(sample, state)
        return found._replace(loss=found.loss + distance)


class Breaking(layers.Layer):
    """A layer whose moving statistics become infinite while its output is sound."""

    def build(self, shape):
        self.moving = self.add_weight(shape=(), initializer="ones", trainable=False)

    def call(self, inputs, training=False):
        if training:
            self.moving.assign(self.moving * 1e30)
        return inputs


def with_bad(images, index, value):
    images = images.copy()
    images[(index, *([0] * len(SHAPE)))] = value
    return images


@pytest.mark.parametrize(
    ("mode", "value"),
    [
        *((mode, 255.0) for mode in MODES),
        ("eager", -0.01),
        ("eager", np.nan),
        ("eager", -np.inf),
    ],
)
def test_images_outside_the_support_stop_before_the_first_step(mode, value):
    vae = reused(in_mode, mode)
    before = weights_of(vae.encoder) + weights_of(vae.decoder)
    message = r"images must be within \[0, 1\] under Bernoulli, .* step 1 .*uint8"
    with pytest.raises(ValueError, match=message):
        vae.fit(with_bad(patterns(8), 3, value), batch_size=8, verbose=0)
    assert_all_equal(before, weights_of(vae.encoder) + weights_of(vae.decoder))


@pytest.mark.parametrize("likelihood", [BERNOULLI, GAUSSIAN])
def test_integer_images_above_255_stop_too(likelihood):
    images = np.full((8, *SHAPE), 4095, "int16")
    vae = reused(eager_vae, None, likelihood)
    for use in (vae.fit, vae.encode):
        with pytest.raises(ValueError, match=r"integer images must be 8-bit pixels .* got int16"):
            use(images)


def test_a_compiled_step_notes_integer_images_above_255_since_it_cannot_raise():
    vae = tiny_vae(likelihood=GAUSSIAN, optimizer="sgd")
    with pytest.raises(ValueError, match=r"images must be .* step 1 "):
        vae.fit(np.full((8, *SHAPE), 4095, "int16"), verbose=0)


@pytest.mark.parametrize(
    "what", [(in_mode, "eight_steps"), (eager_vae, None, GAUSSIAN)], ids=["eight_steps", "gaussian"]
)
def test_images_that_are_nan_stop_at_the_step_that_met_them(what):
    vae = reused(*what)
    images = with_bad(patterns(40), 17, np.nan)
    with pytest.raises(ValueError, match=r"images must be .* step 3 "):
        vae.fit(images, batch_size=8, shuffle=False, verbose=0)
    assert all(np.all(np.isfinite(weight)) for weight in weights_of(vae))


def test_a_gaussian_takes_images_outside_zero_and_one():
    vae = reused(eager_vae, None, GAUSSIAN)
    loss = vae.train_on_batch(4.0 * patterns(8) - 2.0, return_dict=True)["loss"]
    assert np.isfinite(loss)


@pytest.mark.parametrize("value", [2.0, np.nan])
def test_evaluate_stops_at_bad_images_too(value):
    with pytest.raises(ValueError, match=r"images must be within \[0, 1\]"):
        reused(eager_vae).evaluate(with_bad(patterns(8), 3, value), verbose=0)


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_single_batches_are_checked_too(method):
    with pytest.raises(ValueError, match=r"images must be within \[0, 1\]"):
        getattr(reused(eager_vae), method)(2.0 * np.ones((4, *SHAPE), "float32"))


@pytest.mark.parametrize("mode", ["xla", "eight_steps"])
def test_a_nan_loss_stops_and_names_the_first_bad_step(mode):
    vae = reused(in_mode, mode)
    with pytest.raises(FloatingPointError, match=f"became NaN or infinite at step {BAD_STEP}; "):
        vae.fit(patterns(128), batch_size=8, verbose=0)
    assert all(np.all(np.isfinite(weight)) for weight in weights_of(vae))


def test_a_nan_loss_of_the_first_step_stops_too():
    vae = reused(eager_vae, NAN_AT_ONCE)
    with pytest.raises(FloatingPointError, match="became NaN or infinite at step 1; "):
        vae.fit(patterns(8), batch_size=4, verbose=0)
    assert all(np.all(np.isfinite(weight)) for weight in weights_of(vae))


def test_the_gradients_of_a_bad_step_are_left_out():
    unbroken, vae = eager_vae(NanAt(bad_step=0)), eager_vae(NanAt(bad_step=2))
    images = patterns(4)
    unbroken.train_on_batch(images)
    vae.train_on_batch(images)
    with pytest.raises(FloatingPointError, match="step 2; its gradients were left out"):
        vae.train_on_batch(images)
    assert_all_equal(weights_of(vae.encoder), weights_of(unbroken.encoder))
    assert_all_equal(weights_of(vae.decoder), weights_of(unbroken.decoder))


def test_a_nan_gradient_of_a_finite_loss_does_not_reach_the_weights():
    # The loss of step 1 is sound, its gradient is not.
    vae = eager_vae(NanGradient())
    with pytest.raises(FloatingPointError, match="step 1"):
        vae.fit(patterns(40), batch_size=4, verbose=0)
    assert all(np.all(np.isfinite(weight)) for weight in weights_of(vae))


def test_a_diverging_run_stops_and_its_weights_are_finite():
    vae = eager_vae(Beta(1.0), Gaussian(0.01))
    vae.optimizer.learning_rate = 1e6
    with pytest.raises(FloatingPointError, match="smaller learning rate"):
        vae.fit(patterns(80), batch_size=4, verbose=0)
    assert all(np.all(np.isfinite(weight)) for weight in weights_of(vae))


def test_evaluate_stops_at_a_nan_loss():
    with pytest.raises(FloatingPointError, match="became NaN or infinite"):
        reused(eager_vae, NAN_AT_ONCE).evaluate(patterns(8), verbose=0)


def test_a_bad_image_does_not_stay_in_moving_statistics():
    vae, images = batch_normalized(), patterns(8)
    start = weights_of(vae.encoder)
    images[3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        vae.fit(images, batch_size=8, verbose=0)
    for before, after in zip(start, weights_of(vae.encoder), strict=True):
        np.testing.assert_array_equal(before, after)
    vae.fit(patterns(8), batch_size=8, verbose=0)


def test_moving_statistics_that_become_infinite_stop_a_fit():
    image = keras.Input(SHAPE)
    h = Breaking()(layers.Flatten()(image))
    encoder = keras.Model(image, [layers.Dense(3)(h), layers.Dense(3)(h)])
    vae = BetaVAE(encoder, tiny_networks()["decoder"], seed=0)
    vae.compile(optimizer="sgd", **EAGER)
    with pytest.raises(FloatingPointError, match=r"moving statistics became NaN .* step 2;"):
        vae.fit(patterns(16), batch_size=4, verbose=0)


def test_a_run_may_go_on_after_a_stop():
    vae = reused(eager_vae)
    with pytest.raises(ValueError, match="images must be"):
        vae.fit(2.0 * np.ones((8, *SHAPE), "float32"), verbose=0)
    assert np.isfinite(vae.fit(patterns(8), verbose=0).history["loss"][0])


def test_checkpoints_on_disk_outlive_a_nan_loss(tmp_path):
    vae = eager_vae(NanAt(bad_step=3))
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "last.keras", save_freq=1)
    with pytest.raises(FloatingPointError, match="step 3"):
        vae.fit(patterns(8), batch_size=4, epochs=2, verbose=0, callbacks=[checkpoint])
    loaded = keras.saving.load_model(tmp_path / "last.keras")
    assert int(loaded.step) == 2
    assert all(np.all(np.isfinite(weight)) for weight in weights_of(loaded))
    with no_graphs():
        assert np.all(np.isfinite(loaded.reconstruct(patterns(4))))


def test_fit_refuses_images_of_another_shape():
    with pytest.raises(ValueError, match=r"\(batch, 8, 8, 1\).*\(4, 8, 8, 3\)"):
        reused(eager_vae).fit(np.zeros((4, 8, 8, 3), "float32"), verbose=0)


@pytest.mark.parametrize("images", [np.zeros((0, *SHAPE), "uint8"), tf.zeros((0, *SHAPE))])
def test_fit_refuses_arrays_without_images(images):
    vae = reused(eager_vae)
    with pytest.raises(ValueError, match="x must hold images, got none"):
        vae.fit(images, verbose=0)
    assert int(vae.step) == 0


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"loss": "mse"}, "loss"),
        ({"metrics": ["mae"]}, "metrics"),
        ({"loss": None, "loss_weights": [1.0]}, "loss, loss_weights"),
    ],
    ids=["loss", "metrics", "weights"],
)
def test_compile_takes_no_loss_since_the_model_has_its_own(options, names):
    vae = BetaVAE(**tiny_networks())
    with pytest.raises(TypeError, match=f"takes no {names}: the loss is the model's own"):
        vae.compile(optimizer="adam", **options)
    assert not vae.compiled


def test_fit_needs_compile():
    with pytest.raises(ValueError, match="compile"):
        BetaVAE(**tiny_networks()).fit(patterns(4), verbose=0)


def test_images_of_another_shape_are_refused_after_training_too():
    vae = reused(in_mode, "graph")  # Its step is traced for images of one shape, then for any.
    vae.fit(patterns(6), batch_size=4, verbose=0)
    with pytest.raises(ValueError, match=r"got \(4, 9, 9, 1\)"):
        vae.fit(np.zeros((4, 9, 9, 1), "float32"), verbose=0)


def test_a_dataset_of_no_images_is_refused():
    empty = tf.data.Dataset.from_tensor_slices(patterns(4)[:0]).batch(4)
    with pytest.raises(ValueError, match="x must hold images, got none"):
        reused(eager_vae).fit(empty, verbose=0)


METHODS = ("fit", "evaluate", "predict")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("images", [list(patterns(2)), {"x": patterns(2), "y": patterns(2)}])
def test_lists_and_dictionaries_of_images_are_refused(method, images):
    vae = reused(eager_vae)
    with pytest.raises(ValueError, match=f"got a {type(images).__name__} of 2, .*2 inputs"):
        getattr(vae, method)(images, verbose=0)


@pytest.mark.parametrize("method", METHODS)
def test_batches_that_are_dictionaries_of_something_else_are_refused(method):
    data = tf.data.Dataset.from_tensor_slices({"picture": patterns(8), "label": np.zeros(8)})
    with pytest.raises(ValueError, match="got a dict with picture, label; map the dataset"):
        getattr(reused(eager_vae), method)(data.batch(4), verbose=0)
