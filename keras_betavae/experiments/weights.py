"""Arguments of an objective by name, including those of nested schedules and objectives."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_betavae.objectives import Objective


def names(config: Mapping[str, Any]) -> Iterator[str]:
    """Yields the names that `changed` accepts, given the `get_config()` of an objective.

    Example:
        >>> from keras_betavae.objectives import ControlledCapacity, Linear
        >>> objective = ControlledCapacity(Linear(0.5, 25.0, n_steps=100_000), "pi", kp=0.01)
        >>> list(names(objective.get_config()))[:4]
        ['capacity', 'capacity.start', 'capacity.end', 'capacity.n_steps']
    """
    for name, value in config.items():
        yield name
        if isinstance(value, Mapping) and "config" in value:
            yield from (f"{name}.{inner}" for inner in names(value["config"]))


def changed(objective: Objective, values: Mapping[str, Any]) -> Objective:
    """Returns a copy of the objective with other arguments.

    Args:
        objective: The objective.
        values: New values by name, one of `names(objective.get_config())`.

    Raises:
        ValueError: If the objective does not take a value.

    Example:
        >>> from keras_betavae.objectives import Beta, Linear
        >>> changed(Beta(Linear(0.0, 4.0, n_steps=10)), {"beta.end": 8.0}).beta(10).numpy()
        np.float32(8.0)
    """
    config = copy.deepcopy(objective.get_config())
    for name, value in values.items():
        inner, *path = name.split(".")
        place = config
        for part in path:
            place, inner = place[inner]["config"], part
        place[inner] = value
    try:
        return type(objective).from_config(config)
    except TypeError as error:  # For example, Cascade's `opening` is not a number.
        given = ", ".join(f"{name}={value}" for name, value in values.items())
        raise ValueError(f"the objective does not take {given}: {error}") from error
