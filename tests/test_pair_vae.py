import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm
from tensorflow_probability import distributions as tfd

from keras_betavae import AdaGVAE, BetaVAE, GroupVAE
from keras_betavae.likelihoods import Gaussian
from keras_betavae.objectives import Beta, Cascade, SemiSupervised
from tests.helpers import EAGER, SHAPE, no_graphs, patterns, reused, tiny_networks

averages = pytest.mark.parametrize("average", ["arithmetic", "product"])
models = pytest.mark.parametrize("kind", [AdaGVAE, GroupVAE])
N_LATENTS = 4


def pair_vae(kind=AdaGVAE, *, seed=0, compiled=EAGER, **options):
    """A compiled model, whose posteriors differ between images in mean and in variance."""
    keras.utils.set_random_seed(seed)
    if kind is GroupVAE:
        options = {"shared": (0, 2), **options}
    vae = kind(**tiny_networks(latent_dim=N_LATENTS), seed=seed, **options)
    log_var = vae.encoder.get_layer("log_var")
    log_var.set_weights([np.random.normal(size=w.shape) * 0.3 for w in log_var.get_weights()])
    vae.compile(optimizer=keras.optimizers.SGD(3e-2, momentum=0.9), **compiled)
    return vae


def made(kind=AdaGVAE, average=None):
    """A model to be reused, of the kind's own average if none is named."""
    own = "arithmetic" if kind is AdaGVAE else "product"
    return reused(pair_vae, kind, average=average or own)


def plain_vae(vae):
    """A BetaVAE of the same networks."""
    plain = BetaVAE(vae.encoder, vae.decoder, seed=vae.seed)
    plain.compile(optimizer="sgd", **EAGER)
    return plain


def pairs(n=16, dtype="float32"):
    """Unlike images, with partners that are unlike them."""
    images = np.random.default_rng(0).integers(2, size=(2, n, *SHAPE))
    return tuple((images * 255 if dtype == "uint8" else images).astype(dtype))


def noisy_partners(images):
    """The images with some pixels turned, to learn from."""
    turned = np.random.default_rng(1).random(images.shape) < 0.05
    return np.where(turned, images.max() - images, images)


def moments(posterior):
    """Means and variances in float64, (2, batch, latents)."""
    normal = posterior.distribution
    mean, std = (np.asarray(part, "float64") for part in (normal.mean(), normal.stddev()))
    return mean.reshape(2, -1, N_LATENTS), std.reshape(2, -1, N_LATENTS) ** 2


def own_moments(vae, x, y):
    mean, variance = zip(*(moments_of_images(vae, images) for images in (x, y)), strict=True)
    return np.stack(mean), np.stack(variance)


@no_graphs()
def moments_of_images(vae, images):
    mean, log_var = (np.asarray(part, "float64") for part in vae.encode(images))
    return mean, np.exp(log_var)


def kl_of_normals(mean, variance, other_mean, other_variance):
    ratio = variance / other_variance
    return 0.5 * (ratio + (mean - other_mean) ** 2 / other_variance - 1.0 - np.log(ratio))


def shared_by_loop(mean, variance):
    """Which latents pairs share, from moments (2, batch, latents)."""
    shared = np.zeros(mean.shape[1:], dtype=bool)
    for pair in range(shared.shape[0]):
        deltas = []
        for latent in range(shared.shape[1]):
            first, second = ((mean[i, pair, latent], variance[i, pair, latent]) for i in (0, 1))
            deltas.append(kl_of_normals(*first, *second))
        for latent, delta in enumerate(deltas):
            shared[pair, latent] = delta < (max(deltas) + min(deltas)) / 2.0
    return shared


def averaged(mean, variance, average):
    if average == "arithmetic":
        return np.mean(mean, axis=0), np.mean(variance, axis=0)
    precision = 1.0 / variance[0] + 1.0 / variance[1]
    return (mean[0] / variance[0] + mean[1] / variance[1]) / precision, 1.0 / precision


def normals(seed=0, batch=50, latent_dim=5):
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(2, batch, latent_dim))
    std = np.exp(rng.normal(size=mean.shape))
    return mean, std


@pytest.mark.parametrize("latent_dim", [2, 5])
def test_latents_below_the_midpoint_of_the_divergences_are_shared(latent_dim):
    mean, std = normals(latent_dim=latent_dim)
    shared = made().shared_latents(*(tfd.Normal(m, s) for m, s in zip(mean, std, strict=True)))
    np.testing.assert_array_equal(shared, shared_by_loop(mean, std**2))
    # One at the least, and the farthest never.
    assert np.all(np.any(shared, axis=1))
    assert not np.any(np.all(shared, axis=1))


def test_the_divergence_is_that_of_the_first_image_from_the_second():
    mean, std = normals()
    reverse = shared_by_loop(mean[::-1], std[::-1] ** 2)
    assert np.any(reverse != shared_by_loop(mean, std**2))
    first, second = (tfd.Normal(m, s) for m, s in zip(mean, std, strict=True))
    np.testing.assert_array_equal(made().shared_latents(second, first), reverse)


@averages
@models
def test_pairs_have_one_posterior_of_what_they_share_and_their_own_of_the_rest(kind, average):
    vae, (x, y) = made(kind, average), pairs()
    posterior = vae.pair_posterior(x, y)
    assert posterior.batch_shape == (2 * len(x),)
    assert posterior.event_shape == (N_LATENTS,)
    own_mean, own_variance = own_moments(vae, x, y)
    if kind is AdaGVAE:
        shared = shared_by_loop(own_mean, own_variance)
    else:
        shared = np.tile([True, False, True, False], (len(x), 1))
    mean, variance = moments(posterior)
    for part in (mean, variance):
        np.testing.assert_array_equal(part[0][shared], part[1][shared])
        assert np.all(part[0][~shared] != part[1][~shared])
    for part, expected in zip(
        (mean, variance), averaged(own_mean, own_variance, average), strict=True
    ):
        np.testing.assert_allclose(part[0][shared], expected[shared], rtol=1e-4, atol=1e-6)
    # Bit for bit what the encoder gives the batch, in which each image is next to its partner.
    own = vae.posterior(np.stack([x, y], axis=1).reshape(-1, *SHAPE)).distribution
    kept = np.concatenate([~shared, ~shared])
    for name in ("mean", "stddev"):
        found, expected = (np.array(getattr(p, name)()) for p in (posterior.distribution, own))
        np.testing.assert_array_equal(
            found[kept], np.concatenate([expected[0::2], expected[1::2]])[kept]
        )


@averages
def test_latents_that_are_closed_have_the_prior(average):
    objective = Cascade(Beta(1.0), [(10, 2)])
    vae = AdaGVAE(**tiny_networks(latent_dim=4), objective=objective, average=average, seed=0)
    mean, variance = moments(vae.pair_posterior(*pairs(4)))
    np.testing.assert_array_equal(mean[..., 2:], 0.0)
    np.testing.assert_array_equal(variance[..., 2:], 1.0)


def test_the_product_posterior_is_proportional_to_the_product_of_the_densities():
    vae, (x, y) = made(GroupVAE), pairs(4)
    mean, variance = moments(vae.pair_posterior(x, y))
    own_mean, own_variance = own_moments(vae, x, y)
    grid = np.linspace(-2.0, 2.0, 21)[:, None]
    for latent in vae.shared:
        product = norm.logpdf(grid, mean[0, :, latent], np.sqrt(variance[0, :, latent]))
        factors = norm.logpdf(
            grid[..., None], own_mean[..., latent].T, np.sqrt(own_variance[..., latent].T)
        )
        log_ratio = factors.sum(axis=-1) - product
        assert np.all(np.ptp(product, axis=0) > 0.1)
        np.testing.assert_allclose(log_ratio - log_ratio[0], 0.0, atol=1e-3)


@models
@no_graphs()
def test_a_pair_of_equal_images_costs_what_the_image_does_under_arithmetic(kind):
    vae, (x, _) = made(kind, "arithmetic"), pairs()
    terms, plain = vae.compute_terms(x, x), plain_vae(vae).compute_terms(x)
    for name in ("kl_loss", "latent_kl"):
        np.testing.assert_allclose(terms[name], plain[name], rtol=1e-5)


@averages
@models
def test_the_terms_are_means_over_both_images_of_the_pairs(kind, average):
    vae, (x, y) = made(kind, average), pairs()
    log_var = vae.encoder.get_layer("log_var")  # No noise, so that the codes are the means.
    log_var.set_weights([np.zeros_like(w) - 20.0 * (w.ndim == 1) for w in log_var.get_weights()])
    terms = vae.compute_terms(x, y)
    mean, variance = moments(vae.pair_posterior(x, y))
    latent_kl, losses = np.zeros(N_LATENTS), []
    for half, images in enumerate((x, y)):
        latent_kl += np.sum(kl_of_normals(mean[half], variance[half], 0.0, 1.0), axis=0)
        losses.extend(-vae.likelihood_of(mean[half].astype("float32")).log_prob(images).numpy())
    latent_kl /= 2 * len(x)
    np.testing.assert_allclose(terms["latent_kl"], latent_kl, rtol=1e-4)
    np.testing.assert_allclose(terms["kl_loss"], np.sum(latent_kl), rtol=1e-4)
    np.testing.assert_allclose(terms["reconstruction_loss"], np.mean(losses), rtol=1e-3)
    np.testing.assert_allclose(
        terms["loss"], terms["kl_loss"] + terms["reconstruction_loss"], rtol=1e-5
    )


@averages
def test_swapping_the_images_swaps_the_halves_of_a_group_posterior(average):
    vae, (x, y) = made(GroupVAE, average), pairs()
    for part, swapped in zip(
        moments(vae.pair_posterior(x, y)), moments(vae.pair_posterior(y, x)), strict=True
    ):
        np.testing.assert_allclose(part, swapped[::-1], rtol=1e-5, atol=1e-6)


def test_uint8_pairs_count_as_their_255ths():
    vae = made()
    for part, other in zip(
        moments(vae.pair_posterior(*pairs(dtype="uint8"))),
        moments(vae.pair_posterior(*pairs())),
        strict=True,
    ):
        np.testing.assert_allclose(part, other, rtol=1e-5, atol=1e-6)


def test_partners_must_be_8_bit_pixels_too():
    vae = AdaGVAE(**tiny_networks(), likelihood=Gaussian())
    vae.compile("sgd", **EAGER)
    x, y = (images.astype("int32") for images in pairs(dtype="uint8"))
    with pytest.raises(ValueError, match="8-bit pixels from 0 to 255, got int32 from 0 to 65280"):
        vae.fit(x, 256 * y, verbose=0)


def test_fit_learns_from_streams_of_uint8_pairs_and_then_refuses_partners_of_another_shape():
    # tests/test_family.py has arrays of floats.
    x = patterns(80, "uint8")
    data = tf.data.Dataset.from_tensor_slices((x, noisy_partners(x))).batch(8)
    vae = pair_vae(compiled={"jit_compile": False})
    loss = vae.fit(data, epochs=3, verbose=0).history["loss"]
    assert np.all(np.isfinite(loss))
    assert loss[-1] < 0.95 * loss[0]
    with pytest.raises(ValueError, match="shape"):
        vae.fit(x, np.zeros((80, 4, 8, 1), "uint8"), verbose=0)


@models
def test_single_images_are_validated_as_by_a_plain_vae(kind):
    vae, x = made(kind), patterns(16)
    single = tf.data.Dataset.from_tensor_slices(patterns(12, seed=1)).batch(8)
    history = vae.fit(x, noisy_partners(x), validation_data=single, verbose=0).history
    plain = plain_vae(vae).evaluate(single, verbose=0, return_dict=True)
    for name, value in plain.items():
        np.testing.assert_allclose(history[f"val_{name}"], [value], rtol=1e-5)


@models
def test_pairs_are_evaluated_by_their_terms(kind):
    vae, (x, y) = made(kind), pairs()
    expected = vae.compute_terms(x, y)["kl_loss"]
    assert vae.evaluate(x, y, batch_size=9, verbose=0, return_dict=True)["kl_loss"] == (
        pytest.approx(float(expected), rel=1e-4)
    )


@models
def test_a_model_from_the_config_has_the_same_options(kind):
    vae = made(kind, "arithmetic")
    other = kind.from_config(vae.get_config())
    assert other.get_config() == vae.get_config()
    assert other.average == "arithmetic"


@pytest.mark.parametrize("as_data", [False, True])
@models
def test_fit_without_partners_is_refused(kind, as_data):
    images = patterns(16)
    data = tf.data.Dataset.from_tensor_slices(images).batch(8) if as_data else images
    with pytest.raises(ValueError, match="pairs"):
        made(kind).fit(data, verbose=0)


@pytest.mark.parametrize("n", [7, 8])
def test_training_terms_without_partners_are_refused(n):
    with pytest.raises(ValueError, match="partners"):
        made().compute_terms(patterns(n), training=True)


@pytest.mark.parametrize("form", ["arrays", "tf.data"])
@pytest.mark.parametrize("shape", [(16,), (16, 3), (16, 8, 8, 3), (16, 4, 8, 1)])
def test_fit_refuses_partners_of_another_shape(shape, form):
    data, vae = (patterns(16), np.zeros(shape, "float32")), made()
    if form == "tf.data":
        data = (tf.data.Dataset.from_tensor_slices(data).batch(8),)
    with pytest.raises(ValueError, match="shape"):
        vae.fit(*data, verbose=0)


def test_a_posterior_of_fewer_partners_than_images_is_refused():
    x, y = pairs()
    with pytest.raises(ValueError, match="partners"):
        made().pair_posterior(x, y[:-1])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (AdaGVAE, {"average": "geometric"}, "average"),
        (GroupVAE, {"average": None}, "average"),
        (AdaGVAE, {"objective": SemiSupervised(Beta(), (3,))}, "labels"),
        (GroupVAE, {"objective": SemiSupervised(Beta(), (3,))}, "labels"),
        *(
            (GroupVAE, {"shared": shared}, "shared")
            for shared in ((), range(N_LATENTS), (N_LATENTS,), (-1, 0))
        ),
    ],
)
def test_bad_options_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        pair_vae(kind, **options)


@models
def test_nan_in_the_partners_stops_fit(kind):
    x, y = pairs()
    y[3, 2, 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN|within"):
        made(kind).fit(x, y, batch_size=8, verbose=0)
