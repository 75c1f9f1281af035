"""The options that are settings of a run, made from the fields of `Settings`."""

import argparse
from typing import Any

DEFAULT_PRESET = "sprites_quick"


def names(text: str) -> tuple[str, ...]:
    """Returns names that commas separate."""
    return tuple(name.strip() for name in text.split(","))


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(size) for size in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"N,N,... is needed, got {text!r}") from None


def _size(text: str) -> int | tuple[int, ...]:
    try:
        sides = tuple(int(side) for side in text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"N or HEIGHTxWIDTH is needed, got {text!r}") from None
    return sides[0] if len(sides) == 1 else sides


def _weight(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"NAME=N is needed, got {text!r}") from None


# By the type of JSON Schema: how text is read, how help shows it, what the table calls it.
_KINDS: dict[str, tuple[Any, str, str]] = {
    "integer": (int, "N", "integer"),
    "number": (float, "N", "number"),
    "string": (str, "NAME", "name"),
    "path": (str, "PATH", "path"),
    "size": (_size, "N|HxW", "integer, or height x width"),
    "array": (_sizes, "N,N,...", "integers"),
    "names": (names, "NAME,NAME", "names"),
    "object": (_weight, "NAME=N", "name=number, repeatable"),
}


def add_settings(command: argparse.ArgumentParser) -> None:
    """Adds an option for each setting."""
    for name, schema in _schemas().items():
        given: dict[str, Any] = {"dest": name, "help": _meaning(name, schema)}
        if schema["type"] == "boolean":
            command.add_argument(_option(name), action="store_true", default=None, **given)
            continue
        read, metavar, _ = _KINDS[schema["type"]]
        choices = schema.get("enum")
        if choices and read is str:
            given["help"] += f"; one of {', '.join(choices)}"
        action = "append" if schema["type"] == "object" else "store"
        command.add_argument(
            _option(name), type=read, metavar=metavar, choices=choices, action=action, **given
        )


def add_storage(command: argparse.ArgumentParser) -> None:
    """Adds the option for the database of a study."""
    command.add_argument(
        "--storage",
        metavar="URL",
        help="SQLAlchemy URL of the Optuna study's database (default: study.journal in the folder)",
    )


def chosen_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the given settings.

    Raises:
        ValueError: If settings are given with `--resume`.
    """
    chosen = {name: value for name in _schemas() if (value := getattr(options, name)) is not None}
    if "weights" in chosen:
        chosen["weights"] = dict(chosen["weights"])
    if options.resume is None:
        return {"preset": DEFAULT_PRESET, **chosen}
    if chosen:
        raise ValueError(
            f"--resume keeps the settings it finds; leave out {', '.join(sorted(chosen))}"
        )
    return chosen


def settings_table() -> str:
    """Returns the settings' options as a Markdown table, for the documentation."""
    from keras_betavae._utils.tables import markdown_table

    rows = [
        [f"`{_option(name)}`", _values(schema), _meaning(name, schema)]
        for name, schema in _schemas().items()
    ]
    return markdown_table(["option", "value", "meaning"], rows, numbers=False)


def _schemas() -> dict[str, dict[str, Any]]:
    """Returns the JSON Schema of each setting that a user may give."""
    from keras_betavae.experiments.settings import Settings

    found = {}
    for name, schema in Settings.model_json_schema()["properties"].items():
        # A setting that may be null has its type one level deeper.
        schema |= schema.get("anyOf", [{}])[0]
        if schema.get("format") in ("path", "size", "names"):
            schema["type"] = schema["format"]
        if not schema.get("readOnly"):
            found[name] = schema
    return found


def _option(name: str) -> str:
    return "--weight" if name == "weights" else f"--{name.replace('_', '-')}"


def _meaning(name: str, schema: dict[str, Any]) -> str:
    text = " ".join(schema["description"].split()).rstrip(".")
    if text[1].islower():
        text = text[0].lower() + text[1:]
    default = DEFAULT_PRESET if name == "preset" else schema.get("default")
    if default is None or default is False:
        return text
    shown = f"{default:,}" if isinstance(default, int) else default
    return f"{text} (default: {shown})"


def _shortest(bound: float) -> str:
    return f"{int(bound) if bound == int(bound) else bound:,}"


def _values(schema: dict[str, Any]) -> str:
    if schema["type"] == "boolean":
        return "none"
    words = _KINDS[schema["type"]][2]
    if schema["type"] == "integer" and "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if "minimum" in schema:
        return f"{words}, at least {_shortest(schema['minimum'])}"
    if "exclusiveMinimum" in schema:
        return f"{words}, above {_shortest(schema['exclusiveMinimum'])}"
    return words
