import itertools

import numpy as np
import pytest
from scipy import stats

from keras_betavae.metrics import irs_score


def grid(*sizes):
    """All combinations of factors, once each."""
    return np.array(list(itertools.product(*map(range, sizes))))


def signs(factors):
    """Two values as -1 and 1."""
    return 2.0 * factors - 1


# Closed forms, on complete grids.


@pytest.mark.parametrize("degrees", [0, 30, 45])
def test_a_rotation_of_two_factors(degrees):
    # Factors of -1 and 1, codes c a + s b and c b - s a. The largest deviation of each is
    # |c| + |s|; with a fixed, the first is off its mean by |s| always, with b fixed by |c|.
    # The better of both leaves 1 - min(|c|, |s|) / (|c| + |s|), and so for the second.
    factors = grid(2, 2)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    codes = signs(factors) @ np.array([[c, -s], [s, c]])
    expected = max(abs(c), abs(s)) / (abs(c) + abs(s))
    assert irs_score(factors, codes) == pytest.approx(expected, abs=1e-12)


def test_the_quantile_is_over_the_images_that_share_a_value():
    # With a of 3 values fixed, a + b / 100 is off by |b - 50| / 100, b from 0 to 100: 0, then
    # twice each of 0.01 ... 0.50. Of these 101, ranks from 0, the quantile 0.9 is that of
    # rank 90, which is 0.45, and 0.5 that of rank 50, which is 0.25. The code is 1.5 off its
    # mean at the most.
    factors = grid(3, 101)
    codes = factors @ np.array([[1.0], [0.01]])
    for quantile, moved in ((0.5, 0.25), (0.9, 0.45), (1.0, 0.5)):
        score = irs_score(factors, codes, quantile=quantile, n_bins=None)
        assert score == pytest.approx(1 - moved / 1.5)


@pytest.mark.parametrize("weight", [0.25, 30.0])
def test_codes_are_weighted_by_their_largest_deviation(weight):
    # Codes w a and a + b of factors -1 and 1: the first scores 1 and deviates by w, the
    # second scores 1/2 and deviates by 2.
    factors = grid(2, 2)
    a, b = signs(factors).T
    codes = np.stack([weight * a, a + b], axis=1)
    assert irs_score(factors, codes) == pytest.approx((weight * 1 + 2 * 1 / 2) / (weight + 2))
    # All codes rescaled alike score as before. Powers of two do not round.
    assert irs_score(factors, 2.0**-20 * codes) == irs_score(factors, codes)


def test_twenty_bins_take_two_orientations_for_one():
    # 40 values in 20 bins of width 39 / 20: bin i holds 2 i and 2 i + 1 (2 i + 1 is below
    # 1.95 (i + 1) for i < 19, and 2 i is above 1.95 i). Both are 1/2 off their mean, of 39 / 2
    # at the most: 1 - 1/39, the documented 0.974.
    factors = grid(40, 3)
    orientation = factors[:, :1].astype(float)
    assert irs_score(factors, orientation, n_bins=None) == 1.0
    assert irs_score(factors, orientation, n_bins=20) == pytest.approx(1 - 1 / 39)
    assert round(irs_score(factors, orientation), 3) == 0.974
    assert irs_score(factors, orientation, n_bins=40) == 1.0
    # One bin fixes nothing: the largest deviation is that of the quantile 1.
    assert irs_score(factors, orientation, n_bins=1, quantile=1.0) == pytest.approx(0.0)
    # Up to 20 values have bins of their own.
    few = grid(20, 3)
    assert irs_score(few, few[:, :1].astype(float), n_bins=20) == 1.0


def test_noise_scores_what_its_tails_are():
    # Of uniform noise from -1/2 to 1/2 the quantile 0.99 of deviations is 0.495, of the
    # largest 0.5: 0.01. Of normal noise it is 2.576, of the largest of 10,000, about 4.
    rng = np.random.default_rng(0)
    factors = rng.integers(0, (3, 4, 5), (10_000, 3))
    # With 2,000 images per value and more, a quantile of uniform noise is known to 0.0012
    # and its share of 0.5 to 0.0024, of which the best of three factors' is taken.
    assert irs_score(factors, rng.random((10_000, 5))) == pytest.approx(0.01, abs=0.008)
    normal = rng.normal(size=(10_000, 5))
    largest = np.abs(normal - normal.mean(axis=0)).max(axis=0)
    expected = np.sum(largest - stats.norm.ppf(0.995)) / largest.sum()
    score = irs_score(factors, normal)
    assert score == pytest.approx(expected, abs=0.04)
    assert score == pytest.approx(0.4, abs=0.1)  # As documented.


def test_a_code_that_its_factors_leave_less_certain_counts_as_0():
    # Group means 1/3 and -1/3, of all 0: 4/3 off within, 1 off at the most. 1 - 4/3 is below 0.
    factors = np.array([[0], [0], [0], [1], [1], [1]])
    skewed = np.array([[1.0], [1.0], [-1.0], [-1.0], [-1.0], [1.0]])
    assert irs_score(factors, skewed, quantile=1.0) == 0.0
    # The factor itself beside it scores 1 and deviates by 3 to 1.
    both = np.concatenate([skewed, 3 * signs(factors)], axis=1)
    assert irs_score(factors, both, quantile=1.0) == pytest.approx(3 / 4)


# Against the definition, in loops.


def bin_by_hand(value, largest, n_bins):
    """Of classes from 0 to largest, in whole numbers."""
    return min(value * n_bins // largest, n_bins - 1)


def irs_by_hand(factors, codes, quantile, n_bins):
    scores, weights = [], []
    for code in codes.T:
        largest = max(abs(z - np.mean(code)) for z in code)
        if max(code) == min(code):
            continue
        by_factor = []
        for column in factors.T:
            classes = [sorted(set(column.tolist())).index(value) for value in column.tolist()]
            if n_bins is not None:
                classes = [bin_by_hand(c, max(classes), n_bins) for c in classes]
            moved = []
            for value in sorted(set(classes)):
                group = [z for z, c in zip(code, classes, strict=True) if c == value]
                deviations = [abs(z - np.mean(group)) for z in group]
                moved.append(np.percentile(deviations, 100 * quantile))
            by_factor.append(1 - np.mean(moved) / largest)
        scores.append(max(0.0, *by_factor))
        weights.append(largest)
    return np.dot(scores, weights) / sum(weights)


@pytest.mark.parametrize("quantile", [0.3, 0.99, 1.0])
@pytest.mark.parametrize("n_bins", [None, 1, 20])
def test_the_score_is_that_of_a_loop(quantile, n_bins):
    rng = np.random.default_rng(0)
    factors = rng.integers(0, (2, 7, 40), (200, 3))
    # Values need not count from 0, nor without gaps.
    named = factors * [3, -2, 1] + [0, 5, 100]
    mixed = factors @ rng.normal(size=(3, 2)) + 0.5 * rng.normal(size=(200, 2))
    codes = np.concatenate([mixed, factors[:, 2:] / 40, np.full((200, 1), 0.3)], axis=1)
    codes = np.concatenate([codes, rng.exponential(size=(200, 1))], axis=1)
    expected = irs_by_hand(named, codes, quantile, n_bins)
    score = irs_score(named, codes, quantile=quantile, n_bins=n_bins)
    assert score == pytest.approx(expected, abs=1e-12)
    assert score < 0.99
    # One bin fixes nothing, and the maximum is the largest deviation itself.
    assert score == pytest.approx(0.0) if n_bins == quantile == 1 else score > 0.01


# The samples drawn.


def test_n_samples_are_drawn_without_replacement():
    # 50 images of each value but for one outlier. All of them: seen. Of 99 of 100 images,
    # each must be another one, so the score is that of one image left out.
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(0, 2, (100, 2)), rng.normal(size=(100, 2))
    left_out = [irs_score(np.delete(factors, i, 0), np.delete(codes, i, 0)) for i in range(100)]
    for seed in range(5):
        score = irs_score(factors, codes, n_samples=99, seed=seed)
        assert np.abs(np.array(left_out) - score).min() < 1e-12
    everything = irs_score(factors, codes, n_samples=100)
    assert everything == irs_score(factors, codes, n_samples=10_000, seed=1)
    assert np.abs(np.array(left_out) - everything).min() > 1e-12


# Bad input.

GOOD = np.arange(12.0).reshape(6, 2)
CLASSES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]])


@pytest.mark.parametrize(
    ("factors", "codes", "options", "words"),
    [
        (CLASSES, GOOD, {"n_samples": 1}, "factor 0 has one value"),
        (CLASSES, GOOD, {"n_samples": 0}, "n_samples must be at least 1, got 0"),
        (CLASSES, GOOD, {"n_bins": 0}, "n_bins must be at least 1, got 0"),
        (CLASSES, GOOD, {"n_bins": -2}, "n_bins must be at least 1, got -2"),
        (CLASSES, GOOD, {"quantile": 0.0}, "quantile must be above 0 and at most 1, got 0.0"),
        (CLASSES, GOOD, {"quantile": -0.5}, "quantile must be above 0"),
        (CLASSES, GOOD, {"quantile": 1.01}, "at most 1, got 1.01"),
        (CLASSES, GOOD, {"quantile": np.nan}, "quantile must be above 0 and at most 1, got nan"),
    ],
)
def test_bad_input_is_refused(factors, codes, options, words):
    with pytest.raises(ValueError, match=words):
        irs_score(factors, codes, **options)
