"""One folder per training run: settings, logs, checkpoints, pictures, models, scores."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_betavae import callbacks, datasets, metrics, presets, tensorboard, visualization
from keras_betavae._files import moved_into_place
from keras_betavae.beta_vae import BetaVAE
from keras_betavae.evaluation import choose, evaluate_with_controls
from keras_betavae.inspection import inspect
from keras_betavae.objectives import Beta, BetaTC, kl_per_latent
from keras_betavae.score_table import ScoreTable, finite_or_none, side_by_side
from keras_betavae.serving import ServedModel

FOLDER = "folder"
"""The name of the data that are a user's own pictures."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is made from; `config.json` in its folder.

    Attributes:
        preset: One of `presets.names()`.
        batch_size: Images per step.
        steps: Training steps.
        every: Steps between checkpoints, scores and TensorBoard's pictures.
        data: One of `datasets.catalog.names()`, or "folder": pictures of your own.
        data_path: The released file, or the folder that holds several; None fetches it. For
            "folder" that of the pictures.
        factors_path: Of "folder" the CSV file of factors; None if nothing is known.
        image_size: Of "folder" the side of the images.
        channels: Of "folder" 1 for grey, 3 for RGB.
        data_size: The number of images, so that a run does not go on with others.
        grid: Sizes of a smaller grid of sprites, as `load_sprites` takes them.
        latent_dim: Replaces the preset's number of latents.
        beta: Replaces the preset's objective by `Beta(beta)`.
        learning_rate: Replaces the preset's learning rate.
        n_images: Images that are encoded for the scores.
        seed: Seed of the weights, the order of the images and the codes.
    """

    preset: str
    batch_size: int
    steps: int
    every: int
    data: str = "sprites"
    data_path: str | None = None
    factors_path: str | None = None
    image_size: int = 64
    channels: int = 3
    data_size: int | None = None
    grid: tuple[int, ...] | None = None
    latent_dim: int | None = None
    beta: float | None = None
    learning_rate: float | None = None
    n_images: int = 20_000
    seed: int = 0

    def __post_init__(self):
        presets.get(self.preset)
        is_rendered = self.data != FOLDER and not datasets.catalog.get(self.data).files
        if self.data == FOLDER and self.data_path is None:
            raise ValueError("the data folder needs data_path, the pictures' folder")
        own = (self.factors_path, self.image_size, self.channels)
        if self.data != FOLDER and own != (None, 64, 3):
            raise ValueError(
                f"factors_path, image_size and channels are those of the data folder, and "
                f"{self.data} has its own"
            )
        if self.grid is not None:
            # JSON gives a list back.
            object.__setattr__(self, "grid", tuple(self.grid))
            if not is_rendered or len(self.grid) != 5 or min(self.grid) < 2:
                raise ValueError(
                    "grid must be five sizes of sprites, each above 1, since no score can tell a "
                    f"factor of one value, got {self.grid} of {self.data}"
                )
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.n_images < 100:
            raise ValueError(f"n_images must be at least 100, got {self.n_images}")
        for name in ("batch_size", "steps", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @classmethod
    def from_preset(cls, preset: str, **chosen: Any) -> "Settings":
        """Returns settings with the preset's batch and steps where none were chosen.

        Raises:
            ValueError: If there is no such preset, or a number is out of range.
        """
        recipe = presets.get(preset)
        for name in ("data_path", "factors_path"):
            if chosen.get(name) is not None:
                # A run may be looked at from anywhere.
                chosen[name] = os.path.abspath(chosen[name])
        numbers = {"batch_size": recipe.batch_size, "steps": recipe.steps, **chosen}
        numbers.setdefault("every", max(numbers["steps"] // 10, 1))
        return cls(preset, **numbers)

    def load_data(self) -> datasets.ImageDataset:
        """Returns the data set.

        Raises:
            ValueError: If it has another number of images than `data_size`; further errors as
                its own loader.
        """
        if self.data == FOLDER:
            data = datasets.from_folder(
                self.data_path or "",
                self.image_size,
                self.channels,
                factors=self.factors_path,
                cache_dir=datasets.catalog.cache_folder() / FOLDER,
            )
        else:
            data = datasets.load(self.data, self.data_path, grid=self.grid)
        if self.data_size not in (None, len(data)):
            raise ValueError(
                f"{self.data_path or self.data} has {len(data)} images, but had {self.data_size} "
                "when the run was made"
            )
        return data

    def build_model(self, data: datasets.ImageDataset) -> BetaVAE:
        """Returns the untrained model; seeds Keras's global generators to do so."""
        keras.utils.set_random_seed(self.seed)
        overrides: dict[str, Any] = {"input_shape": data.image_shape, "seed": self.seed}
        if self.latent_dim is not None:
            overrides["latent_dim"] = self.latent_dim
        objective = presets.get(self.preset).objective
        if self.beta is not None:
            overrides["objective"] = Beta(self.beta)
        elif isinstance(objective, BetaTC):
            config = {**objective.get_config(), "n_data": len(data)}
            overrides["objective"] = BetaTC.from_config(config)
        if self.learning_rate is not None:
            # A preset's schedule cannot be set to a number afterwards.
            optimizer = presets.get(self.preset).optimizer()
            config = {**optimizer.get_config(), "learning_rate": self.learning_rate}
            overrides["optimizer"] = type(optimizer).from_config(config)
        return BetaVAE.from_preset(self.preset, **overrides)

    def check(self, data: datasets.ImageDataset) -> None:
        """Raises now what else would fail only after some training.

        Raises:
            ValueError: If the settings give no model, or too few images to score.
        """
        self.build_model(data)
        if not data.factor_names:
            return
        factors = data.factors_at(data.sample_indices(self.n_images, self.seed))
        metrics.beta_vae_score(factors, factors, protocol="locatello", n_train=100, seed=self.seed)


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
    except (TypeError, ValueError) as error:
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
        images = data.images_at(_showcase(data))
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
                callbacks.LatentPictures(data, logs, images=images),
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
    images = data.images_at(_showcase(data))
    inspection = inspect(vae, data)
    for name, picture in inspection.pictures(vae, images).items():
        visualization.write_png(pictures / f"{name}.png", picture)
    code = np.asarray(vae.encode(images[:1])[0])[0]
    rows = visualization.traverse(vae, code, latents=inspection.by_kl)
    visualization.write_traversal(pictures / "traversal.gif", rows)
    return pictures


def latent_kl(vae: BetaVAE, data: datasets.ImageDataset, n: int = 1_000) -> np.ndarray:
    """Returns the mean KL of each latent over `n` images, in nats, (latent_dim,)."""
    images = data.images_at(data.sample_indices(n, seed=0))
    return np.mean(kl_per_latent(vae.posterior(images), vae.prior), axis=0)


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


def _showcase(data: datasets.ImageDataset, n: int = 8) -> np.ndarray:
    """Returns the indices of images that stand for the data set."""
    return data.sample_indices(n, seed=1)


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
        return keras.saving.load_model(path)
    except Exception as error:
        # From damaged files, Keras lets out what zipfile, HDF5 and JSON raise.
        raise ValueError(
            f"{path} is damaged or not a saved model; delete it to go on from an older checkpoint, "
            f"if there is one ({error})"
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
