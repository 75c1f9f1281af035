"""Estimates of the mutual information of each code with each factor."""

import math
from typing import Literal

import numpy as np

from keras_betavae.metrics._bins import binnings
from keras_betavae.metrics._samples import Truth, draw

Estimator = Literal["histogram", "corrected", "knn"]
ESTIMATORS = ("histogram", "corrected", "knn")


def mutual_information(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    estimator: Estimator = "histogram",
    n_bins: int = 20,
    n_samples: int = 10_000,
    seed: int = 0,
) -> np.ndarray:
    r"""Returns the mutual information of each code and each factor.

    .. math:: I(z_j; y_k) = H(z_j) + H(y_k) - H(z_j, y_k)

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        estimator: How the entropies are estimated:

            - `"histogram"`: from the counts in bins of equal width, as published. The
              estimate is too high, by about (bins - 1)(values - 1) / 2N if the two are
              independent: 0.037 nats for 20 bins, 40 values and 10,000 samples.
            - `"corrected"`: the same counts with Miller and Madow's correction, which
              adds (occupied cells - 1) / 2N to each entropy.
            - `"knn"`: without bins, from the distances to the 3 nearest neighbors, by
              scikit-learn's `mutual_info_classif` (Ross 2014).
        n_bins: Bins per code.
        n_samples: Samples drawn, or all if there are fewer.
        seed: Seed of the draw, and of the noise that `"knn"` adds to break ties.

    Returns:
        Nats, from 0 to the factor's entropy, (latent_dim, n_factors). A constant code
        gives 0.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, a factor has only one
            value, or an option is out of range.

    References:
        Chen et al. 2018, section 4. Miller, Note on the bias of information estimates,
        1955. Ross, Mutual Information between Discrete and Continuous Data Sets, PLoS ONE
        2014.

    Example:
        >>> factors = np.stack(np.meshgrid(range(4), range(2)), -1).reshape(-1, 2)
        >>> mutual_information(factors, factors * 1.0).round(3)
        array([[1.386, 0.   ],
               [0.   , 0.693]])
    """
    truth, codes = draw(factors, codes, n_samples, seed)
    return information_and_entropy(truth, codes, estimator, n_bins, seed)[0]


def information_and_entropy(
    truth: Truth, codes: np.ndarray, estimator: Estimator, n_bins: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the information (latent_dim, n_factors) and the factors' entropies, in nats."""
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {estimator!r}")
    if estimator == "knn":
        entropy = np.array([plug_in_entropy(column)[0] for column in truth.classes.T])
        information = knn_information(truth.classes, codes, n_neighbors=3, seed=seed)
        return information.clip(0, entropy), entropy
    entropy = np.empty(truth.classes.shape[1])
    information = np.empty((codes.shape[1], len(entropy)))
    for columns, bins, _ in binnings(truth.is_continuous, codes, n_bins):
        information[:, columns], entropy[columns] = binned_information(
            truth.classes[:, columns], bins, estimator == "corrected"
        )
    return information.clip(0, entropy), entropy


def posterior_information(
    factors: np.ndarray, means: np.ndarray, log_vars: np.ndarray, seed: int = 0
) -> np.ndarray:
    r"""Returns the mutual information of each latent's posterior samples with each factor.

    .. math::
        I(z_j; y_k) = H(z_j) - H(z_j | y_k), \qquad
        H(z_j) = -\mathbb{E}_n \log \frac{1}{N} \sum_m q(z_j | x_m), \quad
        z_j \sim q(z_j | x_n)

    and :math:`H(z_j | y_k)` the same with the sum over the images that share the value of
    :math:`y_k`. An image's own posterior is in both sums, which makes the information too high
    if few images share a value: the error is the logarithm of its share of the sum. Time grows
    with N², memory with N.

    Args:
        factors: Integer classes from 0, (n_samples, n_factors).
        means: Means of the normal posteriors of the same images, (n_samples, latent_dim).
        log_vars: Their log-variances, (n_samples, latent_dim).
        seed: Seed of the samples.

    Returns:
        Nats, at least 0, (latent_dim, n_factors).

    References:
        Chen et al., Isolating Sources of Disentanglement in Variational Autoencoders, NeurIPS
        2018, section 4 and its released code.
    """
    std = np.exp(0.5 * log_vars)
    z = means + std * np.random.default_rng(seed).standard_normal(means.shape)
    information = np.empty((means.shape[1], factors.shape[1]))
    for j, columns in enumerate(zip(z.T, means.T, std.T, strict=True)):
        entropy = -_mean_log_mixture(*columns)
        for k, values in enumerate(factors.T):
            _, classes = np.unique(values, return_inverse=True)
            order = np.argsort(classes, kind="stable")
            ends = np.cumsum(np.bincount(classes))
            groups = np.split(np.stack(columns)[:, order], ends[:-1], axis=1)
            conditional = -sum(_mean_log_mixture(*g) * g.shape[1] for g in groups) / len(classes)
            information[j, k] = entropy - conditional
    return information.clip(0)


def _mean_log_mixture(z: np.ndarray, means: np.ndarray, std: np.ndarray) -> float:
    """Returns the mean of log (1/N) Σ_m N(z_n; mean_m, std_m) over samples, (n,) each."""
    total = 0.0
    weights = 1.0 / (std * math.sqrt(2.0 * math.pi) * len(z))
    for start in range(0, len(z), 500):
        distance = (z[start : start + 500, None] - means) / std
        # `@` would depend on the number of cores.
        total += np.log((np.exp(-0.5 * distance**2) * weights).sum(axis=1)).sum()
    return total / len(z)


def binned_information(
    factors: np.ndarray, bins: np.ndarray, corrected: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the information of two sets of labels and the factors' entropies."""

    def entropy(*labels: np.ndarray) -> float:
        plug_in, n_cells = plug_in_entropy(*labels)
        return plug_in + (n_cells - 1) / (2 * len(labels[0])) if corrected else plug_in

    of_codes = np.array([entropy(column) for column in bins.T])
    of_factors = np.array([entropy(column) for column in factors.T])
    joint = np.array([[entropy(b, f) for f in factors.T] for b in bins.T])
    return of_codes[:, None] + of_factors - joint, of_factors


def knn_information(
    factors: np.ndarray, codes: np.ndarray, n_neighbors: int, seed: int
) -> np.ndarray:
    """Returns scikit-learn's estimate by nearest neighbors, 0 for constant codes.

    Raises:
        ValueError: If no two samples share a value of a factor.
    """
    from sklearn.feature_selection import mutual_info_classif

    information = np.zeros((codes.shape[1], factors.shape[1]))
    alive = np.ptp(codes, axis=0) > 0
    if not alive.any():
        return information
    for k, classes in enumerate(factors.T):
        if np.bincount(classes).max() == 1:
            raise ValueError(f"no two samples share a value of factor {k}; encode more images")
        information[alive, k] = mutual_info_classif(
            codes[:, alive],
            classes,
            discrete_features=False,
            n_neighbors=n_neighbors,
            random_state=int(seed) % 2**32,
        )
    return information


def plug_in_entropy(*labels: np.ndarray) -> tuple[float, int]:
    """Returns the plug-in (joint) entropy of labels, and the number of occupied cells."""
    cells = np.ravel_multi_index(labels, [label.max() + 1 for label in labels])
    counts = np.bincount(cells)
    p = counts[counts > 0] / len(cells)
    return float(-(p * np.log(p)).sum()), len(p)
