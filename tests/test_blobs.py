import numpy as np
import pytest

from keras_betavae.datasets import load_blobs


def test_each_pixel_is_the_gaussian_of_its_distance():
    data = load_blobs(3, 2, width=4.0)
    assert (data.factor_names, data.factor_sizes) == (("pos_x", "pos_y"), (3, 2))
    centres = {"x": (12.0, 31.5, 51.0), "y": (12.0, 51.0)}  # Three widths from either side.
    for index in range(len(data)):
        x, y = data.factors_at([index])[0]
        image = data.images_at([index])[0, :, :, 0]
        for row, column in ((0, 0), (12, 12), (31, 40), (50, 33), (63, 63)):
            squared = (row - centres["y"][y]) ** 2 + (column - centres["x"][x]) ** 2
            assert image[row, column] == round(255 * np.exp(-squared / (2 * 4.0**2)))


def test_the_centre_of_mass_follows_the_factors_and_nothing_is_cut_off():
    data = load_blobs(8, 8)
    images = data.images_at(np.arange(64))[..., 0].astype(float)
    total = images.sum(axis=(1, 2))
    assert np.ptp(total) < 0.01 * total.mean()
    pixels = np.arange(64)
    x = (images.sum(axis=1) @ pixels) / total
    y = (images.sum(axis=2) @ pixels) / total
    positions = np.linspace(12.0, 51.0, 8)
    factors = data.factors_at(np.arange(64))
    np.testing.assert_allclose(x, positions[factors[:, 0]], atol=0.1)
    np.testing.assert_allclose(y, positions[factors[:, 1]], atol=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pos_x": 0}, "pos_x must be at least 1, got 0"),
        ({"pos_y": -1}, "pos_y must be at least 1"),
        ({"width": 0.0}, "width must be above 0 and below 10, got 0.0"),
        ({"width": 10.0}, "width must be above 0"),
        ({"width": float("nan")}, "width must be above 0"),
    ],
)
def test_bad_numbers_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        load_blobs(**options)
