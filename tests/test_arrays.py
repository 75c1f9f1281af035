import itertools

import h5py
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_betavae.datasets import FactorDataset, ImageDataset, from_arrays

SHAPE = (3, 2, 1)


def noise(n=6, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype="uint8")


def images_of(data):
    images = data.images_at(np.arange(len(data)))
    assert images.dtype == np.uint8
    return images


def table(data):
    return data.factors_at(np.arange(len(data))).tolist()


# Images.


def test_bytes_stay_as_they_are_and_are_not_copied():
    images = noise()
    data = from_arrays(images)
    assert type(data) is ImageDataset
    assert np.shares_memory(data._images.array, images)
    np.testing.assert_array_equal(images_of(data), images)


def test_booleans_are_black_and_white():
    lit = noise() > 127
    np.testing.assert_array_equal(images_of(from_arrays(lit)), np.where(lit, 255, 0))


@pytest.mark.parametrize("dtype", ["float16", "float32", "longdouble"])
def test_each_of_256_levels_survives_as_a_float(dtype):
    levels = np.arange(256, dtype="uint8").reshape(4, 8, 8, 1)
    np.testing.assert_array_equal(images_of(from_arrays((levels / 255).astype(dtype))), levels)


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_floats_are_rounded_to_the_nearest_level(values):
    (image,) = images_of(from_arrays(np.reshape(values, (1, *SHAPE))))
    for level, value in zip(image.ravel().tolist(), values, strict=True):
        assert abs(level - 255 * value) <= 0.5 + 1e-9


@pytest.mark.parametrize("dtype", ["int8", "uint64", ">i2"])
def test_integers_within_a_byte_are_taken(dtype):
    levels = noise() // (2 if dtype == "int8" else 1)
    np.testing.assert_array_equal(images_of(from_arrays(levels.astype(dtype))), levels)


@pytest.mark.parametrize(
    ("images", "words"),
    {
        "12 bits": (np.full((2, *SHAPE), 4_095, "int16"), "int16 from 4095 .*; scale them"),
        "above 255 at the end": (np.repeat([9, 300], [1_100, 99])[:, None, None], "from 9 to 300"),
        "0 and 1": ((noise() > 127).astype(int), r"0 or 1; pass images\.astype\(bool\)"),
        "0 and 1 as bytes": ((noise() > 127).view("uint8"), "all are 0 or 1"),
        "below 0": (np.full((2, *SHAPE), -1, "int8"), "int8 from -1 to -1"),
        "above 1": (np.full((2, *SHAPE), 1.01), "float64 from 1.01"),
        "bytes as floats": (noise().astype("float32"), "floats from 0 to 1, got float32"),
        "NaN": (np.where(np.arange(6).reshape(1, *SHAPE), 0.5, np.nan), "from nan to nan"),
        "infinite": (np.full((2, *SHAPE), np.inf), "from inf"),
        "complex": (np.zeros((2, *SHAPE), complex), "got complex128"),
        "text": (np.full((2, *SHAPE), "a"), "got <U1"),
        "objects": (np.full((2, *SHAPE), None), "got object"),
        "dates": (np.zeros((2, *SHAPE), "M8[s]"), "got datetime64"),
        "an empty list": ([], "at least one image"),
        "videos": (np.zeros((2, 2, *SHAPE), "uint8"), r"got \(2, 2, 3, 2, 1\)"),
        "none": (np.zeros((0, *SHAPE), "uint8"), "at least one image"),
    }.values(),
)
def test_images_that_do_not_do_are_refused(images, words):
    with pytest.raises(ValueError, match=words):
        from_arrays(images)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float32"])
def test_images_without_channels_get_one(dtype):
    shape = (3, 8, 1)
    images = (noise(shape=shape)[..., 0] > 127).astype(dtype) * (255 if dtype == "uint8" else 1)
    images = images.astype(dtype)
    data = from_arrays(images)
    assert data.image_shape == shape
    scale = 1 if dtype == "uint8" else 255
    np.testing.assert_array_equal(images_of(data)[..., 0], scale * images.astype(int))


def test_images_may_be_lists():
    images = noise(2)
    np.testing.assert_array_equal(images_of(from_arrays(images.tolist())), images)
    np.testing.assert_array_equal(images_of(from_arrays(list(images))), images)


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
def test_memory_maps_are_not_copied(tmp_path, mode):
    images = noise(shape=SHAPE[:2])
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode=mode)
    data = from_arrays(mapped, range(6))
    assert np.shares_memory(data._images.array, mapped)
    np.testing.assert_array_equal(images_of(data), images.reshape(6, *SHAPE))


def test_hdf5_is_not_read_before_it_is_asked_for(tmp_path):
    images = noise()
    with h5py.File(tmp_path / "images.h5", "w") as file:
        dataset = file.create_dataset("images", data=np.zeros_like(images))
        data = from_arrays(dataset, range(6))
        dataset[:] = images
        np.testing.assert_array_equal(images_of(data), images)
        for other in (images[..., 0], images.astype("float32")):
            with pytest.raises(ValueError, match="must be uint8 of shape"):
                from_arrays(file.create_dataset(str(other.shape), data=other))


def test_black_and_white_at_first_is_no_reason_to_refuse_what_follows():
    images = np.zeros((3_000, 1, 1, 1), "uint8")
    images[:2_500], images[-1] = 1, 200
    assert from_arrays(images).images_at([2_999]) == 200
    with pytest.raises(ValueError, match="all are 0 or 1"):
        from_arrays(images[:-1])


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_integers_of_few_bits_are_told(dtype):
    images = noise() // 16
    with pytest.warns(UserWarning, match="from 0 to 15, where 255 is white.*images / 15"):
        from_arrays(images.astype(dtype))
    np.testing.assert_array_equal(images_of(from_arrays(images / 15)), images * 17)


# Factors.

VALUES = {
    "integers": st.integers(-(2**40), 2**40),
    "floats": st.floats(-1e9, 1e9),
    "text": st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=3),
    "booleans": st.booleans(),
}


def classes_of(column):
    values = sorted(set(column))
    return [values.index(value) for value in column]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3), st.integers(1, 9), st.data()
)
def test_classes_are_the_places_of_the_sorted_values(kinds, n, data):
    # Few distinct values, so that they come again.
    pools = [data.draw(st.lists(VALUES[kind], min_size=1, max_size=4)) for kind in kinds]
    columns = [data.draw(st.lists(st.sampled_from(pool), min_size=n, max_size=n)) for pool in pools]
    rows = [list(row) for row in zip(*columns, strict=True)]
    found = from_arrays(noise(n), rows)
    expected = [classes_of(column) for column in columns]
    assert isinstance(found, FactorDataset)
    assert table(found) == [list(row) for row in zip(*expected, strict=True)]
    assert found.factor_sizes == tuple(len(set(column)) for column in columns)


@pytest.mark.parametrize(
    "factors",
    [
        [["b", 1], ["a", 10], ["b", 9], ["a", 1], ["b", 10], ["b", 1]],
        np.array([[1, 1], [0, 10], [1, 9], [0, 1], [1, 10], [1, 1]], "uint8"),
        tf.constant([[0.5, 1], [0, 10], [0.5, 9], [0, 1], [0.5, 10], [0.5, 1]]),
        np.array(
            [[b"b", b"1"], [b"a", b"3"], [b"b", b"2"], [b"a", b"1"], [b"b", b"3"], [b"b", b"1"]]
        ),
        list(np.array([[1, 1], [0, 10], [1, 9], [0, 1], [1, 10], [1, 1]])),
        zip("babab" + "b", (1, 10, 9, 1, 10, 1), strict=True),
    ],
    ids=["lists", "integers", "floats", "bytes", "arrays", "iterator"],
)
def test_factors_may_be_arrays_and_rows_of_any_values(factors):
    data = from_arrays(noise(), factors)
    assert data.factor_names == ("factor_0", "factor_1")
    assert data.factor_sizes == (2, 3)
    assert table(data) == [[1, 0], [0, 2], [1, 1], [0, 0], [1, 2], [1, 0]]
    np.testing.assert_array_equal(images_of(data), noise())


def test_each_column_of_a_frame_keeps_its_type():
    frame = pd.DataFrame({"kind": range(6), "angle": np.linspace(0, 1, 6), "letter": [*"abcabc"]})
    data = from_arrays(noise(), frame, list(frame.columns), continuous=["angle"])
    assert list(data.continuous) == ["angle"]
    assert data.factor_sizes[::2] == (6, 3)
    large = pd.DataFrame({"id": [2**60, 2**60 + 1] * 3, "angle": np.linspace(0, 1, 6)})
    assert from_arrays(noise(), large).factor_sizes[0] == 2


@pytest.mark.parametrize(
    "factor",
    [[3, 1, 2, 1, 3, 3], np.array([30.0, 1, 2, 1, 30, 30]), list(np.array([3, 1, 2, 1, 3, 3]))],
)
def test_a_single_factor_needs_no_rows(factor):
    data = from_arrays(noise(), factor, names=["only"])
    assert data.factor_names == ("only",)
    assert table(data) == [[2], [0], [1], [0], [2], [2]]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_factors_that_count_through_all_combinations_are_a_grid(sizes):
    rows = list(itertools.product(*(range(-5, 2 * size - 5, 2) for size in sizes)))
    data = from_arrays(noise(len(rows)), rows)
    assert data.is_grid
    assert data.factor_sizes == tuple(sizes)
    assert table(data) == [list(row) for row in itertools.product(*map(range, sizes))]


def test_a_grid_gives_pairs_and_a_shuffled_one_does_not():
    rows = list(itertools.product("ab", (1, 2, 10)))
    images = noise()
    by_image = {image.tobytes(): row for image, row in zip(images, rows, strict=True)}
    ((first, second),) = from_arrays(images, rows).to_pairs(1, 16, seed=0).take(1)
    for one, other in zip(first.numpy(), second.numpy(), strict=True):
        row, other_row = by_image[one.tobytes()], by_image[other.tobytes()]
        assert (row[0] != other_row[0]) + (row[1] != other_row[1]) == 1
    order = [1, 0, 2, 3, 4, 5]
    shuffled = from_arrays(images, [rows[index] for index in order])
    assert not shuffled.is_grid
    with pytest.raises(ValueError, match="pairs need a full grid"):
        shuffled.to_pairs(1, 4)


@pytest.mark.parametrize("rows", [[(0, 0), (0, 1), (1, 0)], [(0, 0), (0, 1), (1, 0), (1, 0)]])
def test_a_grid_with_holes_is_none(rows):
    assert not from_arrays(noise(len(rows)), rows).is_grid


def test_very_many_combinations_are_no_grid():
    n = 100
    data = from_arrays(noise(n), np.random.default_rng(0).random((n, 40)), continuous=())
    assert data.factor_sizes == (n,) * 40
    assert not data.is_grid
    assert np.prod(data.factor_sizes, dtype=float) > 2.0**64


@pytest.mark.parametrize(
    ("factors", "names", "words"),
    {
        "names alone": (None, ["a"], "names need factors"),
        "too few names": (np.zeros((6, 2), int), ["a"], "2 different ones, got .'a'"),
        "too many names": (np.zeros(6, int), ["a", "b"], "1 different ones"),
        "a name twice": (np.zeros((6, 2), int), ["a", "a"], "2 different ones, got .'a', 'a'"),
        "too few rows": (np.zeros((5, 2), int), None, "for 5 images, but 6"),
        "too many rows": ([[0]] * 7, None, "for 7 images, but 6"),
        "ragged rows": ([[0, 1]] * 5 + [[0]], None, "rows of one length"),
        "no rows": ([], None, "rows of one length"),
        "no columns": (np.zeros((6, 0)), None, "at least one for each image"),
        "empty rows": ([[]] * 6, None, "at least one for each image"),
        "cubes": (np.zeros((6, 2, 2)), None, r"got \(6, 2, 2\)"),
        "a scalar": (np.array(3), None, r"got \(\)"),
        "NaN": ([1.0, 2.0, np.nan, 1.0, 2.0, 3.0], ["size"], "factor size has values that are NaN"),
        "infinite": (np.full((6, 1), -np.inf), None, "factor factor_0 has values that are NaN or"),
        "missing text": ([["a"], ["b"], [np.nan]] * 2, ["kind"], "factor kind has values that are"),
        "masked": (np.ma.masked_equal([1, 2] * 3, 2), None, "not be masked, got 3 masked values"),
        "None": ([1, 2, None, 1, 2, 3], None, "must be integers, floats or strings"),
        "dates": (np.zeros(6, "M8[s]"), None, "must be integers, floats or strings"),
        "complex": (np.zeros(6, complex), None, "must be integers, floats or strings"),
    }.values(),
)
def test_factors_that_do_not_do_are_refused(factors, names, words):
    with pytest.raises(ValueError, match=words):
        from_arrays(noise(), factors, names)
