import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keras_betavae import visualization
from tests.helpers import patterns, tiny_vae

GREY = 128


class CodeAsImage:
    """Shows each code as an image of one row, a latent a pixel."""

    def __init__(self):
        self.calls = []

    def decode(self, codes):
        self.calls.append(np.asarray(codes))
        return np.asarray(codes)[:, None, :, None]


# Traversals.


def test_a_row_varies_its_latent_and_no_other():
    model, code = CodeAsImage(), np.array([0.5, -1.0, 2.0])
    rows = visualization.traverse(model, code)
    assert rows.shape == (3, 11, 1, 3, 1)
    assert rows.dtype == np.float32
    for latent in range(3):
        expected = np.tile(code, (11, 1))
        expected[:, latent] = np.linspace(-3, 3, 11)
        np.testing.assert_allclose(rows[latent, :, 0, :, 0], expected, rtol=1e-6)
    assert len(model.calls) == 1


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.floats(0.1, 10),
    st.integers(2, 9),
)
def test_rows_are_the_latents_asked_for_from_limit_to_limit(latents, limit, n_steps):
    code = np.arange(5.0)
    rows = visualization.traverse(
        CodeAsImage(), code, latents=latents, limit=limit, n_steps=n_steps
    )
    assert rows.shape == (len(latents), n_steps, 1, 5, 1)
    for row, latent in zip(rows[:, :, 0, :, 0], latents, strict=True):
        np.testing.assert_allclose(row[:, latent], np.linspace(-limit, limit, n_steps), rtol=1e-5)
        others = np.delete(row, latent, axis=1)
        np.testing.assert_array_equal(others, [np.delete(code, latent)] * n_steps)


def test_the_code_is_not_changed():
    code = np.ones(3, "float32")
    visualization.traverse(CodeAsImage(), code)
    np.testing.assert_array_equal(code, np.ones(3))


def test_a_vae_is_traversed_and_reconstructed():
    vae, images = tiny_vae(), patterns(4, dtype="uint8")
    code = np.asarray(vae.encode(images[:1])[0])[0]
    rows = visualization.traverse(vae, code, n_steps=3)
    assert rows.shape == (3, 3, *images.shape[1:])
    np.testing.assert_allclose(
        rows[1, 0], vae.decode(np.array([[code[0], -3.0, code[2]]], "float32"))[0], rtol=1e-5
    )
    pairs = visualization.reconstructions(vae, images)
    assert pairs.dtype == np.float32
    np.testing.assert_allclose(pairs[0], images / 255)
    np.testing.assert_allclose(pairs[1], vae.reconstruct(images), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8"])
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


@pytest.mark.parametrize(
    ("code", "options", "words"),
    [
        (np.zeros((1, 3)), {}, r"\(latent_dim,\), got \(1, 3\)"),
        (np.float32(0), {}, r"got \(\)"),
        (np.zeros(3), {"n_steps": 1}, "n_steps must be at least 2, got 1"),
    ],
)
def test_what_cannot_be_traversed_is_refused(code, options, words):
    with pytest.raises(ValueError, match=words):
        visualization.traverse(CodeAsImage(), code, **options)


# Grids.


def laid_out(images, padding, zoom):
    """The layout, pixel by pixel."""
    n_rows, n_columns, height, width = images.shape[:4]
    high, wide = zoom * height + padding, zoom * width + padding
    grid = np.full((n_rows * high + padding, n_columns * wide + padding, 3), GREY, "uint8")
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


@pytest.mark.parametrize("shape", [(4, 8, 8, 1), (2, 3, 8, 8), (2, 3, 8, 8, 2), (2, 3, 8, 8, 4)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(rows, columns, height, width, 1 or 3\), got"):
        visualization.image_grid(np.zeros(shape))


# Files.


def test_a_png_is_read_back_as_it_was(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype="uint8")
    visualization.write_png(tmp_path / "image.png", image)
    with Image.open(tmp_path / "image.png") as file:
        assert file.format == "PNG"
        np.testing.assert_array_equal(np.asarray(file), image)


def frames_of(path):
    with Image.open(path) as file:
        assert file.format == "GIF"
        durations, frames = [], []
        for index in range(file.n_frames):
            file.seek(index)
            durations.append(file.info["duration"])
            frames.append(np.asarray(file.convert("RGB")))
        return frames, durations, file.info["loop"]


def test_a_gif_is_read_back_as_it_was(tmp_path):
    # 256 colours are all that one frame of a GIF holds.
    rng = np.random.default_rng(0)
    frames = [np.repeat(rng.integers(0, 256, (7, 9, 1), dtype="uint8"), 3, 2) for _ in range(4)]
    visualization.write_gif(tmp_path / "frames.gif", frames, milliseconds=70)
    read, durations, loop = frames_of(tmp_path / "frames.gif")
    np.testing.assert_array_equal(read, frames)
    assert durations == [70] * 4
    assert loop == 0


def test_a_coloured_gif_keeps_its_colours(tmp_path):
    frames = [np.full((4, 4, 3), colour, "uint8") for colour in ([255, 0, 0], [0, 130, 77])]
    frames[1][0] = [9, 8, 7]
    visualization.write_gif(tmp_path / "frames.gif", frames)
    np.testing.assert_array_equal(frames_of(tmp_path / "frames.gif")[0], frames)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_traversal_becomes_one_picture(tmp_path, channels):
    rows = np.random.default_rng(0).random((2, 4, 6, 6, channels))
    visualization.write_traversal(tmp_path / "rows.PNG", rows)
    with Image.open(tmp_path / "rows.PNG") as file:
        np.testing.assert_array_equal(np.asarray(file), laid_out(rows, 2, 1))


def test_a_traversal_becomes_a_film_there_and_back(tmp_path):
    rows = np.random.default_rng(0).random((2, 4, 6, 6, 1))
    visualization.write_traversal(str(tmp_path / "rows.gif"), rows)
    read, durations, loop = frames_of(tmp_path / "rows.gif")
    expected = [laid_out(rows[None, :, step], 2, 1) for step in (0, 1, 2, 3, 2, 1)]
    np.testing.assert_array_equal(read, expected)
    assert durations == [100] * 6  # A frame shown twice would be one of twice the time.
    assert loop == 0


@pytest.mark.parametrize("name", ["rows.jpg", "rows", "rows.png.txt"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in \.png or \.gif, got .*rows"):
        visualization.write_traversal(tmp_path / name, np.zeros((1, 2, 4, 4, 1)))
    assert list(tmp_path.iterdir()) == []
