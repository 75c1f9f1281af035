"""GECO: a controller of β holds the reconstruction loss at a target."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from keras_betavae._utils.checks import finite
from keras_betavae.objectives.base import Cost, Sample, mean_kl
from keras_betavae.objectives.control import ControlledBeta, Gains


@keras.saving.register_keras_serializable(package="keras_betavae")
class TargetReconstruction(ControlledBeta):
    r"""Holds the reconstruction loss at a target with the least KL (GECO).

    .. math::
        R = \beta_t \, \mathrm{KL}_t, \qquad
        \ln \beta_{t+1} = \ln \beta_t - K_p (e_t - e_{t-1}) - K_i e_t

    with :math:`e_t` the exponential average over `smoothing` steps of :math:`(D_t - \kappa) /
    \max(|\kappa|, 1)`, clipped to ± 1, and :math:`D_t` the batch's reconstruction loss: while it is
    above the target, β falls. Up to the scale of the loss, this solves "minimize the KL subject to
    D ≤ κ" with the Lagrange multiplier λ = 1/β on D. β is clipped to `min_beta` and `max_beta`.

    Args:
        target: κ, the target of the reconstruction loss, in nats per image.
        kp: K_p, at least 0.
        ki: K_i, at least 0.
        smoothing: Steps of the error's exponential average, at least 1 (no averaging).
        initial_beta: β before the first step, within the bounds.
        min_beta: The smallest β, above 0.
        max_beta: The largest β.

    Raises:
        ValueError: If an argument is outside its range or not finite.

    References:
        Rezende & Viola, Taming VAEs, 2018, where the constraint is not divided by κ.

    Example:
        >>> TargetReconstruction(80.0).target
        80.0
    """

    def __init__(
        self,
        target: float,
        *,
        kp: float = 1.0,
        ki: float = 0.01,
        smoothing: int = 10,
        initial_beta: float = 1.0,
        min_beta: float = 0.01,
        max_beta: float = 1e4,
    ):
        super().__init__(Gains(kp, ki, smoothing, initial_beta, min_beta, max_beta))
        self.target = finite("target", target)
        if not self.min_beta:
            raise ValueError("min_beta must be above 0, got 0")

    @property
    def log_names(self) -> tuple[str, ...]:
        """β and the target, κ."""
        return ("beta", "target")

    @property
    def charts(self) -> dict[str, tuple[str, ...]]:
        """The reconstruction loss with its target, and β."""
        return {
            "reconstruction and target, nats": ("reconstruction_loss", "target"),
            "β": ("beta",),
        }

    def __call__(self, sample: Sample, state: Mapping[str, tf.Tensor]) -> Cost:
        """Returns β · KL, batch mean, in nats."""
        excess = (sample.reconstruction_loss - self.target) / max(abs(self.target), 1.0)
        error = self.smoothed(tf.clip_by_value(excess, -1.0, 1.0), state)
        beta = self.beta(state)
        logs = {"beta": beta, "target": tf.constant(self.target)}
        kl = mean_kl(sample.posterior, sample.prior)
        return Cost(beta * kl, logs, self.log_step(state, error))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"target": self.target, **super().get_config()}
