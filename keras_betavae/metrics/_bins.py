"""Bins of equal width."""

import numpy as np

from keras_betavae.metrics._samples import check_counts


def equal_width(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Returns each column's bin numbers, from 0 to n_bins - 1, between its extremes."""
    check_counts(n_bins=n_bins)
    edges = (np.histogram_bin_edges(column, n_bins)[1:-1] for column in values.T)
    return np.stack([np.digitize(c, e) for c, e in zip(values.T, edges, strict=True)], axis=1)
