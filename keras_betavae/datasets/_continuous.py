"""The values of continuous factors."""

from collections.abc import Mapping, Sequence

import numpy as np


def checked(
    continuous: Mapping[str, np.ndarray], names: Sequence[str], n: int
) -> dict[str, np.ndarray]:
    """Returns the values of the continuous factors, float64 (n,) by name.

    Raises:
        ValueError: If a name is not a factor, or the number of values differs.
    """
    values = {name: np.asarray(each, np.float64) for name, each in continuous.items()}
    for name, each in values.items():
        if name not in names or each.shape != (n,):
            raise ValueError(
                f"continuous must hold {n} values of each of some of {', '.join(names)}, got "
                f"{name!r} of shape {each.shape}"
            )
    return values


def scored(
    classes: np.ndarray,
    indices: np.ndarray,
    names: Sequence[str],
    continuous: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Returns factors as scores take them: standardized values in place of a factor's bins."""
    if not continuous:
        return classes
    factors = classes.astype(np.float64)
    for name, values in continuous.items():
        # Whole values would be classes, which two values of one number are in these units too.
        standardized = (values - values.mean()) / (values.std() or 1.0) * (1.0 + 2.0**-30)
        factors[:, names.index(name)] = standardized[indices]
    return factors
