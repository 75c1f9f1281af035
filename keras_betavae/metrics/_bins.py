"""Bins of codes: of equal width, and of equal frequency."""

from collections.abc import Iterator

import numpy as np

from keras_betavae._utils.quantiles import FACTOR_BINS, quantile_classes
from keras_betavae.metrics._samples import check_counts


def equal_width(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Returns each column's bin numbers, from 0 to n_bins - 1, between its extremes."""
    check_counts(n_bins=n_bins)
    # As in np.histogram, which rejects values that are too close for so many bins.
    edges = np.linspace(values.min(axis=0), values.max(axis=0), n_bins + 1)[1:-1]
    return np.stack([np.digitize(c, e) for c, e in zip(values.T, edges.T, strict=True)], axis=1)


def binnings(
    is_continuous: np.ndarray, codes: np.ndarray, n_bins: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Yields factors, the binned codes to compare with them, and the number of bins.

    For factors that are classes, codes get `n_bins` bins of equal width, as published. For
    continuous factors, they get as many quantile bins as the factors, so any monotone function of a
    factor determines its bin.
    """
    if not is_continuous.all():
        yield np.flatnonzero(~is_continuous), equal_width(codes, n_bins), n_bins
    if is_continuous.any():
        quantiles = np.stack([quantile_classes(code) for code in codes.T], axis=1)
        yield np.flatnonzero(is_continuous), quantiles, FACTOR_BINS
