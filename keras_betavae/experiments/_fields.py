"""The fields of `Settings`, for all that writes or shows them."""

import dataclasses
from typing import Any

from keras_betavae.experiments.settings import Settings


def defaults() -> dict[str, Any]:
    """Returns each field's default by its name; what has none has a marker that equals nothing."""
    return {field.name: field.default for field in dataclasses.fields(Settings)}


def values_of(settings: Settings) -> dict[str, Any]:
    """Returns the value of each field by its name, as JSON can hold it."""
    return dataclasses.asdict(settings)
