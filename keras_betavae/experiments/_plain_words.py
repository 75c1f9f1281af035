"""Plain messages for pydantic's errors."""

import dataclasses
import json
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pydantic

from keras_betavae._utils.tables import read_object

_PLAIN_WORDS = {
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "above",
    "a valid integer": "an integer",
    "a valid array": "a list",
    "an object": "numbers or text by name",
    "a valid tuple": "a list of integers",
    "a valid dictionary": "numbers by name",
    "a valid": "a",
}


def read_dataclass(kind: type, path: Path) -> Any:
    """Returns a dataclass from a JSON file, whose values are of the types that its fields say.

    Raises:
        TypeError: If a field is missing or unknown.
        ValueError: If the file holds anything else.
    """
    values = read_object(path)
    made = kind(**values)
    try:
        pydantic.TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
    except pydantic.ValidationError as error:
        known = [field.name for field in dataclasses.fields(kind)]
        raise ValueError(first_fault(error, known)) from None
    return made


def first_fault(error: pydantic.ValidationError, known: Iterable[str]) -> str:
    """Returns a message that names the setting, the given value and valid values."""
    fault = error.errors()[0]
    name = ".".join(map(str, fault["loc"]))
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    if fault["type"] == "missing":
        return f"{name} is missing"
    if fault["type"] == "extra_forbidden":
        return f"{name} is not a setting; settings are {', '.join(known)}"
    wanted = fault["msg"].removeprefix("Input should ")
    for theirs, ours in _PLAIN_WORDS.items():
        wanted = wanted.replace(theirs, ours)
    return f"{name} must {wanted}, got {reprlib.repr(fault['input'])}"
