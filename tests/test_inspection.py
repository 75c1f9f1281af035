import math

import numpy as np
import pytest

from keras_betavae import visualization
from keras_betavae.datasets import ImageDataset, from_arrays, load_sprites
from keras_betavae.evaluation.inspection import Inspection, inspect

LATENT_DIM, POS_Y, POS_X = 5, 0, 2
LOG_VAR = np.array([-3.0, 0.0, -4.0, 0.0, 0.0])
ALWAYS = [
    "histograms",
    "interpolation",
    "posterior_pairs",
    "reconstructions",
    "samples",
    "traversal",
]


def centers(images):
    """Returns the center of mass of each image, (..., 2): x, y."""
    images = np.asarray(images, np.float64)
    mass = images.sum(axis=(-3, -2, -1))
    x = images.sum(axis=(-3, -1)) @ np.arange(64) / mass
    y = images.sum(axis=(-2, -1)) @ np.arange(64) / mass
    return np.stack([x, y], axis=-1)


class Places:
    """Latent 2 is where the sprite is across, latent 0 where it is down; the others are dead."""

    def __init__(self):
        self.seen = []

    def encode(self, images):
        self.seen.append(np.asarray(images))
        noise = np.random.default_rng(len(self.seen))
        mean = noise.normal(scale=1e-3, size=(len(images), LATENT_DIM))
        mean[:, [POS_X, POS_Y]] = (centers(images) - 31.5) / 8
        return mean.astype("float32"), np.tile(LOG_VAR, (len(images), 1)).astype("float32")

    def decode(self, codes):
        places = np.arange(64)
        x, y = (31.5 + 8 * np.asarray(codes)[:, latent, None] for latent in (POS_X, POS_Y))
        across, down = (np.exp(-((places - center) ** 2) / 32) for center in (x, y))
        return (down[:, :, None] * across[:, None, :])[..., None].astype("float32")

    def reconstruct(self, images):
        return self.decode(self.encode(images)[0])

    def sample(self, n, seed=None):
        return self.decode(np.random.default_rng(seed).normal(size=(n, LATENT_DIM)))


@pytest.fixture(scope="module")
def sprites():
    return load_sprites(shape=3, scale=2, orientation=3, pos_x=8, pos_y=8)


@pytest.fixture(scope="module")
def inspection(sprites):
    return inspect(Places(), sprites)


@pytest.fixture(scope="module")
def pictures(sprites, inspection):
    return inspection.pictures(Places(), sprites.images_at(range(0, 900, 150)))


# A model of which one knows what its latents are.


def test_a_traversal_of_pos_x_moves_the_sprite_to_the_right_and_no_other_does(sprites):
    model = Places()
    code = model.encode(sprites.images_at([100]))[0][0]
    x, y = np.moveaxis(centers(visualization.traverse(model, code, limit=2.0)), -1, 0)
    np.testing.assert_allclose(x[POS_X], 31.5 + 8 * np.linspace(-2, 2, 11), atol=0.01)
    assert (np.diff(x[POS_X]) > 1).all()
    assert (np.diff(y[POS_Y]) > 1).all()
    assert np.ptp(np.delete(x, POS_X, axis=0)) < 1e-3
    assert np.ptp(np.delete(y, POS_Y, axis=0)) < 1e-3


def test_the_kl_is_the_closed_form(sprites, inspection):
    means, _ = Places().encode(sprites.images_at(range(len(sprites))))
    for latent in (POS_X, POS_Y):
        deviation = math.exp(LOG_VAR[latent] / 2)
        each = [
            math.log(1 / deviation) + (deviation**2 + float(mean) ** 2 - 1) / 2
            for mean in means[:, latent]
        ]
        assert inspection.kl[latent] == pytest.approx(sum(each) / len(each), rel=1e-6)
    dead = np.delete(inspection.kl, [POS_X, POS_Y])
    assert ((dead > 0) & (dead < 1e-5)).all()


def test_labels_say_what_each_latent_is(inspection):
    x, y = inspection.kl[[POS_X, POS_Y]]
    expected = [
        f"z0  {y:.1f} nats  pos_y",
        "z1  0.0 nats  no factor",
        f"z2  {x:.1f} nats  pos_x",
        "z3  0.0 nats  no factor",
        "z4  0.0 nats  no factor",
    ]
    assert inspection.labels == expected
    assert inspection.labels_of([2, 0]) == [expected[2], expected[0]]
    assert inspection.labels_of(np.array([], int)) == []


def test_latents_tell_most_of_the_factor_that_they_follow(inspection):
    names = list(inspection.factor_names)
    assert names == ["shape", "scale", "orientation", "pos_x", "pos_y"]
    information = inspection.information
    assert information.shape == (LATENT_DIM, 5)
    for latent, name in ((POS_X, "pos_x"), (POS_Y, "pos_y")):
        k = names.index(name)
        assert information[latent, k] == pytest.approx(math.log(8), rel=0.05)
        # A heart's center is not a square's, so that places tell a little of shapes.
        assert np.delete(information[latent], k).max() < 0.5
        assert np.delete(information[:, k], latent).max() < 0.1


def test_latents_are_ordered_by_kl(inspection):
    assert inspection.by_kl[:2].tolist() == [POS_X, POS_Y]
    assert sorted(inspection.by_kl) == list(range(LATENT_DIM))
    assert (np.diff(inspection.kl[inspection.by_kl]) <= 0).all()
    assert inspection.active.tolist() == [POS_X, POS_Y]


def of_kl(*kl):
    return Inspection(
        np.zeros((2, len(kl))), np.empty((2, 0), int), (), np.array(kl), np.empty((len(kl), 0))
    )


@pytest.mark.parametrize(
    ("kl", "by_kl", "active"),
    [
        ((0.5, 0.0, 2.0, 0.0, 0.011), [2, 0, 4, 1, 3], [2, 0, 4]),
        ((0.01, 0.01), [0, 1], [0]),
        ((0.0, 0.002, 0.001), [1, 2, 0], [1]),
        ((3.0,), [0], [0]),
    ],
)
def test_a_latent_is_active_above_a_hundredth_of_a_nat(kl, by_kl, active):
    inspection = of_kl(*kl)
    assert inspection.by_kl.tolist() == by_kl
    assert inspection.active.tolist() == active


# Encoding.


def numbered(n):
    """Images that are all different: a lit pixel each."""
    return (255 * np.eye(n, 64 * 64, dtype="uint8")).reshape(n, 64, 64, 1)


def test_each_image_is_encoded_once():
    model, images = Places(), numbered(200)
    inspection = inspect(model, from_arrays(images, np.arange(200) % 7), n=250)
    np.testing.assert_array_equal(np.concatenate(model.seen), images)
    np.testing.assert_array_equal(inspection.factors[:, 0], np.arange(200) % 7)
    assert inspection.codes.shape == (200, LATENT_DIM)


def test_of_many_images_some_are_drawn_by_seed():
    model, data = Places(), from_arrays(numbered(300), np.arange(300) % 7)
    first, again, other = (inspect(model, data, n=100, seed=seed) for seed in (0, 0, 1))
    assert [len(images) for images in model.seen] == [100, 100, 100]
    np.testing.assert_array_equal(first.factors, again.factors)
    assert (first.factors != other.factors).any()
    # The codes are those of the images that the factors are of.
    x = np.round(8 * first.codes[:, POS_X] + 31.5).astype(int)
    y = np.round(8 * first.codes[:, POS_Y] + 31.5).astype(int)
    np.testing.assert_array_equal((64 * y + x) % 7, first.factors[:, 0])


# Factors.


def test_without_factors_there_is_no_information(sprites):
    images = sprites.images_at(range(0, 900, 50))
    inspection = inspect(Places(), ImageDataset(images))
    assert inspection.factor_names == ()
    assert inspection.information.shape == (LATENT_DIM, 0)
    kl = inspection.kl
    assert inspection.labels == [f"z{latent}  {kl[latent]:.1f} nats" for latent in range(5)]
    shown = inspection.pictures(Places(), images[:2])
    assert sorted(shown) == ALWAYS


@pytest.mark.parametrize("name", ["shape", "pos_x"])
def test_a_factor_of_one_value_is_left_out(sprites, name):
    inspection = inspect(Places(), sprites.only({name: 1}))
    names = tuple(each for each in sprites.factor_names if each != name)
    assert inspection.factor_names == names
    assert inspection.factors.shape[1] == 4
    assert inspection.information.shape == (LATENT_DIM, 4)
    whole = sprites.only({name: 1}).factors_at(range(len(inspection.factors)))
    kept = [sprites.factor_names.index(each) for each in names]
    np.testing.assert_array_equal(inspection.factors, whole[:, kept])


def test_continuous_factors_are_scored_by_their_values():
    values = np.random.default_rng(0).lognormal(size=(200, 2))
    data = from_arrays(numbered(200), values, ["a", "b"])
    inspection = inspect(Places(), data)
    np.testing.assert_array_equal(inspection.factors, data.encode_with(Places())[0])
    for k, ranks in enumerate(values.argsort(axis=0).argsort(axis=0).T):
        np.testing.assert_array_equal(inspection.classes[:, k], ranks // 10)
        bins = [values[ranks // 10 == n, k].mean() for n in range(20)]
        np.testing.assert_allclose(inspection.centers["ab"[k]], bins)


def test_further_parts_of_a_code_are_not_inspected(sprites):
    class Samples(Places):
        def encode(self, images):
            mean, log_var = super().encode(images)
            return mean, log_var, mean + 1.0

    found, wanted = inspect(Samples(), sprites), inspect(Places(), sprites)
    np.testing.assert_array_equal(found.codes, wanted.codes)
    np.testing.assert_array_equal(found.kl, wanted.kl)


# Pictures.


def test_pictures_have_these_names(pictures):
    of_factors = ["curves_orientation", "curves_scale", "mutual_information", "response_maps"]
    assert sorted(pictures) == sorted([*ALWAYS, *of_factors])


def test_pictures_are_in_color_and_not_blank(pictures):
    for name, picture in pictures.items():
        assert picture.dtype == np.uint8, name
        assert picture.ndim == 3, name
        assert picture.shape[2] == 3, name
        assert len(np.unique(picture)) > 20, name


def test_responses_shown_are_those_of_the_active_latents(inspection, pictures):
    codes, labels = inspection.codes[:, [POS_X, POS_Y]], inspection.labels_of([POS_X, POS_Y])
    maps = visualization.response_map(inspection.factors, codes, rows=4, columns=3)
    figure = visualization.plot_response_maps(maps, labels, rows="pos_y", columns="pos_x")
    np.testing.assert_array_equal(pictures["response_maps"], visualization.figure_image(figure))
    curves = visualization.response_curves(inspection.factors, codes, along=1, by=0)
    figure = visualization.plot_response_curves(
        curves, labels, along="scale", by=["shape 0", "shape 1", "shape 2"]
    )
    np.testing.assert_array_equal(pictures["curves_scale"], visualization.figure_image(figure))


def test_the_traversal_is_around_the_first_image_with_the_strongest_latent_above(
    sprites, inspection, pictures
):
    model = Places()
    code = model.encode(sprites.images_at([0]))[0][0]
    rows = visualization.traverse(model, code, latents=inspection.by_kl)
    expected = visualization.labeled_grid(rows, inspection.labels_of(inspection.by_kl))
    # The dead latents' noise is in no pixel.
    np.testing.assert_array_equal(pictures["traversal"], expected)


def test_the_interpolation_is_from_the_first_half_of_the_images_to_the_second(sprites, pictures):
    images = sprites.images_at(range(0, 900, 150))
    grid = pictures["interpolation"]
    assert grid.shape == (3 * 66 + 2, 11 * 66 + 2, 3)
    for row in range(3):
        for column, image in ((0, images[row]), (10, images[row + 3])):
            top, left = 2 + 66 * row, 2 + 66 * column
            tile = grid[top : top + 64, left : left + 64, :1]
            np.testing.assert_allclose(centers(tile), centers(image), atol=0.1)


def test_reconstructions_stand_below_the_images(sprites, pictures):
    images = sprites.images_at(range(0, 900, 150))
    shown = pictures["reconstructions"][:, -(6 * 66 + 2) :]
    for column, image in enumerate(images):
        left = 2 + 66 * column
        np.testing.assert_array_equal(shown[2:66, left : left + 64, :1], image)
        below = shown[68:132, left : left + 64, :1]
        np.testing.assert_allclose(centers(below), centers(image), atol=0.1)


def test_samples_are_those_of_the_seed(sprites, inspection, pictures, monkeypatch):
    expected = Places().sample(24, seed=0).reshape(3, 8, 64, 64, 1)
    np.testing.assert_array_equal(pictures["samples"], visualization.image_grid(expected))
    model, images = Places(), sprites.images_at([3, 4, 5])
    monkeypatch.setattr(visualization, "figure_image", lambda figure: figure)
    other = inspection.pictures(model, images, seed=1)
    assert (other["samples"] != pictures["samples"]).any()
    # An image too many for pairs is left over.
    assert other["interpolation"].shape == (68, 11 * 66 + 2, 3)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("letter", "number"), ["curves_letter", "curves_number", "mutual_information"]),
        (("shape", "number"), ["curves_number", "mutual_information"]),
        (("pos_x", "number"), ["curves_number", "curves_pos_x", "mutual_information"]),
        (("pos_y", "pos_x"), ["mutual_information", "response_maps"]),
    ],
)
def test_pictures_of_factors_are_by_their_names(sprites, monkeypatch, names, expected):
    monkeypatch.setattr(visualization, "figure_image", lambda figure: figure)
    images = sprites.images_at(range(0, 864, 72))
    factors = np.stack([np.arange(12) % 3, np.arange(12) // 3], axis=1)
    inspection = inspect(Places(), from_arrays(images, factors, names))
    shown = inspection.pictures(Places(), images[:2])
    assert sorted(set(shown) - set(ALWAYS)) == expected


def test_values_without_images_are_gaps(sprites, monkeypatch):
    monkeypatch.setattr(visualization, "figure_image", lambda figure: figure)
    part = sprites.only({"shape": (0, 2), "pos_x": (1, 3), "pos_y": (0, 7)})
    inspection = inspect(Places(), part)
    shown = inspection.pictures(Places(), part.images_at([0, 1]))
    assert "response_maps" in shown
    assert "curves_scale" in shown
