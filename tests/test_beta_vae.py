from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy import stats
from tensorflow_probability import distributions as tfd

from keras_betavae import BetaVAE, networks
from keras_betavae.likelihoods import Bernoulli, Gaussian
from keras_betavae.models._forward import clipped
from keras_betavae.objectives import Beta, Capacity
from tests.helpers import (
    EAGER,
    SHAPE,
    dtype_policy,
    no_graphs,
    patterns,
    reused,
    tiny_networks,
    tiny_vae,
)

OBJECTIVES = [Beta(4.0), Capacity(10.0, 5.0, n_steps=10)]
LIKELIHOODS = [Bernoulli(), Gaussian(0.5)]


def linear_gaussian(stretch=1.0, shift=0.0, n_images=64):
    """A VAE of known evidence, images of its own, and what is known about them.

    x = W z + b + noise. W has orthogonal columns, so the exact posterior is diagonal and one
    dense layer gives it; `stretch` widens the encoder's standard deviation away from that and
    `shift` moves its mean by as many standard deviations.
    """
    rng, scale, dim, latents = np.random.default_rng(0), 0.7, 6, 3
    w = np.linalg.qr(rng.normal(size=(dim, latents)))[0] * [2.0, 1.0, 0.5]
    b = rng.normal(size=dim)
    covariance = w @ w.T + scale**2 * np.eye(dim)
    variance = 1.0 / (1.0 + np.square(w).sum(axis=0) / scale**2)
    kernel = w * variance / scale**2
    x, z = keras.Input((dim,)), keras.Input((latents,))
    outputs = [layers.Dense(latents)(x), layers.Dense(latents)(x)]
    vae = BetaVAE(
        encoder=keras.Model(x, outputs),
        decoder=keras.Model(z, layers.Dense(dim)(z)),
        likelihood=Gaussian(scale),
    )
    std = stretch * np.sqrt(variance)
    vae.encoder.set_weights(
        [kernel, shift * np.sqrt(variance) - b @ kernel, np.zeros_like(kernel), 2.0 * np.log(std)]
    )
    vae.decoder.set_weights([w.T, b])
    images = rng.multivariate_normal(b, covariance, size=n_images)
    evidence = stats.multivariate_normal(b, covariance).logpdf(images)
    # KL(q(z|x) || p(z|x)), what the ELBO lacks.
    gap = latents * (0.5 * (stretch**2 + shift**2 - 1.0) - np.log(stretch))
    return vae, images.astype("float32"), evidence, gap


def mean_and_error(estimates):
    """Mean and standard error over the first axis, in float64."""
    estimates = np.asarray(estimates, dtype="float64")
    return estimates.mean(axis=0), estimates.std(axis=0) / np.sqrt(len(estimates))


def repeated(bound, images, n_samples, n_repeats):
    compiled = tf.function(lambda seed: bound(images, n_samples=n_samples, seed=seed))
    return [compiled(tf.constant(seed)) for seed in range(n_repeats)]


@no_graphs()
def test_every_importance_weight_is_the_evidence_when_the_posterior_is_exact():
    vae, images, evidence, _ = linear_gaussian()
    for n_samples in (1, 5):
        bound = vae.log_likelihood(images, n_samples=n_samples, seed=0)
        assert bound.shape == (len(images),)
        np.testing.assert_allclose(bound, evidence, rtol=1e-4)


@pytest.mark.parametrize(
    ("stretch", "shift"),
    [
        (1.0, 0.0),
        pytest.param(1.4, 0.0, marks=pytest.mark.slow),
        pytest.param(1.0, 0.5, marks=pytest.mark.slow),
        (1.3, -0.4),
    ],
)
def test_elbo_lacks_the_divergence_from_the_exact_posterior(stretch, shift):
    vae, images, evidence, gap = linear_gaussian(stretch, shift, n_images=8)
    elbo, error = mean_and_error(repeated(vae.elbo, images, n_samples=100, n_repeats=50))
    np.testing.assert_array_less(np.abs(elbo - (evidence - gap)), 4.5 * error + 1e-4)


def test_importance_weighting_closes_the_gap_from_below():
    vae, images, evidence, gap = linear_gaussian(stretch=1.3, shift=0.4)
    evidence = evidence.mean()
    bounds = [evidence - gap]
    for n_samples, n_repeats in ((1, 100), (10, 40), (1000, 4)):
        estimates = repeated(vae.log_likelihood, images, n_samples, n_repeats)
        bound, error = mean_and_error(np.mean(estimates, axis=1))
        assert bound > bounds[-1] - 4.0 * error
        assert bound < evidence + 4.0 * error + 1e-3
        bounds.append(bound)
    assert bounds[-1] == pytest.approx(evidence, abs=0.01)
    assert gap > 0.3


@pytest.mark.parametrize("bound", ["elbo", "log_likelihood"])
def test_bounds_need_a_sample(bound):
    with pytest.raises(ValueError, match="n_samples must be at least 1, got 0"):
        getattr(reused(), bound)(patterns(2), n_samples=0)


@pytest.mark.parametrize("bound", ["elbo", "log_likelihood"])
@pytest.mark.parametrize(
    "images",
    [
        np.full((2, *SHAPE), 1.01, "float32"),
        np.full((2, *SHAPE), -0.01, "float32"),
        np.full((2, *SHAPE), np.nan, "float32"),
        np.full((2, *SHAPE), 256, "int32"),
    ],
    ids=["above", "below", "nan", "integers"],
)
@no_graphs()
def test_bounds_need_images_within_the_support(bound, images):
    of_bernoulli, of_gaussian = (
        partial(getattr(reused(tiny_vae, None, likelihood), bound), n_samples=2)
        for likelihood in LIKELIHOODS
    )
    mixed = images.copy()
    mixed[0] = 0
    for outside in (images, mixed):
        with pytest.raises(ValueError, match=r"images must be within \[0, 1\], or be uint8"):
            of_bernoulli(outside)
    assert np.all(np.isfinite(of_bernoulli(np.zeros((2, *SHAPE), "float32"))))
    assert np.all(np.isfinite(of_bernoulli(np.full((2, *SHAPE), 255, "uint8"))))
    # A Gaussian takes any floats.
    if images.dtype.kind == "i":
        with pytest.raises(ValueError, match=r"integer images must be 8-bit pixels .* got int32"):
            of_gaussian(images)
    elif np.all(np.isfinite(images)):
        assert np.all(np.isfinite(of_gaussian(images)))


@pytest.mark.parametrize("bound", ["elbo", "log_likelihood"])
def test_a_graph_cannot_look_at_the_images_of_a_bound(bound):
    outside = np.full((2, *SHAPE), 1.01, "float32")
    assert tf.function(getattr(reused(), bound))(outside).shape == (2,)


@pytest.mark.parametrize(
    ("n", "error"),
    [(0, ValueError), (-3, ValueError), (np.int64(0), ValueError), (2.5, TypeError)],
    ids=str,
)
def test_samples_are_counted_in_whole_numbers(n, error):
    message = "n must be at least 1, got" if error is ValueError else "integer"
    with pytest.raises(error, match=message):
        reused().sample(n)


@no_graphs()
def test_samples_may_be_counted_by_any_integer():
    vae = reused()
    expected = vae.sample(2, seed=1)
    for n in (np.int64(2), np.uint8(2), tf.constant(2)):
        np.testing.assert_array_equal(vae.sample(n, seed=1), expected)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda part: type(part).__name__)
@no_graphs()
def test_before_compile_the_terms_are_those_of_step_0(objective):
    bare = BetaVAE(**tiny_networks(), objective=objective, seed=0)
    compiled = reused(tiny_vae, objective)
    compiled.set_weights(bare.get_weights())
    assert not bare.compiled
    terms, expected = bare.compute_terms(patterns(4)), compiled.compute_terms(patterns(4))
    assert list(terms) == list(expected)
    for name, value in terms.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda part: type(part).__name__)
@no_graphs()
def test_terms_are_batch_means_of_sums_in_nats(objective, likelihood, monkeypatch):
    vae, images = reused(tiny_vae, objective, likelihood), patterns(6)
    vae.step_counter.assign(4)
    codes, decode = [], vae.decoder.call
    monkeypatch.setattr(vae.decoder, "call", lambda z, *rest, **kw: codes.append(z) or decode(z))
    terms = vae.compute_terms(images)
    mean, log_var = (np.asarray(part, "float64") for part in vae.encode(images))
    latent_kl = 0.5 * (mean**2 + np.exp(log_var) - log_var - 1.0).mean(axis=0)
    params = decode(codes[0]).numpy().astype("float64")
    if isinstance(likelihood, Bernoulli):
        log_prob = -np.logaddexp(0.0, np.where(images > 0.5, -params, params))
    else:
        log_prob = stats.norm(params, 0.5).logpdf(images)
    reconstruction = -log_prob.sum(axis=(1, 2, 3)).mean()
    kl = latent_kl.sum()
    paid = 4.0 * kl if isinstance(objective, Beta) else 10.0 * abs(kl - 5.0 * 4 / 10)
    np.testing.assert_allclose(terms["latent_kl"], latent_kl, rtol=1e-4)
    assert float(terms["kl_loss"]) == pytest.approx(kl, rel=1e-5)
    assert float(terms["reconstruction_loss"]) == pytest.approx(reconstruction, rel=1e-5)
    assert float(terms["loss"]) == pytest.approx(reconstruction + paid, rel=1e-5)


@no_graphs()
def test_distributions_live_in_the_model():
    vae, images = reused(), patterns(5)
    posterior, prior = vae.posterior(images), vae.prior
    likelihood = vae.likelihood_of(posterior.sample(seed=[0, 0]))
    mean, log_var = vae.encode(images)
    for distribution, batch, event in (
        (posterior, (5,), (3,)),
        (prior, (), (3,)),
        (likelihood, (5,), SHAPE),
    ):
        assert isinstance(distribution, tfd.Distribution)
        assert distribution.batch_shape == batch
        assert distribution.event_shape == event
    np.testing.assert_allclose(posterior.mean(), mean)
    np.testing.assert_allclose(posterior.variance(), tf.exp(log_var), rtol=1e-5)
    np.testing.assert_array_equal(prior.mean(), np.zeros(3))
    np.testing.assert_array_equal(prior.variance(), np.ones(3))


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda part: type(part).__name__)
@no_graphs()
def test_tensors_leave_the_model(likelihood):
    vae, images = reused(tiny_vae, None, likelihood), patterns(5)
    mean, log_var = vae.encode(images)
    assert mean.shape == log_var.shape == (5, 3)
    expected = vae.likelihood_of(mean).mean()
    for reconstruction in (
        vae.decode(mean),
        vae.reconstruct(images),
        vae(images),
        vae.predict(images, batch_size=2, verbose=0),
    ):
        assert reconstruction.shape == images.shape
        np.testing.assert_allclose(reconstruction, expected, rtol=1e-5, atol=1e-6)
    assert vae.sample(4).shape == (4, *SHAPE)


def test_mixed_precision_does_not_round_images():
    x = np.random.default_rng(0).normal(900.0, 1.0, (6, 2)).astype("float32")
    with dtype_policy("mixed_bfloat16"):
        pair = networks.dense_encoder((2,), 3, (8,)), networks.dense_decoder(3, (2,), (8,))
        pair = networks.standardized(*pair, mean=[900.0] * 2, std=[1.0] * 2)
        vae = BetaVAE(*pair, likelihood=Gaussian(), seed=0)
    vae.compile("sgd", **EAGER)
    expected = vae.reconstruct(x)
    np.testing.assert_array_equal(vae(x), expected)
    np.testing.assert_array_equal(vae.predict(x, verbose=0), expected)


@pytest.mark.parametrize(
    ("shape", "latent_dim"), [((12,), 2), ((4, 6, 2), 1), ((2, 2, 2, 2), 5)], ids=str
)
@no_graphs()
def test_images_may_have_any_shape(shape, latent_dim):
    vae = BetaVAE(**tiny_networks(shape, latent_dim))
    vae.compile()
    images = np.zeros((3, *shape), "float32")
    assert vae.image_shape == shape
    assert vae.latent_dim == latent_dim
    assert vae.reconstruct(images).shape == images.shape
    assert vae.elbo(images).shape == (3,)
    assert vae.compute_terms(images)["latent_kl"].shape == (latent_dim,)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@no_graphs()
def test_integer_images_count_in_255ths(dtype):
    vae = reused()
    images = np.random.default_rng(0).integers(256, size=(4, *SHAPE)).astype(dtype)
    scaled = (images / 255.0).astype("float32")
    for method in (vae.encode, vae.reconstruct, vae, lambda x: vae.elbo(x, seed=1)):
        np.testing.assert_allclose(method(images), method(scaled), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bool", "float16", "float64"])
@no_graphs()
def test_other_images_are_taken_as_they_are(dtype):
    vae, images = reused(), patterns(4)
    np.testing.assert_array_equal(vae.encode(images.astype(dtype)), vae.encode(images))


@no_graphs()
def test_log_variances_are_clamped_and_a_healthy_models_are_not():
    shared = tiny_networks()
    log_var = shared["encoder"].get_layer("log_var")
    kernel, bias = (weight.shape for weight in log_var.weights)
    for limit, raw, expected in (
        (20.0, 1e4, 20.0),
        (20.0, -1e4, -20.0),
        (20.0, 19.0, 19.0),
        (3.0, 5.0, 3.0),
        (None, 50.0, 50.0),
    ):
        vae = BetaVAE(**shared, log_var_limit=limit)
        log_var.set_weights([np.zeros(kernel), np.full(bias, raw)])
        np.testing.assert_array_equal(vae.encode(patterns(2))[1], np.full((2, 3), expected))


def test_log_variances_beyond_the_limit_have_a_gradient_that_leads_back():
    log_var = tf.Variable([-25.0, -3.0, 0.5, 25.0])
    with tf.GradientTape() as tape:
        kept = clipped(log_var, 20.0)
        kl = tf.reduce_sum(0.5 * (tf.exp(kept) - kept - 1.0))
    np.testing.assert_array_equal(kept, [-20.0, -3.0, 0.5, 20.0])
    expected = 0.5 * (np.exp([-20.0, -3.0, 0.5, 20.0]) - 1.0)
    np.testing.assert_allclose(tape.gradient(kl, log_var), expected, rtol=1e-6)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ValueError, match="log_var_limit must be above 0 or None, got"):
        BetaVAE(**tiny_networks(), log_var_limit=limit)


@no_graphs()
def test_networks_run_in_the_mode_they_are_asked_for():
    x, z = keras.Input(SHAPE), keras.Input((2,))
    h = layers.Dropout(0.5, seed=0)(layers.Flatten()(x))
    decoded = layers.Dense(64)(layers.Dropout(0.5, seed=0)(z))
    vae = BetaVAE(
        keras.Model(x, [layers.Dense(2)(h), layers.Dense(2)(h)]),
        keras.Model(z, layers.Reshape(SHAPE)(decoded)),
    )
    images, codes = np.ones((2, *SHAPE), "float32"), np.ones((2, 2), "float32")
    np.testing.assert_array_equal(vae.encode(images), vae.encode(images))
    np.testing.assert_array_equal(vae.decode(codes), vae.decode(codes))
    assert np.any(vae.encode(images, training=True)[0] != vae.encode(images)[0])
    assert np.any(vae.likelihood_of(codes, training=True).mean() != vae.decode(codes))


@no_graphs()
def test_methods_with_a_seed_leave_the_models_stream_alone():
    vae, images = reused(), patterns(4)
    state = vae.seed_generator.state.numpy()
    vae.encode(images)
    vae.reconstruct(images)
    vae.decode(vae.encode(images)[0])
    vae.predict(images, verbose=0)
    vae(images)
    for method in (vae.elbo, vae.log_likelihood):
        first, again, other = (method(images, n_samples=2, seed=seed) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, again)
        assert np.all(first != other)
    np.testing.assert_array_equal(vae.sample(4, seed=3), vae.sample(4, seed=3))
    assert np.any(vae.sample(4, seed=3) != vae.sample(4, seed=4))
    np.testing.assert_array_equal(vae.seed_generator.state, state)


@no_graphs()
def test_methods_without_a_seed_draw_on_from_the_models_stream():
    vae, twin = tiny_vae(), tiny_vae()
    first, second = vae.sample(4), vae.sample(4)
    assert np.any(first != second)
    np.testing.assert_array_equal(twin.sample(4), first)
    np.testing.assert_array_equal(twin.sample(4), second)
    assert np.all(vae.elbo(patterns(4)) != vae.elbo(patterns(4)))


def test_samples_are_the_mean_images_of_codes_of_the_prior():
    # With an identity for a decoder, the samples are the codes.
    z = keras.Input((4,))
    encoder = networks.dense_encoder((4,), 4, units=())
    vae = BetaVAE(encoder, keras.Model(z, layers.Identity()(z)), likelihood=Gaussian(), seed=0)
    codes = vae.sample(5000, seed=1).numpy()
    assert stats.kstest(codes.ravel(), "norm").pvalue > 1e-3
    np.testing.assert_allclose(np.cov(codes.T), np.eye(4), atol=0.1)


def test_a_model_has_defaults_that_say_vae():
    vae = BetaVAE(**tiny_networks())
    assert vae.objective.get_config() == {"beta": 1.0}
    assert isinstance(vae.likelihood, Bernoulli)


def dense(n_in, shape):
    inputs = keras.Input((n_in,))
    return keras.Model(inputs, layers.Reshape(shape)(layers.Dense(int(np.prod(shape)))(inputs)))


def image_model(*widths, container=list):
    image = keras.Input(SHAPE)
    h = layers.Flatten()(image)
    return keras.Model(image, container(layers.Dense(width)(h) for width in widths))


def named_outputs():
    mean, log_var = (layers.Dense(3) for _ in range(2))
    image = keras.Input(SHAPE)
    h = layers.Flatten()(image)
    return keras.Model(image, {"mean": mean(h), "log_var": log_var(h)})


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.flat, self.mean, self.log_var = layers.Flatten(), layers.Dense(3), layers.Dense(3)

    def call(self, images):
        h = self.flat(images)
        return [self.mean(h), self.log_var(h)]


@pytest.mark.parametrize(
    ("encoder", "decoder", "message"),
    [
        (lambda: image_model(3, 3), lambda: dense(2, SHAPE), r"\(batch, 3\).*\(None, 2\)"),
        (
            lambda: image_model(3, 3),
            lambda: dense(3, (8, 8, 3)),
            r"takes \(None, 8, 8, 1\).* returns \(None, 8, 8, 3\)",
        ),
        (lambda: image_model(3), lambda: dense(3, SHAPE), r"encoder must return \[mean, log_var\]"),
        (lambda: image_model(3, 2), lambda: dense(3, SHAPE), r"got .*\(None, 3\), \(None, 2\)"),
        (lambda: image_model(3, 3, 3), lambda: dense(3, SHAPE), r"must return \[mean, log_var\]"),
        (
            lambda: keras.Model(image := keras.Input(SHAPE), [image, image]),
            lambda: dense(3, SHAPE),
            r"\(batch, 8, 8, 1\).*\(None, 3\)",
        ),
        (lambda: dense(3, SHAPE), lambda: image_model(3, 3), r"encoder must return"),
        (
            lambda: Subclassed(),
            lambda: dense(3, SHAPE),
            "encoder must be a functional model, got a Su",
        ),
        (lambda: named_outputs(), lambda: dense(3, SHAPE), r"must return \[mean, log_var\]"),
        (
            lambda: keras.Sequential([layers.Dense(3)]),
            lambda: dense(3, SHAPE),
            "must be a functional model",
        ),
        (
            lambda: image_model(3, 3),
            lambda: keras.Sequential([layers.Dense(64), layers.Reshape(SHAPE)]),
            "decoder must be a functional model, got a Sequential, whose shapes are not known",
        ),
    ],
    ids=[
        "codes",
        "images",
        "one-output",
        "two-widths",
        "three-outputs",
        "maps",
        "swapped",
        "subclassed",
        "dictionary",
        "unbuilt-encoder",
        "unbuilt-decoder",
    ],
)
def test_networks_that_do_not_fit_are_refused_with_their_shapes(encoder, decoder, message):
    with pytest.raises(ValueError, match=message):
        BetaVAE(encoder(), decoder())


def test_regularizers_of_the_networks_are_part_of_the_loss():
    image = keras.Input(SHAPE)
    h = layers.Dense(4, kernel_regularizer=keras.regularizers.L2(10.0))(layers.Flatten()(image))
    encoder = keras.Model(image, [layers.Dense(3)(h), layers.Dense(3)(h)])
    vae = BetaVAE(encoder, dense(3, SHAPE), seed=0)
    vae.compile(keras.optimizers.SGD(0.01), **EAGER)
    weights = encoder.layers[2].kernel
    before = np.sum(np.square(weights))
    found = vae.evaluate(patterns(8), verbose=0, return_dict=True)
    added = found["loss"] - found["reconstruction_loss"] - found["kl_loss"]
    assert added == pytest.approx(10.0 * before, rel=1e-4)
    vae.fit(patterns(8), epochs=3, verbose=0)
    # Each step takes a fifth of them away.
    assert np.sum(np.square(weights)) < 0.5 * before


def test_complex_images_are_refused():
    with pytest.raises(ValueError, match="images must be real numbers, got complex64"):
        reused().encode(patterns(2).astype("complex64"))


def test_an_encoder_may_return_a_tuple():
    vae = BetaVAE(image_model(3, 3, container=tuple), dense(3, SHAPE))
    assert vae.latent_dim == 3


@pytest.mark.parametrize("part", sorted(BetaVAE._fixed))
def test_the_parts_of_a_model_cannot_be_exchanged(part):
    vae = reused()
    with pytest.raises(AttributeError, match=f"{part} of a BetaVAE cannot be changed"):
        setattr(vae, part, getattr(reused(tiny_vae, None, LIKELIHOODS[1]), part))


def test_lora_takes_effect_in_encode_at_once():
    vae, images = tiny_vae(), patterns(4)
    before = vae.encode(images)[1]
    layer = vae.encoder.get_layer("log_var")
    layer.enable_lora(2)
    for kernel in (layer.lora_kernel_a, layer.lora_kernel_b):
        kernel.assign(np.ones(kernel.shape))
    expected = vae.encoder(images)[1]
    assert np.all(np.abs(expected - before) > 0.1)
    np.testing.assert_allclose(vae.encode(images)[1], expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 8, 8, 3), (4, 8, 8), (4, 16, 16, 1), (8, 8, 1), (), (4,)])
def test_images_of_another_shape_are_refused_with_both_shapes(shape):
    vae, images = reused(), np.zeros(shape, "float32")
    for method in (vae.encode, vae.reconstruct, vae.elbo, vae.log_likelihood, vae.compute_terms):
        with pytest.raises(ValueError, match=r"\(batch, 8, 8, 1\)") as error:
            method(images)
        assert str(shape) in str(error.value)


def test_streams_without_a_shape_are_refused():
    unknown = tf.data.Dataset.from_generator(lambda: iter(patterns(4)[None]), "float32")
    with pytest.raises(ValueError, match="batches must have a known shape; give output_signature"):
        reused().fit(unknown, verbose=0)
    ragged = tf.data.Dataset.from_tensors(tf.RaggedTensor.from_row_lengths(patterns(3), [1, 2]))
    with pytest.raises(ValueError, match="images must have one shape, got a RaggedTensor"):
        reused().fit(ragged, verbose=0)


def test_masked_images_are_refused():
    images = np.ma.masked_less(patterns(4), 0.5)
    with pytest.raises(ValueError, match="images must not be masked"):
        reused().fit(images, verbose=0)


def test_many_models_in_one_process_are_no_reason_to_warn(caplog):
    shared = tiny_networks()
    for _ in range(6):
        BetaVAE(**shared).encode(patterns(4))
    assert "retracing" not in caplog.text
