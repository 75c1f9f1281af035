"""Controlled capacity: the KL is held at a target that rises during training."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from keras_betavae._utils.checks import finite, whole
from keras_betavae.objectives.base import Cost, Objective, Sample, mean_kl
from keras_betavae.objectives.schedules import (
    Linear,
    Weight,
    checked_weight,
    scheduled,
    scheduled_names,
    weight_at,
)


@keras.saving.register_keras_serializable(package="keras_betavae")
class Capacity(Objective):
    r"""Holds the KL at a capacity that rises during training (controlled capacity).

    .. math::
        R = \gamma \, \left| \mathbb{E}_x \, \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right)
        - C(t) \right|, \qquad
        C(t) = C_\mathrm{min} + (C_\mathrm{max} - C_\mathrm{min}) \min(t / T, 1)

    The KL inside the bars is the mean over the (global) batch. The authors advise to choose γ so
    that the KL stays within 1 nat of C, and C_max as the KL that good reconstructions need.

    A large γ in the first steps can leave the encoder with ReLUs that are 0 for every image.
    Kernels drawn as by He et al., as those of `networks.burgess_encoder`, prevent it.

    Args:
        gamma: γ, weight of the distance, at least 0, or a schedule.
        max_capacity: C_max in nats, at least `min_capacity`.
        n_steps: T, the training steps over which C rises, at least 1.
        min_capacity: C_min in nats, at least 0.

    Raises:
        ValueError: If an argument is outside its range or not finite.

    References:
        Burgess et al., Understanding disentangling in β-VAE, NIPS 2017 workshop, Eq. 8.

    Example:
        >>> objective = Capacity(gamma=1000.0, max_capacity=25.0, n_steps=100_000)
        >>> float(objective.capacity(50_000))
        12.5
    """

    def __init__(
        self,
        gamma: Weight = 1000.0,
        max_capacity: float = 25.0,
        n_steps: int = 100_000,
        min_capacity: float = 0.0,
    ):
        self.gamma = checked_weight("gamma", gamma)
        self.min_capacity = finite("min_capacity", min_capacity, minimum=0.0)
        self.max_capacity = finite("max_capacity", max_capacity)
        if self.max_capacity < self.min_capacity:
            raise ValueError(
                f"max_capacity must be at least min_capacity, got {max_capacity} < {min_capacity}"
            )
        self.n_steps = whole("n_steps", n_steps)

    @property
    def capacity(self) -> Linear:
        """C in nats, as a function of the training step."""
        return Linear(self.min_capacity, self.max_capacity, self.n_steps)

    @property
    def log_names(self) -> tuple[str, ...]:
        """C, the distance of the batch's KL from it, and γ if it is a schedule."""
        return ("capacity", "capacity_distance", *scheduled_names(gamma=self.gamma))

    @property
    def charts(self) -> dict[str, tuple[str, ...]]:
        """The KL with C, and the distance of the two."""
        return {
            "KL and capacity, nats": ("kl_loss", "capacity"),
            "distance of a batch's KL from the capacity, nats": ("capacity_distance",),
        }

    def __call__(self, sample: Sample, state: Mapping[str, tf.Tensor]) -> Cost:
        """Returns γ · |KL − C|, the KL being the batch mean."""
        del state
        capacity = self.capacity(sample.step)
        distance = tf.abs(mean_kl(sample.posterior, sample.prior) - capacity)
        logs = {"capacity": capacity, "capacity_distance": distance}
        return Cost(
            weight_at(self.gamma, sample.step) * distance,
            {**logs, **scheduled(sample.step, gamma=self.gamma)},
        )

    def advice(self, logs: Mapping[str, float], first_step: int, last_step: int) -> str | None:
        """Warns if the KL was more than 1 nat from C on average, unless γ is still rising."""
        end = max(self.n_steps, last_step)
        gamma_rises = weight_at(self.gamma, first_step) < weight_at(self.gamma, end)
        if logs["capacity_distance"] <= 1.0 or gamma_rises:
            return None
        return (
            f"by step {last_step} the batches' KL is {logs['capacity_distance']:.1f} nats from the "
            f"capacity on average (KL {logs['kl_loss']:.1f}, C {logs['capacity']:.1f}), and should "
            "stay within 1: raise gamma, or let C rise more slowly"
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return keras.saving.serialize_keras_object(
            {
                "gamma": self.gamma,
                "max_capacity": self.max_capacity,
                "n_steps": self.n_steps,
                "min_capacity": self.min_capacity,
            }
        )
