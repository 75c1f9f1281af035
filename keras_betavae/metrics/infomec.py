"""InfoMEC: modularity, explicitness and compactness from mutual information."""

from typing import NamedTuple

import numpy as np

from keras_betavae.metrics._estimators import fitting
from keras_betavae.metrics._samples import check_counts, draw, standardize
from keras_betavae.metrics.estimation import knn_information, plug_in_entropy


class InfoMECScores(NamedTuple):
    """The result of `infomec_scores`.

    Attributes:
        modularity: Whether each code encodes one factor (InfoM).
        explicitness: Whether the factors are linearly predictable (InfoE).
        compactness: Whether each factor is encoded by one code (InfoC).
    """

    modularity: float
    explicitness: float
    compactness: float


def infomec_scores(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    n_neighbors: int = 10,
    active_range: float = 1 / 20,
    n_samples: int = 10_000,
    seed: int = 0,
) -> InfoMECScores:
    r"""Returns InfoM, InfoE and InfoC.

    .. math::
        \mathrm{InfoM} = \frac{\frac{1}{D} \sum_j \max_k n_{jk} / \sum_k n_{jk} - 1/K}
        {1 - 1/K}, \quad
        \mathrm{InfoC} = \frac{\frac{1}{K} \sum_k \max_j n_{jk} / \sum_j n_{jk} - 1/D}
        {1 - 1/D}

    .. math::
        \mathrm{InfoE} = \frac{1}{K} \sum_k \left(1 - \frac{H_V(y_k | z)}{H_V(y_k)}\right)

    over the D active codes, with :math:`n_{jk} = I(z_j; y_k) / H(y_k)` estimated by
    nearest neighbors, and :math:`H_V` the mean cross-entropy of a logistic regression
    (unregularized, classes balanced) on all standardized codes, or on no codes, where it is
    the logarithm of the number of values. Continuous factors use a linear regression and the
    mean squared error instead, so their term is R²; their information is that of their
    quantile bins.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        n_neighbors: Number of neighbors for the estimate of the information.
        active_range: A code is active if its range (largest minus smallest value) is above
            this share of the largest range of a code.
        n_samples: Samples drawn, or all if there are fewer.
        seed: Seed of the draw, and of the noise that breaks ties.

    Returns:
        Three numbers from 0 to 1 (best). A code without information on any factor adds 0 to
        the modularity, and a factor that no code has information on adds 0 to the
        compactness. With one active code the compactness is 1; with none all three are 0.
        The explicitness is measured on the samples that the regression was fitted to, so it
        is too high for few samples. Noise does not score 0, because estimates are clipped at
        0 and one of the rest is the largest: with the factors of dSprites, modularity is
        0.65 and, with ten codes, compactness 0.46.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, there are fewer than
            two factors, one has one value, or an option is out of range.

    References:
        Hsu et al., Disentanglement via Latent Quantization, NeurIPS 2023, section 4 (the
        numbers of neighbors and `active_range`: as in their code).

    Example:
        >>> factors = np.stack(np.meshgrid(range(6), range(6)), -1).reshape(-1, 2)
        >>> infomec_scores(factors, factors * 1.0).modularity
        1.0
    """
    check_counts(n_neighbors=n_neighbors)
    if not 0 <= active_range < 1:
        raise ValueError(f"active_range must be at least 0 and below 1, got {active_range}")
    truth, codes = draw(factors, codes, n_samples, seed, n_factors=2)
    ranges = np.ptp(codes, axis=0)
    active = ranges > active_range * ranges.max()
    if not active.any():
        return InfoMECScores(0.0, 0.0, 0.0)
    information = knn_information(truth.classes, codes[:, active], n_neighbors, seed)
    shares = information / [plug_in_entropy(column)[0] for column in truth.classes.T]
    (standardized,) = standardize(codes)
    explained = [
        _explained_variance(standardized, values)
        if is_continuous
        else _explained(standardized, classes)
        for classes, values, is_continuous in zip(
            truth.classes.T, truth.values.T, truth.is_continuous, strict=True
        )
    ]
    return InfoMECScores(
        _concentration(shares), float(np.mean(explained)), _concentration(shares.T)
    )


def _concentration(shares: np.ndarray) -> float:
    """Returns the mean over rows of the largest entry's share, from 0 (even) to 1 (one entry)."""
    n = shares.shape[1]
    if n == 1:
        return 1.0
    total = shares.sum(axis=1)
    largest = np.divide(shares.max(axis=1), total, out=np.full(len(shares), 1 / n), where=total > 0)
    return float(((largest.mean() - 1 / n) / (1 - 1 / n)).clip(0, 1))


def _explained(codes, classes) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    with fitting():
        model = LogisticRegression(C=np.inf, class_weight="balanced").fit(codes, classes)
    loss = log_loss(classes, model.predict_proba(codes), labels=model.classes_)
    # With unbalanced values, the unweighted loss may exceed that without codes.
    return max(0.0, 1 - loss / np.log(len(model.classes_)))


def _explained_variance(codes, values) -> float:
    """Returns R² of a linear regression."""
    from sklearn.linear_model import LinearRegression

    with fitting():
        return max(0.0, float(LinearRegression().fit(codes, values).score(codes, values)))
