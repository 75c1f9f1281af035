"""The settings and scores in a run's folder."""

import json
import os
from pathlib import Path

import pydantic

from keras_betavae._utils.files import (
    check_own_places,
    clear_left_aside,
    left_aside,
    local_path,
    remove,
)
from keras_betavae._utils.locks import LOCK_FILE, locked
from keras_betavae._utils.tables import read_object, write_json
from keras_betavae.experiments._plain_words import first_fault
from keras_betavae.experiments.settings import Settings

_TABLES = pydantic.TypeAdapter(dict[str, dict[str, pydantic.FiniteFloat | None]])
"""What `scores.json` holds."""
_FOLDERS = ("checkpoints", "logs", "pictures", "saved_model")
_FILES = ("data.json", "metrics.csv", "latents.csv", "model.keras", "scores.json", "scores.md")


def create(folder: str | os.PathLike, settings: Settings) -> Path:
    """Makes a run's folder and writes its `config.json`.

    Args:
        folder: A folder that does not exist yet or is empty.
        settings: The settings of the run.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder is not empty.
        InUseError: If another process works in it.
    """
    folder = local_path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        for left in left_aside(folder, "config.json"):
            left.unlink()  # Left by a process that was killed while it made the folder.
        if any(path.name != LOCK_FILE for path in folder.iterdir()):
            raise FileExistsError(
                f"{folder} is not empty; choose another folder, or resume the run in it with "
                "--resume"
            )
        write_json(folder / "config.json", settings.model_dump())
    return folder


def check_places(folder: Path) -> None:
    """Checks that a run can write its files, and only to its own folder.

    Raises:
        FileExistsError: If one of its folders is a link or a file, `logs/` holds a link, or one of
            its files is a folder, a pipe or a device.
    """
    check_own_places(folder, _FOLDERS)
    logs = folder / "logs"
    if logs.is_dir():
        # TensorBoard's writers follow links.
        check_own_places(logs, [path.name for path in logs.iterdir() if path.is_symlink()])
    for path in (folder / name for name in _FILES):
        if path.exists() and not path.is_file():
            raise FileExistsError(f"{path} must be a regular file; move it away")


def clear_unfinished(folder: Path) -> None:
    """Removes what killed processes left half-written of a run's own files."""
    places = [folder / name for name in (*_FILES, *_FOLDERS)]
    places += [
        folder / "checkpoints" / "*",
        folder / "pictures" / "*",
        folder / "saved_model" / "1",
    ]
    for place in places:
        for left in left_aside(place.parent, place.name):
            remove(left)
    clear_left_aside(folder / "logs")


def load_settings(folder: str | os.PathLike) -> Settings:
    """Returns the settings of a run.

    Raises:
        FileNotFoundError: If `folder` is not a run folder.
        ValueError: If its `config.json` is damaged.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a run folder: {path} does not exist")
    try:
        return Settings(**read_object(path))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} does not hold a run's settings: {error}") from error


def is_finished(folder: str | os.PathLike) -> bool:
    """Returns whether a run is trained and scored; `finish` writes the scores last."""
    return (Path(folder) / "scores.json").is_file()


def load_scores(folder: str | os.PathLike) -> dict[str, dict[str, float | None]]:
    """Returns the scores of a finished run.

    Returns:
        The scores by name of the model ("trained") and of each control; None if not finite.

    Raises:
        FileNotFoundError: If the run is not finished.
        ValueError: If its `scores.json` is damaged.
    """
    path = Path(folder) / "scores.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not finished: {path} does not exist")
    try:
        tables = _TABLES.validate_json(json.dumps(read_object(path)), strict=True)
        if "trained" not in tables:
            raise ValueError("trained is missing")
    except pydantic.ValidationError as error:
        fault = first_fault(error, ())
        raise ValueError(f"{path} does not hold a run's scores: {fault}") from None
    except ValueError as error:
        raise ValueError(f"{path} does not hold a run's scores: {error}") from error
    return tables
