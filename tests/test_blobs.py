import numpy as np
import pytest

from keras_betavae.datasets import load_blobs


def test_each_pixel_is_the_gaussian_of_its_distance():
    data = load_blobs(3, 2, width=4.0)
    assert (data.factor_names, data.factor_sizes) == (("pos_x", "pos_y"), (3, 2))
    centers = {"x": (8.0, 31.5, 55.0), "y": (8.0, 55.0)}  # Two widths from either side.
    for index in range(len(data)):
        x, y = data.factors_at([index])[0]
        image = data.images_at([index])[0, :, :, 0]
        for row, column in ((0, 0), (12, 12), (31, 40), (50, 33), (63, 63)):
            squared = (row - centers["y"][y]) ** 2 + (column - centers["x"][x]) ** 2
            assert image[row, column] == round(255 * np.exp(-squared / (2 * 4.0**2)))


def test_the_brightest_pixel_follows_the_factors():
    data = load_blobs(8, 8)
    images = data.images_at(np.arange(64))[..., 0]
    rows, columns = np.divmod(images.reshape(64, -1).argmax(axis=1), 64)
    positions = np.linspace(12.0, 51.0, 8)
    factors = data.factors_at(np.arange(64))
    np.testing.assert_allclose(columns, positions[factors[:, 0]], atol=1.0)
    np.testing.assert_allclose(rows, positions[factors[:, 1]], atol=1.0)


def largest_eigenvalue(width):
    """Of the images' covariance, each pixel in units of a Bernoulli's variance at its mean."""
    images = load_blobs(16, 16, width=width).images_at(np.arange(256)).reshape(256, -1) / 255.0
    mean = images.mean(axis=0)
    units = (images - mean) / np.sqrt(np.maximum(mean * (1 - mean), 1e-6))
    return np.linalg.svd(units, compute_uv=False)[0] ** 2 / 256


def test_positions_are_worth_beta_150_from_a_width_of_6_pixels_on():
    # A latent that all images share is stable where no eigenvalue is above beta.
    assert largest_eigenvalue(5.0) < 150 < largest_eigenvalue(6.0) < largest_eigenvalue(8.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pos_x": 0}, "pos_x must be at least 1, got 0"),
        ({"pos_y": -1}, "pos_y must be at least 1"),
        ({"width": 0.0}, "width must be above 0 and below 15, got 0.0"),
        ({"width": 15.0}, "width must be above 0"),
        ({"width": float("nan")}, "width must be above 0"),
    ],
)
def test_bad_numbers_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        load_blobs(**options)
