"""Checks of factors and codes, and samples of them."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from keras_betavae._utils.checks import unmasked
from keras_betavae._utils.quantiles import quantile_classes


class Truth(NamedTuple):
    """The factors of samples, (n_samples, n_factors) each.

    Attributes:
        classes: Integers from 0; quantile bins of continuous factors.
        values: Floats; classes of factors that are not continuous.
        is_continuous: Which factors are continuous, (n_factors,).
    """

    classes: np.ndarray
    values: np.ndarray
    is_continuous: np.ndarray

    def rows(self, chosen: slice) -> Self:
        """Returns the factors of some samples."""
        return self._replace(classes=self.classes[chosen], values=self.values[chosen])


def check_codes(codes: np.ndarray) -> np.ndarray:
    """Returns the codes as an array.

    Raises:
        ValueError: If they are not (n, latent_dim) finite numbers with n of at least 2.
    """
    codes = _bool_to_int(unmasked("codes", codes))
    if codes.ndim != 2 or not codes.shape[1] or codes.dtype.kind not in "iuf":
        raise ValueError(
            "codes must be numbers of shape (n_samples, latent_dim), got "
            f"{codes.dtype} {codes.shape}"
        )
    if len(codes) < 2:
        raise ValueError(f"codes must hold at least 2 samples, got {len(codes)}")
    if codes.dtype.kind == "f" and not np.isfinite(codes).all():
        rows = np.flatnonzero(~np.isfinite(codes).all(axis=1))
        raise ValueError(f"codes are NaN or infinite in {len(rows)} rows, first in row {rows[0]}")
    return codes


def _bool_to_int(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    return array.astype(np.uint8) if array.dtype == bool else array


def check_factors_and_codes(
    factors: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns both as arrays.

    Raises:
        ValueError: If they are not (n, n_factors) and (n, latent_dim) finite numbers of one
            length of at least 2.
    """
    factors, codes = _bool_to_int(unmasked("factors", factors)), check_codes(codes)
    if factors.ndim != 2 or not factors.shape[1] or factors.dtype.kind not in "iuf":
        raise ValueError(
            "factors must be integer classes, or floats where some are continuous, of shape "
            f"(n_samples, n_factors), got {factors.dtype} {factors.shape}"
        )
    if factors.dtype.kind == "f" and not np.isfinite(factors).all():
        raise ValueError("factors hold values that are NaN or infinite")
    if len(factors) != len(codes):
        raise ValueError(
            f"factors and codes must hold the same samples, got {len(factors)} and {len(codes)}"
        )
    return factors, codes


def are_continuous(factors: np.ndarray) -> np.ndarray:
    """Returns which factors are continuous, (n_factors,): those with non-integer values."""
    if factors.dtype.kind != "f":
        return np.zeros(factors.shape[1], bool)
    return (factors != np.rint(factors)).any(axis=0)


def binned(factors: np.ndarray) -> np.ndarray:
    """Returns factors as integers: classes, or quantile bins of continuous factors."""
    if factors.dtype.kind != "f":
        return factors
    classes = np.empty(factors.shape, np.int64)
    for k, is_continuous in enumerate(are_continuous(factors)):
        column = factors[:, k]
        if is_continuous:
            classes[:, k] = quantile_classes(column)
        elif np.abs(column).max(initial=0) < 2**63:
            classes[:, k] = column
        else:
            classes[:, k] = np.unique(column, return_inverse=True)[1]
    return classes


def as_classes(
    factors: np.ndarray,
    *,
    n_factors: int = 1,
    in_pairs: bool = False,
    names: Sequence | None = None,
) -> np.ndarray:
    """Numbers the values, or quantile bins, of each factor from 0, in order.

    Raises:
        ValueError: If there are fewer than `n_factors` factors, one has only one value or, if
            images are needed `in_pairs`, one has no value with two images.
    """
    if factors.shape[1] < n_factors:
        raise ValueError(
            f"the score compares factors and needs at least two, got {factors.shape[1]}"
        )
    names = range(factors.shape[1]) if names is None else names
    factors = binned(factors)
    classes = np.empty(factors.shape, np.intp)
    for k, name in enumerate(names):
        values, classes[:, k], counts = np.unique(
            factors[:, k], return_inverse=True, return_counts=True
        )
        if len(values) == 1:
            raise ValueError(
                f"factor {name!r} has one value; leave its column out, or encode more images"
            )
        if in_pairs and counts.max() == 1:
            raise ValueError(
                f"factor {name!r} has no two images of one value, which would make a pair; leave "
                "its column out, or encode more images"
            )
    return classes


def check_counts(**counts: int) -> None:
    """Raises ValueError, with its name, if a number is below 1."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def draw(
    factors: np.ndarray, codes: np.ndarray, n_samples: int, seed: int, *, n_factors: int = 1
) -> tuple[Truth, np.ndarray]:
    """Returns the factors and float64 codes of at most `n_samples` samples.

    Raises:
        ValueError: If the arrays cannot be scored, or `n_samples` is below 1.
    """
    factors, codes = check_factors_and_codes(factors, codes)
    check_counts(n_samples=n_samples)
    if n_samples < len(codes):
        rows = np.random.default_rng(seed).permutation(len(codes))[:n_samples]
        factors, codes = factors[rows], codes[rows]
    return _truth(factors, n_factors), codes.astype(np.float64)


def _truth(factors: np.ndarray, n_factors: int) -> Truth:
    classes, is_continuous = as_classes(factors, n_factors=n_factors), are_continuous(factors)
    return Truth(classes, np.where(is_continuous, factors, classes), is_continuous)


def split_truth(
    factors: np.ndarray,
    codes: np.ndarray,
    n_train: int,
    n_test: int,
    seed: int,
    *,
    n_factors: int = 1,
    all_vary: bool = True,
) -> tuple[Truth, np.ndarray, Truth, np.ndarray]:
    """Returns the factors and float64 codes of training and test samples.

    If there are fewer than `n_train + n_test` samples, both shrink in proportion.

    Returns:
        `(y_train, x_train, y_test, x_test)`.

    Raises:
        ValueError: If the arrays cannot be scored, a number is below 1, or, if `all_vary`, a
            factor has only one value among the training samples.
    """
    factors, codes = check_factors_and_codes(factors, codes)
    n_train, n_test = split_sizes(len(codes), n_train, n_test)
    rows = np.random.default_rng(seed).permutation(len(codes))[: n_train + n_test]
    truth = _truth(factors[rows], n_factors)
    for k, column in enumerate(truth.classes[:n_train].T):
        if all_vary and (column == column[0]).all():
            raise ValueError(
                f"factor {k} has one value among the {n_train} samples to fit to; encode more "
                "images"
            )
    codes = codes[rows].astype(np.float64)
    train, test = slice(n_train), slice(n_train, None)
    return truth.rows(train), codes[train], truth.rows(test), codes[test]


def draw_split(
    factors: np.ndarray,
    codes: np.ndarray,
    n_train: int,
    n_test: int,
    seed: int,
    *,
    n_factors: int = 1,
    all_vary: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns the result of `split_truth` with only the classes of the factors."""
    y_train, x_train, y_test, x_test = split_truth(
        factors, codes, n_train, n_test, seed, n_factors=n_factors, all_vary=all_vary
    )
    return y_train.classes, x_train, y_test.classes, x_test


def split_sizes(n_samples: int, n_train: int, n_test: int) -> tuple[int, int]:
    """Returns both sizes, shrunk in proportion if there are fewer samples.

    Raises:
        ValueError: If a size is below 1, or there are fewer than 3 samples.
    """
    check_counts(n_train=n_train, n_test=n_test)
    if n_samples < 3:
        raise ValueError(f"the score needs samples to fit to and to test on, got {n_samples}")
    if n_samples < n_train + n_test:
        n_test = min(n_samples - 1, max(1, round(n_samples * n_test / (n_train + n_test))))
        n_train = n_samples - n_test
    return n_train, n_test


def standardize(x: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns all arrays standardized by the mean and deviation of each column in the first.

    A column that is constant in the first array becomes 0.
    """
    x = x.astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    constant = np.ptp(x, axis=0) == 0
    std[constant] = 1.0
    return tuple(np.where(constant, 0.0, (other - mean) / std) for other in (x, *others))
