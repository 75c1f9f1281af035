"""Folders that hold a sweep or a search, which any process or machine may work on."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from keras_betavae._utils.files import left_aside
from keras_betavae._utils.locks import LOCK_FILE
from keras_betavae._utils.tables import write_json
from keras_betavae.experiments._choices import fastest_precision
from keras_betavae.experiments._plain_words import read_dataclass
from keras_betavae.experiments.sweeps.study import waiting_for

Plan = TypeVar("Plan")


def settled(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arguments of `Settings` that mean the same in any folder and on any machine."""
    found = dict(arguments)
    for name in ("data_path", "factors_path"):
        if found.get(name) is not None:
            found[name] = os.path.abspath(found[name])
    if found.get("precision") == "auto":
        found["precision"] = fastest_precision()
    return found


def create_folder(
    folder: Path, file_name: str, plan: Any, load: Callable[[Path], Any], what: str
) -> None:
    """Makes a folder with a dataclass as its JSON file, unless it is there.

    Raises:
        FileExistsError: If the folder holds another one, or something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with waiting_for(folder):
        for left in left_aside(folder, file_name):
            left.unlink()  # Left by a process that was killed while it made the folder.
        values = dataclasses.asdict(plan)
        if all(path.name.endswith(LOCK_FILE) for path in folder.iterdir()):
            write_json(folder / file_name, values)
        elif not (folder / file_name).is_file() or dataclasses.asdict(load(folder)) != json.loads(
            json.dumps(values)
        ):
            raise FileExistsError(
                f"{folder} is not empty and does not hold {what}; choose another folder"
            )


def load_folder(
    folder: str | os.PathLike,
    file_name: str,
    kind: type[Plan],
    check: Callable[[Plan], Any],
    what: str,
) -> Plan:
    """Returns the dataclass that a folder holds.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its file is damaged, or `check` raises.
    """
    path = Path(folder) / file_name
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a {what} folder: {path} does not exist")
    try:
        plan = read_dataclass(kind, path)
        check(plan)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not hold a {what}: {error}") from error
    return plan
