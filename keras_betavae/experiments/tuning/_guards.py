"""Limits on reconstruction and active latents, which UDR does not measure."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_betavae import datasets
from keras_betavae.evaluation.inspection import ACTIVE_NATS
from keras_betavae.models.beta_vae import BetaVAE

MIN_SHARE = 0.7
"""The smallest acceptable share of the best reconstruction's gain."""
MIN_ACTIVE = 2
"""The smallest acceptable mean number of active latents."""
_BATCH = 500


@dataclasses.dataclass(frozen=True)
class Measured:
    """Measurements of a model, or their means over the seeds of a setting.

    Attributes:
        reconstruction: The mean of -log p(x|z) at the posterior's mean, in nats.
        blind: The same at the prior's mean, which is independent of the image.
        active: The number of active latents.
        codes: The posterior's means, (n, latent_dim).
        kl: The mean KL of each latent in nats, (latent_dim,).
    """

    reconstruction: float
    blind: float
    active: float
    codes: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0), repr=False)
    kl: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0), repr=False)

    @classmethod
    def of(cls, trial: Any) -> "Measured | None":
        """Returns the measurements in a trial of the study, None unless all are there."""
        reconstruction, blind = number_of(trial, "reconstruction"), number_of(trial, "blind")
        active = number_of(trial, "active")
        if reconstruction is None or blind is None or active is None:
            return None
        return cls(reconstruction, blind, active)

    @classmethod
    def mean(cls, found: Sequence["Measured"]) -> "Measured":
        """Returns the means over models."""
        rows = [(each.reconstruction, each.blind, each.active) for each in found]
        return cls(*np.mean(rows, axis=0).tolist())


def number_of(trial: Any, name: str) -> float | None:
    """Returns a number that a trial of the study holds under a name, None if there is none."""
    value = trial.user_attrs.get(name)
    return float(value) if isinstance(value, int | float) else None


def measure(vae: BetaVAE, data: datasets.ImageDataset, n: int) -> Measured:
    """Encodes images once, the same ones for every model."""
    indices = np.arange(len(data)) if n >= len(data) else data.sample_indices(n, 0)
    codes, kl, costs = [], [], []
    for start in range(0, len(indices), _BATCH):
        images = data.images_at(indices[start : start + _BATCH])
        mean, log_var = (np.asarray(part, np.float64) for part in vae.encode(images)[:2])
        codes.append(mean)
        kl.append(0.5 * (mean**2 + np.exp(log_var) - 1.0 - log_var))
        x = tf.cast(vae.scaled(images), tf.float32)
        for z in (mean, np.zeros_like(mean)):
            costs.append(-np.asarray(vae.likelihood_of(tf.cast(z, tf.float32)).log_prob(x)))
    means = np.concatenate(kl).mean(axis=0)
    return Measured(
        reconstruction=float(np.concatenate(costs[::2]).mean()),
        blind=float(np.concatenate(costs[1::2]).mean()),
        active=float((means > ACTIVE_NATS).sum()),
        codes=np.concatenate(codes),
        kl=means,
    )


def share(found: Measured, among: Sequence[Measured]) -> float:
    """Returns the reconstruction's gain over a blind decoder, as a share of the best gain."""
    best = min(each.reconstruction for each in among)
    blind = min(each.blind for each in among)
    return (blind - found.reconstruction) / (blind - best) if blind > best else 1.0


def fault_of(found: Measured, among: Sequence[Measured]) -> str:
    """Returns why a setting is ruled out, "" if it is not."""
    if found.active < MIN_ACTIVE:
        return f"{found.active:.1f} active latents, fewer than {MIN_ACTIVE}"
    part = share(found, among)
    if part < MIN_SHARE:
        return f"{part:.0%} of the best reconstruction's gain, less than {MIN_SHARE:.0%}"
    return ""
