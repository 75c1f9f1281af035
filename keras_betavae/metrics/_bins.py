"""Bins of equal width."""

import numpy as np

from keras_betavae.metrics._samples import check_counts


def equal_width(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Returns each column's bin numbers, from 0 to n_bins - 1, between its extremes."""
    check_counts(n_bins=n_bins)
    # As np.histogram has them, which however refuses values too close for so many bins.
    edges = np.linspace(values.min(axis=0), values.max(axis=0), n_bins + 1)[1:-1]
    return np.stack([np.digitize(c, e) for c, e in zip(values.T, edges.T, strict=True)], axis=1)
