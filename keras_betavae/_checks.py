"""Checks of numbers that constructors share."""

import math
import numbers


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
