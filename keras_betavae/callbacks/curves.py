"""Callbacks that write a training's curves to TensorBoard."""

import os
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from keras_betavae.callbacks._summary import SummaryCallback

_TERMS = {"loss": "loss/loss", "reconstruction_loss": "loss/reconstruction", "kl_loss": "loss/kl"}


def tag_of(log_name: str) -> str:
    """Returns the TensorBoard tag of one of a model's logs.

    Example:
        >>> tag_of("kl_loss"), tag_of("capacity")
        ('loss/kl', 'objective/capacity')
    """
    return _TERMS.get(log_name, f"objective/{log_name}")


class LossCurves(SummaryCallback):
    """Writes the terms of the loss to TensorBoard.

    These are the means over the epoch: `loss/loss`, `loss/reconstruction` and `loss/kl`, in nats,
    the other values that `fit` reports as `objective/<name>`, those of a validation as
    `validation/<name>`, and `optimizer/learning_rate`. The x axis is the training step, not the
    epoch as in `keras.callbacks.TensorBoard`.

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
        """Writes the summaries at the end of an interval."""
        if not self.is_due(epoch):
            return
        optimizer: Any = self.model.optimizer
        rates = {"learning_rate": optimizer}
        if hasattr(optimizer, "optimizers"):  # A MultiOptimizer.
            rates = {f"learning_rate_{each.name}": each for each in optimizer.optimizers}
        scalars = {
            f"optimizer/{name}": float(tf.convert_to_tensor(each.learning_rate))
            for name, each in rates.items()
        }
        # Other callbacks may have added to `logs`, and a custom `train_step` may leave
        # some terms out.
        for name in self.model.get_metrics_result():
            if name in logs:
                scalars[tag_of(name)] = logs[name]
            if f"val_{name}" in logs:
                scalars[f"validation/{tag_of(name).partition('/')[2]}"] = logs[f"val_{name}"]
        self.write(scalars)


class LatentActivity(SummaryCallback):
    """Shows in TensorBoard which latents carry information.

    Writes the mean KL of each latent over the epoch, in nats, as scalars `kl/latent_<i>` and as
    the histogram `kl/latents`, and the number of active latents as `kl/active_latents` (in `logs`:
    `active_latents`). It raises the objective's advice as a warning (`Capacity`: the KL is more
    than 1 nat from C), and repeats it only after an epoch without advice. It uses the running
    means of training and encodes nothing; list it before callbacks that call `model.evaluate`,
    which resets them.

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
        self._is_kept = False
        self._epoch_start = 0
        self._advised = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Clears the means of the last epoch."""
        super().on_epoch_begin(epoch, logs)
        self._is_kept = False
        self._epoch_start = self.step

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Keeps the training's means, which the validation resets."""
        if not self._is_kept:
            has_seen = self.model.n_images_seen
            self._latent_kl = np.asarray(self.model.latent_kl) if has_seen else None
            self._is_kept = True

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Writes the summaries at the end of an interval."""
        self.on_test_begin()
        kl = self._latent_kl
        if kl is None:
            warnings.warn(
                "LatentActivity has nothing to show: the model's custom train_step keeps no KL of "
                "each latent, as that of BetaVAE does",
                stacklevel=2,
            )
            return
        active = int((kl > self.threshold).sum())
        logs["active_latents"] = active
        if not self.is_due(epoch):
            return
        scalars = {f"kl/latent_{index}": value for index, value in enumerate(kl)}
        scalars["kl/active_latents"] = active
        with self.writing():
            tf.summary.histogram("kl/latents", kl)
        self.write(scalars)
        advice = self.model.objective.advice(logs, self._epoch_start, self.step)
        if advice and not self._advised:
            warnings.warn(advice, stacklevel=2)
        self._advised = advice is not None
