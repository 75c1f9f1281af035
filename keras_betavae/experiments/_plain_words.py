"""Plain messages for pydantic's errors."""

import reprlib
from collections.abc import Iterable

import pydantic

_PLAIN_WORDS = {
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "above",
    "a valid integer": "an integer",
    "a valid tuple": "a list of integers",
    "a valid dictionary": "numbers by name",
    "a valid": "a",
}


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
