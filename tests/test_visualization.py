import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_betavae import visualization
from tests.helpers import patterns, tiny_vae

GRAY = 128


# Reconstructions.


def test_a_vaes_reconstructions_stand_below_the_images():
    vae, images = tiny_vae(), patterns(4, dtype="uint8")
    pairs = visualization.reconstructions(vae, images)
    assert pairs.dtype == np.float32
    np.testing.assert_allclose(pairs[0], images / 255)
    np.testing.assert_allclose(pairs[1], vae.reconstruct(images), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8"])
def test_only_integer_images_count_in_255ths(dtype):
    vae = tiny_vae()
    levels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1))
    expected = (levels / 255).astype("float32")
    images = levels.astype(dtype) if dtype == "uint8" else (levels / 255).astype(dtype)
    before = images.copy()
    pairs = visualization.reconstructions(vae, images)
    assert pairs.dtype == np.float32
    np.testing.assert_allclose(pairs[0], expected, atol=5e-4 if dtype == "float16" else 1e-6)
    np.testing.assert_allclose(pairs[1], vae.reconstruct(images), rtol=1e-6)
    assert np.all((pairs >= 0) & (pairs <= 1))
    np.testing.assert_array_equal(images, before)


# Grids.


def laid_out(images, padding, zoom):
    """The layout, pixel by pixel."""
    n_rows, n_columns, height, width = images.shape[:4]
    high, wide = zoom * height + padding, zoom * width + padding
    grid = np.full((n_rows * high + padding, n_columns * wide + padding, 3), GRAY, "uint8")
    for r in range(n_rows):
        for c in range(n_columns):
            for y in range(zoom * height):
                for x in range(zoom * width):
                    pixel = images[r, c, y // zoom, x // zoom]
                    value = [round(255 * min(max(float(v), 0.0), 1.0)) for v in pixel]
                    grid[padding + r * high + y, padding + c * wide + x] = value
    return grid


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("padding", "zoom"), [(2, 1), (0, 1), (1, 3)])
def test_a_grid_is_exact_to_the_pixel(channels, padding, zoom):
    images = np.random.default_rng(0).uniform(-0.2, 1.2, (2, 3, 4, 5, channels))
    grid = visualization.image_grid(images, padding=padding, zoom=zoom)
    assert grid.dtype == np.uint8
    np.testing.assert_array_equal(grid, laid_out(images, padding, zoom))
    # It is the caller's, to draw on.
    before = images.copy()
    grid[:] = 7
    np.testing.assert_array_equal(images, before)


def test_values_beyond_black_and_white_are_clipped():
    images = np.array([-5.0, 0.0, 0.5, 1.0, 7.0]).reshape(1, 5, 1, 1, 1)
    grid = visualization.image_grid(images, padding=0)
    assert grid[0, :, 0].tolist() == [0, 0, 128, 255, 255]


GRIDS = {
    "image_grid": visualization.image_grid,
    "labeled_grid": lambda images: visualization.labeled_grid(images, ["a"] * len(images)),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("shape", [(4, 8, 8, 1), (2, 3, 8, 8)])
def test_images_of_another_shape_are_refused(name, shape):
    with pytest.raises(ValueError, match=r"\(rows, columns, height, width, channels\), got"):
        GRIDS[name](np.zeros(shape))


@pytest.mark.parametrize(("channels", "shown"), [(2, [0]), (5, [0, 1, 2])])
def test_of_many_bands_the_first_are_shown(channels, shown):
    images = np.random.default_rng(0).random((1, 2, 4, 4, channels))
    expected = visualization.image_grid(images[..., shown])
    np.testing.assert_array_equal(visualization.image_grid(images), expected)


# Labels.


def margin_of(sheet, grid):
    """The part to the left of the grid, which is there unchanged."""
    assert sheet.dtype == np.uint8
    assert len(sheet) == len(grid)
    margin = sheet.shape[1] - grid.shape[1]
    np.testing.assert_array_equal(sheet[:, margin:], grid)
    return sheet[:, :margin]


@settings(deadline=None, max_examples=30)
@given(
    labels=st.lists(st.sampled_from(["z0  2.5 nats  pos_x", "a", ""]), min_size=1, max_size=3),
    side=st.integers(12, 40),
    channels=st.sampled_from([1, 3]),
    padding=st.integers(0, 3),
    zoom=st.integers(1, 2),
)
def test_labels_leave_the_grid_as_it_is(labels, side, channels, padding, zoom):
    images = np.random.default_rng(0).random((len(labels), 2, side, 5, channels))
    grid = visualization.image_grid(images, padding=padding, zoom=zoom)
    sheet = visualization.labeled_grid(images, labels, padding=padding, zoom=zoom)
    margin = margin_of(sheet, grid)
    row_height = (len(grid) - padding) // len(labels)
    for row, label in enumerate(labels):
        band = margin[row * row_height : (row + 1) * row_height]
        assert (band.min() < 64) == bool(label)


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("side", [12, 64])
def test_a_label_stands_in_its_rows_margin_and_nowhere_else(row, side):
    labels = ["", "", ""]
    labels[row] = "z0  gypq|  pos_x"
    images = np.zeros((3, 2, side, side, 1))
    sheet = visualization.labeled_grid(images, labels)
    margin = margin_of(sheet, visualization.image_grid(images))
    rows, columns = np.nonzero((margin != 255).any(axis=-1))
    height = side + 2
    assert row * height <= rows.min() <= rows.max() < (row + 1) * height + 2
    assert abs((rows.min() + rows.max()) / 2 - (row * height + 2 + side / 2)) < 4
    # Some white to the left, and to the right.
    assert columns.min() >= 6
    assert columns.max() < margin.shape[1] - 4


def test_labels_of_small_images_are_still_read():
    images = np.zeros((1, 2, 4, 4, 1))
    margin = margin_of(
        visualization.labeled_grid(images, ["z0"], zoom=2),
        visualization.image_grid(images, zoom=2),
    )
    assert margin.min() < 64


def test_labels_have_greek_letters():
    images = np.zeros((1, 2, 32, 32, 1))
    beta, gamma = (visualization.labeled_grid(images, [letter]) for letter in "βγ")
    assert beta.shape != gamma.shape or (beta != gamma).any()  # No box in the place of both.


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "c"], []])
def test_there_is_a_label_for_each_row(labels):
    with pytest.raises(ValueError, match=f"2 labels, one per row, got {len(labels)}"):
        visualization.labeled_grid(np.zeros((2, 3, 8, 8, 1)), labels)


# Files.


def test_a_png_is_read_back_as_it_was(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype="uint8")
    visualization.write_png(tmp_path / "image.png", image)
    with Image.open(tmp_path / "image.png") as file:
        assert file.format == "PNG"
        np.testing.assert_array_equal(np.asarray(file), image)


def frames_of(path):
    with Image.open(path) as file:
        assert file.format == path.suffix[1:].upper()
        durations, frames = [], []
        for index in range(file.n_frames):
            file.seek(index)
            frames.append(np.asarray(file.convert("RGB")))
            durations.append(file.info["duration"])
        return frames, durations, file.info["loop"]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_is_read_back_as_it_was(tmp_path, suffix):
    # 256 colors are all that one frame of a GIF holds.
    rng = np.random.default_rng(0)
    frames = [np.repeat(rng.integers(0, 256, (7, 9, 1), dtype="uint8"), 3, 2) for _ in range(4)]
    visualization.write_animation(tmp_path / f"film{suffix}", frames, milliseconds=70)
    read, durations, loop = frames_of(tmp_path / f"film{suffix}")
    np.testing.assert_array_equal(read, frames)
    assert durations == [70] * 4
    assert loop == 0


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_keeps_its_colors(tmp_path, suffix):
    frames = [np.full((4, 4, 3), color, "uint8") for color in ([255, 0, 0], [0, 130, 77])]
    frames[1][0] = [9, 8, 7]
    visualization.write_animation(tmp_path / f"film{suffix}", frames)
    read, durations, _ = frames_of(tmp_path / f"film{suffix}")
    np.testing.assert_array_equal(read, frames)
    assert durations == [100, 100]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.integers(1, 5), st.integers(1, 20), st.integers(1, 20))
def test_a_webp_loses_nothing(tmp_path_factory, seed, n, height, width):
    frames = np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), "uint8")
    path = tmp_path_factory.mktemp("webp") / "film.webp"
    visualization.write_animation(path, frames)
    with Image.open(path) as file:
        for index, frame in enumerate(frames):
            file.seek(index)
            np.testing.assert_array_equal(np.asarray(file.convert("RGB")), frame)


def test_the_ending_may_be_large_and_the_path_a_string(tmp_path):
    frames = [np.full((4, 4, 3), level, "uint8") for level in (0, 255)]
    visualization.write_animation(str(tmp_path / "film.WebP"), frames)
    with Image.open(tmp_path / "film.WebP") as file:
        assert (file.format, file.n_frames) == ("WEBP", 2)


@pytest.mark.parametrize("name", ["film.png", "film", "gif", "film.gif.txt", "film.mp4"])
def test_an_animation_of_another_ending_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in \.gif or \.webp, got '.*" + name):
        visualization.write_animation(tmp_path / name, [np.zeros((4, 4, 3), "uint8")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("zoom", [1, 2])
def test_a_traversal_becomes_one_picture(tmp_path, channels, zoom):
    rows = np.random.default_rng(0).random((2, 4, 6, 6, channels))
    visualization.write_traversal(tmp_path / "rows.PNG", rows, zoom=zoom)
    with Image.open(tmp_path / "rows.PNG") as file:
        np.testing.assert_array_equal(np.asarray(file), laid_out(rows, 2, zoom))


def test_a_picture_of_a_traversal_has_its_labels(tmp_path):
    rows = np.random.default_rng(0).random((2, 4, 16, 6, 1))
    visualization.write_traversal(tmp_path / "rows.png", rows, ["z0", "z1"], zoom=2)
    with Image.open(tmp_path / "rows.png") as file:
        sheet = np.asarray(file)
    np.testing.assert_array_equal(sheet, visualization.labeled_grid(rows, ["z0", "z1"], zoom=2))
    margin = margin_of(sheet, laid_out(rows, 2, 2))
    assert margin[:34].min() < 64
    assert margin[34:].min() < 64


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
@pytest.mark.parametrize("labels", [None, ["z0", "z1"]])
def test_a_traversal_becomes_a_film_there_and_back(tmp_path, suffix, labels):
    rows = np.random.default_rng(0).random((2, 4, 6, 6, 1))
    visualization.write_traversal(tmp_path / f"rows{suffix}", rows, labels)
    read, durations, loop = frames_of(tmp_path / f"rows{suffix}")
    expected = [laid_out(rows[None, :, step], 2, 1) for step in (0, 1, 2, 3, 2, 1)]
    np.testing.assert_array_equal(read, expected)
    assert durations == [100] * 6  # A frame shown twice would be one of twice the time.
    assert loop == 0


@pytest.mark.parametrize("name", ["rows.jpg", "rows", "rows.png.txt"])
def test_a_traversal_of_another_ending_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in \.png, \.gif or \.webp, got .*rows"):
        visualization.write_traversal(tmp_path / name, np.zeros((1, 2, 4, 4, 1)))
    assert list(tmp_path.iterdir()) == []
