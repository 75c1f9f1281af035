"""Scores that need only codes, for data without factors."""

import numpy as np

from keras_betavae.metrics._bins import equal_width
from keras_betavae.metrics._samples import check_codes, check_counts
from keras_betavae.metrics.estimation import binned_information


def total_correlation(codes: np.ndarray) -> float:
    r"""Returns the total correlation of the Gaussian with the codes' covariance.

    .. math::
        \mathrm{TC} = \frac{1}{2} \left(\sum_j \log \Sigma_{jj} - \log \det \Sigma\right)

    which is KL(N(0, Σ) ‖ N(0, diag Σ)).

    Args:
        codes: Codes, (n_samples, latent_dim).

    Returns:
        Nats from 0 (uncorrelated, best); infinite for linearly dependent codes. Constant codes
        are left out. Rescaling a code does not change the score. For N samples of D
        independent codes, it is about D(D - 1) / 4N instead of 0.

    Raises:
        ValueError: If the codes are not finite numbers (n_samples, latent_dim), or there
            are no more samples than codes.

    References:
        Watanabe, Information Theoretical Analysis of Multivariate Correlation, 1960.
        Locatello et al. 2019, section 5.1.

    Example:
        >>> total_correlation(np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]))
        0.0
    """
    codes = check_codes(codes).astype(np.float64)
    covariance = _covariance(codes / np.where(np.ptp(codes, axis=0) > 0, np.ptp(codes, axis=0), 1))
    std = np.sqrt(np.diag(covariance))
    eigenvalues = np.linalg.eigvalsh(covariance / std[:, None] / std)
    if len(eigenvalues) and eigenvalues[0] < 1e-12 * len(eigenvalues):
        return float("inf")
    return max(0.0, -0.5 * float(np.log(eigenvalues).sum()))


def wasserstein_correlation(codes: np.ndarray, *, normalized: bool = False) -> float:
    r"""Returns the distance of the codes' Gaussian from the product of its marginals.

    .. math::
        W_2^2 = 2 \operatorname{tr} \Sigma - 2 \operatorname{tr}
        \left(\Lambda^{1/2} \Sigma \Lambda^{1/2}\right)^{1/2},
        \quad \Lambda = \operatorname{diag} \Sigma

    the squared Wasserstein distance between N(0, Σ) and N(0, Λ).

    Args:
        codes: Codes, (n_samples, latent_dim).
        normalized: Divides by tr Σ, so rescaling all codes together does not change the score.

    Returns:
        From 0 (uncorrelated, best), in squared units of the codes; normalized, below 2. Constant
        codes are left out. Unlike the total correlation, it depends on the scale of the
        codes, so collapsed codes have little weight.

    Raises:
        ValueError: If the codes are not finite numbers (n_samples, latent_dim), or there
            are no more samples than codes.

    References:
        Locatello et al. 2019, section 5.1 and appendix C. Olkin & Pukelsheim, The
        Distance Between Two Random Vectors with Given Dispersion Matrices, 1982.

    Example:
        >>> wasserstein_correlation(np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]))
        0.0
    """
    covariance = _covariance(codes)
    if not covariance.size:
        return 0.0
    std = np.sqrt(np.diag(covariance))
    eigenvalues = np.linalg.eigvalsh(std[:, None] * covariance * std).clip(min=0)
    trace = np.trace(covariance)
    distance = max(0.0, 2 * float(trace - np.sqrt(eigenvalues).sum()))
    return float(distance / trace) if normalized else distance


def pairwise_mutual_information(
    codes: np.ndarray, *, n_bins: int = 20, n_samples: int = 10_000, seed: int = 0
) -> float:
    r"""Returns the mean mutual information of pairs of codes.

    .. math:: \frac{1}{D (D - 1)} \sum_{i \neq j} I(z_i; z_j)

    Args:
        codes: Codes, (n_samples, latent_dim).
        n_bins: Bins of equal width per code.
        n_samples: Samples drawn, or all if there are fewer.
        seed: Seed of the draw.

    Returns:
        Nats from 0 (best) to log(n_bins); 0 for a single code. Constant codes count as 0. The
        estimate is too high by about (bins - 1)² / 2N for independent codes that fill their
        bins: 0.018 nats for 20 bins and 10,000 samples.

    Raises:
        ValueError: If the codes are not finite numbers (n_samples, latent_dim), or an
            option is out of range.

    References:
        Locatello et al. 2019, section 5.1.

    Example:
        >>> pairwise_mutual_information(np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]))
        0.0
    """
    codes = check_codes(codes)
    check_counts(n_samples=n_samples)
    if n_samples < len(codes):
        codes = codes[np.random.default_rng(seed).permutation(len(codes))[:n_samples]]
    bins = equal_width(codes.astype(np.float64), n_bins)
    information = binned_information(bins, bins)[0]
    np.fill_diagonal(information, 0.0)
    n_pairs = information.size - len(information)
    return max(0.0, float(information.sum() / max(1, n_pairs)))


def active_units(codes: np.ndarray, *, threshold: float = 0.01) -> int:
    r"""Returns the number of codes that vary with the image.

    .. math:: \left|\left\{j : \operatorname{Var}_x(\mathbb{E}[z_j | x]) > \tau\right\}\right|

    Args:
        codes: Posterior means, (n_samples, latent_dim).
        threshold: τ, in squared units of the codes.

    Returns:
        A number from 0 to latent_dim. More is not better.

    Raises:
        ValueError: If the codes are not finite numbers (n_samples, latent_dim), or the
            threshold is negative.

    References:
        Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016,
        section 5.2.

    Example:
        >>> active_units(np.array([[1.0, 0.01], [-1.0, 0.0]]))
        1
    """
    if not threshold >= 0:
        raise ValueError(f"threshold must be at least 0, got {threshold}")
    return int((check_codes(codes).var(axis=0, dtype=np.float64) > threshold).sum())


def _covariance(codes: np.ndarray) -> np.ndarray:
    """Returns the covariance of the codes that are not constant."""
    codes = check_codes(codes).astype(np.float64)
    if len(codes) <= codes.shape[1]:
        raise ValueError(
            f"codes must hold more samples than codes, got {len(codes)} and {codes.shape[1]}"
        )
    alive = codes[:, np.ptp(codes, axis=0) > 0]
    return np.cov(alive, rowvar=False).reshape(alive.shape[1], alive.shape[1])
