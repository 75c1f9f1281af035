import itertools
from collections import Counter
from math import log, pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from keras_betavae.metrics import (
    dcimig_score,
    infomec_scores,
    jemmig_score,
    mig_score,
    mig_sup_score,
    modularity_score,
    mutual_information,
    posterior_information,
)

ESTIMATORS = ("histogram", "corrected", "knn")
ESTIMATED = (mig_score, mig_sup_score, dcimig_score, modularity_score)
SCORES = (mig_score, mig_sup_score, dcimig_score, jemmig_score, modularity_score)
EVERYTHING = (mutual_information, *SCORES, infomec_scores)


def grid(*sizes):
    """Every combination of values once, so that the plug-in information is exact."""
    return np.array(list(itertools.product(*map(range, sizes))))


def columns(*arrays):
    return np.stack(arrays, axis=1).astype(float)


def drawn(seed, sizes, latent_dim, n=200):
    """Factors that take all their values, and noisy mixtures of them."""
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, sizes, (n, len(sizes)))
    factors[: max(sizes)] = np.arange(max(sizes))[:, None] % sizes
    mixture = rng.normal(size=(len(sizes), latent_dim))
    return factors, factors @ mixture + rng.normal(size=(n, latent_dim))


draws = {
    "seed": st.integers(0, 2**32),
    "sizes": st.lists(st.integers(2, 5), min_size=2, max_size=4),
    "latent_dim": st.integers(1, 5),
    "n_bins": st.integers(1, 8),
}


# Closed forms: (MIG, MIG-sup, DCIMIG, JEMMIG, modularity).

A, B, NOISE = grid(4, 2, 5).T  # H(A) = log 4, H(B) = log 2, and what is neither.


@pytest.mark.parametrize(
    ("codes", "n_bins", "expected"),
    [
        pytest.param((A, B), 4, (1, 1, 1, 1, 1), id="identity"),
        pytest.param((B, A), 4, (1, 1, 1, 1, 1), id="permutation"),
        pytest.param((-3 * A, B / 7 + 1), 4, (1, 1, 1, 1, 1), id="other units"),
        # The copy closes the gap of A, whose JEMMIG is log 4 / (log 4 + log 4).
        pytest.param((A, A, B), 4, (1 / 2, 1, 1, (1 / 2 + 1) / 2, 1), id="duplicated code"),
        pytest.param((A, B, 0 * A + 3), 4, (1, 2 / 3, 1, 1, 2 / 3), id="dead code"),
        pytest.param((A, B, NOISE), 5, (1, 2 / 3, 1, 1, 2 / 3), id="independent code"),
        # log 2 nats of A in each half: no gap, half of the share and of A's own log 4 nats.
        # H(half, A) - log 2 + log 2 = log 4, of log 4 + log 2.
        pytest.param(
            (A // 2, A % 2, B),
            2,
            (1 / 2, (1 / 2 + 1 / 2 + 1) / 3, 2 / 3, (1 - 2 / 3 + 1) / 2, 1),
            id="one factor in two codes",
        ),
        # All of both factors: of the code's two shares neither is larger, but of its nats
        # log 4 - log 2 of the factors' log 8. log 8 is the joint entropy with either:
        # JEMMIG (log 8 - log 4) / (log 4 + log 8), (log 8 - log 2) / (log 2 + log 8).
        pytest.param(
            (A + 4 * B,),
            8,
            (1, 0, 1 / 3, 1 - (1 / 5 + 2 / 4) / 2, 1 - (1 / 2) ** 2),
            id="two factors in one code",
        ),
        # A code of A and of 5 more values knows A only, but H(z, A) - log 4 = log 5.
        pytest.param(
            (NOISE + 5 * A, B),
            20,
            (1, 1, 1, 1 - log(5) / log(4 * 20) / 2, 1),
            id="a factor and noise in one code",
        ),
        # H(noise, y) = log 5 + H(y) is all there can be.
        pytest.param((NOISE,), 5, (0, 0, 0, 0, 0), id="noise alone"),
        # H(z, y) = H(y): 1 - log 4 / (log 4 + log 4), 1 - log 2 / (log 2 + log 4).
        pytest.param((0 * A,), 4, (0, 0, 0, (1 / 2 + 2 / 3) / 2, 0), id="dead code alone"),
        # 4 values in 2 bins: log 2 of the log 4 nats of A. H(z, A) - log 2 = log 2.
        pytest.param((A, B), 2, (3 / 4, 3 / 4, 2 / 3, 1 - 1 / 3 / 2, 1), id="two values in a bin"),
        pytest.param((A, B), 1, (0, 0, 0, 0, 0), id="one bin"),
    ],
)
def test_closed_forms(codes, n_bins, expected):
    scores = [score(grid(4, 2, 5)[:, :2], columns(*codes), n_bins=n_bins) for score in SCORES]
    assert scores == pytest.approx(expected, abs=1e-12)
    assert {type(score) for score in scores} == {float}


def test_forty_values_in_twenty_bins_are_two_a_bin():
    # Bins of 39 / 20 = 1.95: the values 2m and 2m + 1 are in bin m.
    factors = grid(40, 2)
    np.testing.assert_allclose(
        mutual_information(factors, factors * 1.0), [[log(20), 0], [0, log(2)]], atol=1e-12
    )
    share = log(20) / log(40)
    scores = [score(factors, factors * 1.0) for score in SCORES]
    jemmig = 1 - log(2) / (log(40) + log(20))
    expected = [
        (share + 1) / 2,
        (share + 1) / 2,
        log(20 * 2) / log(40 * 2),
        (jemmig + 1) / 2,
        1,
    ]
    assert scores == pytest.approx(expected, rel=1e-12)


def test_bins_hold_their_lower_edge():
    # Edges at 1, 2 and 3: the bins {0}, {1}, {2} and {3, 4}. Only one of them holds 0, or 4.
    values = np.arange(5)
    factors = np.stack([values == 0, values == 4], axis=1).astype(int)
    information = mutual_information(factors, columns(values), n_bins=4)
    entropy = log(5) - 4 / 5 * log(4)
    # {3, 4} leaves log 2 to 2 of 5.
    np.testing.assert_allclose(information, [[entropy, entropy - 2 / 5 * log(2)]], rtol=1e-12)


def test_the_factors_of_dsprites_score_a_mig_of_about_nine_tenths():
    # On the full grid no factor knows another, so that the score is the mean of each alone.
    # 32 values in 20 bins: at least one in each, so two in 12 of them, which lose log 2.
    positions = 1 - 24 / 32 * log(2) / log(32)
    expected = (1 + 1 + log(20) / log(40) + 2 * positions) / 5
    alone = [mig_score(grid(size), grid(size) * 1.0) for size in (3, 6, 40, 32, 32)]
    assert np.mean(alone) == pytest.approx(expected, rel=1e-12)
    assert round(expected, 1) == 0.9


def test_modularity_of_noise_is_that_of_the_histograms_bias():
    # A bias in proportion to values - 1, of 20 evenly filled bins.
    sizes = np.array([3, 6, 40, 32, 32])
    bias = sizes - 1.0
    expected = 1 - (np.sum(bias**2) - bias.max() ** 2) / (4 * bias.max() ** 2)
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(0, sizes, (10_000, 5)), rng.random((10_000, 20))
    # The largest two of the biases are drawn to within 5 %, and 20 codes are averaged.
    assert modularity_score(factors, codes) == pytest.approx(expected, abs=0.05)


def test_one_code_counts_as_if_a_constant_one_stood_beside_it():
    factors, codes = drawn(0, (4, 3), 1)
    beside = np.concatenate([codes, np.zeros((200, 1))], axis=1)
    for score in (mig_score, jemmig_score):
        assert score(factors, codes) == score(factors, beside)


def test_large_constant_codes_know_nothing():
    # Half a unit is below the spacing of doubles here.
    factors, codes = drawn(0, (4, 3), 2)
    codes[:, 0] = 1e17
    np.testing.assert_allclose(mutual_information(factors, codes)[0], 0, atol=1e-12)


def test_neighbors_of_constant_codes_know_nothing():
    factors = grid(4, 5)
    information = mutual_information(factors, np.ones((20, 3)), estimator="knn")
    np.testing.assert_array_equal(information, np.zeros((3, 2)))


def test_codes_that_differ_by_rounding_are_scored():
    # 0.1 + 0.2 is the double above 0.3. Two values are two bins.
    factors = grid(2, 4)
    codes = columns(np.where(factors[:, 0], 0.1 + 0.2, 0.3))
    np.testing.assert_allclose(mutual_information(factors, codes), [[log(2), 0]], atol=1e-12)


def test_jemmig_does_not_depend_on_the_order_of_codes_that_tie():
    # Both know all of the factor; one of them holds 4 more values.
    y, noise = grid(2, 4).T
    codes = columns(y, 4 * y + noise)
    scores = [jemmig_score(grid(2, 4)[:, :1], c, n_bins=8) for c in (codes, codes[:, ::-1])]
    assert scores[0] == pytest.approx(scores[1])


# Against the definitions, a value at a time.


def bin_numbers(code, n_bins):
    low, high = min(code), max(code)
    return [min(int((value - low) / (high - low) * n_bins), n_bins - 1) for value in code]


def entropy_of(labels):
    return -sum(c / len(labels) * log(c / len(labels)) for c in Counter(labels).values())


def binned_information(bins, values, corrected):
    n, in_bin, of_value = len(bins), Counter(bins), Counter(values)
    both = Counter(zip(bins, values, strict=True))
    total = 0.0
    for b in in_bin:
        for v in of_value:
            if both[b, v]:
                total += both[b, v] / n * log(both[b, v] * n / in_bin[b] / of_value[v])
    # Miller and Madow: (cells - 1) / 2N more for each of H(z) + H(y) - H(z, y).
    cells = (len(in_bin) - 1) + (len(of_value) - 1) - (len(both) - 1)
    return total + cells / (2 * n) if corrected else total


def expected_information(factors, codes, estimator, n_bins):
    """A list per code of the information of each factor, and the factors' entropies."""
    entropies = []
    for values in factors.T.tolist():
        correction = (len(set(values)) - 1) / (2 * len(values)) * (estimator == "corrected")
        entropies.append(entropy_of(values) + correction)
    rows = []
    for code in codes.T:
        row = []
        for values, entropy in zip(factors.T, entropies, strict=True):
            if estimator == "knn":
                nats = mutual_info_classif(
                    code[:, None], values, discrete_features=False, random_state=1
                )[0]
            else:
                bins = bin_numbers(code.tolist(), n_bins)
                nats = binned_information(bins, values.tolist(), estimator == "corrected")
            row.append(min(max(0.0, nats), entropy))
        rows.append(row)
    return rows, entropies


def expected_mig(rows, entropies):
    gaps = []
    for k, entropy in enumerate(entropies):
        first, second = sorted([row[k] for row in rows] + [0.0])[:-3:-1]
        gaps.append((first - second) / entropy)
    return sum(gaps) / len(gaps)


def expected_mig_sup(rows, entropies):
    gaps = []
    for row in rows:
        shares = sorted(nats / entropy for nats, entropy in zip(row, entropies, strict=True))
        gaps.append(shares[-1] - shares[-2])
    return sum(gaps) / len(gaps)


def expected_dcimig(rows, entropies):
    total = 0.0
    for k in range(len(entropies)):
        best = 0.0
        for row in rows:
            others = [nats for other, nats in enumerate(row) if other != k]
            if row[k] > max(others):
                best = max(best, row[k] - max(others))
        total += best
    return total / sum(entropies)


def expected_modularity(rows, entropies):
    scores = []
    for row in rows:
        best = max(row)
        if best < 1e-12:
            scores.append(0.0)
            continue
        own = row.index(best)
        deviation = sum(nats**2 for k, nats in enumerate(row) if k != own)
        scores.append(1 - deviation / (best**2 * (len(entropies) - 1)))
    return sum(scores) / len(scores)


def check_against_definitions(factors, codes, estimator, n_bins):
    rows, entropies = expected_information(factors, codes, estimator, n_bins)
    options = {"estimator": estimator, "n_bins": n_bins}
    np.testing.assert_allclose(mutual_information(factors, codes, **options), rows, atol=1e-9)
    definitions = (expected_mig, expected_mig_sup, expected_dcimig, expected_modularity)
    for score, definition in zip(ESTIMATED, definitions, strict=True):
        expected = definition(rows, entropies)
        assert score(factors, codes, **options) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("estimator", ["histogram", "corrected"])
@settings(deadline=None, max_examples=8)
@given(**draws)
def test_binned_information_and_its_scores_are_as_defined(
    estimator, seed, sizes, latent_dim, n_bins
):
    check_against_definitions(*drawn(seed, sizes, latent_dim), estimator, n_bins)


@pytest.mark.parametrize(("sizes", "latent_dim"), [((4, 5), 2), ((2, 2), 1)])
def test_information_of_neighbors_and_its_scores_are_as_defined(sizes, latent_dim):
    check_against_definitions(*drawn(0, sizes, latent_dim), "knn", 20)


@settings(deadline=None, max_examples=8)
@given(**draws)
def test_jemmig_is_as_defined(seed, sizes, latent_dim, n_bins):
    factors, codes = drawn(seed, sizes, latent_dim)
    rows, entropies = expected_information(factors, codes, "histogram", n_bins)
    scores = []
    for k, entropy in enumerate(entropies):
        column = [row[k] for row in rows]
        own = column.index(max(column))
        second = max([nats for j, nats in enumerate(column) if j != own], default=0.0)
        pairs = zip(bin_numbers(codes[:, own], n_bins), factors[:, k].tolist(), strict=True)
        jemmig = entropy_of(list(pairs)) - column[own] + second
        scores.append(1 - jemmig / (entropy + log(n_bins)))
    expected = sum(scores) / len(scores)
    assert jemmig_score(factors, codes, n_bins=n_bins) == pytest.approx(expected, abs=1e-9)


# The estimators, against the truth.


def test_of_independent_codes_the_histogram_has_a_known_bias_and_the_correction_little():
    # (20 - 1)(40 - 1) / 2N = 0.037 nats.
    n, n_bins, n_values, n_seeds = 10_000, 20, 40, 10
    freedom = (n_bins - 1) * (n_values - 1)
    assert round(freedom / (2 * n), 3) == 0.037
    estimates = {"histogram": [], "corrected": []}
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        factors, codes = rng.integers(0, n_values, (n, 1)), rng.random((n, 1))
        for estimator, values in estimates.items():
            values.append(mutual_information(factors, codes, estimator=estimator).item())
    # 2N I is a chi-square of that many degrees of freedom, whose variance is twice that.
    error = sqrt(2 * freedom / n_seeds) / (2 * n)
    assert abs(np.mean(estimates["histogram"]) - freedom / (2 * n)) < 4 * error
    # Less by as much, and then clipped at 0: of a normal estimate, some 0.4 deviations are left.
    assert np.mean(estimates["corrected"]) < 0.4 * error * sqrt(n_seeds) + 4 * error
    assert np.mean(estimates["corrected"]) < np.mean(estimates["histogram"]) / 10


def test_neighbors_find_the_information_of_normal_codes():
    means, deviations = (0.0, 1.5, 4.0), (1.0, 0.5, 1.5)

    def density(z, mean, deviation):
        return np.exp(-(((z - mean) / deviation) ** 2) / 2) / (deviation * sqrt(2 * pi))

    def integrand(z):
        each = [density(z, *law) for law in zip(means, deviations, strict=True)]
        mixture = sum(each) / 3
        return sum(p / 3 * log(p / mixture) for p in each if p > 0)

    truth = integrate.quad(integrand, -12, 16, points=means, limit=200)[0]
    estimates = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        factors = rng.integers(0, 3, (3_000, 1))
        codes = rng.normal(np.array(means)[factors], np.array(deviations)[factors])
        estimates.append(mutual_information(factors, codes, estimator="knn").item())
    error = np.std(estimates, ddof=1) / sqrt(10)
    assert 0 < error < 0.01
    assert abs(np.mean(estimates) - truth) < 4 * error
    # Three bins lose information, which no neighbor does.
    assert mutual_information(factors, codes, n_bins=3).item() < truth - 0.05


# What must not matter, and what does.


@settings(deadline=None, max_examples=8)
@given(**draws)
def test_copies_and_dead_codes_change_no_dcimig(seed, sizes, latent_dim, n_bins):
    factors, codes = drawn(seed, sizes, latent_dim)
    more = np.concatenate([codes, 2 * codes, np.zeros((200, 2))], axis=1)
    expected = dcimig_score(factors, codes, n_bins=n_bins)
    assert dcimig_score(factors, more, n_bins=n_bins) == pytest.approx(expected, abs=1e-12)


def test_samples_are_drawn_once_each():
    # Each sample has a value and, in 1,000 bins between 0 and at most 999, a bin of its own.
    factors = np.arange(1_000)[:, None]
    for n_samples in (10, 500, 1_000, 5_000):
        information = mutual_information(factors, factors * 1.0, n_bins=1_000, n_samples=n_samples)
        assert information.item() == pytest.approx(log(min(1_000, n_samples)))


# InfoMEC.


def concentration(rows):
    """The mean largest share of a row, from even to all, a row at a time."""
    n = len(rows[0])
    shares = [max(row) / sum(row) if sum(row) > 0 else 1 / n for row in rows]
    return (sum(shares) / len(shares) - 1 / n) / (1 - 1 / n)


@pytest.mark.parametrize(("sizes", "latent_dim"), [((4, 5), 3), ((2, 2), 4)])
def test_infom_and_infoc_are_as_defined(sizes, latent_dim):
    factors, codes = drawn(1, sizes, latent_dim)
    rows = []
    for j in range(latent_dim):
        row = []
        for values in factors.T:
            nats = mutual_info_classif(
                codes[:, [j]], values, discrete_features=False, n_neighbors=10, random_state=7
            )
            row.append(nats[0] / entropy_of(values.tolist()))
        rows.append(row)
    scores = infomec_scores(factors, codes, active_range=0.0)
    assert scores.modularity == pytest.approx(concentration(rows), abs=1e-7)
    by_factor = list(zip(*rows, strict=True))
    assert scores.compactness == pytest.approx(concentration(by_factor), abs=1e-7)
    assert all(0 <= score <= 1 for score in scores)


def explained(factors, codes):
    """1 - H(y | z) / H(y) of each factor, with a null model that is fitted too."""
    shares = []
    for values in factors.T:
        losses = []
        for x in (StandardScaler().fit_transform(codes), np.zeros((len(codes), 1))):
            model = LogisticRegression(C=np.inf, class_weight="balanced").fit(x, values)
            losses.append(log_loss(values, model.predict_proba(x)))
        shares.append(1 - losses[0] / losses[1])
    return shares


@pytest.mark.parametrize("seed", range(1))
def test_infoe_is_what_a_regression_explains_beyond_a_constant_one(seed):
    # Two codes of three unbalanced factors, with noise: classes that overlap.
    rng = np.random.default_rng(seed)
    factors = (4 * rng.random((400, 3)) ** 2).astype(int) % [2, 3, 4]
    codes = factors @ rng.normal(size=(3, 2)) + rng.normal(size=(400, 2)) * [1, 30]
    expected = explained(factors, codes)
    assert 0 < min(expected) < max(expected) < 0.9
    score = infomec_scores(factors, codes).explicitness
    assert score == pytest.approx(np.mean(expected), abs=1e-4)


def test_infoe_is_0_where_a_factor_is_explained_worse_than_by_nothing():
    # The 1 % of the first factor's other value counts for a half. The outliers of the 99 %
    # tilt the regression, so that it takes most of them, at 1, for the other value, at 0.
    rng = np.random.default_rng(0)
    other = np.arange(2_000) < 20
    first = np.where(other, 0, np.where(rng.random(2_000) < 0.95, 1, -4))
    second = rng.integers(0, 2, 2_000)
    factors = np.stack([other, second], axis=1).astype(int)
    codes = np.stack([first, second + rng.normal(size=2_000)], axis=1)
    expected = explained(factors, codes)
    assert expected[0] < 0 < expected[1]
    assert infomec_scores(factors, codes).explicitness == pytest.approx(expected[1] / 2, abs=1e-4)


X, Y = grid(5, 5)[np.random.default_rng(0).integers(0, 25, 3_000)].T
JITTER = np.random.default_rng(1).normal(scale=0.01, size=(3, 3_000))


@pytest.mark.parametrize(
    ("codes", "modularity", "compactness"),
    [
        pytest.param((X, Y), 1, 1, id="identity"),
        pytest.param((X + Y, X - Y), 0, 0, id="rotation"),
        # X is in two of the three codes: shares 1/2 and 1, of 1/3 at least.
        pytest.param((X, X, Y), 1, (3 / 4 - 1 / 3) / (1 - 1 / 3), id="duplicated code"),
        # The first code holds both alike, and is half of what knows Y.
        pytest.param((X + 5 * Y, Y), 1 / 2, 1 / 2, id="two factors in one code"),
    ],
)
def test_infom_and_infoc_of_clear_codes(codes, modularity, compactness):
    factors = np.stack([X, Y], axis=1)
    noisy = np.stack([c + e for c, e in zip(codes, JITTER, strict=False)], axis=1)
    scores = infomec_scores(factors, noisy)
    # Of each (X, Y) there are some 120, which leave the information to within 0.02 nats.
    assert scores.modularity == pytest.approx(modularity, abs=0.02)
    assert scores.compactness == pytest.approx(compactness, abs=0.02)


def test_only_codes_above_a_share_of_the_largest_range_are_active():
    factors, codes = drawn(0, (4, 3), 2, n=400)
    codes = (codes - codes.min(axis=0)) / np.ptp(codes, axis=0)
    np.testing.assert_array_equal(np.ptp(codes, axis=0), 1.0)
    alone = infomec_scores(factors, codes[:, :1])
    # 1 is not above 20 / 20, but above 19 / 20.
    one = infomec_scores(factors, codes * [20, 1])
    assert one.compactness == alone.compactness == 1.0
    assert one.modularity == pytest.approx(alone.modularity, abs=1e-7)
    both = infomec_scores(factors, codes * [19, 1])
    assert both[::2] == pytest.approx(infomec_scores(factors, codes)[::2], abs=1e-7)
    assert both.compactness < 1
    assert infomec_scores(factors, codes * [20, 1], active_range=0.04) == pytest.approx(
        both, abs=1e-6
    )
    # The regression sees all codes, whether active or not.
    assert one.explicitness == pytest.approx(both.explicitness, abs=1e-6)
    assert one.explicitness > alone.explicitness + 0.01


def test_codes_and_factors_that_share_no_information_add_nothing():
    # Estimates of nothing are often clipped to 0: take noise of which all three are.
    values = grid(4, 3)[:, 0].repeat(50)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        factors = np.stack([values, rng.permutation(values)], axis=1)
        codes = np.stack([values + rng.normal(scale=0.01, size=600), rng.random(600)], axis=1)
        known = [
            mutual_info_classif(
                codes, y, discrete_features=False, n_neighbors=10, random_state=seed
            )
            for y in factors.T
        ]
        if known[0][1] == known[1][0] == known[1][1] == 0:
            break
    # One code and one factor of two are concentrated wholly, and the other adds 0.
    scores = infomec_scores(factors, codes, seed=seed)
    assert scores[::2] == pytest.approx((1 / 2, 1 / 2), abs=1e-12)


# Bad input.

FACTORS = grid(4, 2)
CODES = np.random.default_rng(0).normal(size=(8, 3))


@pytest.mark.parametrize("score", EVERYTHING)
@pytest.mark.parametrize(
    ("factors", "codes", "options", "words"),
    [
        (FACTORS, CODES, {"n_samples": 0}, "n_samples must be at least 1, got 0"),
        (FACTORS, CODES, {"n_samples": 1}, "factor 0 has one value"),
    ],
)
def test_bad_input_is_refused(score, factors, codes, options, words):
    with pytest.raises(ValueError, match=words):
        score(factors, codes, **options)


@pytest.mark.parametrize("score", [mutual_information, *SCORES])
def test_no_bins_are_refused(score):
    with pytest.raises(ValueError, match="n_bins must be at least 1, got 0"):
        score(FACTORS, CODES, n_bins=0)


@pytest.mark.parametrize("score", [mutual_information, *ESTIMATED])
def test_an_unknown_estimator_is_refused(score):
    with pytest.raises(ValueError, match="histogram, corrected, knn, got 'kde'"):
        score(FACTORS, CODES, estimator="kde")


def test_neighbors_that_share_a_value_are_needed():
    factors = np.stack([np.arange(8) // 2, np.arange(8)], axis=1)
    for score in (mutual_information, mig_score):
        with pytest.raises(ValueError, match="no two samples share a value of factor 1"):
            score(factors, CODES, estimator="knn")
        assert np.isfinite(score(factors, CODES)).all()
    with pytest.raises(ValueError, match="no two samples share a value of factor 1"):
        infomec_scores(factors, CODES)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_neighbors": 0}, "n_neighbors must be at least 1, got 0"),
        ({"active_range": -0.1}, "active_range must be at least 0 and below 1, got -0.1"),
        ({"active_range": 1}, "active_range must be at least 0 and below 1, got 1"),
        ({"active_range": np.nan}, "active_range must be at least 0 and below 1, got nan"),
    ],
)
def test_bad_options_of_infomec_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        infomec_scores(FACTORS, CODES, **options)


def test_the_information_of_samples_is_that_of_a_gaussian_channel():
    # Images of one value share a posterior, so that the mixtures are those of the channel.
    spread, n = 0.4, 20_000
    factors = np.stack([np.arange(n) % 4, np.arange(n) // 4 % 2], axis=1)
    means = columns(factors[:, 0] / 2.0, np.zeros(n), factors[:, 1] * 20.0)
    log_vars = np.full(means.shape, 2.0 * log(spread))
    found = posterior_information(factors[:4_000], means[:4_000], log_vars[:4_000])
    few = means[:200], log_vars[:200]
    np.testing.assert_array_equal(
        posterior_information(3.0 * factors[:200], *few), posterior_information(factors[:200], *few)
    )

    z = np.linspace(-4.0, 6.0, 20_001)
    density = stats.norm.pdf(z[:, None], np.arange(4) / 2.0, spread).mean(axis=1)
    channel = -np.trapezoid(density * np.log(density), z) - stats.norm.entropy(0.0, spread)
    # The standard error over 4,000 samples of a log-density ratio below 1 is below 0.02.
    np.testing.assert_allclose(found, [[channel, 0], [0, 0], [0, log(2)]], atol=0.05)
    score = mig_score(factors, means, log_vars=log_vars, n_samples=4_000)
    assert score == pytest.approx((channel / log(4) + 1.0) / 2, abs=0.03)
    assert score < mig_score(factors, means) - 0.1


def test_chens_protocol_wants_a_log_variance_for_each_code():
    factors, codes = grid(4, 2), np.zeros((8, 2))
    for log_vars in (np.zeros((8, 1)), np.zeros((7, 2))):
        with pytest.raises(ValueError, match="log_vars must be of the codes' shape"):
            mig_score(factors, codes, log_vars=log_vars)
    with pytest.raises(ValueError, match="NaN or infinite"):
        mig_score(factors, codes, log_vars=np.full((8, 2), np.nan))
