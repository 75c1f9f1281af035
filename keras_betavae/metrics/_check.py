"""What every score asks of its two arguments."""

import numpy as np


def check_factors_and_codes(
    factors: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns both as arrays.

    Raises:
        ValueError: If they are not (n, n_factors) integers and (n, latent_dim) finite
            numbers of one length of at least 2.
    """
    factors, codes = np.asarray(factors), np.asarray(codes)
    if factors.ndim != 2 or factors.dtype.kind not in "iu":
        raise ValueError(
            "factors must be integer classes of shape (n_samples, n_factors), got "
            f"{factors.dtype} {factors.shape}"
        )
    if codes.ndim != 2 or not codes.shape[1] or codes.dtype.kind not in "iuf":
        raise ValueError(
            "codes must be numbers of shape (n_samples, latent_dim), got "
            f"{codes.dtype} {codes.shape}"
        )
    if len(factors) != len(codes) or len(codes) < 2:
        raise ValueError(
            "factors and codes must hold the same samples, at least 2, got "
            f"{len(factors)} and {len(codes)}"
        )
    if codes.dtype.kind == "f" and not np.isfinite(codes).all():
        rows = np.flatnonzero(~np.isfinite(codes).all(axis=1))
        raise ValueError(f"codes are NaN or infinite in {len(rows)} rows, first in row {rows[0]}")
    return factors, codes
