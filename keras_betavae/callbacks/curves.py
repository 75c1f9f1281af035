"""Callbacks that show in TensorBoard how a training goes."""

import os
import warnings

import numpy as np
import tensorflow as tf

from keras_betavae.callbacks._summary import SummaryCallback
from keras_betavae.objectives import Capacity
from keras_betavae.objectives.schedules import weight_at

_TERMS = {"loss": "loss", "reconstruction_loss": "reconstruction", "kl_loss": "kl"}


def tag_of(log_name: str) -> str:
    """Returns TensorBoard's tag of what `fit` logs under a name."""
    return f"loss/{_TERMS[log_name]}" if log_name in _TERMS else f"objective/{log_name}"


class LossCurves(SummaryCallback):
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
        scalars = {
            "optimizer/learning_rate": float(
                tf.convert_to_tensor(self.model.optimizer.learning_rate)
            )
        }
        # Other callbacks have put their own into `logs`.
        for name in self.model.get_metrics_result():
            scalars[tag_of(name)] = logs[name]
            if f"val_{name}" in logs:
                scalars[f"validation/{_TERMS.get(name, name)}"] = logs[f"val_{name}"]
        self.write(scalars)


class LatentActivity(SummaryCallback):
    """Shows in TensorBoard which latents carry information.

    Writes the KL of each latent over the epoch, in nats, as scalars `kl/latent_<i>` and as
    the histogram `kl/latents`, the number of active ones as `kl/active_latents` (into `logs` as
    `active_latents`), and, under `Capacity`, `capacity/target` (C at the epoch's end) and
    `capacity/distance` (between a batch's KL and C, the epoch's mean). Where that is above
    1 nat, as it should not be by the advice of Burgess et al., it warns, and again only after
    it was below; but not of an epoch that began with less γ than there will be when C has risen.
    It reads the means that training has kept and encodes nothing.

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
        self._epoch_start = 0
        self._strays = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Forgets the last epoch."""
        self._latent_kl = None
        self._epoch_start = self.step

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
        with self.writing():
            tf.summary.histogram("kl/latents", kl)
        self.write(scalars)

    def _warn_of_distance(self, distance: float, kl: float, capacity: float) -> None:
        gamma, end = self.model.objective.gamma, self.model.objective.n_steps
        warms_up = weight_at(gamma, self._epoch_start) < weight_at(gamma, end)
        strays = distance > 1.0 and not warms_up
        if strays and not self._strays:
            warnings.warn(
                f"by step {self.step} the batches' KL is {distance:.1f} nats from the capacity on "
                f"average (KL {kl:.1f}, C {capacity:.1f}), and should stay within 1: raise gamma, "
                "or let C rise more slowly",
                stacklevel=2,
            )
        self._strays = strays
