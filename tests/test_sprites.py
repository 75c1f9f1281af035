from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon

from keras_betavae.datasets import load_sprites
from keras_betavae.datasets.rendered import _polygons

FRAMES = Path(__file__).parents[1].parent / "shared" / "data" / "dsprites_frames.npz"
SHAPES = ("square", "ellipse", "heart")
SIZES = (3, 6, 40, 32, 32)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def lit(data, factors):
    return data.images_at(data.index_of([factors]))[0, :, :, 0] > 0


@pytest.fixture(scope="module")
def whole():
    return load_sprites()


# Against frames of the released data set.


def animation():
    """Returns the factors of the animation's 320 frames: one factor moves at a time."""
    factors = []
    for shape in (2, 1, 0):
        at = {"shape": shape, "scale": 0, "orientation": 0, "pos_x": 0, "pos_y": 0}
        sweeps = [("scale", [*range(6), *reversed(range(6)), *range(6)])]
        if shape == 2:  # Only the heart is moved; the others turn and shrink.
            sweeps += [("orientation", range(40)), ("pos_y", range(32)), ("pos_x", range(32))]
            sweeps += [("pos_y", reversed(range(32))), ("pos_x", reversed(range(32)))]
        else:
            sweeps += [("orientation", range(40))]
        sweeps += [("scale", reversed(range(6)))]
        for name, values in sweeps:
            for value in values:
                at[name] = value
                factors.append(tuple(at.values()))
    return np.array(factors)


@pytest.fixture(scope="module")
def frames(whole):
    """Returns the shape of each real frame, the frame, and our image of its factors."""
    if not FRAMES.is_file():
        pytest.skip("the real frames of dSprites are not part of a checkout")
    with np.load(FRAMES) as file:
        real = np.unpackbits(file["frames"], axis=-1).reshape(-1, 64, 64).astype(bool)
        factors = animation()[file["gif_index"]]
    ours = whole.images_at(whole.index_of(factors))[..., 0] > 0
    return factors[:, 0], real, ours


def test_sprites_overlap_the_real_frames(frames):
    shape, real, ours = frames
    overlaps = np.array([iou(a, b) for a, b in zip(real, ours, strict=True)])
    assert overlaps.min() >= 0.95
    for number, least in enumerate((0.998, 0.99, 0.99)):
        assert (shape == number).any()
        assert overlaps[shape == number].mean() >= least


def test_sprites_are_the_real_frames_pixel_by_pixel(frames):
    _, real, ours = frames
    np.testing.assert_array_equal(ours, real)


# Against polygons tested point by point.


@settings(deadline=None, max_examples=25)
@given(st.tuples(*(st.integers(0, size - 1) for size in SIZES)))
def test_sprites_are_their_polygons_but_for_boundary_pixels(whole, factors):
    shape, scale, orientation, pos_x, pos_y = factors
    size = 0.5 + 0.1 * scale
    angle = 2 * np.pi * orientation / 39
    # In pixels. y points down, so turning counter-clockwise has the signs of clockwise.
    polygon = 64 * size * _polygons.outline(SHAPES[shape])
    x = 16 + 32 * pos_x / 31 + np.cos(angle) * polygon[:, 0] + np.sin(angle) * polygon[:, 1]
    y = 16 + 32 * pos_y / 31 - np.sin(angle) * polygon[:, 0] + np.cos(angle) * polygon[:, 1]
    column, row = np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5)
    points = np.stack([column.ravel(), row.ravel()], axis=1)

    image = lit(whole, factors)
    path = Polygon(np.stack([x, y], axis=1))
    inside = path.contains_points(points).reshape(64, 64)
    assert iou(image, inside) > 0.97

    start = np.stack([x, y], axis=1)
    edge = np.roll(start, -1, axis=0) - start
    wrong = points[(image != inside).ravel()]
    along = np.einsum("pek,ek->pe", wrong[:, None] - start, edge) / (edge**2).sum(axis=1)
    nearest = start + np.clip(along, 0, 1)[..., None] * edge
    distance = np.linalg.norm(wrong[:, None] - nearest, axis=-1).min(axis=1, initial=np.inf)
    assert (distance < 0.02).all()


def test_the_ellipse_is_inside_its_curve_and_nearly_fills_it():
    x, y = _polygons.outline("ellipse").T * 64
    a, b = 0.15 * 64 * 1.33, 0.15 * 64 / 1.33
    np.testing.assert_allclose((x / a) ** 2 + (y / b) ** 2, 1.0)
    area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    assert 0.995 * np.pi * a * b < area < np.pi * a * b


# What every image has.


def test_the_whole_grid_is_there(whole):
    assert len(whole) == 737_280
    assert whole.factor_names == ("shape", "scale", "orientation", "pos_x", "pos_y")
    assert whole.factor_sizes == SIZES
    assert whole.image_shape == (64, 64, 1)
    assert whole._images.array.nbytes == 737_280 * 512


def test_as_many_pixels_are_lit_as_in_the_released_images(whole):
    # The mean of the released images' pixels is published with them.
    published = 0.042494423521889584 * 737_280 * 4_096
    blocks = np.array_split(whole._images.array, 64)
    lit_in_byte = np.unpackbits(np.arange(256, dtype="uint8")[:, None], axis=1).sum(axis=1)
    lit_pixels = sum(
        int((np.bincount(block.ravel(), minlength=256) * lit_in_byte).sum()) for block in blocks
    )
    assert abs(lit_pixels - published) <= 2
    assert published == pytest.approx(128_328_862, abs=1e-3)


def test_the_heart_stands_on_its_tip(whole):
    rows, columns = np.nonzero(lit(whole, (2, 5, 0, 15, 15)))
    widths = [np.ptp(columns[rows == row]) for row in np.unique(rows)]
    assert widths[-1] < 4 < 15 < max(widths)
    assert np.argmax(widths) < len(widths) / 2


def test_no_sprite_is_cut_off(whole):
    for edge in (0, 31):
        for shape in range(3):
            for orientation in range(40):
                image = lit(whole, (shape, 5, orientation, edge, edge))
                assert not image[[0, -1]].any()
                assert not image[:, [0, -1]].any()


# Smaller grids.


def test_a_smaller_grid_is_a_part_of_the_whole(whole):
    part = load_sprites(shape=2, scale=2, orientation=4, pos_x=2, pos_y=32)
    factors = part.factors_at(np.arange(len(part)))
    assert len(part) == 2 * 2 * 4 * 2 * 32
    # 0.5 and 1; thirds of a turn; the ends of x.
    same = whole.index_of(factors * [1, 5, 13, 31, 1])
    np.testing.assert_array_equal(part._images.array, whole._images.array[same])


def test_a_factor_with_one_value_takes_the_lowest(whole):
    one = load_sprites(1, 1, 1, 1, 1)
    assert len(one) == 1
    np.testing.assert_array_equal(one.images_at([0]), whole.images_at([0]))


@pytest.mark.parametrize("name", ["shape", "scale", "orientation", "pos_x", "pos_y"])
def test_a_factor_needs_a_value(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        load_sprites(**{name: 0})


def test_there_are_three_shapes():
    with pytest.raises(ValueError, match=r"shape must be .* at most 3 .*got 4"):
        load_sprites(shape=4)
    with pytest.raises(ValueError, match="square, ellipse or heart, got 'star'"):
        _polygons.outline("star")
