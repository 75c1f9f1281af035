"""The training of a run."""

import os
import time
from pathlib import Path

import keras
import tensorflow as tf

from keras_betavae import callbacks, datasets
from keras_betavae._utils.files import check_replaceable, moved_into_place
from keras_betavae._utils.locks import locked
from keras_betavae._utils.steps import training_step
from keras_betavae.evaluation import choose
from keras_betavae.experiments import tensorboard
from keras_betavae.experiments.runs._folder import check_places, clear_unfinished, load_settings
from keras_betavae.experiments.runs._identity import check_data
from keras_betavae.experiments.runs._metrics_file import MetricsFile
from keras_betavae.experiments.runs._models import newest_whole
from keras_betavae.experiments.runs._progress import ProgressLine
from keras_betavae.experiments.settings import Settings
from keras_betavae.export.saved_model import SAVED_MODEL_FILES, SIGN
from keras_betavae.models.beta_vae import BetaVAE


def train(
    folder: str | os.PathLike,
    data: datasets.ImageDataset,
    verbose: int | str = "auto",
    *,
    brief: bool = False,
) -> BetaVAE:
    """Trains a run to its last step, from its latest checkpoint if there is one.

    Writes `data.json`, `metrics.csv`, `latents.csv`, TensorBoard's `logs/`, `checkpoints/` and
    `model.keras`. A damaged file is skipped with a warning, and renamed to "damaged-...".

    Args:
        folder: A folder made by `create`.
        data: The data of its settings.
        verbose: As in `keras.Model.fit`.
        brief: Leaves out scores and pictures during training, and `latents.csv`.

    Returns:
        The trained model.

    Raises:
        FileExistsError: If a folder of the run is a link, or `saved_model/1` has files that no
            export wrote.
        InUseError: If another process trains or scores the run.
        OSError: If a file could not be written; the message names it.
        ValueError: If the data have changed, all checkpoints are damaged, or `metrics.csv` is
            damaged.
        FloatingPointError: As `BetaVAE.fit`.
    """
    folder, settings = Path(folder), load_settings(folder)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    with locked(folder):
        check_places(folder)
        clear_unfinished(folder)
        check_data(folder / "data.json", data)
        check_replaceable(folder / "saved_model" / "1", SAVED_MODEL_FILES, SIGN)
        found = newest_whole(folder)
        vae = settings.build_model(data) if found is None else found
        remains = training_step(vae) < settings.steps
        if remains:
            _prepare_logs(folder / "logs", vae, data, resumes=found is not None)
            _fit(folder, settings, vae, data, verbose, brief)
        if remains or not (folder / "model.keras").is_file():
            with moved_into_place(folder / "model.keras") as aside:
                vae.save(aside)
        return vae


def _prepare_logs(logs: Path, vae: BetaVAE, data: datasets.ImageDataset, resumes: bool) -> None:
    """Keeps TensorBoard's events up to the model's step, and writes the layout."""
    if resumes:
        # Training starts with the scores and pictures of the current model.
        first_shown = ("disentanglement", "pictures")
        tensorboard.drop_events(logs, training_step(vae), but=first_shown)
    else:
        tensorboard.clear_events(logs)
    if not resumes or not logs.is_dir():
        scores = choose("fast", len(data.factor_names), data.factor_names)
        tensorboard.write_layout(logs, vae.objective, scores)


def _fit(
    folder: Path,
    settings: Settings,
    vae: BetaVAE,
    data: datasets.ImageDataset,
    verbose: int | str,
    brief: bool,
) -> None:
    step, logs = training_step(vae), folder / "logs"
    first_epoch, n_epochs = (-(-each // settings.every) for each in (step, settings.steps))
    watching = [] if brief else _watching(folder, settings, data, n_epochs)
    vae.fit(
        data.to_tf_data(
            settings.batch_size,
            seed=settings.seed,
            repeat=True,
            start_step=step,
            drop_remainder=len(data) >= settings.batch_size,
        ),
        initial_epoch=first_epoch,
        epochs=n_epochs,
        steps_per_epoch=settings.every,
        verbose=verbose,
        callbacks=[
            _Steps(settings.steps),
            callbacks.LatentActivity(logs),
            *watching,
            callbacks.LossCurves(logs),
            MetricsFile(folder / "metrics.csv", first_epoch),
            callbacks.Checkpoint(folder / "checkpoints"),
            ProgressLine(settings.steps, settings.every),
        ],
    )


def _watching(
    folder: Path, settings: Settings, data: datasets.ImageDataset, n_epochs: int
) -> list[keras.callbacks.Callback]:
    logs, n, seed = folder / "logs", settings.n_images, settings.seed
    return [
        callbacks.DisentanglementMetric(data, logs, n_images=n, seed=seed, n_jobs=-1),
        # Pictures take longer than scores: at the start, halfway and at the end.
        callbacks.LatentPictures(data, logs, every_n_epochs=_half(n_epochs)),
        callbacks.LatentTable(data, folder / "latents.csv"),
    ]


def _half(n_epochs: int) -> int:
    """Returns the interval of pictures: half of an even number of epochs, or an odd number."""
    return n_epochs // 2 if n_epochs > 2 and n_epochs % 2 == 0 else n_epochs


class _Steps(keras.callbacks.Callback):
    """Ends training at a step, which may be within an epoch; logs the step and the seconds."""

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if training_step(self.model) >= self.steps:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        logs["step"] = training_step(self.model)
        logs["seconds"] = time.perf_counter() - self._start
