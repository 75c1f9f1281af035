"""Keras callbacks that score, watch and save a β-VAE while it trains."""

import os
import warnings
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from keras_betavae import visualization
from keras_betavae.checkpoint import Checkpoint
from keras_betavae.datasets import ImageDataset
from keras_betavae.evaluation import Scores, choose, evaluate
from keras_betavae.inspection import inspect
from keras_betavae.objectives import Capacity

__all__ = [
    "Checkpoint",
    "DisentanglementMetric",
    "LatentActivity",
    "LatentPictures",
    "LatentTraversal",
    "LossCurves",
]


class _SummaryCallback(keras.callbacks.Callback):
    """Runs every few epochs and writes summaries to a folder of its own in `log_dir`."""

    folder = ""

    def __init__(self, log_dir: str | os.PathLike | None, every_n_epochs: int | None = 1):
        super().__init__()
        if every_n_epochs is not None and every_n_epochs < 1:
            raise ValueError(f"every_n_epochs must be at least 1, got {every_n_epochs}")
        self.log_dir = None if log_dir is None else os.fspath(log_dir)
        self.every_n_epochs = every_n_epochs
        self._writer: tf.summary.SummaryWriter = tf.summary.create_noop_writer()

    @property
    def step(self) -> int:
        """The number of training steps that are done."""
        return int(self.model.optimizer.iterations)

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self.log_dir is not None:
            self._writer = tf.summary.create_file_writer(os.path.join(self.log_dir, self.folder))

    def on_train_end(self, logs: dict | None = None) -> None:
        self._writer.close()
        self._writer = tf.summary.create_noop_writer()

    def is_due(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, ends an interval."""
        return self.every_n_epochs is not None and (epoch + 1) % self.every_n_epochs == 0

    def write(self, summaries: Mapping[str, float]) -> None:
        """Writes scalars at the current training step."""
        with self._writer.as_default(step=self.step):
            for name, value in summaries.items():
                tf.summary.scalar(name, value)
        self._writer.flush()


class LossCurves(_SummaryCallback):
    """Shows the terms of the loss in TensorBoard.

    Writes the epoch's means `loss/loss`, `loss/reconstruction` and `loss/kl`, in nats, and as
    `objective/<name>` what else the model's `fit` reports; those of a validation are
    `validation/loss` and so on; and `optimizer/learning_rate`. It stands where
    `keras.callbacks.TensorBoard` would, whose axis is the epoch and not the training step.

    Args:
        log_dir: TensorBoard's folder.
        every_n_epochs: Writes after every n-th epoch.

    Raises:
        ValueError: If `every_n_epochs` is below 1.

    Example:
        >>> callback = LossCurves("logs")
    """

    folder = "loss"

    def __init__(self, log_dir: str | os.PathLike, *, every_n_epochs: int = 1):
        super().__init__(log_dir, every_n_epochs)

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Writes the summaries if `every_n_epochs` says so."""
        if not self.is_due(epoch):
            return
        short = {"loss": "loss", "reconstruction_loss": "reconstruction", "kl_loss": "kl"}
        scalars = {"optimizer/learning_rate": float(self.model.optimizer.learning_rate)}
        # Other callbacks have put their own into `logs`.
        for name in self.model.get_metrics_result():
            group = "loss" if name in short else "objective"
            scalars[f"{group}/{short.get(name, name)}"] = logs[name]
            if f"val_{name}" in logs:
                scalars[f"validation/{short.get(name, name)}"] = logs[f"val_{name}"]
        self.write(scalars)


class DisentanglementMetric(_SummaryCallback):
    """Scores the codes' disentanglement and puts the scores into `logs`.

    The images are drawn once and encoded once for all scores. The scores land in the
    epoch's `logs`, where `ModelCheckpoint(monitor="beta_vae_score")`, `EarlyStopping`,
    `CSVLogger` and `History` find them (list this callback before those), and in
    TensorBoard under `disentanglement/`, at the true training step. The first evaluation
    is that of the model as training finds it, the control that a score needs; epochs
    between two evaluations carry the last scores on. The training's random streams are
    not touched: a run has the same weights with this callback and without.

    Args:
        data: Images with factors, or without, which leaves the scores that need none.
        log_dir: TensorBoard's folder; None writes no summaries.
        scores: As in `evaluate`: `"fast"` (every score that takes about a second or less),
            `"all"`, names, or functions of `(factors, codes)` by name.
        every_n_epochs: Evaluates after every n-th epoch; None for never.
        every_n_steps: Evaluates besides whenever this many more training steps are done.
        n_images: Images that are drawn and encoded.
        seed: Seed of the draw and of the scores.

    Raises:
        ValueError: If a number is below 1, or a score is unknown.

    Example:
        >>> from keras_betavae.datasets import load_sprites
        >>> data = load_sprites(orientation=4, pos_x=4, pos_y=4)
        >>> callback = DisentanglementMetric(data, n_images=500)
    """

    folder = "disentanglement"

    def __init__(
        self,
        data: ImageDataset,
        log_dir: str | os.PathLike | None = None,
        *,
        scores: Scores = "fast",
        every_n_epochs: int | None = 1,
        every_n_steps: int | None = None,
        n_images: int = 20_000,
        seed: int = 0,
    ):
        super().__init__(log_dir, every_n_epochs)
        for name, value in (("every_n_steps", every_n_steps), ("n_images", n_images)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.data = data
        self.scores = scores if isinstance(scores, str | Mapping) else list(scores)
        choose(self.scores, len(data.factor_names))
        self.every_n_steps = every_n_steps
        self.n_images = n_images
        self.seed = seed
        self._latest: dict[str, float] = {}
        self._latest_step = -1
        self._next_step = 0

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Evaluates the model as it is, and starts counting steps."""
        super().on_train_begin(logs)
        self._latest_step = -1
        self._evaluate()
        if self.every_n_steps is not None:
            self._next_step = (self.step // self.every_n_steps + 1) * self.every_n_steps

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Evaluates if `every_n_steps` says so."""
        # With steps_per_execution above 1 the exact step may be jumped over.
        if self.every_n_steps is not None and self.step >= self._next_step:
            self._next_step = (self.step // self.every_n_steps + 1) * self.every_n_steps
            self._evaluate()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Evaluates if `every_n_epochs` says so; hands the latest scores to `logs`."""
        if self.is_due(epoch):
            self._evaluate()
        if logs is not None:
            logs.update(self._latest)

    def _evaluate(self) -> None:
        if self.step == self._latest_step:
            return  # Due by epochs and by steps.
        self._latest_step = self.step
        table = evaluate(
            self._encode, self.data, scores=self.scores, n=self.n_images, seed=self.seed
        )
        self._latest = dict(table)
        self.write({f"disentanglement/{name}": value for name, value in table.items()})

    def _encode(self, images: np.ndarray) -> np.ndarray:
        codes = np.asarray(self.model.encode(images)[0])
        if not np.isfinite(codes).all():
            raise FloatingPointError(
                f"the codes became NaN or infinite by step {self.step}; try a smaller learning rate"
            )
        return codes


class LatentTraversal(_SummaryCallback):
    """Shows in TensorBoard what each latent does to a few images.

    Each image gives a grid under `traversal/`, a row per latent.

    Args:
        images: uint8 images `(n, *image_shape)`.
        log_dir: TensorBoard's folder.
        every_n_epochs: Draws when training begins and after every n-th epoch.
        limit: Each latent runs from -limit to limit.
        n_steps: Images per row.

    Raises:
        ValueError: If `every_n_epochs` is below 1.

    Example:
        >>> callback = LatentTraversal(np.zeros((3, 64, 64, 1), "uint8"), log_dir="logs")
    """

    folder = "traversal"

    def __init__(
        self,
        images: np.ndarray,
        log_dir: str | os.PathLike,
        *,
        every_n_epochs: int = 1,
        limit: float = 3.0,
        n_steps: int = 11,
    ):
        super().__init__(log_dir, every_n_epochs)
        self.images = images
        self.limit = limit
        self.n_steps = n_steps

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Draws what the model does before it is trained."""
        super().on_train_begin(logs)
        self._draw()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Draws if `every_n_epochs` says so."""
        if self.is_due(epoch):
            self._draw()

    def _draw(self) -> None:
        codes = np.asarray(self.model.encode(self.images)[0])
        with self._writer.as_default(step=self.step):
            for index, code in enumerate(codes):
                rows = visualization.traverse(
                    self.model, code, limit=self.limit, n_steps=self.n_steps
                )
                grid = visualization.image_grid(rows)
                tf.summary.image(f"traversal/{index}", grid[None])
        self._writer.flush()


class LatentPictures(_SummaryCallback):
    """Shows in TensorBoard what the model has learned: pictures, and its codes.

    Of the model as training finds it, and again after every n-th epoch, it writes what
    `inspection.inspect` shows: `pictures/traversal`, `pictures/reconstructions` and all others
    of `Inspection.pictures` as images, and the codes of each active latent as the histogram
    `posterior/latent_<i>`. The training's random streams are not touched.

    Args:
        data: Images with factors, or without.
        log_dir: TensorBoard's folder.
        every_n_epochs: Draws after every n-th epoch.
        images: At least 2 images to reconstruct, uint8 `(n, *image_shape)`; by default 8 of
            the data, the same ones for the same data.
        n_images: Images that are drawn and encoded for the other pictures.

    Raises:
        ValueError: If a number is below 1, or there are fewer than 2 images.

    Example:
        >>> from keras_betavae.datasets import load_sprites
        >>> data = load_sprites(orientation=4, pos_x=4, pos_y=4)
        >>> callback = LatentPictures(data, "logs", n_images=500)
    """

    folder = "pictures"

    def __init__(
        self,
        data: ImageDataset,
        log_dir: str | os.PathLike,
        *,
        every_n_epochs: int = 1,
        images: np.ndarray | None = None,
        n_images: int = 10_000,
    ):
        super().__init__(log_dir, every_n_epochs)
        if n_images < 1:
            raise ValueError(f"n_images must be at least 1, got {n_images}")
        if images is not None and len(images) < 2:
            raise ValueError(f"images must be at least 2, got {len(images)}")
        self.data = data
        self.images = data.images_at(data.sample_indices(8, seed=1)) if images is None else images
        self.n_images = n_images

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Draws the model before it is trained."""
        super().on_train_begin(logs)
        self._draw()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Draws if `every_n_epochs` says so."""
        if self.is_due(epoch):
            self._draw()

    def _draw(self) -> None:
        inspection = inspect(self.model, self.data, n=self.n_images)
        pictures = inspection.pictures(self.model, self.images)
        with self._writer.as_default(step=self.step):
            for name, picture in pictures.items():
                tf.summary.image(f"pictures/{name}", picture[None])
            for latent in inspection.active:
                tf.summary.histogram(f"posterior/latent_{latent}", inspection.codes[:, latent])
        self._writer.flush()


class LatentActivity(_SummaryCallback):
    """Shows in TensorBoard which latents carry information.

    Writes the KL of each latent over the epoch, in nats, as scalars `kl/latent_<i>` and as
    the histogram `kl/latents`, the number of active ones as `kl/active_latents` (into `logs` as
    `active_latents`), and, under `Capacity`, `capacity/target` (C at the epoch's end) and
    `capacity/distance` (between a batch's KL and C, the epoch's mean). Where that is above
    1 nat, as it should not be by the advice of Burgess et al., it warns, and again only after
    it was below. It reads the means that training has kept and encodes nothing.

    Args:
        log_dir: TensorBoard's folder; None writes no summaries.
        every_n_epochs: Writes after every n-th epoch.
        threshold: A latent is active if its KL is above this, in nats.

    Raises:
        ValueError: If `every_n_epochs` is below 1.

    Example:
        >>> callback = LatentActivity("logs", threshold=0.05)
    """

    folder = "latents"

    def __init__(
        self,
        log_dir: str | os.PathLike | None = None,
        *,
        every_n_epochs: int = 1,
        threshold: float = 0.01,
    ):
        super().__init__(log_dir, every_n_epochs)
        self.threshold = threshold
        self._latent_kl: np.ndarray | None = None
        self._strays = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Forgets the last epoch."""
        self._latent_kl = None

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Keeps the training's means, which a validation is about to reset."""
        self._latent_kl = np.asarray(self.model.latent_kl)

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Writes the summaries if `every_n_epochs` says so."""
        kl = np.asarray(self.model.latent_kl) if self._latent_kl is None else self._latent_kl
        active = int((kl > self.threshold).sum())
        logs["active_latents"] = active
        if not self.is_due(epoch):
            return
        scalars = {f"kl/latent_{index}": value for index, value in enumerate(kl)}
        scalars["kl/active_latents"] = active
        objective = self.model.objective
        if isinstance(objective, Capacity):
            scalars["capacity/target"] = float(objective.capacity(self.step))
            scalars["capacity/distance"] = logs["capacity_distance"]
            self._warn_of_distance(logs["capacity_distance"], kl.sum(), logs["capacity"])
        with self._writer.as_default(step=self.step):
            tf.summary.histogram("kl/latents", kl)
        self.write(scalars)

    def _warn_of_distance(self, distance: float, kl: float, capacity: float) -> None:
        strays = distance > 1.0
        if strays and not self._strays:
            warnings.warn(
                f"by step {self.step} the batches' KL is {distance:.1f} nats from the capacity on "
                f"average (KL {kl:.1f}, C {capacity:.1f}), and should stay within 1: raise gamma, "
                "or let C rise more slowly",
                stacklevel=2,
            )
        self._strays = strays
