import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from keras_betavae.datasets import load_sprites
from keras_betavae.metrics import ica_codes, pca_codes, pixel_codes


@pytest.fixture(scope="module")
def pixels():
    data = load_sprites(scale=2, orientation=4, pos_x=4, pos_y=4)
    return data.encode_with(pixel_codes, n=300, seed=0)[1]


def orthonormal(x):
    return np.linalg.qr(x - x.mean(axis=0))[0]


def correlations(a, b):
    return np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :]


def test_pixel_codes_are_the_pixels_from_0_to_1():
    images = np.array([[[[0], [51]]], [[[255], [102]]]], dtype="uint8")
    codes = pixel_codes(images)
    assert codes.dtype == np.float32
    np.testing.assert_allclose(codes, [[0.0, 0.2], [1.0, 0.4]], rtol=1e-6)
    assert images.max() == 255


def test_pca_codes_are_the_leading_singular_directions(pixels):
    codes = pca_codes(pixels, n_components=4)
    u, s, _ = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)
    expected = u[:, :4] * s[:4]
    signs = np.sign((codes * expected).sum(axis=0))
    np.testing.assert_allclose(codes, signs * expected, atol=1e-3 * s[0] / np.sqrt(300))


def test_ten_components_are_kept(pixels):
    for control in (pca_codes, ica_codes):
        assert control(pixels).shape == (300, 10)


def test_ica_codes_are_white_and_span_what_pca_spans(pixels):
    codes = ica_codes(pixels, n_components=4)
    np.testing.assert_allclose(np.cov(codes.T, ddof=0), np.eye(4), atol=1e-3)
    np.testing.assert_allclose(codes.mean(axis=0), 0.0, atol=1e-3)
    ours, principal = orthonormal(codes), orthonormal(pca_codes(pixels, n_components=4))
    np.testing.assert_allclose(ours @ ours.T, principal @ principal.T, atol=1e-3)


def test_components_beyond_the_directions_in_which_pixels_vary_are_0():
    rng = np.random.default_rng(0)
    pixels = (rng.random((500, 2)) @ rng.random((2, 64))).astype("float32")
    for control in (pca_codes, ica_codes):
        codes = control(pixels)
        assert codes.shape == (500, 10)
        assert (codes[:, :2].std(axis=0) > 0.1).all()
        assert not codes[:, 2:].any()
        assert not control(np.ones((20, 16), "float32")).any()


def test_ica_unmixes_independent_sources_where_pca_cannot():
    rng = np.random.default_rng(0)
    sources = rng.uniform(-1, 1, (5_000, 3))
    observed = sources @ rng.normal(size=(3, 20))
    match = np.abs(correlations(sources, ica_codes(observed, n_components=3)))
    assert sorted(match.argmax(axis=1)) == [0, 1, 2]
    assert match.max(axis=1).min() > 0.99
    assert np.abs(correlations(sources, pca_codes(observed, 3))).max(axis=1).min() < 0.9


@pytest.mark.parametrize("control", [pca_codes, ica_codes])
def test_controls_depend_on_their_seed_alone(control, pixels):
    first = control(pixels, n_components=3, seed=1)
    np.random.seed(5)
    state = np.random.get_state()[1].copy()
    np.testing.assert_array_equal(control(pixels, n_components=3, seed=1), first)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_controls_do_not_depend_on_the_number_of_threads():
    pixels = np.random.default_rng(0).random((2_000, 600), dtype="float32")
    codes = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            codes.append(pca_codes(pixels))
    np.testing.assert_array_equal(*codes)


@pytest.mark.parametrize("control", [pca_codes, ica_codes])
def test_more_components_than_images_are_refused(control):
    with pytest.raises(ValueError, match="n_components"):
        control(np.random.default_rng(0).random((5, 20)), n_components=10)
