from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from keras_betavae.metrics import beta_vae_score, factor_vae_score, intervention

QUICK = {"n_per_vote": 16, "n_train": 1_000, "n_test": 1_000}


def drawn_factors(sizes, n, seed=0):
    return np.random.default_rng(seed).integers(0, sizes, (n, len(sizes)))


def standard_error(share, n):
    """Of a share of n independent draws."""
    return np.sqrt(share * (1 - share) / n)


FACTORS = drawn_factors((4, 5, 6), 600)
# Three factors in two codes, so that some votes go astray. Multiples of 1/8, which float32
# and a mean of 4,096 hold exactly.
MIXTURE = np.array([[1.0, 0.25], [0.5, 0.875], [0.125, 0.375]])
MIXED = FACTORS @ MIXTURE


# Closed forms. Within images that share factor k, a code that depends on k alone has variance
# 0 and wins the vote; all 64 images agree in a second factor by a chance below 2 ** -60.


@pytest.mark.parametrize(("degrees", "expected"), [(10, 1.0), (40, 1.0), (50, 1.0), (45, 0.5)])
def test_a_rotation_scores_one_but_at_45_degrees(degrees, expected):
    # Codes c a + s b and c b - s a. Sharing a, both vary as b does, by shares s² and c² of
    # their variances. The smaller tells the factor; at 45 degrees both are one half, the
    # variances over all images decide for one code whatever is shared, and the majority is
    # right about every second vote.
    factors = drawn_factors((5, 5), 5_000)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    codes = factors @ np.array([[c, -s], [s, c]])
    score = factor_vae_score(factors, codes, n_train=1_000, n_test=4_000)
    assert score == pytest.approx(expected, abs=4 * standard_error(expected, 4_000))


def test_two_factors_in_one_code_are_told_from_the_third_alone():
    # Codes a + b and c, three factors of four values. Sharing a or b: the first varies by a
    # half of its variance, the second by about all. So the first wins for two factors, of
    # which one is right: 1/3 + 1/3 of the votes. A standard error of a variance of 64 draws
    # is about a tenth of it, and the second wins by chance in fewer than 1 of 1,000 votes.
    factors = drawn_factors((4, 4, 4), 2_000)
    codes = np.stack([factors[:, 0] + factors[:, 1], factors[:, 2]], axis=1)
    score = factor_vae_score(factors, codes, n_test=5_000)
    assert score == pytest.approx(2 / 3, abs=4 * standard_error(2 / 3, 5_000) + 1e-3)


# Against independent implementations.


def majority_by_hand(votes):
    """The most frequent factor of each code, the first of equals."""
    counters = defaultdict(Counter)
    for factor, code in votes:
        counters[code][factor] += 1
    return {
        code: min(counter, key=lambda k: (-counter[k], k)) for code, counter in counters.items()
    }


def accuracy_by_hand(votes, majority):
    return sum(majority.get(code, 0) == factor for factor, code in votes) / len(votes)


def fresh_votes_score(encode, sizes, *, n_per_vote, n_train, n_test, seed):
    """The definition: the images of every vote are rendered for it."""
    rng = np.random.default_rng(seed)
    variance = np.var(encode(rng.integers(0, sizes, (100_000, len(sizes))), rng), axis=0)
    votes = []
    for k in rng.integers(len(sizes), size=n_train + n_test).tolist():
        images = rng.integers(0, sizes, (n_per_vote, len(sizes)))
        images[:, k] = images[0, k]
        votes.append((k, int(np.argmin(encode(images, rng).var(axis=0) / variance))))
    return accuracy_by_hand(votes[n_train:], majority_by_hand(votes[:n_train]))


@pytest.mark.slow
def test_6000_images_score_as_fresh_images_do():
    """Of 40 values each has some 150 images, of which a vote takes 64."""
    sizes, n_tables = (3, 6, 40, 32, 32), 8
    mixture = np.linalg.qr(np.random.default_rng(4).normal(size=(5, 5)))[0] + 1.2 * np.eye(5)

    def encode(factors, rng):
        noise = 0.05 * rng.normal(size=factors.shape)
        return (factors / np.array(sizes) - 0.5) @ mixture + noise

    votes = {"n_per_vote": 64, "n_train": 4_000, "n_test": 2_000}
    scores, expected = [], []
    for seed in range(n_tables):
        table = drawn_factors(sizes, 6_000, seed)
        codes = encode(table, np.random.default_rng(seed + 50))
        scores.append(factor_vae_score(table, codes, seed=seed, **votes))
        expected.append(fresh_votes_score(encode, sizes, seed=seed + 100, **votes))
    error = np.sqrt((np.var(scores, ddof=1) + np.var(expected, ddof=1)) / n_tables)
    assert 0.6 < np.mean(expected) < 0.97
    assert abs(np.mean(scores) - np.mean(expected)) < 2 * error
    assert error < 0.01


@pytest.mark.parametrize("seed", range(2))
def test_votes_are_counted_as_a_loop_counts_them(seed):
    n_train, n_test, n_per_vote = 60, 300, 5
    rng = np.random.default_rng(seed)
    codes = np.concatenate([MIXED, rng.normal(size=(600, 3))], axis=1) * [1, 1, 5, 0.3, 1]
    options = {"n_per_vote": n_per_vote, "n_train": n_train, "n_test": n_test}
    score = factor_vae_score(FACTORS, codes, seed=seed, **options)

    # The same images, by the same generator.
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n_train + n_test)
    groups = intervention._draw_groups(FACTORS, labels, n_per_vote, rng)
    variance = [np.var(column, ddof=1) for column in codes.T]
    votes = []
    for k, images in zip(labels, groups, strict=True):
        ratios = [np.var(codes[images, j], ddof=1) / variance[j] for j in range(5)]
        votes.append((int(k), ratios.index(min(ratios))))
    assert score == accuracy_by_hand(votes[n_train:], majority_by_hand(votes[:n_train]))
    assert 0.3 < score < 0.9


# The images of a vote.


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(5, 60), st.integers(1, 4))
def test_the_images_of_a_vote_share_their_factor_and_are_distinct(seed, n_samples, n_factors):
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, 4, (n_samples, n_factors))  # Two of five share one of four values.
    labels = rng.integers(n_factors, size=20)
    groups = intervention._draw_groups(factors, labels, 7, rng)
    assert groups.shape == (20, 7)
    assert 0 <= groups.min() <= groups.max() < n_samples
    for k, images in zip(labels, groups, strict=True):
        (value,) = set(factors[images, k])
        if np.sum(factors[:, k] == value) >= 7:
            assert len(set(images.tolist())) == 7


def test_values_come_up_as_often_as_they_occur_and_their_images_alike():
    # Values of four, three and two images, two of which are drawn.
    factors = np.array([[0], [1], [0], [2], [0], [1], [0], [2], [1]])
    groups = intervention._draw_groups(factors, np.zeros(20_000, int), 2, np.random.default_rng(0))
    values = factors[groups[:, 0], 0]
    law = np.array([4, 3, 2]) / 9
    assert stats.chisquare(np.bincount(values), 20_000 * law).pvalue > 1e-4
    for value in range(2):
        sharers = np.flatnonzero(factors[:, 0] == value)
        joint = np.zeros((9, 9))
        np.add.at(joint, tuple(np.sort(groups[values == value], axis=1).T), 1)
        pairs = joint[np.ix_(sharers, sharers)][np.triu_indices(len(sharers), 1)]
        assert pairs.sum() == joint.sum()
        assert stats.chisquare(pairs).pvalue > 1e-4


@pytest.mark.parametrize("block_values", [1, 17, 100, 2**24])
def test_the_least_varying_code_is_that_of_a_loop(monkeypatch, block_values):
    monkeypatch.setattr(intervention, "_BLOCK_VALUES", block_values)
    rng = np.random.default_rng(0)
    codes, groups = rng.normal(size=(30, 4)), rng.integers(30, size=(11, 5))
    expected = [int(np.argmin([np.var(codes[g, j]) for j in range(4)])) for g in groups]
    assert intervention._least_varying(codes, groups).tolist() == expected
    assert len(set(expected)) > 1


# Codes that take no part.


def test_dead_codes_never_win():
    rng = np.random.default_rng(0)
    dead = np.stack([np.zeros(600), np.full(600, 0.1), 1e-3 * rng.normal(size=600)], axis=1)
    expected = factor_vae_score(FACTORS, MIXED, **QUICK)
    codes = np.concatenate([dead, MIXED, dead], axis=1)
    assert 0.5 < expected < 1.0
    assert factor_vae_score(FACTORS, codes, **QUICK) == expected
    # Constant codes take no part whatever the threshold.
    assert factor_vae_score(FACTORS, codes[:, [0, 1, 3, 4]], min_std=0.0, **QUICK) == expected


def test_a_code_takes_part_from_min_std_on():
    # Codes a and b. Without a, the only code wins all votes and one half of them are right.
    factors = drawn_factors((4, 4), 1_000)
    unit = factors / factors.std(axis=0)
    options = {"n_train": 500, "n_test": 1_000}

    def score(std, **more):
        return factor_vae_score(factors, unit * [std, 1.0], **options, **more)

    chance = pytest.approx(1 / 2, abs=4 * standard_error(1 / 2, 1_000))
    assert score(0.0499) == chance
    assert score(0.0501) == 1.0
    assert score(0.0499, min_std=0.04) == 1.0
    assert score(1e-6, min_std=0.0) == 1.0
    assert score(0.5, min_std=0.6) == chance


def test_without_an_active_code_the_score_is_0():
    for codes in (np.zeros((600, 3)), np.full((600, 1), 0.1), 1e-3 * MIXED):
        score = factor_vae_score(FACTORS, codes, **QUICK)
        assert score == 0.0
        assert type(score) is float
    assert factor_vae_score(FACTORS, np.full((600, 2), 0.1), min_std=0.0, **QUICK) == 0.0


def test_a_large_mean_does_not_drown_the_variance_in_float32():
    # At 2 ** 20 neighbors in float32 are 1/8 apart: the codes are exact, their squares not.
    expected = factor_vae_score(FACTORS, MIXED, **QUICK)
    moved = (MIXED + 2.0**20).astype("float32")
    np.testing.assert_array_equal(moved.astype(float) - 2.0**20, MIXED)
    assert factor_vae_score(FACTORS, moved, **QUICK) == expected
    # In float64 neighbors at 2 ** 40 are 2 ** -12 apart, in float32 2 ** 17.
    assert factor_vae_score(FACTORS, MIXED + 2.0**40, **QUICK) == expected
    # A dead code stays dead.
    dead = np.full((600, 1), 2.0**20 + 1 / 8, "float32")
    with_dead = np.concatenate([dead, moved], axis=1)
    assert factor_vae_score(FACTORS, with_dead, **QUICK) == expected


# What must not matter, and what does.


# Bad input.

GOOD = np.arange(12.0).reshape(6, 2)
CLASSES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]])
ALONE = np.array([[0, 0], [0, 1], [1, 2], [1, 3], [2, 4], [2, 5]])  # One image of each [_, k].


@pytest.mark.parametrize(
    ("factors", "codes", "options", "words"),
    [
        (CLASSES[[0, 0, 0]], GOOD[:3], {}, "factor 0 has one value"),
        (ALONE, GOOD, {}, "factor 1 has no two images "),
        (ALONE[:, ::-1], GOOD, {}, "factor 0 has no two images "),
        (CLASSES[:, :1], GOOD, {}, "needs at least (two|2), got 1"),
        (CLASSES, GOOD, {"n_per_vote": 1}, "n_per_vote must be at least"),
        (CLASSES, GOOD, {"n_per_vote": 0}, "n_per_vote must be at least"),
        (CLASSES, GOOD, {"n_train": 0}, "n_train must be at least 1, got 0"),
        (CLASSES, GOOD, {"n_test": -1}, "n_test must be at least 1, got -1"),
    ],
)
def test_bad_input_is_refused(factors, codes, options, words):
    with pytest.raises(ValueError, match=words):
        factor_vae_score(factors, codes, **options)


@pytest.mark.parametrize("min_std", [-1.0, np.nan])
def test_a_min_std_out_of_range_is_refused(min_std):
    with pytest.raises(ValueError, match="min_std"):
        factor_vae_score(CLASSES, GOOD, min_std=min_std, n_train=10, n_test=10)


@pytest.mark.parametrize("score", [factor_vae_score, beta_vae_score])
def test_an_image_of_a_value_of_its_own_changes_little(score):
    factors = np.stack(np.meshgrid(range(8), range(8)), -1).reshape(-1, 2)
    factors = np.concatenate([factors, [[8, 3]]])
    options = {"n_train": 500, "n_test": 200}
    assert score(factors, factors / 8.0, **options) == 1.0
