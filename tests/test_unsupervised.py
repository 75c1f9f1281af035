import itertools
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, stats
from sklearn.metrics import mutual_info_score

from keras_betavae.metrics import (
    active_units,
    pairwise_mutual_information,
    total_correlation,
    wasserstein_correlation,
)

COVARIANCE = (total_correlation, wasserstein_correlation)


def grid(*sizes):
    """Every combination of values once: uncorrelated and independent columns."""
    return np.array(list(itertools.product(*map(range, sizes)))).astype(float)


def with_covariance(covariance, n=50, seed=0):
    """Codes of exactly this sample covariance."""
    x = np.random.default_rng(seed).normal(size=(n, len(covariance)))
    x = np.linalg.qr(x - x.mean(axis=0))[0] * sqrt(n - 1)
    return x @ linalg.sqrtm(np.asarray(covariance)).real


def mixed(seed, latent_dim, n=60):
    rng = np.random.default_rng(seed)
    mixture = rng.normal(size=(latent_dim, latent_dim)) + np.eye(latent_dim)
    return rng.normal(size=(n, latent_dim)) @ mixture + rng.normal(size=latent_dim)


draws = {"seed": st.integers(0, 2**32), "latent_dim": st.integers(1, 6)}


# Total correlation.


@settings(deadline=None, max_examples=8)
@given(**draws)
def test_total_correlation_is_the_divergence_from_the_product_of_the_marginals(seed, latent_dim):
    codes = mixed(seed, latent_dim)
    full = np.atleast_2d(np.cov(codes, rowvar=False))
    product = np.diag(np.diag(full))
    divergence = (
        np.trace(np.linalg.inv(product) @ full)
        - latent_dim
        + log(np.linalg.det(product) / np.linalg.det(full))
    ) / 2
    entropies = [stats.multivariate_normal(cov=cov).entropy() for cov in (product, full)]
    score = total_correlation(codes)
    # Determinants of nearly singular covariances lose digits.
    error = 1e-9 + 1e-14 * np.linalg.cond(full)
    assert score == pytest.approx(divergence, abs=error)
    assert score == pytest.approx(entropies[0] - entropies[1], abs=error)
    assert type(score) is float
    assert score >= 0


def test_total_correlation_of_few_independent_codes_is_above_0_by_a_known_bias():
    # D(D - 1) / 2 squared correlations of mean 1 / N, and half of each. N r² is a chi-square of
    # variance 2.
    n, latent_dim, n_seeds = 1_000, 10, 40
    n_pairs = latent_dim * (latent_dim - 1) / 2
    scores = [
        total_correlation(np.random.default_rng(seed).normal(size=(n, latent_dim)))
        for seed in range(n_seeds)
    ]
    error = sqrt(2 * n_pairs / n_seeds) / (2 * n)
    assert abs(np.mean(scores) - latent_dim * (latent_dim - 1) / (4 * n)) < 4 * error


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_total_correlation_is_infinite_where_codes_depend_linearly(dtype):
    # Whole numbers, of which sums are exact in both types.
    codes = np.random.default_rng(0).integers(0, 100, (50, 3)).astype(dtype)
    assert total_correlation(codes) < 1
    for dependent in (codes[:, 0], 1 - 3 * codes[:, 1], codes.sum(axis=1)):
        more = np.concatenate([codes, dependent[:, None]], axis=1)
        assert total_correlation(more) == np.inf


# Wasserstein.


@settings(deadline=None, max_examples=8)
@given(**draws)
def test_wasserstein_is_that_of_the_matrix_roots(seed, latent_dim):
    codes = mixed(seed, latent_dim)
    full = np.atleast_2d(np.cov(codes, rowvar=False))
    root = np.diag(np.sqrt(np.diag(full)))
    middle = linalg.sqrtm(root @ full @ root).real
    distance = np.trace(full) + np.trace(root @ root) - 2 * np.trace(middle)
    score = wasserstein_correlation(codes)
    assert score == pytest.approx(distance, abs=1e-8)
    share = wasserstein_correlation(codes, normalized=True)
    assert share == pytest.approx(distance / np.trace(full), abs=1e-8)
    assert type(score) is type(share) is float
    assert score >= 0
    assert 0 <= share < 2


@pytest.mark.parametrize("n_copies", [1, 4, 25])
def test_wasserstein_of_copies_stays_below_2(n_copies):
    # Σ is v in all cells: Λ^½ Σ Λ^½ has the single eigenvalue n v².
    code = np.random.default_rng(0).normal(size=(100, 1))
    codes, v = np.repeat(code, n_copies, axis=1), np.var(code, ddof=1)
    expected = 2 * n_copies - 2 * sqrt(n_copies)
    # The root of an eigenvalue that is 0 but for rounding is some 1e-8.
    assert wasserstein_correlation(codes) == pytest.approx(v * expected, abs=1e-5)
    share = wasserstein_correlation(codes, normalized=True)
    assert share == pytest.approx(expected / n_copies, abs=1e-6)
    assert 0 <= share < 2


def test_correlated_codes_that_collapse_weigh_little_in_wasserstein():
    independent = grid(6, 6)
    pair = with_covariance([[1, 0.9], [0.9, 1]], n=36)
    scores = [
        [score(np.concatenate([independent, scale * pair], axis=1)) for scale in (1, 0.01)]
        for score in (wasserstein_correlation, total_correlation)
    ]
    assert scores[0][1] < 1e-3 * scores[0][0]
    assert scores[1][1] == pytest.approx(scores[1][0])


# Both.


# Pairwise mutual information.


def bin_numbers(code, n_bins):
    low, high = min(code), max(code)
    return [min(int((value - low) / (high - low) * n_bins), n_bins - 1) for value in code]


@pytest.mark.parametrize(
    ("codes", "n_bins", "expected"),
    [
        pytest.param(grid(4, 3, 2), 12, 0, id="independent"),
        pytest.param(grid(4)[:, [0, 0, 0]], 4, log(4), id="copies"),
        # Two of the six ordered pairs.
        pytest.param(grid(4, 3)[:, [0, 1, 0]], 12, 2 * log(4) / 6, id="copies beside another"),
        pytest.param(grid(4)[:, [0, 0, 0]] * [1, -1, 0], 4, 2 * log(4) / 6, id="a constant one"),
        # Bins of 39 / 20 = 1.95: the values 2m and 2m + 1 are in bin m.
        pytest.param(grid(40)[:, [0, 0]], 20, log(20), id="two values a bin"),
        pytest.param(grid(40)[:, [0, 0]], 1, 0, id="one bin"),
        # Each half is log 2 of the whole, and nothing of the other.
        pytest.param(np.concatenate([grid(2, 2), grid(4)], axis=1), 4, 4 * log(2) / 6, id="halves"),
        pytest.param(grid(4), 4, 0, id="a single code"),
        pytest.param(np.ones((4, 3)), 4, 0, id="constant codes"),
    ],
)
def test_pairwise_mutual_information_in_closed_form(codes, n_bins, expected):
    score = pairwise_mutual_information(codes, n_bins=n_bins)
    assert score == pytest.approx(expected, abs=1e-12)
    assert type(score) is float


@settings(deadline=None, max_examples=8)
@given(**draws, n_bins=st.integers(1, 10))
def test_pairwise_mutual_information_is_the_mean_over_pairs(seed, latent_dim, n_bins):
    codes = mixed(seed, latent_dim)
    bins = [bin_numbers(code, n_bins) for code in codes.T.tolist()]
    nats = [mutual_info_score(*pair) for pair in itertools.permutations(bins, 2)]
    expected = sum(nats) / max(1, len(nats))
    score = pairwise_mutual_information(codes, n_bins=n_bins)
    assert score == pytest.approx(expected, abs=1e-9)
    assert 0 <= score <= log(n_bins) + 1e-12


def test_pairwise_mutual_information_of_independent_codes_is_above_0_by_a_known_bias():
    n, n_bins, latent_dim, n_seeds = 10_000, 20, 4, 5
    freedom = (n_bins - 1) ** 2
    assert round(freedom / (2 * n), 3) == 0.018
    scores = [
        pairwise_mutual_information(np.random.default_rng(seed).random((n, latent_dim)))
        for seed in range(n_seeds)
    ]
    # 2N I is a chi-square, of variance 2 · freedom, of six pairs a seed.
    error = sqrt(2 * freedom / (6 * n_seeds)) / (2 * n)
    assert abs(np.mean(scores) - freedom / (2 * n)) < 4 * error


def test_pairwise_mutual_information_draws_each_sample_once():
    # In 1,000 bins between 0 and at most 999, each sample has its own.
    codes = grid(1_000)[:, [0, 0]]
    for n_samples in (10, 500, 1_000, 5_000):
        score = pairwise_mutual_information(codes, n_bins=1_000, n_samples=n_samples)
        assert score == pytest.approx(log(min(1_000, n_samples)))


# Active units.


def test_active_units_are_those_of_variance_above_the_threshold():
    # Variances 4, 1/4, 1/64 and 0, exactly.
    codes = np.array([[2, 0.5, 0.125, 3], [-2, -0.5, -0.125, 3]])
    for threshold, expected in [
        (0, 3),
        (0.01, 3),
        (1 / 64, 2),
        (0.2, 2),
        (1 / 4, 1),
        (3.9, 1),
        (4, 0),
    ]:
        assert active_units(codes, threshold=threshold) == expected
    assert active_units(codes) == 3
    assert type(active_units(codes)) is int


def test_active_units_are_counted_about_the_mean():
    # Deviations of 1/4 about 1,000, whose square float16 does not hold.
    codes = np.array([[1_000.0], [1_000.5]] * 8)
    for dtype in ("float16", "float32", "float64"):
        assert active_units(codes.astype(dtype), threshold=0.06) == 1
        assert active_units(codes.astype(dtype), threshold=1 / 16) == 0


# All.


GOOD = mixed(0, 3)


@pytest.mark.parametrize("score", COVARIANCE)
def test_no_more_samples_than_codes_are_refused(score):
    for n_samples in (2, 3):
        with pytest.raises(ValueError, match=f"more samples than codes, got {n_samples} and 3"):
            score(GOOD[:n_samples])
    assert np.isfinite(score(GOOD[:4]))


@pytest.mark.parametrize(
    ("score", "options", "words"),
    [
        (pairwise_mutual_information, {"n_bins": 0}, "n_bins must be at least 1, got 0"),
        (pairwise_mutual_information, {"n_samples": 0}, "n_samples must be at least 1, got 0"),
        (active_units, {"threshold": -0.1}, "threshold must be at least 0, got -0.1"),
    ],
)
def test_bad_options_are_refused(score, options, words):
    with pytest.raises(ValueError, match=words):
        score(GOOD, **options)
