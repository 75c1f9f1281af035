from collections import Counter, defaultdict

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from keras_betavae.metrics import factor_vae_score, intervention

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


def test_ground_truth_factors_score_one():
    assert factor_vae_score(FACTORS, FACTORS.astype(float), n_train=1_000, n_test=1_000) == 1.0


def test_order_sign_scale_and_any_one_to_one_map_of_the_factors_score_one():
    codes = np.stack([-3.0 * FACTORS[:, 2], FACTORS[:, 0] ** 2, 1 + 0.5 * FACTORS[:, 1]], axis=1)
    assert factor_vae_score(FACTORS, codes, n_train=1_000, n_test=1_000) == 1.0


def test_a_factor_in_two_codes_scores_one():
    # Whichever of the first two has the smaller variance, it is assigned the same factor.
    a, b, c = FACTORS.T
    codes = np.stack([a, -2 * a, b, c], axis=1)
    assert factor_vae_score(FACTORS, codes, n_train=1_000, n_test=1_000) == 1.0
    # Duplicates tie, and the first of them wins.
    assert factor_vae_score(FACTORS, codes[:, [0, 0, 2, 3, 3]], n_train=500, n_test=500) == 1.0


def test_a_mixed_code_beside_a_pure_one_scores_one():
    # Codes a and a + b. Sharing a: the first varies by 0. Sharing b: both vary as a does, by
    # a share 1 of the first's variance and 1/2 of the second's. Hence 1, as documented.
    factors = drawn_factors((4, 4), 1_000)
    codes = np.stack([factors[:, 0], factors.sum(axis=1)], axis=1)
    assert factor_vae_score(factors, codes, n_train=1_000, n_test=1_000) == 1.0


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


def test_one_code_scores_the_share_of_one_factor():
    # Whatever is shared, the only code wins: the majority is right in 1 of K votes.
    for n_factors in (2, 3):
        factors = FACTORS[:, :n_factors]
        score = factor_vae_score(factors, factors.sum(axis=1, keepdims=True), n_test=4_000)
        assert score == pytest.approx(1 / n_factors, abs=4 * standard_error(1 / n_factors, 4_000))


def test_two_factors_in_one_code_are_told_from_the_third_alone():
    # Codes a + b and c, three factors of four values. Sharing a or b: the first varies by a
    # half of its variance, the second by about all. So the first wins for two factors, of
    # which one is right: 1/3 + 1/3 of the votes. A standard error of a variance of 64 draws
    # is about a tenth of it, and the second wins by chance in fewer than 1 of 1,000 votes.
    factors = drawn_factors((4, 4, 4), 2_000)
    codes = np.stack([factors[:, 0] + factors[:, 1], factors[:, 2]], axis=1)
    score = factor_vae_score(factors, codes, n_test=5_000)
    assert score == pytest.approx(2 / 3, abs=4 * standard_error(2 / 3, 5_000) + 1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_noise_scores_at_chance(seed):
    factors = drawn_factors((3, 4, 5), 20_000, seed)
    codes = np.random.default_rng(seed + 10).normal(size=(20_000, 6))
    score = factor_vae_score(factors, codes, n_per_vote=8, n_test=5_000, seed=seed)
    assert score == pytest.approx(1 / 3, abs=4 * standard_error(1 / 3, 5_000))


def test_noise_scores_above_chance_with_two_images_per_value():
    # As documented: the code in which two images happen to agree wins their value's votes.
    factors = np.stack([np.arange(40) // 2, np.arange(40) % 20], axis=1)
    codes = np.random.default_rng(0).normal(size=(40, 8))
    score = factor_vae_score(factors, codes, n_test=2_000)
    assert score > 1 / 2 + 4 * standard_error(1 / 2, 2_000)


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


def score_of_fresh_votes(encode, sizes, n_per_vote, n_train, n_test, rng):
    """The definition: every vote draws images of its own, each by itself."""
    everything = np.array([encode(rng.integers(0, sizes), rng) for _ in range(10_000)])
    variance = np.var(everything, axis=0, ddof=1)
    votes = []
    for _ in range(n_train + n_test):
        k = int(rng.integers(len(sizes)))
        value = rng.integers(sizes[k])
        codes = []
        for _ in range(n_per_vote):
            image = rng.integers(0, sizes)
            image[k] = value
            codes.append(encode(image, rng))
        ratios = np.var(codes, axis=0, ddof=1) / variance
        votes.append((k, int(np.argmin(ratios))))
    return accuracy_by_hand(votes[n_train:], majority_by_hand(votes[:n_train]))


@pytest.mark.parametrize(("noise", "n_per_vote"), [(0.0, 3), (0.3, 6)])
def test_a_table_of_images_scores_as_fresh_images_do(noise, n_per_vote):
    sizes, n_train, n_test = (3, 4, 5), 2_000, 2_000
    # Every code follows all factors, some of them more.
    matrix = np.array([[0.9, 0.5, 0.3, 0.3], [0.5, 0.8, 0.3, 0.4], [0.4, 0.3, 0.3, 0.5]])

    def encode(factors, rng):
        clean = factors @ matrix
        return clean + noise * rng.normal(size=clean.shape)

    expected = score_of_fresh_votes(
        encode, sizes, n_per_vote, n_train, n_test, np.random.default_rng(1)
    )
    table = drawn_factors(sizes, 20_000, seed=2)
    codes = encode(table, np.random.default_rng(3))
    options = {"n_per_vote": n_per_vote, "n_train": n_train, "n_test": n_test}
    score = factor_vae_score(table, codes, **options)
    assert 0.45 < expected < 0.95
    # Both are draws of n_test votes.
    assert abs(score - expected) < 3.5 * np.sqrt(2) * standard_error(expected, n_test)


@pytest.mark.parametrize("seed", range(4))
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
@given(st.integers(0, 2**32), st.integers(2, 30), st.integers(1, 4))
def test_the_images_of_a_vote_share_their_factor(seed, n_samples, n_factors):
    rng = np.random.default_rng(seed)
    factors = rng.integers(-3, 3, (n_samples, n_factors))
    labels = rng.integers(n_factors, size=20)
    groups = intervention._draw_groups(factors, labels, 7, rng)
    assert groups.shape == (20, 7)
    assert 0 <= groups.min() <= groups.max() < n_samples
    for k, images in zip(labels, groups, strict=True):
        assert len(set(factors[images, k])) == 1


def test_the_images_of_a_vote_are_uniform_over_those_that_share():
    # Values of four, three and two images, drawn as often as they occur.
    factors = np.array([[0], [1], [0], [2], [0], [1], [0], [2], [1]])
    groups = intervention._draw_groups(factors, np.zeros(20_000, int), 2, np.random.default_rng(0))
    values = factors[groups[:, 0], 0]
    law = np.array([4, 3, 2]) / 9
    assert stats.chisquare(np.bincount(values), 20_000 * law).pvalue > 1e-4
    # The images of a vote are independent: all pairs of two that share are equally likely.
    for value in range(3):
        sharers = np.flatnonzero(factors[:, 0] == value)
        joint = np.zeros((9, 9))
        np.add.at(joint, tuple(groups[values == value].T), 1)
        inside = joint[np.ix_(sharers, sharers)]
        assert inside.sum() == joint.sum()
        assert stats.chisquare(inside.ravel()).pvalue > 1e-4


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
    # At 2 ** 20 neighbours in float32 are 1/8 apart: the codes are exact, their squares not.
    expected = factor_vae_score(FACTORS, MIXED, **QUICK)
    moved = (MIXED + 2.0**20).astype("float32")
    np.testing.assert_array_equal(moved.astype(float) - 2.0**20, MIXED)
    assert factor_vae_score(FACTORS, moved, **QUICK) == expected
    # In float64 neighbours at 2 ** 40 are 2 ** -12 apart, in float32 2 ** 17.
    assert factor_vae_score(FACTORS, MIXED + 2.0**40, **QUICK) == expected
    # A dead code stays dead.
    dead = np.full((600, 1), 2.0**20 + 1 / 8, "float32")
    with_dead = np.concatenate([dead, moved], axis=1)
    assert factor_vae_score(FACTORS, with_dead, **QUICK) == expected


# What must not matter, and what does.


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=2),
    st.lists(st.booleans(), min_size=2, max_size=2),
    st.permutations(range(2)),
)
def test_scale_sign_and_order_do_not_matter(exponents, signs, order):
    # Powers of two, which rescale floating-point numbers without rounding.
    scales = 2.0 ** np.array(exponents) * np.where(signs, -1, 1)
    sizes = {"n_per_vote": 16, "n_train": 200, "n_test": 200}
    expected = factor_vae_score(FACTORS, MIXED, **sizes)
    assert MIXED.std(axis=0).min() > 0.05
    assert factor_vae_score(FACTORS, (MIXED * scales)[:, list(order)], **sizes) == expected
    assert 0.5 < expected < 1.0


def test_the_numbers_of_the_classes_do_not_matter():
    renamed = np.array([7, -3, 0, 11, 2, 5])[FACTORS]
    # Another order of the values gives other draws of the same law.
    scores = [factor_vae_score(f, MIXED, n_train=4_000, n_test=4_000) for f in (FACTORS, renamed)]
    assert abs(scores[0] - scores[1]) < 4 * np.sqrt(2) * standard_error(scores[0], 4_000)
    assert factor_vae_score(3 * FACTORS - 5, MIXED, **QUICK) == factor_vae_score(
        FACTORS, MIXED, **QUICK
    )


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int64", "float16", "float32"])
def test_integers_and_short_floats_score_as_float64(dtype):
    codes = (8 * MIXED).astype(dtype)
    np.testing.assert_array_equal(codes, 8 * MIXED)
    assert factor_vae_score(FACTORS, codes, **QUICK) == factor_vae_score(FACTORS, MIXED, **QUICK)


def test_signed_bytes_take_part_over_their_whole_range():
    factors = drawn_factors((4, 4), 1_000)
    codes = (66 * factors - 99).astype("int8")
    np.testing.assert_array_equal(codes, 66 * factors - 99)
    assert factor_vae_score(factors, codes, n_train=100, n_test=100) == 1.0


def test_a_score_depends_on_its_seed_alone():
    np.random.seed(0)
    first = factor_vae_score(FACTORS, MIXED, seed=3, **QUICK)
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    assert factor_vae_score(FACTORS, MIXED, seed=3, **QUICK) == first
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert len({factor_vae_score(FACTORS, MIXED, seed=seed, **QUICK) for seed in range(4)}) > 1
    assert type(first) is float
    assert 0.0 <= first <= 1.0


def test_more_images_per_vote_tell_more():
    # The variances of few images are hardly known.
    scores = [
        factor_vae_score(FACTORS, MIXED, n_per_vote=n, n_train=2_000, n_test=2_000)
        for n in (2, 8, 64)
    ]
    assert scores == sorted(scores)
    assert scores[2] > scores[0] + 0.1


def test_arguments_are_not_changed():
    factors, codes = FACTORS.copy(), MIXED.copy()
    factor_vae_score(factors, codes, **QUICK)
    np.testing.assert_array_equal(factors, FACTORS)
    np.testing.assert_array_equal(codes, MIXED)


def test_codes_may_be_lists_or_tensors():
    expected = factor_vae_score(FACTORS, MIXED, **QUICK)
    tensor = keras.ops.convert_to_tensor(MIXED.astype("float32"))
    assert factor_vae_score(FACTORS.tolist(), tensor, **QUICK) == expected


# Bad input.

GOOD = np.arange(12.0).reshape(6, 2)
CLASSES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]])
ALONE = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 2]])  # One image of [_, 2].


def changed(array, value):
    array = array.copy()
    array[4, 1] = value
    return array


@pytest.mark.parametrize(
    ("factors", "codes", "options", "words"),
    [
        (CLASSES, changed(GOOD, np.nan), {}, "NaN or infinite in 1 rows, first in row 4"),
        (CLASSES, changed(GOOD, np.inf), {}, "NaN or infinite in 1 rows, first in row 4"),
        (CLASSES[:5], GOOD, {}, "same samples, got 5 and 6"),
        (CLASSES, GOOD[:5], {}, "same samples, got 6 and 5"),
        (CLASSES[:1], GOOD[:1], {}, "at least 2 samples, got 1"),
        (CLASSES.astype(float), GOOD, {}, "integer classes .* float64"),
        (CLASSES[:, 0], GOOD, {}, r"factors .* got int64 \(6,\)"),
        (CLASSES, GOOD[:, 0], {}, r"codes .* got float64 \(6,\)"),
        (CLASSES, GOOD.astype(str), {}, "codes must be numbers"),
        (CLASSES, GOOD.astype(complex), {}, "codes must be numbers"),
        (CLASSES, GOOD[:, :0], {}, "codes must be numbers"),
        (CLASSES * [1, 0], GOOD, {}, "factor 1 has one value"),
        (CLASSES * [0, 1], GOOD, {}, "factor 0 has one value"),
        (CLASSES[[0, 0, 0]], GOOD[:3], {}, "factor 0 has one value"),
        (ALONE, GOOD, {}, "factor 1 has a value of (one|1) "),
        (ALONE[:, ::-1], GOOD, {}, "factor 0 has a value of (one|1) "),
        (CLASSES[:, :1], GOOD, {}, "needs (two|2), got 1"),
        (CLASSES, GOOD, {"n_per_vote": 1}, "n_per_vote must be at least"),
        (CLASSES, GOOD, {"n_per_vote": 0}, "n_per_vote must be at least"),
        (CLASSES, GOOD, {"n_train": 0}, "n_train must be at least 1, got 0"),
        (CLASSES, GOOD, {"n_test": -1}, "n_test must be at least 1, got -1"),
    ],
)
def test_bad_input_is_refused(factors, codes, options, words):
    with pytest.raises(ValueError, match=words):
        factor_vae_score(factors, codes, **options)


def test_the_error_about_n_per_vote_tells_what_was_given():
    with pytest.raises(ValueError, match="n_per_vote must be at least 2, got 1"):
        factor_vae_score(CLASSES, GOOD, n_per_vote=1)


@pytest.mark.parametrize("min_std", [-1.0, np.nan])
def test_a_min_std_out_of_range_is_refused(min_std):
    with pytest.raises(ValueError, match="min_std"):
        factor_vae_score(CLASSES, GOOD, min_std=min_std, n_train=10, n_test=10)
