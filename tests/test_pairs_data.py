"""Streams of pairs and of partly labeled images."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_betavae.datasets import FactorDataset

SIZES = (3, 1, 4, 2, 5)
VARYING = [0, 2, 3, 4]
NAMES = "abcde"


def numbered(n):
    """Images whose two pixels spell their own index."""
    index = np.arange(n)
    return np.stack([index // 256, index % 256], axis=-1).astype("uint8").reshape(n, 1, 2, 1)


def numbers(images):
    pixels = np.asarray(images).reshape(len(images), 2).astype(int)
    return pixels[:, 0] * 256 + pixels[:, 1]


def grid(*sizes):
    return FactorDataset(numbered(math.prod(sizes)), NAMES[: len(sizes)], sizes)


def labeled(n=60, sizes=(7, 9)):
    factors = np.stack([np.arange(n) % size for size in sizes], axis=-1)
    return FactorDataset(numbered(n), NAMES[: len(sizes)], sizes, factors=factors)


def combinations_of(indices, sizes):
    return np.array(list(itertools.product(*map(range, sizes))))[indices]


def pairs(n, k_changed, seed=0, sizes=SIZES):
    """Factors of the first and of the second images."""
    drawn = grid(*sizes).sample_pairs(n, k_changed, seed)
    return [combinations_of(indices, sizes) for indices in drawn]


def assert_frequencies(values, expected):
    """Checks that each value is as frequent as expected, within 4 standard errors."""
    counts = Counter(values)
    assert set(counts) <= set(expected)
    for value, p in expected.items():
        error = math.sqrt(p * (1 - p) / len(values))
        assert counts[value] / len(values) == pytest.approx(p, abs=4 * error)


def uniform(values):
    return dict.fromkeys(values, 1 / len(values))


# Pairs.


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5).filter(lambda sizes: max(sizes) > 1),
    st.integers(0, 2**32),
    st.data(),
)
def test_exactly_k_factors_change(sizes, seed, data):
    k = data.draw(st.integers(1, sum(size > 1 for size in sizes)))
    first, second = pairs(20, k, seed, sizes)
    assert ((first != second).sum(axis=1) == k).all()
    assert (first != second)[:, np.array(sizes) == 1].sum() == 0


@pytest.mark.parametrize("k", [1, 2, 3, None])
def test_every_varying_factor_changes_equally_often(k):
    n = 8_000
    first, second = pairs(n, k)
    changed = first != second
    p = (2 if k is None else k) / 4
    assert not changed[:, 1].any()
    error = math.sqrt(p * (1 - p) / n)
    np.testing.assert_allclose(changed[:, VARYING].mean(axis=0), p, atol=4 * error)
    for one in (1, 2, 3):
        subsets = [tuple(np.flatnonzero(row)) for row in changed if row.sum() == one]
        if subsets:
            assert_frequencies(subsets, uniform(list(itertools.combinations(VARYING, one))))


@pytest.mark.parametrize("k", [1, 4])
def test_changed_values_are_uniform_over_the_others(k):
    first, second = pairs(20_000, k, seed=1)
    for j in VARYING:
        for old in range(SIZES[j]):
            chosen = (first[:, j] == old) & (first != second)[:, j]
            others = [value for value in range(SIZES[j]) if value != old]
            assert_frequencies(second[chosen, j], uniform(others))


def test_changed_values_are_independent():
    first, second = pairs(12_000, 2, sizes=(3, 4))
    shifts = (second - first) % (3, 4)
    expected = uniform(list(itertools.product((1, 2), (1, 2, 3))))
    assert_frequencies([tuple(row) for row in shifts.tolist()], expected)


@pytest.mark.parametrize("k", [1, 3, None])
def test_both_images_are_uniform(k):
    first, second = grid(2, 3, 4).sample_pairs(12_000, k, seed=0)
    assert_frequencies(first, uniform(range(24)))
    assert_frequencies(second, uniform(range(24)))


@pytest.mark.parametrize(
    ("sizes", "ks"), [(SIZES, (1, 2, 3)), ((2, 1, 2), (1,)), ((3, 3, 3), (1, 2))]
)
def test_no_k_draws_it_for_each_pair(sizes, ks):
    first, second = pairs(6_000, None, sizes=sizes)
    assert_frequencies((first != second).sum(axis=1), uniform(ks))


def test_sampled_pairs_depend_on_the_seed_alone():
    data = grid(*SIZES)
    one = data.sample_pairs(50, None, seed=1)
    np.random.seed(99)
    state = np.random.get_state()[1].copy()
    np.testing.assert_array_equal(data.sample_pairs(50, None, seed=1), one)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    other = data.sample_pairs(50, None, seed=2)
    assert (other[0] != one[0]).any()
    assert [indices.shape for indices in one] == [(50,), (50,)]
    assert all(indices.dtype.kind == "i" for indices in one)


def test_streamed_pairs_are_uniform_within_and_across_batches():
    batches = list(grid(2, 3).to_pairs(1, 24, seed=3).take(100))
    first = np.concatenate([numbers(one) for one, _ in batches])
    second = np.concatenate([numbers(other) for _, other in batches])
    neighbors = [
        (i, j)
        for i, j in itertools.product(range(6), repeat=2)
        if (combinations_of(i, (2, 3)) != combinations_of(j, (2, 3))).sum() == 1
    ]
    # Half of the changes are of the first factor, which has one other value, not two.
    expected = {(i, j): (1 / 2 if abs(i - j) == 3 else 1 / 4) / 6 for i, j in neighbors}
    assert_frequencies(list(zip(first.tolist(), second.tolist(), strict=True)), expected)
    assert len({tuple(numbers(one)) for one, _ in batches}) == 100


# Few labels.


@pytest.mark.parametrize("data", [grid(*SIZES), labeled()], ids=["grid", "labeled"])
@pytest.mark.parametrize(("n_drawn", "expected"), [(None, 5), (1, 1), (11, 11)])
def test_some_images_of_a_batch_have_their_labels_and_the_others_none(data, n_drawn, expected):
    stream, places = data.to_partly_labeled(20, 11, seed=0, labeled_per_batch=n_drawn), set()
    for images, factors in stream.take(5):
        own, has_labels = data.factors_at(numbers(images)), factors[:, 0].numpy() >= 0
        assert has_labels.sum() == expected
        np.testing.assert_array_equal(factors[has_labels], own[has_labels])
        np.testing.assert_array_equal(factors[~has_labels], np.full_like(own[~has_labels], -1))
        assert len(set(numbers(images)[has_labels])) == expected  # Each at most once.
        places.add(tuple(has_labels))
    assert len(places) > 1 or expected == 11


def split(batches):
    """The indices of the images with labels and of the others."""
    drawn = [(numbers(images), factors[:, 0].numpy() >= 0) for images, factors in batches]
    return tuple(np.concatenate([n[has == yes] for n, has in drawn]) for yes in (True, False))


@pytest.mark.parametrize("data", [labeled(24)], ids=["labeled"])
def test_labeled_images_are_a_fixed_subset_and_the_others_any(data):
    stream = data.to_partly_labeled(6, 30, seed=0, labeled_per_batch=12)
    first, others = split(stream.take(200))
    subset = sorted(set(first.tolist()))
    assert len(subset) == 6
    assert_frequencies(first, uniform(subset))
    assert_frequencies(others, uniform(range(24)))
    again, _ = split(stream.take(5))
    np.testing.assert_array_equal(again, first[: len(again)])
    late = data.to_partly_labeled(6, 16, seed=0, labeled_per_batch=16, start_step=1_000)
    assert sorted(set(split(late.take(20))[0].tolist())) == subset


def test_subsets_are_uniform_and_differ_between_seeds():
    data = grid(4_000)
    subsets = []
    for seed in range(3):
        (batch,) = data.to_partly_labeled(1_000, 20_000, seed, labeled_per_batch=20_000).take(1)
        subsets.append(set(numbers(batch[0])))
        assert len(subsets[-1]) == 1_000
        assert_frequencies([index // 500 for index in subsets[-1]], uniform(range(8)))
    for one, other in itertools.combinations(subsets, 2):
        assert len(one & other) == pytest.approx(250, abs=4 * math.sqrt(1_000 * 3 / 16))


# Both.

STREAMS = {
    "pairs": lambda data, *args, **options: data.to_pairs(None, *args, **options),
    "labels": lambda data, *args, **options: data.to_partly_labeled(9, *args, **options),
}
both = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)


def contents(dataset):
    return [[part.numpy().tolist() for part in batch] for batch in dataset]


@both
def test_a_stream_that_starts_late_goes_on_as_an_unbroken_one(stream):
    data = grid(*SIZES)
    whole = contents(stream(data, 3, seed=7).take(11))
    late = stream(data, 3, seed=7, start_step=7)
    assert contents(late.take(4)) == whole[7:]


@both
def test_the_same_seed_gives_the_same_stream(stream):
    data = grid(*SIZES)
    one, other, third = (contents(stream(data, 8, seed).take(4)) for seed in (5, 5, 6))
    assert one == other
    assert all(batch not in one for batch in third)
    assert contents(stream(data, 8).take(4)) != contents(stream(data, 8).take(4))
    unseeded = stream(data, 8)
    assert contents(unseeded.take(4)) == contents(unseeded.take(4))


@both
def test_streams_are_endless_and_of_known_shape(stream):
    data = grid(*SIZES)
    dataset = stream(data, 8)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    images = tf.TensorSpec((8, 1, 2, 1), "uint8")
    labels = tf.TensorSpec((8, 5), "int32")
    assert dataset.element_spec == (images, images if stream is STREAMS["pairs"] else labels)


# Bad input.


@pytest.mark.parametrize(
    ("sizes", "k_changed", "words"),
    [
        (SIZES, 0, "k_changed must be from 1 to the 4 varying factors, got 0"),
        (SIZES, 5, "from 1 to the 4 varying factors, got 5"),
        ((1, 1), 1, "the 0 varying factors, got 1"),
        ((1, 3), None, "k_changed=None needs at least 2 varying factors, got 1"),
        (None, 1, "pairs need a full grid"),
    ],
)
def test_pairs_that_cannot_be_drawn_are_refused(sizes, k_changed, words):
    data = labeled() if sizes is None else grid(*sizes)
    with pytest.raises(ValueError, match=words):
        data.sample_pairs(3, k_changed, seed=0)
    with pytest.raises(ValueError, match=words):
        data.to_pairs(k_changed, 3)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        grid(*SIZES).sample_pairs(0, 1, seed=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_labeled": 0}, "n_labeled must be from 1 to 120, got 0"),
        ({"n_labeled": 121}, "n_labeled must be from 1 to 120, got 121"),
        ({"labeled_per_batch": 0}, "labeled_per_batch must be from 1 to 4, got 0"),
        ({"labeled_per_batch": 5}, "labeled_per_batch must be from 1 to 4, got 5"),
        ({"batch_size": 1}, "labeled_per_batch must be from 1 to 1, got 0"),
    ],
)
def test_numbers_of_labels_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        grid(*SIZES).to_partly_labeled(**{"n_labeled": 9, "batch_size": 4, **options})


@both
def test_streams_of_no_batches_are_refused(stream):
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        stream(grid(*SIZES), 0)
    with pytest.raises(ValueError, match="start_step must be at least 0, got -1"):
        stream(grid(*SIZES), 4, start_step=-1)
