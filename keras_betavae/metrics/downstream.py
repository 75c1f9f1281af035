"""Scores of downstream tasks: learning from few labels, and fairness."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_betavae.metrics._estimators import fitting, make_estimator
from keras_betavae.metrics._samples import (
    check_counts,
    check_factors_and_codes,
    draw_split,
    standardize,
)

_N_SHUFFLES = 5


class DownstreamScores(NamedTuple):
    """The result of `downstream_scores`.

    Attributes:
        accuracy: The mean test accuracy by the number of labels.
        efficiency: For each number of labels except the largest, its accuracy divided by that
            of the largest.
    """

    accuracy: dict[int, float]
    efficiency: dict[int, float]


def downstream_scores(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    sizes: Sequence[int] = (10, 100, 1_000, 10_000),
    n_test: int = 5_000,
    estimator: Any = "gradient_boosting",
    n_jobs: int | None = None,
    seed: int = 0,
) -> DownstreamScores:
    r"""Returns the accuracy of classifiers of the factors, by number of labels.

    .. math:: a_n = \frac{1}{K} \sum_k \mathrm{accuracy}_{k, n}, \quad e_n = a_n / a_{\max n}

    The labeled samples are nested: the first 10 are among the first 100.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        sizes: Numbers of labeled samples; those above the available number are left out.
        n_test: Number of test samples, at most a third of all.
        estimator: Fitted per factor and size, to standardized codes:
            `"gradient_boosting"` (scikit-learn's `GradientBoostingClassifier`, as in
            published tables; minutes), `"random_forest"`, `"logistic_regression"`, or any
            scikit-learn classifier.
        n_jobs: Threads, a factor each; None is 1 and -1 is all cores.
        seed: Seed of the draw, and of estimators that are not seeded.

    Returns:
        Accuracies from 0 to 1 (best), and ratios from 0, about 1 if few labels do as well as
        many. Chance level is the share of a factor's most frequent value. If the labeled
        samples have only one value of a factor, that value is predicted.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, a factor has one
            value, a number is below 1, or no size fits the samples.

    References:
        Locatello et al. 2019, section 5.5 (its sample efficiency is :math:`e_{100}`).

    Example:
        >>> factors = np.stack(np.meshgrid(range(6), range(6)), -1).reshape(-1, 2)
        >>> codes = np.repeat(factors, 20, axis=0) * 1.0
        >>> scores = downstream_scores(np.repeat(factors, 20, axis=0), codes,
        ...     sizes=(10, 400), estimator="random_forest")
        >>> scores.accuracy[400]
        1.0
    """
    from joblib import Parallel, delayed

    factors, codes = check_factors_and_codes(factors, codes)
    sizes, n_test = labeled_sizes(len(codes), sizes, n_test)
    y_train, x_train, y_test, x_test = draw_split(
        factors, codes, sizes[-1], n_test, seed, all_vary=False
    )

    def accuracies(y: np.ndarray, y_new: np.ndarray) -> list[float]:
        return [
            float(np.mean(_predict(estimator, seed, x_train[:n], y[:n], x_test) == y_new))
            for n in sizes
        ]

    pairs = zip(y_train.T, y_test.T, strict=True)
    with fitting():
        by_factor = Parallel(n_jobs, prefer="threads")(delayed(accuracies)(*p) for p in pairs)
    accuracy = dict(zip(sizes, np.mean(by_factor, axis=0).tolist(), strict=True))
    best = accuracy[sizes[-1]]
    efficiency = {n: accuracy[n] / best if best else 0.0 for n in sizes[:-1]}
    return DownstreamScores(accuracy, efficiency)


def labeled_sizes(n_samples: int, sizes: Sequence[int], n_test: int) -> tuple[list[int], int]:
    """Returns the possible numbers of labeled samples, and the number of test samples.

    Raises:
        ValueError: If a number is below 1, or no size fits the samples.
    """
    check_counts(n_test=n_test)
    n_test = max(1, min(n_test, n_samples // 3))
    ordered = sorted(set(sizes))
    fitting_sizes = [n for n in ordered if n <= n_samples - n_test]
    if not fitting_sizes or ordered[0] < 1:
        raise ValueError(
            f"sizes must be from 1 to {n_samples - n_test}, as {n_test} of the {n_samples} "
            f"samples are scored, got {tuple(ordered)}"
        )
    return fitting_sizes, n_test


def unfairness_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    n_train: int = 10_000,
    n_test: int = 5_000,
    estimator: Any = "gradient_boosting",
    corrected: bool = True,
    n_jobs: int | None = None,
    seed: int = 0,
) -> float:
    r"""Returns how much predictions of one factor depend on another.

    .. math::
        \frac{1}{K (K - 1)} \sum_{t \neq s} \mathbb{E}_{y_s}
        \mathrm{TV}\left(p(\hat{y}_t), \, p(\hat{y}_t | y_s)\right)

    for a classifier of each target factor t, and each other factor s as the sensitive one. If
    the factors are independent, a fair prediction of t does not depend on s.

    The paper intervenes on s and renders new images. Here the test samples are grouped by s,
    which is equivalent if the factors are independent in the data.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        n_train: Samples that the classifiers are fitted to.
        n_test: Samples whose predictions are compared. With fewer samples than both
            together, both shrink in proportion.
        estimator: As in `downstream_scores`.
        corrected: The distance d of two samples from the same distribution is not 0, but about 0.17
            for 32 values each and 5,000 samples. If True, it is corrected by the distance b after
            shuffling s (mean of five shuffles) to :math:`\sqrt{d^2 - b^2}`, which is within 0.05 of
            the truth in simulations where d alone is off by up to 0.15. If False, d is used.
        n_jobs: Threads, a factor each; None is 1 and -1 is all cores.
        seed: Seed of the draw, of the shuffles, and of estimators that are not seeded.

    Returns:
        From 0 (best) to below 1. It is 0 for constant predictions too: compare it with the
        accuracy.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, there are fewer than
            two factors, one has one value, or an option is out of range.

    References:
        Locatello et al., On the Fairness of Disentangled Representations, NeurIPS 2019,
        section 4.

    Example:
        >>> factors = np.stack(np.meshgrid(range(6), range(6)), -1).reshape(-1, 2)
        >>> factors = np.repeat(factors, 50, axis=0)
        >>> unfairness_score(factors, factors * 1.0, estimator="random_forest") < 0.1
        True
    """
    from joblib import Parallel, delayed

    y_train, x_train, y_test, x_test = draw_split(
        factors, codes, n_train, n_test, seed, n_factors=2
    )
    with fitting():
        predictions = Parallel(n_jobs, prefer="threads")(
            delayed(_predict)(estimator, seed, x_train, y, x_test) for y in y_train.T
        )
    distances = [
        _dependence(predicted, sensitive, corrected, seed)
        for t, predicted in enumerate(predictions)
        for s, sensitive in enumerate(y_test.T)
        if s != t
    ]
    return float(np.mean(distances))


def _predict(estimator, seed, x_train, y_train, x_test) -> np.ndarray:
    if (y_train == y_train[0]).all():
        return np.full(len(x_test), y_train[0])
    from sklearn.base import is_classifier

    classifier = make_estimator(estimator, seed)
    if not is_classifier(classifier):
        raise ValueError(f"estimator must be a classifier, got {classifier}")
    x_train, x_test = standardize(x_train, x_test)
    return classifier.fit(x_train, y_train).predict(x_test)


def _dependence(predicted, sensitive, corrected, seed) -> float:
    distance = _mean_total_variation(predicted, sensitive)
    if not corrected:
        return distance
    rng = np.random.default_rng(seed)
    shuffled = [
        _mean_total_variation(predicted, rng.permutation(sensitive)) for _ in range(_N_SHUFFLES)
    ]
    by_chance = float(np.mean(shuffled))
    return max(0.0, distance**2 - by_chance**2) ** 0.5


def _mean_total_variation(predicted, sensitive) -> float:
    counts = np.zeros((predicted.max() + 1, sensitive.max() + 1))
    np.add.at(counts, (predicted, sensitive), 1)
    groups = counts.sum(axis=0)
    shares = counts / np.where(groups > 0, groups, 1)
    overall = counts.sum(axis=1, keepdims=True) / len(predicted)
    variation = np.abs(shares - overall).sum(axis=0) / 2
    return float(np.average(variation, weights=groups))
