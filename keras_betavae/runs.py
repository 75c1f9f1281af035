"""One folder per training run: settings, logs, checkpoints, pictures, models, scores."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_betavae import callbacks, datasets, presets, tensorboard, visualization
from keras_betavae._files import moved_into_place
from keras_betavae.beta_vae import BetaVAE
from keras_betavae.evaluation import choose, evaluate_with_controls
from keras_betavae.inspection import inspect, showcase
from keras_betavae.score_table import ScoreTable, finite_or_none, side_by_side
from keras_betavae.serving import ServedModel
from keras_betavae.settings import FOLDER, Settings


def create(folder: str | os.PathLike, settings: Settings) -> Path:
    """Makes a run's folder and writes its `config.json`.

    Raises:
        FileExistsError: If the folder is there and not empty.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} is not empty; choose another folder, or go on with what is in it by --resume"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", dataclasses.asdict(settings))
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
    """Returns a run's trained model, or that of its latest checkpoint.

    Raises:
        FileNotFoundError: If the run has neither.
        ValueError: If the file is damaged.
    """
    folder = Path(folder)
    path: Path | None = folder / "model.keras"
    if path is None or not path.is_file():
        path = callbacks.Checkpoint.latest(folder / "checkpoints")
    if path is None:
        raise FileNotFoundError(f"{folder} holds no model.keras and no checkpoint")
    return _load(path)


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
    """Trains a run to its last step, from its latest checkpoint if there is one.

    Writes `metrics.csv`, TensorBoard's `logs/`, `checkpoints/` and `model.keras`.

    Args:
        folder: A folder that `create` has made.
        data: The data of its settings.
        verbose: As in `keras.Model.fit`.

    Returns:
        The trained model.
    """
    folder, settings = Path(folder), load_settings(folder)
    checkpoint = callbacks.Checkpoint.latest(folder / "checkpoints")
    vae = _load(checkpoint) if checkpoint else settings.build_model(data)
    step = int(vae.optimizer.iterations)
    first_epoch = -(-step // settings.every)
    _drop_rows_after(folder / "metrics.csv", first_epoch)
    logs = folder / "logs"
    if step < settings.steps:
        if checkpoint:
            # Scores and pictures are made anew of the model that the training finds.
            tensorboard.drop_events(logs, step, but=("disentanglement", "pictures"))
        else:
            shutil.rmtree(logs, ignore_errors=True)
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
                _StopAtStep(settings.steps),
                callbacks.LatentActivity(logs),
                callbacks.DisentanglementMetric(
                    data, logs, n_images=settings.n_images, seed=settings.seed
                ),
                callbacks.LatentPictures(data, logs),
                callbacks.LossCurves(logs),
                keras.callbacks.CSVLogger(folder / "metrics.csv", append=first_epoch > 0),
                callbacks.Checkpoint(folder / "checkpoints"),
            ],
        )
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
        visualization.write_png(pictures / f"{name}.png", picture)
    code = np.asarray(vae.encode(images[:1])[0])[0]
    rows = visualization.traverse(vae, code, latents=inspection.by_kl)
    visualization.write_traversal(pictures / "traversal.gif", rows)
    return pictures


def finish(
    folder: str | os.PathLike, vae: BetaVAE, data: datasets.ImageDataset
) -> dict[str, ScoreTable]:
    """Draws, exports and scores a trained run.

    Writes `pictures/`, `saved_model/1/`, `scores.json` and `scores.md`, and to TensorBoard's
    `logs/` the settings and the scores, and codes for its projector.

    Returns:
        The tables of `evaluate_with_controls` for the scores of the group "fast".
    """
    folder, settings = Path(folder), load_settings(folder)
    draw(folder, vae, data)
    vae.export(folder / "saved_model" / "1", verbose=False)
    untrained = settings.build_model(data)
    tables = evaluate_with_controls(vae, untrained, data, n=settings.n_images, seed=settings.seed)
    values = {
        name: {score: finite_or_none(value) for score, value in table.items()}
        for name, table in tables.items()
    }
    _write_json(folder / "scores.json", values)
    with moved_into_place(folder / "scores.md") as aside:
        aside.write_text(side_by_side(tables) + "\n", encoding="utf-8")
    tensorboard.write_projector(folder / "logs", vae, data)
    step = int(vae.optimizer.iterations)
    chosen = _hyperparameters(settings, vae, data)
    tensorboard.write_hyperparameters(folder / "logs", chosen, tables["trained"], step)
    return tables


class _StopAtStep(keras.callbacks.Callback):
    """Ends training at a step, which may lie within an epoch, and logs the step."""

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if int(self.model.optimizer.iterations) >= self.steps:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        logs["step"] = int(self.model.optimizer.iterations)


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
    found |= {f"model/{k}": v for k, v in presets.get(settings.preset).options.items()}
    found |= {f"objective/{k}": v for k, v in vae.objective.get_config().items()}
    # Schedules are dictionaries.
    return {k: v for k, v in found.items() if isinstance(v, bool | int | float | str)}


def _load(path: Path) -> BetaVAE:
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except Exception as error:
        # From damaged files, Keras lets out what zipfile, HDF5 and JSON raise.
        raise ValueError(
            f"{path} is damaged or not a saved model; delete it to go on from an older checkpoint, "
            f"if there is one. Code in a file is never run ({error})"
        ) from error


def _drop_rows_after(path: Path, n_epochs: int) -> None:
    """Drops what a killed run had logged after its latest checkpoint."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    with moved_into_place(path) as aside:
        aside.write_text("".join(lines[: n_epochs + 1]), encoding="utf-8")


def _write_json(path: Path, value: Any) -> None:
    with moved_into_place(path) as aside:
        aside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
