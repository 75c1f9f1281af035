"""The subject of a command: a run, a `.keras` file or a SavedModel, with its data."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from keras_betavae.cli._paths import local
from keras_betavae.cli._settings import names


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model with its data.

    Attributes:
        path: Its path.
        model: The model.
        data: The data.
        settings: The settings of a run; None for a file.
    """

    path: Path
    model: Any
    data: Any
    settings: Any


def add_data(command: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the data of a model that is not a run."""
    from keras_betavae.datasets import catalog

    command.add_argument(
        "--data",
        choices=[*catalog.names(), "folder", "table"],
        metavar="NAME",
        help="data set, if the model is not a run: a name from `keras-betavae datasets list`, "
        "folder for pictures, or table for a CSV file",
    )
    command.add_argument(
        "--data-path", type=local, metavar="PATH", help="the released file, the folder or the table"
    )
    command.add_argument(
        "--factors-path",
        type=local,
        metavar="FILE.csv",
        help="CSV file with the factors of a folder's pictures",
    )
    command.add_argument(
        "--factors",
        type=names,
        default=(),
        metavar="NAME,NAME",
        help="columns of the table that are factors",
    )
    command.add_argument(
        "--continuous",
        type=names,
        metavar="NAME,NAME",
        help="continuous factors (default: columns of decimal fractions with many values)",
    )


def open_subject(path: Path, options: argparse.Namespace) -> Subject:
    """Returns a model and its data.

    Raises:
        FileNotFoundError: If the model does not exist.
        ValueError: If it is damaged, or its data is not named, or is named for a run.
    """
    from keras_betavae.experiments import runs

    is_model = path.suffix == ".keras" and not path.is_dir()
    if is_model or (path / "saved_model.pb").is_file() or options.data:
        if (path / "config.json").is_file():
            check_no_data(options)
        model = runs.open_model(path)
        return Subject(path, model, _named_data(model, path, options), None)
    settings = runs.load_settings(path)
    check_no_data(options)
    return Subject(path, runs.load_model(path), settings.load_data(), settings)


def check_no_data(options: argparse.Namespace) -> None:
    """Raises a ValueError if data are named for a run."""
    for option in ("data", "data_path", "factors_path", "factors", "continuous"):
        if getattr(options, option):
            raise ValueError(f"a run has its own data; leave out --{option.replace('_', '-')}")


def _named_data(model: Any, path: Path, options: argparse.Namespace) -> Any:
    from keras_betavae import datasets

    if not options.data:
        raise ValueError(f"{path} is not a run folder; name its data set with --data")
    kinds = {"factors_path": ["folder"], "factors": ["table"], "continuous": ["folder", "table"]}
    for option, known in kinds.items():
        if getattr(options, option) and options.data not in known:
            name, needed = option.replace("_", "-"), " or ".join(known)
            raise ValueError(f"--{name} needs --data {needed}, got --data {options.data}")
    if options.data not in ("folder", "table"):
        return datasets.load(options.data, options.data_path)
    if options.data_path is None:
        raise ValueError(f"--data {options.data} needs --data-path")
    if options.data == "table":
        given = {"factors": options.factors, "continuous": options.continuous}
        return datasets.from_table(options.data_path, **given)
    if len(model.image_shape) != 3:
        raise ValueError(
            f"{path} takes inputs of shape {model.image_shape}, not images; use --data table, "
            "or keras_betavae.report in Python"
        )
    if options.continuous and not options.factors_path:
        raise ValueError("--continuous needs --factors-path, which names the factors")
    height, width, channels = model.image_shape
    return datasets.from_folder(
        options.data_path,
        height if height == width else (height, width),
        channels,
        factors=options.factors_path,
        continuous=options.continuous,
        cache_dir=datasets.catalog.cache_folder() / "folder",
    )
