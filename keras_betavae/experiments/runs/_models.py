"""The models in a run's folder."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

import keras_betavae._library  # noqa: F401, every class that a file may hold
from keras_betavae import callbacks
from keras_betavae._utils.archives import check_unpacked_size
from keras_betavae._utils.reading import damage_named
from keras_betavae.export.served_model import ServedModel
from keras_betavae.models.beta_vae import BetaVAE


def load_model(folder: str | os.PathLike) -> BetaVAE:
    """Returns a run's trained model, or that of its latest intact checkpoint.

    Raises:
        FileNotFoundError: If the run has neither.
        ValueError: If model.keras or all checkpoints are damaged.
    """
    folder = Path(folder)
    if (folder / "model.keras").is_file():
        return _load(folder / "model.keras")
    vae, _ = _first_whole(callbacks.Checkpoint.newest_first(folder / "checkpoints"))
    if vae is None:
        raise FileNotFoundError(f"{folder} holds no model.keras and no checkpoint")
    return vae


def open_model(path: str | os.PathLike) -> Any:
    """Returns the model of a run, of a `.keras` file or of a SavedModel.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged.
    """
    path = Path(path)
    if path.suffix == ".keras" and not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist")
        return _load(path)
    return ServedModel(path) if (path / "saved_model.pb").is_file() else load_model(path)


def newest_whole(folder: Path) -> BetaVAE | None:
    """Returns the model from which a run resumes, None if there is none.

    Damaged files are skipped with a warning, and renamed to "damaged-...".

    Raises:
        ValueError: If there are models, and all are damaged.
    """
    paths = callbacks.Checkpoint.newest_first(folder / "checkpoints")
    if (folder / "model.keras").is_file():
        paths.insert(0, folder / "model.keras")
    vae, damaged = _first_whole(paths)
    for path in damaged:
        path.rename(path.with_name(f"damaged-{path.name}"))
    return vae


def _load(path: Path) -> BetaVAE:
    """Returns the model in a file.

    Raises:
        OSError: If the file cannot be read now.
        ValueError: If it is damaged, unpacks to far more than its size, or is another model.
    """
    damage = (
        f"{path} is damaged or not a saved model; `train --resume` restores a run's model from its "
        "latest intact checkpoint. Code in a file is never run"
    )
    with damage_named(path, damage):
        if not path.is_file():
            raise ValueError("it is not a regular file")  # A pipe would block forever.
        check_unpacked_size(path)
        vae = keras.saving.load_model(path, safe_mode=True)
    if not isinstance(vae, BetaVAE):
        raise ValueError(f"{path} holds a {type(vae).__name__}, which is not a BetaVAE")
    return vae


def _first_whole(paths: Sequence[Path]) -> tuple[BetaVAE | None, list[Path]]:
    """Returns the model of the first intact file, and the damaged files before it.

    Raises:
        ValueError: If there are files, and all are damaged.
    """
    damaged: list[tuple[Path, ValueError]] = []
    for path in paths:
        try:
            vae = _load(path)
        except ValueError as error:
            if path.exists():  # Or else the training has deleted it meanwhile.
                damaged.append((path, error))
            continue
        for other, reason in damaged:
            warnings.warn(f"{reason}; {path} is used instead of {other.name}", stacklevel=4)
        return vae, [other for other, _ in damaged]
    if damaged:
        raise ValueError(
            f"{damaged[0][1]}, and no older one is intact; to start the run again, delete "
            f"{', '.join(str(path) for path, _ in damaged)}"
        )
    return None, []
