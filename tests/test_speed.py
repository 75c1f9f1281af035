"""What is computed in another way than Keras's for speed gives Keras's numbers."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import keras_betavae as kbv
from keras_betavae import likelihoods, networks
from tests.helpers import plain_decoder, reused, tiny_networks

ROOT = Path(__file__).parents[1]
specification = importlib.util.spec_from_file_location("systems", ROOT / "benchmarks/systems.py")
systems = importlib.util.module_from_spec(specification)
specification.loader.exec_module(systems)

SHAPE, LATENTS, BETA, BATCH, N_STEPS = (16, 16, 1), 4, 4.0, 8, 10


def networks_of(family):
    if family == "dense":
        return tiny_networks(SHAPE, LATENTS).values()
    encoder = getattr(networks, f"{family}_encoder")(SHAPE, LATENTS)
    decoder = getattr(networks, f"{family}_decoder")(LATENTS, SHAPE)
    return encoder, decoder


def compiled(family):
    vae = kbv.BetaVAE(*networks_of(family), seed=0)
    vae.compile(keras.optimizers.SGD(1e-3))
    return vae


def images(n):
    draws = np.random.default_rng(0).random((n, *SHAPE)) < 0.1
    return (255 * draws).astype("uint8")


class PlainVAE(keras.Model):
    """A β-VAE as one would write it by hand, with Keras's layers and TFP's distributions."""

    def __init__(self, encoder, decoder, seed):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.seeds = keras.random.SeedGenerator(seed)
        self.prior = tfd.Independent(tfd.Normal(tf.zeros(LATENTS), 1.0), 1)

    def train_step(self, data):
        x = tf.cast(data, "float32") / 255.0
        with tf.GradientTape() as tape:
            mean, log_var = self.encoder(x, training=True)
            posterior = tfd.Independent(tfd.Normal(mean, tf.exp(0.5 * log_var)), 1)
            z = posterior.sample(seed=tf.cast(self.seeds.next(), "int32"))
            logits = self.decoder(z, training=True)
            image = tfd.Independent(tfd.Bernoulli(logits=logits, dtype="float32"), 3)
            kl = tfd.kl_divergence(posterior, self.prior)
            loss = tf.reduce_mean(BETA * kl - image.log_prob(x))
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return {"loss": loss}


# Of dense networks XLA compiles the whole step; tests/test_training.py holds that to other modes.
@pytest.mark.parametrize("family", ["conv"])
def test_the_losses_of_many_steps_are_those_of_a_plain_keras_model(family):
    encoder, decoder = networks_of(family)
    copies = [keras.models.clone_model(model) for model in (encoder, decoder)]
    for copy, model in zip(copies, (encoder, decoder), strict=True):
        copy.set_weights(model.get_weights())
    copies[1] = plain_decoder(copies[1])
    vae = kbv.BetaVAE(encoder, decoder, kbv.objectives.Beta(BETA), seed=0)
    vae.compile(keras.optimizers.Adam(1e-3))
    plain = PlainVAE(*copies, seed=0)
    # XLA draws other normal numbers from the same seed.
    plain.compile(keras.optimizers.Adam(1e-3), jit_compile=vae.jit_compile)
    plain.optimizer.build(plain.trainable_variables)  # Keras would trace the step twice.
    batches = tf.data.Dataset.from_tensor_slices(images(N_STEPS * BATCH)).batch(BATCH)

    losses = []
    for model in (plain, vae):
        losses.append([])
        step = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: losses[-1].append(logs["loss"])
        )
        model.fit(batches, shuffle=False, verbose=0, callbacks=[step])
    # Ours is the mean since the start of the epoch.
    counts = np.arange(1, N_STEPS + 1)
    theirs, means = (np.array(values, "float64") for values in losses)
    np.testing.assert_allclose(means, np.cumsum(theirs) / counts, rtol=1e-4)
    assert theirs[-1] < 0.95 * theirs[0]


@pytest.mark.parametrize(("family", "compiles_whole"), [("dense", True), ("conv", False)])
def test_auto_compiles_whole_steps_of_dense_networks_alone(family, compiles_whole):
    vae = kbv.BetaVAE(*networks_of(family))
    vae.compile("sgd")
    assert vae.jit_compile is compiles_whole
    assert vae._compilation.descent is not compiles_whole
    for given in (False, True):
        vae.compile("sgd", jit_compile=given)
        assert vae.jit_compile is given
        assert not vae._compilation.descent


def test_auto_compiles_no_network_that_it_does_not_know():
    encoder, decoder = networks_of("dense")
    z = keras.Input((LATENTS,))
    named = keras.Model(z, decoder(keras.layers.Lambda(lambda z: z)(z)))
    vae = kbv.BetaVAE(encoder, named)
    vae.compile("sgd")
    assert vae.jit_compile is False


def test_auto_compiles_nothing_under_a_strategy_or_eagerly():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        vae = kbv.BetaVAE(*networks_of("dense"))
        vae.compile("sgd")
    assert (vae.jit_compile, vae._compilation.descent) == (False, False)
    vae = kbv.BetaVAE(*networks_of("dense"))
    vae.compile("sgd", run_eagerly=True)
    assert (vae.jit_compile, vae._compilation.descent) == (False, False)


@pytest.mark.parametrize("choice", ["auto", False, True])
def test_a_saved_model_keeps_the_choice_that_was_made(tmp_path, choice):
    vae = kbv.BetaVAE(**tiny_networks())
    vae.compile("sgd", jit_compile=choice)
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    assert again.get_compile_config()["jit_compile"] == choice
    assert again.jit_compile is vae.jit_compile


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float32"])
def test_encode_and_decode_are_the_networks_whatever_calls_them(dtype):
    vae = reused(compiled, "conv")
    x = images(5) if dtype == "uint8" else (images(5) / 255).astype(dtype)
    mean, log_var = vae.encoder(tf.cast(images(5), "float32") / 255.0)
    logits = vae.decoder(mean)
    for call in (lambda f, *a: f(*a), lambda f, *a: tf.function(f)(*a)):
        got_mean, got_log_var = call(vae.encode, x)
        np.testing.assert_allclose(got_mean, mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got_log_var, log_var, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(call(vae.decode, mean), tf.sigmoid(logits), atol=1e-5)


def test_encode_sees_weights_that_change_and_batches_of_any_size():
    vae = kbv.BetaVAE(*networks_of("dense"), seed=0)
    before = [vae.encode(images(n))[0].numpy() for n in (3, 4, 5)]
    assert [len(codes) for codes in before] == [3, 4, 5]
    vae.encoder.set_weights([0.0 * weight for weight in vae.encoder.get_weights()])
    np.testing.assert_array_equal(vae.encode(images(3))[0], np.zeros((3, LATENTS)))


def test_a_gradient_flows_through_encode_and_decode():
    vae = kbv.BetaVAE(*networks_of("dense"), seed=0)
    x = tf.cast(images(2), "float32") / 255.0
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(vae.decode(vae.encode(x)[0]))
    assert np.abs(tape.gradient(total, x)).max() > 0.0


def test_bernoulli_pixels_cost_what_their_formula_says_in_double_precision():
    logits = np.array([-60.0, -8.0, -1e-4, 0.0, 1e-4, 8.0, 60.0], "float32")
    x = np.array([0.0, 0.25, 1.0], "float32")[:, None, None, None]
    p = likelihoods.Bernoulli()(tf.constant(np.tile(logits[None, :, None, None], (3, 1, 1, 1))))
    got = p.distribution.log_prob(np.broadcast_to(x, (3, 7, 1, 1)))
    exact = -np.float64(x) * np.logaddexp(0.0, -np.float64(logits))[:, None, None]
    exact -= (1.0 - np.float64(x)) * np.logaddexp(0.0, np.float64(logits))[:, None, None]
    np.testing.assert_allclose(got, exact, rtol=1e-6)


# tests/test_training.py has dense networks, whose whole step XLA compiles.
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_bad_gradient_reaches_the_weights(bad):
    vae = reused(compiled, "conv")
    x = tf.cast(images(BATCH), "float32").numpy() / 255.0
    x[3, 4, 5] = bad
    before = [weight.numpy() for weight in vae.trainable_variables]
    with pytest.raises(ValueError, match="images must be within"):
        vae.fit(x, batch_size=BATCH, verbose=0)
    for weight, old in zip(vae.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "mode"), [("ours", "encode"), ("ours", "decode"), ("keras", "train")]
)
def test_the_benchmark_runs_each_system(system, mode, monkeypatch):
    monkeypatch.setattr(systems, "N_IMAGES", 32)
    run = systems.SYSTEMS[system]("conv", 2, 1, mode)
    results = run(2)
    assert len(results) == 2
    assert all(np.isfinite(result).all() for result in results)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["train", "decode"])
def test_the_benchmark_counts_operations_as_tensorflow_does(mode):
    from tensorflow.python.profiler import model_analyzer, option_builder

    encoder, decoder = (
        networks.conv_encoder((64, 64, 3), 10),
        networks.conv_decoder(10, (64, 64, 3)),
    )
    decoder = plain_decoder(decoder)
    trained = {"train": [encoder, decoder], "encode": [encoder], "decode": [decoder]}[mode]
    total = 0
    for model in trained:
        x = tf.TensorSpec((1, *model.input_shape[1:]))
        graph = tf.function(model).get_concrete_function(x).graph
        options = option_builder.ProfileOptionBuilder.float_operation()
        options = option_builder.ProfileOptionBuilder(options).with_empty_output().build()
        total += model_analyzer.profile(graph, options=options).total_float_ops
    if mode == "train":
        first = 2 * 32 * 32 * encoder.layers[1].kernel.numpy().size
        total = 3 * total - first
    # TensorFlow counts biases too.
    assert systems.flops("conv", mode, 3) == pytest.approx(total, rel=0.02)
