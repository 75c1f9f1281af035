"""Checks that constructors share."""

import contextlib
import math
import numbers
from collections.abc import Iterator


def finite(name: str, value: float, minimum: float = -math.inf) -> float:
    """Returns a finite number of at least `minimum` as a float.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(value, numbers.Real) or not minimum <= value < math.inf:
        raise ValueError(f"{name} must be a finite number of at least {minimum:g}, got {value}")
    return float(value)


def whole(name: str, value: int) -> int:
    """Returns a whole number of at least 1 as an int.

    Raises:
        ValueError: If it is none.
    """
    if not 1 <= value < math.inf or value != int(value):
        raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
    return int(value)


@contextlib.contextmanager
def made_from_config(name: str) -> Iterator[None]:
    """Lets out two kinds of errors only, where Keras lets out what a wrong configuration meets.

    Raises:
        TypeError: If an argument is missing, unknown or of the wrong kind.
        ValueError: For all else.
    """
    try:
        yield
    except (TypeError, ValueError):
        raise
    except Exception as error:
        raise ValueError(f"config must be that of a {name}: {error!r}") from error
