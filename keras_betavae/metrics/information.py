"""Scores from the mutual information of each code with each factor."""

import numpy as np

from keras_betavae.metrics._bins import binnings
from keras_betavae.metrics._samples import check_codes, draw
from keras_betavae.metrics.estimation import (
    Estimator,
    information_and_entropy,
    plug_in_entropy,
    posterior_information,
)


def mig_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    log_vars: np.ndarray | None = None,
    estimator: Estimator = "histogram",
    n_bins: int = 20,
    n_samples: int = 10_000,
    seed: int = 0,
) -> float:
    r"""Returns the mutual information gap.

    .. math::
        \mathrm{MIG} = \frac{1}{K} \sum_k \frac{1}{H(y_k)}
        \left(I(z_{j(k)}; y_k) - \max_{j \neq j(k)} I(z_j; y_k)\right),
        \quad j(k) = \operatorname{argmax}_j I(z_j; y_k)

    It requires that each factor is encoded by one code, which may also encode other factors.

    Published tables have two versions of this score, which must not be compared. Locatello et al.
    2019 use the posterior means and all five factors of dSprites: the default. Chen et al. 2018
    use samples of the posteriors, without the shape: pass `log_vars`, and leave out the shape's
    column.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        log_vars: Log-variances of the normal posteriors with means `codes`, of the same shape. If
            given, the information is that of posterior samples (`posterior_information`), and
            `estimator` and `n_bins` are not used.
        estimator: Of the information, see `mutual_information`. Published tables use
            `"histogram"`.
        n_bins: Bins of equal width per code, for factors that are classes.
        n_samples: Samples drawn, or all if there are fewer.
        seed: Seed of the draw.

    Returns:
        From 0 to 1 (best). A single code is compared with a constant one. If a factor has more
        values than bins, a perfect code scores below 1: about 0.9 with the factors of dSprites and
        20 bins.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, a factor has only one
            value, or an option is out of range.

    References:
        Chen et al., Isolating Sources of Disentanglement in Variational Autoencoders,
        NeurIPS 2018, section 4. Locatello et al. 2019, appendix C.

    Example:
        >>> factors = np.stack(np.meshgrid(range(4), range(2)), -1).reshape(-1, 2)
        >>> mig_score(factors, factors * 1.0)
        1.0
    """
    if log_vars is None:
        truth, codes = draw(factors, codes, n_samples, seed)
        information, entropy = information_and_entropy(truth, codes, estimator, n_bins, seed)
    else:
        codes, log_vars = check_codes(codes), check_codes(log_vars)
        if log_vars.shape != codes.shape:
            raise ValueError(
                f"log_vars must be of the codes' shape {codes.shape}, got {log_vars.shape}"
            )
        both = np.concatenate([codes, log_vars], axis=1)
        truth, both = draw(factors, both, n_samples, seed)
        means, log_vars = np.split(both, 2, axis=1)
        information = posterior_information(truth.classes, means, log_vars, seed)
        entropy = np.array([plug_in_entropy(column)[0] for column in truth.classes.T])
    first, second = _top_two(information)
    return float(np.mean((first - second) / entropy))


def mig_sup_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    estimator: Estimator = "histogram",
    n_bins: int = 20,
    n_samples: int = 10_000,
    seed: int = 0,
) -> float:
    r"""Returns MIG-sup, the mutual information gap between factors for each code.

    .. math::
        \mathrm{MIG\text{-}sup} = \frac{1}{D} \sum_j \left(I_n(z_j; y_{k(j)}) -
        \max_{k \neq k(j)} I_n(z_j; y_k)\right), \quad I_n(z; y) = I(z; y) / H(y)

    with k(j) the factor with the largest :math:`I_n(z_j; y_k)`. It requires that each code
    encodes one factor, which several codes may encode.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        estimator: Of the information, see `mutual_information`.
        n_bins: Bins of equal width per code, for factors that are classes.
        n_samples: Samples drawn, or all if there are fewer.
        seed: Seed of the draw.

    Returns:
        From 0 to 1 (best). The mean is over all codes, so each uninformative code lowers it:
        five perfect codes of ten score 0.5.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, there are fewer than
            two factors, one has one value, or an option is out of range.

    References:
        Li et al., Progressive Learning and Disentanglement of Hierarchical
        Representations, ICLR 2020.

    Example:
        >>> factors = np.stack(np.meshgrid(range(4), range(2)), -1).reshape(-1, 2)
        >>> mig_sup_score(factors, factors * 1.0)
        1.0
    """
    truth, codes = draw(factors, codes, n_samples, seed, n_factors=2)
    information, entropy = information_and_entropy(truth, codes, estimator, n_bins, seed)
    first, second = _top_two((information / entropy).T)
    return float(np.mean(first - second))


def dcimig_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    estimator: Estimator = "histogram",
    n_bins: int = 20,
    n_samples: int = 10_000,
    seed: int = 0,
) -> float:
    r"""Returns DCIMIG, which requires one code per factor and one factor per code.

    .. math::
        \mathrm{DCIMIG} = \frac{\sum_k \max\left(\{0\} \cup
        \{R_j : k(j) = k\}\right)}{\sum_k H(y_k)}, \quad
        R_j = I(z_j; y_{k(j)}) - \max_{k \neq k(j)} I(z_j; y_k)

    with k(j) the factor that code j has the most mutual information with, in nats. A factor that
    is k(j) of no code adds 0.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        estimator: Of the information, see `mutual_information`.
        n_bins: Bins of equal width per code, for factors that are classes.
        n_samples: Samples drawn, or all if there are fewer.
        seed: Seed of the draw.

    Returns:
        From 0 to 1 (best). Uninformative codes and copies of a code do not change it.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, there are fewer than
            two factors, one has one value, or an option is out of range.

    References:
        Sepliarskaia, Kiseleva & de Rijke, How to Not Measure Disentanglement, 2019
        (there 3CharM); named DCIMIG by Zaidi et al., Measuring Disentanglement: A Review
        of Metrics, 2020.

    Example:
        >>> factors = np.stack(np.meshgrid(range(4), range(2)), -1).reshape(-1, 2)
        >>> dcimig_score(factors, factors * 1.0)
        1.0
    """
    truth, codes = draw(factors, codes, n_samples, seed, n_factors=2)
    information, entropy = information_and_entropy(truth, codes, estimator, n_bins, seed)
    first, second = _top_two(information.T)
    gaps = np.zeros(len(entropy))
    np.maximum.at(gaps, information.argmax(axis=1), first - second)
    return float(gaps.sum() / entropy.sum())


def jemmig_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    n_bins: int = 20,
    n_samples: int = 10_000,
    seed: int = 0,
) -> float:
    r"""Returns the joint entropy minus mutual information gap, normalized.

    .. math::
        \frac{1}{K} \sum_k \left(1 - \frac{H(z_{j(k)}, y_k) - I(z_{j(k)}; y_k) +
        \max_{j \neq j(k)} I(z_j; y_k)}{H(y_k) + \log B}\right), \quad
        j(k) = \operatorname{argmax}_j I(z_j; y_k)

    with B bins per code. Unlike the mutual information gap, it falls if the code of a factor
    encodes anything else, including noise.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        n_bins: B, bins of equal width per code, for factors that are classes.
        n_samples: Samples drawn, or all if there are fewer.
        seed: Seed of the draw.

    Returns:
        From 0 to 1 (best; the paper's own score, in nats, is better if smaller). A single code is
        compared with a constant one. An uninformative code scores 0 if it fills its bins evenly,
        and more if not: a constant code scores 1/2 if a factor has as many, equally frequent,
        values as there are bins.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, a factor has only one
            value, or an option is out of range.

    References:
        Do & Tran, Theory and Evaluation Metrics for Learning Disentangled
        Representations, ICLR 2020, section 3.3.

    Example:
        >>> factors = np.stack(np.meshgrid(range(4), range(2)), -1).reshape(-1, 2)
        >>> jemmig_score(factors, factors * 1.0)
        1.0
    """
    truth, codes = draw(factors, codes, n_samples, seed)
    information, entropy = information_and_entropy(truth, codes, "histogram", n_bins, seed)
    first, second = _top_two(information)
    of_codes, highest = np.empty_like(information), np.empty_like(entropy)
    for columns, bins, n in binnings(truth.is_continuous, codes, n_bins):
        of_codes[:, columns] = [[plug_in_entropy(code)[0]] for code in bins.T]
        highest[columns] = np.log(n)
    # Of codes with equal information, the one with the least entropy.
    own = np.where(information > first - 1e-12, of_codes, np.inf).min(axis=0)
    jemmig = own + entropy - 2 * first + second
    return float(np.mean(1 - jemmig / (entropy + highest)))


def modularity_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    estimator: Estimator = "histogram",
    n_bins: int = 20,
    n_samples: int = 10_000,
    seed: int = 0,
) -> float:
    r"""Returns the modularity: whether each code encodes one factor.

    .. math::
        \frac{1}{D} \sum_j \left(1 - \frac{\sum_{k \neq k(j)} I(z_j; y_k)^2}{(K - 1) \,
        I(z_j; y_{k(j)})^2}\right), \quad k(j) = \operatorname{argmax}_k I(z_j; y_k)

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        estimator: Of the information, see `mutual_information`. Published tables use
            `"histogram"`.
        n_bins: Bins of equal width per code, for factors that are classes.
        n_samples: Samples drawn, or all if there are fewer.
        seed: Seed of the draw.

    Returns:
        From 0 to 1 (best); a constant code adds 0 to the mean. Noise scores high, because the
        histogram's bias is larger for factors with more values, which looks like a
        preference: 0.65 with the factors of dSprites, 0.99 if one factor has by far the most
        values, 0.2 if all have ten.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, there are fewer than
            two factors, one has one value, or an option is out of range.

    References:
        Ridgeway & Mozer, Learning Deep Disentangled Embeddings With the F-Statistic Loss,
        NeurIPS 2018, section 3. Locatello et al. 2019, appendix C.

    Example:
        >>> factors = np.stack(np.meshgrid(range(4), range(2)), -1).reshape(-1, 2)
        >>> modularity_score(factors, factors * 1.0)
        1.0
    """
    truth, codes = draw(factors, codes, n_samples, seed, n_factors=2)
    squares = information_and_entropy(truth, codes, estimator, n_bins, seed)[0] ** 2
    largest = squares.max(axis=1)
    others = (squares.sum(axis=1) - largest) / (squares.shape[1] - 1)
    # Information below rounding errors counts as 0.
    holds = largest > 1e-24
    return float(np.mean(np.where(holds, 1 - others / np.where(holds, largest, 1), 0)))


def _top_two(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each column's largest and second largest value, 0 if there is no second."""
    ranked = np.sort(matrix, axis=0)[::-1]
    return ranked[0], ranked[1] if len(ranked) > 1 else np.zeros_like(ranked[0])
