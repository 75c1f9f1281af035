"""Responses of latents to factors: functions of (factors, codes), like the scores."""

import numpy as np

from keras_betavae.metrics._samples import binned, check_factors_and_codes


def response_map(factors: np.ndarray, codes: np.ndarray, rows: int, columns: int) -> np.ndarray:
    r"""Returns the mean of each latent for all values of two factors (a response map).

    .. math:: r_j(a, b) = \mathbb{E}\left[\mu_j(x) \mid y_\mathrm{rows} = a,
        y_\mathrm{columns} = b\right]

    Args:
        factors: Integer classes, (n_samples, n_factors), or floats of continuous factors, which
            are put into quantile bins.
        codes: Posterior means of the same images, (n_samples, latent_dim).
        rows: Index of the factor of the rows (such as pos_y).
        columns: Index of the factor of the columns (such as pos_x).

    Returns:
        (latent_dim, n_rows, n_columns), NaN if no image has both values.

    Raises:
        ValueError: If the arrays do not fit each other, a class is negative, or a factor's index
            is out of range.

    References:
        Higgins et al. 2017, Fig. 7; Burgess et al. 2017, Fig. 2.

    Example:
        >>> factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> response_map(factors, factors * 1.0, rows=0, columns=1)[1]
        array([[0., 1.],
               [0., 1.]])
    """
    factors, codes = check_factors_and_codes(factors, codes)
    _check_numbers(factors, rows, columns)
    factors = binned(factors)
    lowest = factors[:, [rows, columns]].min()
    if lowest < 0:
        raise ValueError(f"factors must be classes from 0, got {lowest}")
    # In a small integer type the cells' indices would overflow.
    factors = factors.astype(np.intp)
    n_rows, n_columns = (int(factors[:, k].max()) + 1 for k in (rows, columns))
    cells = factors[:, rows] * n_columns + factors[:, columns]
    counts = np.bincount(cells, minlength=n_rows * n_columns)
    sums = [np.bincount(cells, code, minlength=n_rows * n_columns) for code in codes.T]
    with np.errstate(invalid="ignore"):
        return (np.stack(sums) / counts).reshape(-1, n_rows, n_columns)


def response_curves(
    factors: np.ndarray, codes: np.ndarray, along: int, by: int | None = None
) -> np.ndarray:
    """Returns the mean of each latent over a factor's values, with a curve per value of another.

    Args:
        factors: As in `response_map`.
        codes: As in `response_map`.
        along: Index of the factor along the curves (such as scale or orientation).
        by: Index of the factor with a curve for each value (such as shape); None for one curve.

    Returns:
        (latent_dim, n_curves, n_values), NaN if no image has both values.

    Raises:
        ValueError: As `response_map`.

    References:
        Higgins et al. 2017, Fig. 7.
    """
    factors, codes = check_factors_and_codes(factors, codes)
    _check_numbers(factors, along, along if by is None else by)
    factors = binned(factors)
    if by is None:
        factors = np.insert(factors, 0, 0, axis=1)
        along, by = along + 1, 0
    return response_map(factors, codes, rows=by, columns=along)


def _check_numbers(factors: np.ndarray, *numbers: int) -> None:
    for number in numbers:
        if not 0 <= number < factors.shape[1]:
            raise ValueError(
                f"a factor's number must be from 0 to {factors.shape[1] - 1}, got {number}"
            )
