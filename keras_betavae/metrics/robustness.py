"""A score of how much other factors change a code."""

import numpy as np

from keras_betavae.metrics._bins import equal_width
from keras_betavae.metrics._samples import check_counts, draw


def irs_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    quantile: float = 0.99,
    n_bins: int | None = 20,
    n_samples: int = 10_000,
    seed: int = 0,
) -> float:
    r"""Returns the interventional robustness score.

    .. math::
        \mathrm{IRS}_{jk} = 1 - \frac{\mathbb{E}_{y_k} \,
        Q_{x | y_k}\left(|z_j - \mathbb{E}[z_j | y_k]|\right)}{\max_x |z_j - \mathbb{E}[z_j]|}

    where the mean gives each value of factor k equal weight, and Q is the `quantile` over images
    that share the value: how much interventions on other factors change code j while factor k is
    fixed. The score is the mean over codes of :math:`\max_k \mathrm{IRS}_{jk}`, at least 0,
    weighted by the largest deviation of each code.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        quantile: The paper uses the maximum, 1; published tables use 0.99, which is robust to
            an outlier.
        n_bins: Number of equal-width bins for the values of each factor, as in
            disentanglement_lib. None uses each value separately, as in the paper: with 20
            bins for the 40 orientations of dSprites, two neighbors count as one value, and a
            perfect code of only the orientation scores 0.974 instead of 1.
        n_samples: Samples drawn, or all if there are fewer.
        seed: Seed of the draw.

    Returns:
        From 0 to 1 (best). Constant codes are left out; if all are constant, the score is 0.
        Noise does not score 0, because its largest deviation over all images exceeds the
        quantile within a value: about 0.4 for normal and 0 for uniform noise. The weights
        depend on the codes' scale, so rescaling one code relative to another changes the
        score; rescaling all codes together does not.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, a factor has only one
            value, or an option is out of range.

    References:
        Suter et al., Robustly Disentangled Causal Mechanisms, ICML 2019. Locatello et al.
        2019, appendix C.

    Example:
        >>> factors = np.stack(np.meshgrid(range(8), range(8)), -1).reshape(-1, 2)
        >>> irs_score(factors, factors / 8.0)
        1.0
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile must be above 0 and at most 1, got {quantile}")
    if n_bins is not None:
        check_counts(n_bins=n_bins)
    truth, codes = draw(factors, codes, n_samples, seed)
    codes = codes[:, np.ptp(codes, axis=0) > 0]
    if not codes.shape[1]:
        return 0.0
    classes = truth.classes if n_bins is None else equal_width(truth.classes, n_bins)
    largest = np.abs(codes - codes.mean(axis=0)).max(axis=0)
    moved = np.stack([_moved(codes, column, quantile) for column in classes.T])
    robustness = (1 - moved / largest).max(axis=0).clip(min=0)
    return float(np.average(robustness, weights=largest))


def _moved(codes, classes, quantile) -> np.ndarray:
    """Returns the mean over a factor's values of each code's quantile of deviations."""
    groups = (codes[classes == value] for value in np.unique(classes))
    return np.mean(
        [np.quantile(np.abs(g - g.mean(axis=0)), quantile, axis=0) for g in groups], axis=0
    )
