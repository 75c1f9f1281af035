"""The plan of a sweep: the settings of a run, and the changes along each axis."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_betavae._utils.names import file_names, one_line
from keras_betavae.experiments.settings import Settings

MAX_RUNS = 10_000
"""The most runs of a sweep."""
Axes = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """All combinations of some changes to the settings of a run.

    Attributes:
        base: Arguments of `Settings.from_preset`.
        axes: The changed arguments, by the name of an axis and the label of a value.

    Example:
        >>> base = {"preset": "sprites_quick", "steps": 100}
        >>> sweep = Sweep(base, {"β": {"1": {"beta": 1.0}, "4": {"beta": 4.0}}})
        >>> {name: settings.beta for name, settings in sweep.trials().items()}
        {'β=1': 1.0, 'β=4': 4.0}
    """

    base: Mapping[str, Any]
    axes: Axes

    def trials(self) -> dict[str, Settings]:
        """Returns the settings of each run by its name, the last axis varying fastest.

        Raises:
            ValueError: If an axis is empty, there are too many runs, settings are unknown or out
                of range, or the name of an axis or a value cannot be part of a folder's name.
        """
        for name, values in self.axes.items():
            if not values:
                raise ValueError(f"the axis {name} has no values")
            for part in (name, *values):
                _check_name(part)
        if (n_runs := math.prod(map(len, self.axes.values()))) > MAX_RUNS:
            raise ValueError(f"the axes must make at most {MAX_RUNS:,} runs, got {n_runs:,}")
        # A file system may hold 255 bytes, of which locks and temporary files take some.
        for name, safe in file_names(map(run_name, self.labels()), most_bytes=200).items():
            if name != safe:
                raise ValueError(
                    f"the run {one_line(name)!r} must have a name that is a folder's on every "
                    "system: short, of letters, digits, spaces and _.,+=()-, and not that of "
                    "another run but for its case; give the axis other labels"
                )
        return {run_name(labels): self._settings(labels) for labels in self.labels()}

    def labels(self) -> Iterator[dict[str, str]]:
        """Yields the label on each axis of each run."""
        for labels in itertools.product(*self.axes.values()):
            yield dict(zip(self.axes, labels, strict=True))

    def _settings(self, labels: Mapping[str, str]) -> Settings:
        chosen = dict(self.base)
        for axis, label in labels.items():
            for name, value in self.axes[axis][label].items():
                if name == "weights":
                    value = {**(chosen.get(name) or {}), **value}
                chosen[name] = value
        try:
            return Settings.from_preset(**chosen)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{run_name(labels)}: {error}") from error


def run_name(labels: Mapping[str, str]) -> str:
    """Returns the name of a run and of its folder.

    Example:
        >>> run_name({"beta": "4", "seed": "0"})
        'beta=4,seed=0'
    """
    return ",".join(f"{axis}={label}" for axis, label in labels.items())


def _check_name(part: Any) -> None:
    # A colon follows a drive's letter.
    if not isinstance(part, str) or ".." in part or any(c in part for c in "/\\:\0"):
        raise ValueError(
            "the names of axes and of their values become folders, and must be text without '/', "
            f"'\\', ':' and '..', got {part!r}"
        )


def axis(name: str, values: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns an axis from values given as text.

    Args:
        name: A field of `Settings`, or an argument of the preset's objective or model; with
            "weight." before it if both have the name.
        values: Its values.

    Raises:
        ValueError: If a value must be a number and is not.

    Example:
        >>> axis("seed", ["0", "1"])
        {'0': {'seed': 0}, '1': {'seed': 1}}
        >>> axis("max_capacity", ["25"])
        {'25': {'weights': {'max_capacity': 25}}}
        >>> axis("weight.beta", ["4"])  # `Settings.beta` would replace the preset's objective.
        {'4': {'weights': {'beta': 4}}}
    """
    name = name.replace("-", "_")
    weight = name.removeprefix("weight.")
    if name == "weights":
        raise ValueError("weights are axes by their own names, such as max_capacity")
    if name in ("preset", "data"):
        return {value: {name: value} for value in values}
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        raise ValueError(f"{name} must be numbers, got {', '.join(values)}") from None
    numbers = {v: int(n) if n.is_integer() else n for v, n in numbers.items()}
    is_setting = name in Settings.model_fields
    return {v: {name: n} if is_setting else {"weights": {weight: n}} for v, n in numbers.items()}
