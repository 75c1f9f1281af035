import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from keras_betavae.datasets import (
    FactorDataset,
    ImageDataset,
    from_arrays,
    load_sprites,
    with_colors,
    with_noise,
    with_pictures,
)

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, size, dtype="uint8") for size in ((9, 8, 3), (5, 4, 3))]
VARIANTS = {
    "colors": with_colors,
    "noise": with_noise,
    "pictures": lambda data, **options: with_pictures(data, PICTURES, **options),
}
variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def constant(level, n=1, height=1, width=1):
    return FactorDataset(np.full((n, height, width, 1), level, "uint8"), ["f"], [n])


def gray(n=12, seed=0):
    """Images of black, white and all between."""
    images = np.random.default_rng(seed).integers(0, 256, (n, 5, 4, 1), dtype="uint8")
    images[:, 0], images[:, 1] = 0, 255
    return FactorDataset(images, "ab", (3, n // 3))


def images_of(data):
    return data.images_at(np.arange(len(data)))


# All of them.


@variants
@settings(deadline=None, max_examples=8)
@given(st.lists(st.integers(0, 11), max_size=20), st.integers(0, 2**62))
def test_an_image_is_the_same_whenever_it_is_asked_for(variant, indices, seed):
    data = variant(gray(), seed=seed)
    everything = images_of(data)
    images = data.images_at(indices)
    assert images.dtype == np.uint8
    assert images.shape == (len(indices), 5, 4, 3)
    np.testing.assert_array_equal(images, everything[indices])
    for index in indices[:3]:
        np.testing.assert_array_equal(data.images_at([index])[0], everything[index])
    again = variant(gray(), seed=seed)
    np.testing.assert_array_equal(again.images_at(np.array(indices, "uint8")), images)


@variants
def test_draws_do_not_depend_on_the_other_images(variant):
    few, many = variant(gray(6)), variant(gray(12))
    base = gray(12)
    # The first images of the two are equal, though their numbers differ.
    np.testing.assert_array_equal(gray(6).images_at([0, 1, 5]), base.images_at([0, 1, 5]))
    np.testing.assert_array_equal(few.images_at([5, 0, 1]), many.images_at([5, 0, 1]))


@variants
def test_images_and_seeds_have_draws_of_their_own(variant):
    images = images_of(variant(constant(100, 50, 5, 4)))
    assert len({image.tobytes() for image in images}) == 50
    others = images_of(variant(constant(100, 50, 5, 4), seed=1))
    assert not {image.tobytes() for image in images} & {image.tobytes() for image in others}
    first = images_of(variant(constant(100, 50, 5, 4), seed=0))
    np.testing.assert_array_equal(first, images)


@variants
def test_factors_stay_as_they_are(variant):
    data = gray()
    changed = variant(data)
    assert changed.is_grid
    assert (changed.factor_names, changed.factor_sizes) == (data.factor_names, data.factor_sizes)
    rows = np.random.default_rng(0).integers(0, (3, 4), (12, 2))
    plain = variant(ImageDataset(images_of(data)))
    assert type(plain) is ImageDataset
    np.testing.assert_array_equal(images_of(plain), images_of(changed))
    labeled = variant(FactorDataset(images_of(data), "ab", (3, 4), factors=rows))
    np.testing.assert_array_equal(labeled.factors_at(np.arange(12)), rows)
    assert not labeled.is_grid
    np.testing.assert_array_equal(images_of(labeled), images_of(changed))


@variants
def test_packed_and_split_images_change_alike(variant):
    lit = np.random.default_rng(0).integers(0, 2, (12, 20), dtype="uint8")
    plain = FactorDataset(255 * lit.reshape(12, 5, 4, 1), "ab", (3, 4))
    packed = FactorDataset(np.packbits(lit, axis=-1), "ab", (3, 4), packed_shape=(5, 4, 1))
    everything = images_of(variant(plain))
    np.testing.assert_array_equal(images_of(variant(packed)), everything)
    part = variant(plain).only({"b": (1, 3)})
    np.testing.assert_array_equal(images_of(part), everything[[1, 3, 5, 7, 9, 11]])
    ((first, second),) = variant(plain).to_pairs(1, 8, seed=0).take(1)
    whole = {image.tobytes() for image in everything}
    assert {image.numpy().tobytes() for image in (*first, *second)} <= whole


@variants
def test_images_that_do_not_do_are_refused(variant):
    with pytest.raises(ValueError, match=r"one channel, got uint8 of the shape \(5, 4, 3\)"):
        variant(FactorDataset(np.zeros((6, 5, 4, 3), "uint8"), ["f"], [6]))
    real = from_arrays(np.full((6, 5, 4, 1), -0.5, "float32"))
    with pytest.raises(ValueError, match=r"must be uint8 .* got float32 of the shape \(5, 4, 1\)"):
        variant(real)
    with pytest.raises(ValueError, match=r"got float32 of the shape \(9,\)"):
        variant(from_arrays(np.zeros((6, 9))))
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match=f"seed must be from 0 .* got {seed}"):
            variant(gray(), seed=seed)


@pytest.mark.parametrize(
    ("variant", "digest"),
    [
        (with_colors, "a387098a7aebc8e2"),
        (with_noise, "1433503a7435a5cc"),
        (with_pictures, "7ca7fbf65ddd6eed"),
    ],
)
def test_draws_are_those_of_every_process_and_machine(variant, digest):
    images = variant(load_sprites(2, 1, 2, 2, 2), seed=3).images_at([9, 2])
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == digest


# Colors.


def test_colors_are_uniform_and_independent_of_each_other():
    colors = images_of(with_colors(constant(255, 2_000)))[:, 0, 0] / 255
    assert stats.kstest(colors.ravel(), stats.uniform(0.5, 0.5).cdf).pvalue > 1e-3
    for one, other in itertools.combinations(range(3), 2):
        assert stats.pearsonr(colors[:, one], colors[:, other]).pvalue > 1e-3
    assert colors.min() >= 0.5
    assert colors.max() <= 1.0


def test_an_image_has_one_color_and_black_stays_black():
    data = gray()
    changed, shades = images_of(with_colors(data)), images_of(data) / 255
    colors = changed[:, 1, 0] / 255  # The second row is white.
    np.testing.assert_allclose(changed, 255 * shades * colors[:, None, None], atol=1.01)
    assert not changed[:, 0].any()


# Noise.


def test_noise_is_uniform_on_black_and_white_stays_white():
    black, white = (images_of(with_noise(constant(level, 40, 20, 30))) for level in (0, 255))
    assert (white == 255).all()
    counts = np.bincount(black.ravel(), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-3
    halves = black.reshape(-1, 2).astype(float)
    assert stats.pearsonr(halves[:, 0], halves[:, 1]).pvalue > 1e-3


def test_noise_is_added_and_cut_at_white():
    data = gray()
    # Noise depends on the index alone, so that on black it is bare.
    noise = images_of(with_noise(constant(0, 12, 5, 4))).astype(int)
    expected = np.minimum(images_of(data).astype(int) + noise, 255)
    np.testing.assert_array_equal(images_of(with_noise(data)), expected)


# Pictures.


def fitting_parts(image, shade, pictures):
    """Finds the parts of pictures that, mixed with some color, are behind an image.

    Brute force: where the image is black or white, twice what is shown, or its inversion, less
    the part must be one color, but for the rounding to whole numbers.
    """
    height, width, _ = image.shape
    behind = np.where(shade == 255, 255 - image.astype(int), image)[shade[..., 0] % 255 == 0]
    found = []
    for number, picture in enumerate(pictures):
        for top in range(picture.shape[0] - height + 1):
            for left in range(picture.shape[1] - width + 1):
                part = picture[top : top + height, left : left + width].astype(int)
                colors = 2 * behind - part[shade[..., 0] % 255 == 0]
                low, high = colors.min(axis=0), colors.max(axis=0)
                if (high - low <= 2).all() and (low >= -1).all() and (high <= 256).all():
                    found.append(((number, top, left), colors.mean(axis=0)))
    return found


def test_behind_an_image_is_a_part_of_a_picture_mixed_with_a_color():
    data = gray(60)
    shades = images_of(data)
    parts, colors = [], []
    for image, shade in zip(images_of(with_pictures(data, PICTURES)), shades, strict=True):
        ((part, color),) = fitting_parts(image, shade, PICTURES)
        parts.append(part)
        colors.append(color)
        number, top, left = part
        behind = (PICTURES[number][top : top + 5, left : left + 4] + color) / 2
        share = shade / 255
        expected = behind * (1 - share) + (255 - behind) * share
        np.testing.assert_allclose(image, expected, atol=1.5)
    assert {part[0] for part in parts} == {0, 1}
    # All 5 by 5 parts of the first picture, and the only one of the second.
    assert {part for part in parts if part[0]} == {(1, 0, 0)}
    assert len({part for part in parts if not part[0]}) > 12
    assert stats.kstest(np.ravel(colors), stats.uniform(0, 255).cdf).pvalue > 1e-3


def test_parts_and_pictures_are_uniform():
    n = 3_000
    # Pictures that tell where their parts are from, and black images, of which any shows it.
    pictures = [np.zeros((3, 2, 3), "uint8"), np.full((3, 2, 3), 128, "uint8")]
    pictures[0][:, :, 0] = pictures[1][:, :, 0] = [[0, 20], [40, 80], [120, 160]]
    images = images_of(with_pictures(constant(0, n, 2, 1), pictures)).astype(int)
    steps = images[:, 1, 0, 0] - images[:, 0, 0, 0]  # 20, 40, 30 or 40, within the rounding.
    for step, share in ((20, 1 / 4), (30, 1 / 4), (40, 2 / 4)):
        found = (np.abs(steps - step) <= 1).mean()
        assert found == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / n))
    blue = images[:, 0, 0, 2]
    # Mixed with a color, 0 and 128 become 0 to 127.5 and 64 to 191.5.
    for one_alone in (blue < 64, blue > 128):
        assert one_alone.mean() == pytest.approx(1 / 4, abs=0.04)


def test_a_picture_of_one_color_shows_what_it_is_mixed_with():
    picture = np.full((7, 7, 3), (10, 100, 200), "uint8")
    black, white, half = (
        images_of(with_pictures(constant(level, 500, 2, 2), [picture])).astype(int)
        for level in (0, 255, 51)
    )
    assert (black == black[:, :1, :1]).all()
    drawn = 2 * black[:, 0, 0] - (10, 100, 200)
    assert stats.kstest(drawn.ravel(), stats.uniform(0, 255).cdf).pvalue > 1e-3
    np.testing.assert_allclose(black + white, 255, atol=1)
    np.testing.assert_allclose(half, 0.8 * black + 0.2 * white, atol=1.5)


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        ([], "at least one picture"),
        ([np.zeros((5, 4, 1), "uint8")], r"at least 5 by 4, got uint8 \(5, 4, 1\)"),
        ([PICTURES[0], np.zeros((5, 3, 3), "uint8")], r"got uint8 \(5, 3, 3\)"),
        ([np.zeros((5, 4, 3))], r"got float64 \(5, 4, 3\)"),
    ],
)
def test_pictures_that_do_not_do_are_refused(pictures, words):
    with pytest.raises(ValueError, match=words):
        with_pictures(gray(), pictures)
