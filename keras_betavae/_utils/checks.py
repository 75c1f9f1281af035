"""Checks of arguments and attributes that constructors share."""

import contextlib
import math
import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_betavae._utils.reading import is_lack_of_memory


def finite(name: str, value: float, minimum: float = -math.inf) -> float:
    """Returns a finite number of at least `minimum` as a float.

    Raises:
        ValueError: If `value` is anything else.
    """
    if not isinstance(value, numbers.Real) or not minimum <= value < math.inf:
        raise ValueError(f"{name} must be a finite number of at least {minimum:g}, got {value}")
    return float(value)


def whole(name: str, value: int, minimum: int = 1) -> int:
    """Returns a whole number of at least `minimum` as an int.

    Raises:
        ValueError: If `value` is anything else.
    """
    if not minimum <= value < math.inf or value != int(value):
        raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value}")
    return int(value)


def unmasked(name: str, values: Any) -> Any:
    """Returns values as they are, a masked array without its mask.

    Raises:
        ValueError: If values are masked: NumPy would pass on what is under the mask.
    """
    if np.ma.is_masked(values):
        raise ValueError(
            f"{name} must not be masked, got {np.ma.count_masked(values)} masked values"
        )
    return np.ma.getdata(values) if np.ma.isMaskedArray(values) else values


class SetOnce:
    """An object whose attributes can be set only once.

    A compiled training step would not see a change.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            kind = type(self).__name__
            raise AttributeError(
                f"{name} of a {kind} cannot be changed, since a compiled training step would not "
                f"see it; use a schedule, or make a new model with another {kind}"
            )
        super().__setattr__(name, value)


@contextlib.contextmanager
def made_from_config(name: str) -> Iterator[None]:
    """Turns whatever a wrong configuration makes Keras raise into two kinds of errors.

    Raises:
        TypeError: If an argument is missing, unknown or of the wrong kind.
        ValueError: For everything else, but not for a lack of memory or a file that is missing.
    """
    try:
        yield
    except (OSError, TypeError, ValueError):
        raise
    except Exception as error:
        if is_lack_of_memory(error):
            raise
        raise ValueError(f"config must be that of a {name}: {error!r}") from error
