"""Data sets from arrays of images, vectors and signals."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import h5py
import numpy as np

from keras_betavae._utils.checks import unmasked
from keras_betavae._utils.quantiles import FACTOR_BINS, quantile_classes
from keras_betavae.datasets._sources import source_of
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.images import ImageDataset


def from_arrays(
    images: Any,
    factors: Any = None,
    names: Sequence[str] | None = None,
    *,
    continuous: Sequence[str] | None = None,
    columns: Sequence[str] = (),
    kind: Literal["images", "signals"] | None = None,
) -> ImageDataset:
    """Makes a data set from arrays.

    Args:
        images: One of:

            - Images, (n, height, width, channels) or, except in HDF5, (n, height, width): uint8
              (an array, a memory map or an `h5py.Dataset`, none of which is copied), other
              integers from 0 to 255, booleans (0 and 255), or floats from 0 to 1, which are
              rounded to 256 levels. Floats (n, height, width, channels) of which some are
              below 0, such as standardized images, are kept as float32.
            - Vectors, (n, columns): numbers of any range, kept as float32.
            - Signals, (n, length, channels): floats of any range, kept as float32.

            Vectors, signals and images of real values need `likelihoods.Gaussian` and
            `networks.standardized`, as in the presets "vectors" and "signals".
        factors: Known factors of each image, (n,) or (n, n_factors): integers, floats or strings,
            one column per factor. The distinct values of a column, sorted, are its classes. The
            classes of a continuous factor are 20 quantile bins; scores use its values. None if
            no factors are known.
        names: A name for each factor; "factor_0" and so on by default.
        continuous: Names of the continuous factors. By default, these are factors of floats with
            more than 20 values, each for fewer than 10 images on average; () for none.
        columns: Names of a vector's columns or a signal's channels, for pictures and reports.
        kind: Meaning of arrays with three axes: `"images"` without channels, or `"signals"`. By
            default, integers and booleans are images, and so are floats from 0 to 1 whose last
            axis is at least 8 long; other floats are signals.

    Returns:
        A `FactorDataset` if factors are given, otherwise an `ImageDataset`. The data set is a grid
        if the factors are all combinations in order.

    Raises:
        ValueError: If the type, range or shape of the images is wrong, or the factors do not fit.
            Integers that are all 0 or 1 are rejected, because a model would see nearly black
            images.

    Warns:
        UserWarning: If integers are not all 0, but all below 32: such images may have fewer than
            8 bits, and a model would see nearly black images. Or if a factor of integers has so
            many values that it may be continuous.

    Example:
        >>> images = np.random.default_rng(0).random((6, 8, 8))
        >>> from_arrays(images, factors=[["a", 10], ["a", 20], ["a", 30], ["b", 10], ["b", 20],
        ...     ["b", 30]], names=("letter", "number"))
        FactorDataset(6 images (8, 8, 1); letter 2, number 3)
    """
    if not isinstance(images, h5py.Dataset):
        images = unmasked("images", np.asanyarray(images))
    if not len(images):
        raise ValueError("images must hold at least one image, got none")
    if kind not in (None, "images", "signals"):
        raise ValueError(f"kind must be images or signals, got {kind!r}")
    if kind is not None and images.ndim == 2:
        raise ValueError(f"{kind} must have three or four axes, got the shape {images.shape}")
    if not isinstance(images, h5py.Dataset):
        images = _as_real(images) if _is_real(images, kind) else _as_images(images)
    elif images.dtype.kind in "iu":
        _check_levels(images)
    source = source_of(images)
    if factors is None:
        if names is not None:
            raise ValueError(f"names need factors, which are not given, got {list(names)}")
        if continuous:
            raise ValueError(
                f"continuous names factors, which are not given, got {list(continuous)}"
            )
        return ImageDataset(source, columns=columns)
    return labeled(source, factors, names, continuous, columns)


def labeled(
    images: Any,
    factors: Any,
    names: Sequence[str] | None = None,
    continuous: Sequence[str] | None = None,
    columns: Sequence[str] = (),
) -> FactorDataset:
    """Returns a data set of images with factors of any values, see `from_arrays`.

    Raises:
        ValueError: If the factors do not fit.
    """
    known = _columns(factors)
    if names is None:
        names = [f"factor_{k}" for k in range(len(known))]
    if len(names) != len(known) or len(set(names)) != len(names):
        raise ValueError(f"names must be {len(known)} different ones, got {list(names)}")
    if not all(str(name).strip() for name in names):
        raise ValueError(f"names must not be empty, got {list(names)}")
    if len(known[0]) != len(images):
        raise ValueError(f"there are factors for {len(known[0])} images, but {len(images)}")
    measured = _measured(dict(zip(names, known, strict=True)), continuous)
    classes, sizes = [], []
    for name, column in zip(names, known, strict=True):
        binned = quantile_classes(measured[name]) if name in measured else column
        values, inverse = np.unique(binned, return_inverse=True)
        classes.append(inverse)
        sizes.append(len(values))
    table = np.stack(classes, axis=-1)
    is_grid = np.prod(sizes, dtype=float) == len(table) and np.array_equal(
        np.ravel_multi_index(tuple(classes), sizes), np.arange(len(table))
    )
    return FactorDataset(
        images,
        names,
        sizes,
        factors=None if is_grid else table,
        continuous=measured,
        columns=columns,
    )


def _measured(
    columns: dict[str, np.ndarray], continuous: Sequence[str] | None
) -> dict[str, np.ndarray]:
    """Returns the values of the factors that are continuous."""
    for name, column in columns.items():
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise ValueError(f"the factor {name} has values that are NaN or infinite")
    if continuous is not None:
        text = [name for name in continuous if columns.get(name, np.array("")).dtype.kind in "US"]
        if text or isinstance(continuous, str):
            raise ValueError(
                "continuous must hold names of factors of numbers, got "
                f"{continuous if isinstance(continuous, str) else ', '.join(text)}"
            )
        return {name: columns[name].astype(np.float64) for name in continuous}
    measured = {}
    for name, column in columns.items():
        n_values = len(np.unique(column))
        if column.dtype.kind not in "iuf" or n_values <= FACTOR_BINS:
            continue
        if len(column) < _FEW_IMAGES * n_values and column.dtype.kind == "f":
            measured[name] = column.astype(np.float64)
        elif len(column) < _FEW_IMAGES * n_values:
            warnings.warn(
                f"the factor {name} has {n_values} integers for {len(column)} images, which are "
                f"taken for classes; pass continuous=[{name!r}] if it is a quantity, or "
                "continuous=[] if it is not",
                stacklevel=4,
            )
    return measured


def _columns(factors: Any) -> list[np.ndarray]:
    """Returns each factor's values, (n,) each."""
    if hasattr(factors, "iloc") and np.ndim(factors) == 2:
        # As one array, the columns of a data frame would get one type.
        parts = [np.asarray(factors.iloc[:, k]) for k in range(factors.shape[1])]
        columns = [_unmixed(list(part)) if part.dtype == object else part for part in parts]
        return _checked_columns(columns)
    if hasattr(factors, "__array__"):  # Also tensors.
        factors = np.asarray(unmasked("factors", factors))
    if not isinstance(factors, np.ndarray) or factors.dtype == object:
        # A list of mixed rows would become one array of strings.
        rows = [
            list(row) if isinstance(row, (list, tuple, np.ndarray)) else [row] for row in factors
        ]
        if not rows or len({len(row) for row in rows}) != 1:
            raise ValueError("factors must be rows of one length for each image")
        return _checked_columns([_unmixed(column) for column in zip(*rows, strict=True)])
    if factors.ndim not in (1, 2):
        raise ValueError(f"factors must be (n,) or (n, n_factors), got {factors.shape}")
    return _checked_columns([factors] if factors.ndim == 1 else list(factors.T))


def _checked_columns(columns: list[np.ndarray]) -> list[np.ndarray]:
    if not columns or any(column.dtype.kind not in "biufUS" for column in columns):
        raise ValueError("factors must be integers, floats or strings, at least one for each image")
    return columns


def _unmixed(column: Sequence[Any]) -> np.ndarray:
    """Returns a column, NaN if a value is missing: NumPy would make it the text "nan"."""
    if any(isinstance(value, float | np.floating) and np.isnan(value) for value in column):
        return np.full(len(column), np.nan)
    return np.array(column)


def _is_real(images: np.ndarray, kind: str | None) -> bool:
    """Returns whether values are not rescaled: vectors, signals, and images with values below 0."""
    is_float = images.dtype.kind == "f"
    if images.ndim == 3 and kind is None:
        in_range = is_float and 0 <= images.min() <= images.max() <= 1
        kind = "images" if not is_float or (in_range and images.shape[2] >= 8) else "signals"
    if images.ndim == 4:
        return is_float and bool(images.min() < 0)
    return images.ndim == 2 or (images.ndim == 3 and kind == "signals")


def _as_real(values: np.ndarray) -> np.ndarray:
    """Returns numbers as float32."""
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"vectors and signals must be numbers, got {values.dtype}; datasets.from_table takes "
            "tables with text"
        )
    given, values = values, _as_float32(values)
    faulty = np.flatnonzero(~np.isfinite(given.reshape(len(values), -1)).all(axis=1))
    if len(faulty):
        raise ValueError(
            f"{len(faulty)} rows hold NaN or infinite values, the first is row {faulty[0]}; leave "
            "them out, or fill them in (with sklearn.impute, say)"
        )
    return values


def _as_float32(values: np.ndarray) -> np.ndarray:
    """Returns float32; warns if that loses most of what a column or channel varies by."""
    with np.errstate(over="ignore"):
        converted = values.astype(np.float32, copy=False)
    if converted is values or not values.size:
        return converted
    columns = values.reshape(-1, values.shape[-1])
    low, high = columns.min(axis=0), columns.max(axis=0)
    if not (np.isfinite(low) & np.isfinite(high)).all():
        return converted
    largest = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
    if largest.max() > np.finfo(np.float32).max:
        raise ValueError(f"values must be within float32's range, got {largest.max():g}")
    step = largest * np.finfo(np.float32).eps
    for k in np.flatnonzero((low < high) & (_FEW_LEVELS * step > high.astype(float) - low)):
        warnings.warn(
            f"column {k} is from {low[k]:.6g} to {high[k]:.6g}, where float32 has fewer than "
            f"{_FEW_LEVELS} values; subtract an offset",
            stacklevel=4,
        )
    return converted


def _as_images(images: np.ndarray) -> np.ndarray:
    """Returns images as uint8 with channels."""
    if images.dtype.kind in "iu":
        _check_levels(images)
    images = _as_uint8(images)
    return images[..., np.newaxis] if images.ndim == 3 else images


def _as_uint8(images: np.ndarray) -> np.ndarray:
    kind = images.dtype.kind
    if kind == "u" and images.dtype == np.uint8:
        return images
    if kind not in "biuf":
        raise ValueError(f"images must be uint8, booleans, integers or floats, got {images.dtype}")
    highest = {"b": 1, "f": 1}.get(kind, 255)
    converted = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        low, high = block.min(), block.max()
        if not 0 <= low <= high <= highest:  # A comparison with NaN is false.
            raise ValueError(
                f"images must be uint8, booleans, integers from 0 to 255 or floats from 0 to 1, "
                f"got {images.dtype} from {low} to {high}; scale them to floats from 0 to 1"
            )
        np.rint(block * (255.0 / highest), out=converted[start : start + _BLOCK], casting="unsafe")
    return converted


def _check_levels(images: Any) -> None:
    """Detects integers that are not 8-bit pixels, which a model would see as nearly black."""
    highest = 0
    for start in range(0, len(images), _BLOCK):
        highest = max(highest, int(np.max(images[start : start + _BLOCK], initial=0)))
        if highest >= _FEW_LEVELS:
            return
    if highest == 1:
        raise ValueError(
            "images must be integers from 0 to 255, but all are 0 or 1; pass "
            "images.astype(bool) if they are black and white"
        )
    if highest:
        warnings.warn(
            f"images are integers from 0 to {highest}, where 255 is white, so they are nearly "
            f"black; pass images / {highest} if {highest} is white",
            stacklevel=3,
        )


_BLOCK = 1_024
_FEW_IMAGES = 10
"""With fewer images per value on average, a factor with many values may be continuous."""
_FEW_LEVELS = 32
"""A lower maximum is unlikely for 8-bit images."""
