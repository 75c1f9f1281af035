"""Limits on reconstruction and active latents, which UDR does not measure."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_betavae import datasets
from keras_betavae.evaluation.inspection import ACTIVE_NATS
from keras_betavae.models.beta_vae import BetaVAE

MIN_SHARE = 0.8
"""The smallest acceptable explained variance, as a share of the largest."""
MIN_ACTIVE = 2
"""The smallest acceptable mean number of active latents."""
NUMBERS = ("reconstruction", "explained", "active")
"""The measurements that a trial of the study holds."""
_BATCH = 500


@dataclasses.dataclass(frozen=True)
class Measured:
    """Measurements of a model, or their means over the seeds of a setting.

    Attributes:
        reconstruction: The mean of -log p(x|z) at the posterior's mean, in nats.
        explained: The share of the values' variance over the images that reconstructions explain:
            1 - Σ(x - E[x|z])² / Σ(x - x̄)², at the posterior's mean.
        active: The number of active latents.
        codes: The posterior's means, (n, latent_dim).
        kl: The mean KL of each latent in nats, (latent_dim,).
    """

    reconstruction: float
    explained: float
    active: float
    codes: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0), repr=False)
    kl: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0), repr=False)

    @classmethod
    def of(cls, trial: Any) -> "Measured | None":
        """Returns the measurements in a trial of the study, None unless all are there."""
        found = [n for name in NUMBERS if (n := number_of(trial, name)) is not None]
        return cls(found[0], found[1], found[2]) if len(found) == len(NUMBERS) else None

    @classmethod
    def mean(cls, found: Sequence["Measured"]) -> "Measured":
        """Returns the means over models."""
        rows = [[getattr(each, name) for name in NUMBERS] for each in found]
        return cls(*np.mean(rows, axis=0).tolist())


def number_of(trial: Any, name: str) -> float | None:
    """Returns a number that a trial of the study holds under a name, None if there is none."""
    value = trial.user_attrs.get(name)
    return float(value) if isinstance(value, int | float) else None


def measure(vae: BetaVAE, data: datasets.ImageDataset, n: int) -> Measured:
    """Encodes images once, the same ones for every model."""
    indices = data.sample_indices(n, 0, distinct=True)
    codes, kl, costs = [], [], []
    errors = 0.0
    total, squares = np.zeros(vae.image_shape), np.zeros(vae.image_shape)
    for start in range(0, len(indices), _BATCH):
        images = data.images_at(indices[start : start + _BATCH])
        mean, log_var = (np.asarray(part, np.float64) for part in vae.encode(images)[:2])
        codes.append(mean)
        kl.append(0.5 * (mean**2 + np.exp(log_var) - 1.0 - log_var))
        x = tf.cast(vae.scaled(images), tf.float32)
        likelihood = vae.likelihood_of(tf.cast(mean, tf.float32))
        costs.append(-np.asarray(likelihood.log_prob(x)))
        values = np.asarray(x, np.float64)
        errors += float(((values - np.asarray(likelihood.mean())) ** 2).sum())
        total, squares = total + values.sum(axis=0), squares + (values**2).sum(axis=0)
    variance = float((squares - total**2 / len(indices)).sum())
    means = np.concatenate(kl).mean(axis=0)
    return Measured(
        reconstruction=float(np.concatenate(costs).mean()),
        explained=1.0 - errors / variance if variance > 0 else 1.0,
        active=float((means > ACTIVE_NATS).sum()),
        codes=np.concatenate(codes),
        kl=means,
    )


def share(found: Measured, among: Sequence[Measured]) -> float:
    """Returns the explained variance as a share of the largest."""
    best = max(each.explained for each in among)
    return found.explained / best if best > 0 else 1.0


def fault_of(found: Measured, among: Sequence[Measured]) -> str:
    """Returns why a setting is ruled out, "" if it is not."""
    if found.active < MIN_ACTIVE:
        return f"{found.active:.1f} active latents, fewer than {MIN_ACTIVE}"
    part = share(found, among)
    if part < MIN_SHARE:
        return f"{part:.0%} of the best setting's explained variance, less than {MIN_SHARE:.0%}"
    return ""
