"""Classes of continuous values: bins of equal frequency."""

import numpy as np

FACTOR_BINS = 20
"""Quantile bins into which a continuous factor is put where a score wants classes."""


def quantile_classes(values: np.ndarray, n_bins: int = FACTOR_BINS) -> np.ndarray:
    r"""Returns the class of each value, as many values in each as ties allow.

    .. math:: c_i = \left\lfloor n_\mathrm{bins} \, \frac{r_i + 1/2}{n} \right\rfloor

    with r the rank from 0, the mean rank for equal values, which therefore share a class. Any
    increasing function of the values has the same classes, and a decreasing one, where n_bins
    divides n, the same in reverse.

    Args:
        values: Finite numbers, (n,).
        n_bins: Number of classes, at least 1.

    Returns:
        Integers (n,), from 0 to at most n_bins - 1.

    Example:
        >>> quantile_classes(np.array([0.3, 9.0, 0.1, 0.2]), 2)
        array([1, 1, 0, 0])
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts + 1) / 2
    return (n_bins * (ranks + 0.5) / len(values)).astype(np.intp)[inverse]
