"""One folder per training run: settings, logs, checkpoints, pictures, models, scores."""

import json
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_betavae import callbacks, datasets, presets, visualization
from keras_betavae._utils.files import (
    check_replaceable,
    clear_left_aside,
    left_aside,
    moved_into_place,
)
from keras_betavae._utils.tables import finite_or_none
from keras_betavae.evaluation import choose, evaluate, evaluate_with_controls
from keras_betavae.evaluation.inspection import inspect, showcase
from keras_betavae.evaluation.score_table import ScoreTable, side_by_side
from keras_betavae.experiments import tensorboard
from keras_betavae.experiments.metrics_file import MetricsFile
from keras_betavae.experiments.settings import FOLDER, Settings
from keras_betavae.export.saved_model import SAVED_MODEL_FILES
from keras_betavae.export.served_model import ServedModel
from keras_betavae.models.beta_vae import BetaVAE


def create(folder: str | os.PathLike, settings: Settings) -> Path:
    """Makes a run's folder and writes its `config.json`.

    Raises:
        FileExistsError: If the folder is there and not empty.
    """
    folder = Path(folder)
    for left in left_aside(folder, "config.json"):
        left.unlink()  # Of a process that was killed while it made the folder.
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} is not empty; choose another folder, or go on with what is in it by --resume"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", settings.model_dump())
    return folder


def load_settings(folder: str | os.PathLike) -> Settings:
    """Returns the settings of a run.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If its `config.json` is damaged.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no run: there is no {path}")
    try:
        return Settings(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} does not hold a run's settings: {error}") from error


def load_model(folder: str | os.PathLike) -> BetaVAE:
    """Returns a run's trained model, or that of its latest checkpoint that is whole.

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
        FileNotFoundError: If there is none of the three.
        ValueError: If it is damaged.
    """
    path = Path(path)
    if path.suffix == ".keras":
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        return _load(path)
    return ServedModel(path) if (path / "saved_model.pb").is_file() else load_model(path)


def train(
    folder: str | os.PathLike, data: datasets.ImageDataset, verbose: int | str = "auto"
) -> BetaVAE:
    """Trains a run to its last step, from its model or latest checkpoint if there is one.

    Writes `metrics.csv`, `latents.csv`, TensorBoard's `logs/`, `checkpoints/` and `model.keras`. A
    file that is damaged is passed over with a warning, and kept with "damaged-" before its name.

    Args:
        folder: A folder that `create` has made.
        data: The data of its settings.
        verbose: As in `keras.Model.fit`.

    Returns:
        The trained model.

    Raises:
        FileExistsError: If `saved_model/1` is a link, or holds what no export wrote.
        OSError: If something could not be written, named in the message.
        ValueError: If all that the training could go on from is damaged.
        FloatingPointError: As `BetaVAE.fit`.
    """
    folder, settings = Path(folder), load_settings(folder)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    clear_left_aside(folder)
    check_replaceable(folder / "saved_model" / "1", SAVED_MODEL_FILES)
    paths = callbacks.Checkpoint.newest_first(folder / "checkpoints")
    if (folder / "model.keras").is_file():
        paths.insert(0, folder / "model.keras")
    found, damaged = _first_whole(paths)
    for path in damaged:
        path.rename(path.with_name(f"damaged-{path.name}"))
    vae = settings.build_model(data) if found is None else found
    step = int(vae.optimizer.iterations)
    first_epoch = -(-step // settings.every)
    logs = folder / "logs"
    if step < settings.steps:
        if found is None:
            tensorboard.clear_events(logs)
        else:
            # Scores and pictures are made anew of the model that the training finds.
            tensorboard.drop_events(logs, step, but=("disentanglement", "pictures"))
        if not logs.is_dir():
            scores = choose("fast", len(data.factor_names), data.factor_names)
            tensorboard.write_layout(logs, vae.objective, scores)
        vae.fit(
            data.to_tf_data(
                settings.batch_size,
                seed=settings.seed,
                repeat=True,
                start_step=step,
                drop_remainder=len(data) >= settings.batch_size,
            ),
            initial_epoch=first_epoch,
            epochs=-(-settings.steps // settings.every),
            steps_per_epoch=settings.every,
            verbose=verbose,
            callbacks=[
                _Steps(settings.steps),
                callbacks.LatentActivity(logs),
                callbacks.DisentanglementMetric(
                    data, logs, n_images=settings.n_images, seed=settings.seed
                ),
                callbacks.LatentPictures(data, logs),
                callbacks.LossCurves(logs),
                callbacks.LatentTable(data, folder / "latents.csv"),
                MetricsFile(folder / "metrics.csv", first_epoch),
                callbacks.Checkpoint(folder / "checkpoints"),
            ],
        )
    if step < settings.steps or not (folder / "model.keras").is_file():
        with moved_into_place(folder / "model.keras") as aside:
            vae.save(aside)
    return vae


def draw(folder: str | os.PathLike, vae: BetaVAE, data: datasets.ImageDataset) -> Path:
    """Draws a run's `pictures/`: those of `Inspection`, and the traversal as GIF.

    Returns:
        The folder of the pictures.
    """
    pictures = Path(folder) / "pictures"
    pictures.mkdir(exist_ok=True)
    images = showcase(data)
    inspection = inspect(vae, data)
    for name, picture in inspection.pictures(vae, images).items():
        with moved_into_place(pictures / f"{name}.png") as aside:
            visualization.write_png(aside, picture)
    code = np.asarray(vae.encode(images[:1])[0])[0]
    rows = visualization.traverse(vae, code, latents=inspection.by_kl)
    with moved_into_place(pictures / "traversal.gif") as aside:
        visualization.write_traversal(aside, rows)
    return pictures


def finish(
    folder: str | os.PathLike,
    vae: BetaVAE,
    data: datasets.ImageDataset,
    *,
    controls: bool = True,
) -> dict[str, ScoreTable]:
    """Draws, exports and scores a trained run.

    Writes `pictures/` and `saved_model/1/`, to TensorBoard's `logs/` the settings and the
    scores, and codes for its projector, and last `scores.md` and `scores.json`.

    Args:
        folder: The run.
        vae: Its trained model.
        data: Its data.
        controls: Whether the controls are scored too, which takes longer than the model.

    Returns:
        The tables of `evaluate_with_controls` for the scores of the group "fast"; without
        controls only that of the trained model.
    """
    folder, settings = Path(folder), load_settings(folder)
    draw(folder, vae, data)
    (folder / "saved_model").mkdir(exist_ok=True)
    vae.export(folder / "saved_model" / "1", verbose=False)
    options: dict[str, Any] = {"scores": "fast", "n": settings.n_images, "seed": settings.seed}
    if controls:
        tables = evaluate_with_controls(vae, settings.build_model(data), data, **options)
    else:
        tables = {"trained": evaluate(vae, data, **options)}
    tensorboard.write_projector(folder / "logs", vae, data)
    step = int(vae.optimizer.iterations)
    chosen = _hyperparameters(settings, vae, data)
    tensorboard.write_hyperparameters(folder / "logs", chosen, tables["trained"], step)
    with moved_into_place(folder / "scores.md") as aside:
        aside.write_text(side_by_side(tables) + "\n", encoding="utf-8")
    values = {
        name: {score: finite_or_none(value) for score, value in table.items()}
        for name, table in tables.items()
    }
    _write_json(folder / "scores.json", values)
    return tables


def is_finished(folder: str | os.PathLike) -> bool:
    """Returns whether a run is trained and scored: `finish` writes the scores last."""
    return (Path(folder) / "scores.json").is_file()


class _Steps(keras.callbacks.Callback):
    """Ends training at a step, which may lie within an epoch; logs the step and the seconds."""

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if int(self.model.optimizer.iterations) >= self.steps:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        logs["step"] = int(self.model.optimizer.iterations)
        logs["seconds"] = time.perf_counter() - self._start


def _hyperparameters(
    settings: Settings, vae: BetaVAE, data: datasets.ImageDataset
) -> dict[str, bool | float | str]:
    """Returns what TensorBoard compares runs by."""
    found = {
        name: getattr(settings, name) for name in ("preset", "batch_size", "steps", "seed", "data")
    }
    if settings.data == FOLDER:
        found["data"] = Path(settings.data_path or "").name
    found |= {
        "data_size": len(data),
        "latent_dim": vae.latent_dim,
        "learning_rate": vae.optimizer.get_config()["learning_rate"],
        "model": type(vae).__name__,
        "objective": type(vae.objective).__name__,
    }
    weights = settings.weights or {}
    options = presets.get(settings.preset).options
    found |= {f"model/{k}": weights.get(k, v) for k, v in options.items()}
    objective = vae.objective.get_config()
    if settings.warm_up is not None:
        found["warm_up"] = settings.warm_up
        objective["beta"] = objective["beta"]["config"]["end"]
    found |= {f"objective/{k}": v for k, v in objective.items()}
    # Schedules are dictionaries.
    return {k: v for k, v in found.items() if isinstance(v, bool | int | float | str)}


def _load(path: Path) -> BetaVAE:
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except Exception as error:
        # From damaged files, Keras lets out what zipfile, HDF5 and JSON raise.
        raise ValueError(
            f"{path} is damaged or not a saved model; `train --resume` makes a run's anew from "
            f"its latest checkpoint that is whole. Code in a file is never run ({error})"
        ) from error


def _first_whole(paths: Sequence[Path]) -> tuple[BetaVAE | None, list[Path]]:
    """Returns the model of the first file that is whole, and the damaged ones before it.

    Raises:
        ValueError: If there are files, and none is whole.
    """
    damaged: list[tuple[Path, ValueError]] = []
    for path in paths:
        try:
            vae = _load(path)
        except ValueError as error:
            damaged.append((path, error))
            continue
        for other, reason in damaged:
            warnings.warn(f"{reason}; {path} is taken for {other.name}", stacklevel=3)
        return vae, [other for other, _ in damaged]
    if damaged:
        raise ValueError(
            f"{damaged[0][1]}, and no older one is whole; to begin the run anew, delete "
            f"{', '.join(str(path) for path, _ in damaged)}"
        )
    return None, []


def _write_json(path: Path, value: Any) -> None:
    with moved_into_place(path) as aside:
        aside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
