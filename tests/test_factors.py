import itertools
import math
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from keras_betavae.datasets import FactorDataset

SHAPE = (3, 5, 1)  # 15 pixels: one bit of each image's last packed byte is padding.
SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def numbered(n, shape=(1, 2, 1)):
    """Images whose two pixels spell their own index."""
    index = np.arange(n)
    return np.stack([index // 256, index % 256], axis=-1).astype("uint8").reshape(n, *shape)


def numbers(images):
    pixels = np.asarray(images).reshape(len(images), 2).astype(int)
    return (pixels[:, 0] * 256 + pixels[:, 1]).tolist()


def grid(*sizes):
    return FactorDataset(numbered(math.prod(sizes)), [f"f{k}" for k in range(len(sizes))], sizes)


def labeled(factors, sizes):
    names = [chr(ord("a") + k) for k in range(len(sizes))]
    return FactorDataset(numbered(len(factors)), names, sizes, factors=factors)


def order_of(dataset):
    return [numbers(batch) for batch in dataset]


def flat(batches):
    return list(itertools.chain.from_iterable(batches))


# What is where.


@settings(deadline=None, max_examples=30)
@given(SIZES)
def test_grid_counts_like_an_odometer(sizes):
    data = grid(*sizes)
    expected = np.array(list(itertools.product(*map(range, sizes))))
    everything = np.arange(len(data))
    factors = data.factors_at(everything)
    np.testing.assert_array_equal(factors, expected)
    np.testing.assert_array_equal(factors.T, np.unravel_index(everything, sizes))
    np.testing.assert_array_equal(data.index_of(factors), everything)
    assert data.is_grid
    assert factors.dtype.kind == "i"


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=20))
def test_labeled_images_are_found_by_their_first_index(rows):
    data = labeled(np.array(rows), (3, 5))
    first = [rows.index(row) for row in rows]
    np.testing.assert_array_equal(data.index_of(rows), first)
    np.testing.assert_array_equal(data.factors_at(data.index_of(rows)), rows)
    assert not data.is_grid


def test_labeled_images_are_found_by_more_factors_than_an_array_has_dimensions():
    rows = np.eye(70, dtype=int)
    data = labeled(rows, (2,) * 70)
    np.testing.assert_array_equal(data.index_of(rows[::-1]), np.arange(70)[::-1])
    with pytest.raises(ValueError, match="no image has"):
        data.index_of(np.zeros((1, 70), int))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 9))
def test_packed_and_unpacked_images_are_the_same(seed, n):
    binary = np.random.default_rng(seed).integers(0, 2, (n, *SHAPE), dtype="uint8")
    packed = np.packbits(binary.reshape(n, -1), axis=-1)
    data = FactorDataset(packed, ["f"], [n], packed_shape=SHAPE)
    images = data.images_at(np.arange(n))
    assert images.dtype == np.uint8
    assert data.image_shape == SHAPE
    np.testing.assert_array_equal(images, 255 * binary)
    assert data.images_at([]).shape == (0, *SHAPE)
    assert data.factors_at([]).shape == (0, 1)


@pytest.mark.parametrize("kind", ["grid", "labeled"])
@pytest.mark.parametrize(
    ("indices", "words"),
    [
        ([-1], r"from 0 to 5, got \[-1\]"),
        (np.array([6], "uint8"), r"from 0 to 5, got \[6\]"),
        ([1.0], "integers, got float64"),
        ([[1]], r"a row of integers, got int64 \(1, 1\)"),
    ],
    ids=str,
)
def test_indices_of_no_image_are_refused(kind, indices, words):
    data = grid(2, 3) if kind == "grid" else labeled(np.zeros((6, 2), int), (2, 3))
    for method in (data.images_at, data.factors_at):
        with pytest.raises(ValueError, match=words):
            method(indices)


# Draws.


def test_sampled_indices_are_those_of_the_sampled_factors():
    data = grid(3, 4, 5)
    indices = data.sample_indices(50, seed=1)
    assert indices.shape == (50,)
    assert indices.dtype.kind == "i"
    np.testing.assert_array_equal(data.factors_at(indices), data.sample_factors(50, seed=1))
    # Labels that several images share do not say which was drawn; the indices do.
    same = labeled(np.zeros((60, 2), int), (2, 3))
    np.testing.assert_array_equal(same.sample_indices(50, seed=1), indices)
    factors, codes = same.encode_with(as_function, n=50, seed=1)
    distinct = same.sample_indices(50, seed=1, distinct=True)
    assert len(set(distinct.tolist())) == 50
    np.testing.assert_array_equal(codes[:, 1], 2.0 * distinct)
    assert not factors.any()


def test_sampled_factors_depend_on_the_seed_alone():
    data = grid(3, 4, 5)
    first = data.sample_factors(50, seed=1)
    np.random.seed(99)
    state = np.random.get_state()[1].copy()
    np.testing.assert_array_equal(data.sample_factors(50, seed=1), first)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert (data.sample_factors(50, seed=2) != first).any()


@pytest.mark.parametrize("kind", ["grid", "labeled"])
def test_sampled_factors_are_uniform_over_images(kind):
    data = grid(2, 3, 4)
    if kind == "labeled":
        data = labeled(np.stack([np.arange(24) // 8, np.arange(24) % 8], axis=1), (3, 8))
    drawn = data.index_of(data.sample_factors(24_000, seed=0))
    assert stats.chisquare(np.bincount(drawn, minlength=24)).pvalue > 1e-4


# Encoding.


class Encoder:
    def encode(self, images):
        return np.asarray(images).reshape(len(images), -1) * 2.0, "log_var"


def as_function(images):
    return np.asarray(images).reshape(len(images), -1) * 2.0


@pytest.mark.parametrize("model", [Encoder(), as_function], ids=["model", "function"])
@pytest.mark.parametrize(("n", "batch_size"), [(None, 7), (None, 1_000), (25, 10)])
def test_every_image_is_encoded_once_and_in_order(model, n, batch_size):
    data = grid(4, 6)
    factors, codes = data.encode_with(model, n=n, seed=3, batch_size=batch_size)
    np.testing.assert_array_equal(factors, data.factors_at(np.arange(24)))
    np.testing.assert_array_equal(codes[:, 1], 2.0 * np.arange(24))


def test_models_get_bytes_and_codes_keep_their_dtype():
    def model(images):
        assert (images.dtype, len(images)) == (np.uint8, 5)
        return images[:, 0].astype("float16")

    _, codes = grid(25).encode_with(model, batch_size=5)
    assert (codes.shape, codes.dtype) == ((25, 2, 1), np.float16)


def test_drawn_images_keep_their_factors():
    data = grid(12, 20)
    factors, codes = data.encode_with(as_function, n=200, seed=3, batch_size=64)
    assert len(factors) == len(codes) == 200
    np.testing.assert_array_equal(2.0 * data.index_of(factors), codes[:, 1])
    drawn = data.sample_indices(200, seed=3, distinct=True)
    np.testing.assert_array_equal(factors, data.factors_at(drawn))


# Streams.


def test_a_pass_shows_every_image_once_and_the_next_in_a_fresh_order():
    dataset = grid(30, 4).to_tf_data(16, seed=0)
    first, second = flat(order_of(dataset)), flat(order_of(dataset))
    assert sorted(first) == sorted(second) == list(range(120))
    assert first != second
    assert list(range(120)) not in (first, second)


def test_the_same_seed_gives_the_same_passes():
    data = grid(30, 4)
    one, other, third = (data.to_tf_data(16, seed=seed) for seed in (5, 5, 6))
    passes = [order_of(one) for _ in range(2)]
    np.random.seed(1)
    assert passes == [order_of(other) for _ in range(2)]
    assert order_of(third) not in passes
    assert order_of(data.to_tf_data(16)) != order_of(data.to_tf_data(16))


def test_orders_are_uniform():
    source = grid(3)._images
    counts = dict.fromkeys(itertools.permutations(range(3)), 0)
    for number in range(1_200):
        counts[tuple(source.shuffled(np.random.default_rng([0, number])).tolist())] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("n", "batch_size", "start", "drop"), [(7, 3, 4, True), (8, 4, 6, False), (5, 1, 11, False)]
)
def test_a_stream_that_starts_late_goes_on_as_an_unbroken_one(shuffle, n, batch_size, start, drop):
    options = {"seed": 7, "repeat": True, "drop_remainder": drop, "shuffle": shuffle}
    data = grid(n)
    whole = order_of(data.to_tf_data(batch_size, **options).take(start + 12))
    late = data.to_tf_data(batch_size, start_step=start, **options)
    assert order_of(late.take(12)) == whole[start:]


def test_without_shuffling_images_come_in_order_every_time():
    dataset = grid(10).to_tf_data(4, shuffle=False)
    for _ in range(2):
        assert order_of(dataset) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("drop", [False, True])
def test_the_remainder_is_kept_or_dropped_as_asked(drop):
    dataset = grid(10).to_tf_data(4, drop_remainder=drop)
    assert [len(batch) for batch in dataset] == ([4, 4] if drop else [4, 4, 2])
    assert dataset.cardinality() == (2 if drop else 3)
    assert grid(10).to_tf_data(4, repeat=True).cardinality() == tf.data.INFINITE_CARDINALITY
    assert dataset.element_spec == tf.TensorSpec((4 if drop else None, 1, 2, 1), "uint8")


def test_a_pass_allocates_far_less_than_the_data():
    packed = np.zeros((8_000, 512), "uint8")  # 4 MB packed, 32 MB unpacked, 128 MB as floats
    data = FactorDataset(packed, ["f"], [8_000], packed_shape=(64, 64, 1))
    tracemalloc.start()
    try:
        n = sum(len(batch) for batch in data.to_tf_data(64, seed=0))
        data.encode_with(lambda x: x.mean(axis=(1, 2)), batch_size=64)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n == 8_000
    assert peak < 8e6


# Bad input.

IMAGES = np.zeros((6, 2, 2, 1), "uint8")


@pytest.mark.parametrize(
    ("options", "words"),
    {
        "too few images": ({"images": IMAGES[:5]}, "6 images, but 5"),
        "no images": (
            {"images": IMAGES[:0], "factors": np.zeros((0, 2), int)},
            "at least one image",
        ),
        "floats": ({"images": IMAGES.astype("float64")}, "uint8 or float32, got float64"),
        "one name twice": ({"factor_names": ("a", "a")}, "factor_names must differ"),
        "no channels": ({"images": IMAGES[..., 0]}, r"channels\), got \(6, 2, 2\)"),
        "missing name": ({"factor_names": ("a",)}, "pair up"),
        "no factors": ({"factor_names": (), "factor_sizes": ()}, "factor"),
        "size 0": ({"factor_sizes": (6, 0)}, "at least 1"),
        "float factors": ({"factors": np.zeros((6, 2))}, "integers .* float64"),
        "flat factors": ({"factors": np.zeros(6, int)}, r"shape \(n, 2\)"),
        "factors of other number": ({"factors": np.zeros((6, 3), int)}, r"shape \(n, 2\)"),
        "factors of other length": ({"factors": np.zeros((5, 2), int)}, "5 images, but 6"),
        "factor too large": ({"factors": np.full((6, 2), 2)}, "below their sizes"),
        "factor below 0": ({"factors": np.full((6, 2), -1)}, "from 0"),
        "packed otherwise": (
            {"images": np.zeros((6, 3), "uint8"), "packed_shape": (4, 4, 1)},
            r"\(n, 2\), got \(6, 3\)",
        ),
        "packed floats": (
            {"images": np.zeros((6, 2)), "packed_shape": (4, 4, 1)},
            "uint8, got float64",
        ),
    }.values(),
)
def test_what_does_not_fit_together_is_refused(options, words):
    fitting = {"images": IMAGES, "factor_names": ("a", "b"), "factor_sizes": (2, 3)}
    with pytest.raises(ValueError, match=words):
        FactorDataset(**{**fitting, **options})


@pytest.mark.parametrize("factors", [[[0, 3]], [[-1, 0]], [[0.0, 1.0]], [0, 1], [[0]]])
def test_index_of_refuses_what_is_no_combination(factors):
    with pytest.raises(ValueError, match="factors must be"):
        grid(2, 3).index_of(factors)


def test_index_of_names_the_combination_that_has_no_image():
    with pytest.raises(ValueError, match=r"no image has the factors \[1, 1\]"):
        labeled(np.array([[0, 0], [2, 1]]), (3, 2)).index_of([[2, 1], [1, 1]])


def test_numbers_out_of_range_are_refused():
    data = grid(10)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        data.sample_factors(0, seed=0)
    with pytest.raises(ValueError, match="n must be at least 1, got -1"):
        data.sample_indices(-1, seed=0)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        data.encode_with(as_function, n=0)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        data.encode_with(as_function, batch_size=0)
    with pytest.raises(ValueError, match="batch_size must be between 1 and 10 images, got 0"):
        data.to_tf_data(0)
    with pytest.raises(ValueError, match="batch_size must be between 1 and 10 images, got 11"):
        data.to_tf_data(11, drop_remainder=True)
    with pytest.raises(ValueError, match="start_step needs repeat=True"):
        data.to_tf_data(4, start_step=3)
    with pytest.raises(ValueError, match="start_step"):
        data.to_tf_data(4, repeat=True, start_step=-1)
