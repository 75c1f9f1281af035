"""Latents that open one group after another."""

import operator
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from keras_betavae._utils.checks import whole
from keras_betavae.objectives.base import (
    Cost,
    Objective,
    Sample,
    Wrapper,
    batch_mean,
    kl_per_latent,
)
from keras_betavae.objectives.schedules import Weight, checked_weight, weight_at


@keras.saving.register_keras_serializable(package="keras_betavae")
class Cascade(Wrapper):
    r"""Opens latents one group after another (after CascadeVAE).

    .. math::
        R = R_0(z_1, \dots, z_m) + \sum_g \beta(t - T_g) \sum_{j \in g}
        \mathbb{E}_x \, \mathrm{KL}\left(q(z_j|x) \,\|\, p(z_j)\right)

    The first m latents are open from the start, under an inner objective R_0. Group g opens at
    step T_g and from then on adds β times its KL. The groups come last in the code, in the order of
    their steps. The posterior of a closed latent is the prior, and the decoder gets 0, so the
    latent adds nothing to the loss and its weights keep their initial values (unless the optimizer
    decays weights).

    A latent that collapsed under a high β stays collapsed when β falls, because the decoder
    ignores it. A latent that opens late has fresh weights, and a decoder that has learned the
    other factors. With a low β at first, it encodes what the other latents leave out.

    Args:
        objective: R_0, the inner objective.
        opening: `(T_g, size)` of each group, in the order of T_g, with sizes and distinct steps of
            at least 1. The model must have more latents than all groups together.
        beta: β, or a schedule over the steps since a group opened.

    Raises:
        ValueError: If an argument is outside its range.

    References:
        Jeong & Song, Learning Discrete and Continuous Factors of Data via Alternating
        Disentanglement, ICML 2019, where all latents are trained from the start, and closed ones
        have β = 10.

    Example:
        >>> from keras_betavae.objectives import Beta, Linear
        >>> objective = Cascade(Beta(4.0), [(1_000, 2)], beta=Linear(0.0, 1.0, 500))
        >>> objective.open_latents(999, 5).numpy()
        array([1., 1., 1., 0., 0.], dtype=float32)
    """

    def __init__(
        self, objective: Objective, opening: Sequence[tuple[int, int]], beta: Weight = 1.0
    ):
        if not isinstance(objective, Objective):
            raise ValueError(f"objective must be an Objective, got {objective!r}")
        self.objective = objective
        self.n_labels = objective.n_labels
        self.opening = tuple((whole("step", step), whole("size", size)) for step, size in opening)
        steps = [step for step, _ in self.opening]
        if not steps or steps != sorted(set(steps)):
            raise ValueError(f"opening must hold groups in the order of their steps, got {opening}")
        self.beta = checked_weight("beta", beta)

    @property
    def log_names(self) -> tuple[str, ...]:
        """The names of R_0, the number of open latents, and the KL of the groups in nats."""
        return (*self.objective.log_names, "open_latents", "kl_of_groups")

    def _sizes(self, latent_dim: int) -> list[int]:
        """Returns the size of each group, with that of R_0 first."""
        sizes = [size for _, size in self.opening]
        first = operator.index(latent_dim) - sum(sizes)
        if first < 1:
            raise ValueError(
                f"opening leaves no latent open at the start: its groups have {sum(sizes)} of "
                f"{latent_dim}"
            )
        return [first, *sizes]

    def open_latents(self, step: tf.Tensor | int, latent_dim: int) -> tf.Tensor:
        """Returns 1 for the latents that are open, 0 for others, (latent_dim,)."""
        steps = tf.constant([0, *(step for step, _ in self.opening)], "int64")
        is_open = tf.cast(tf.cast(step, "int64") >= steps, "float32")
        return tf.repeat(is_open, self._sizes(latent_dim))

    def __call__(self, sample: Sample, state: Mapping[str, tf.Tensor]) -> Cost:
        """Returns R_0 of the first latents plus β · KL of each later group, in nats."""
        latent_dim = sample.z.shape[-1]
        first, *sizes = self._sizes(latent_dim)
        of_first = sample._replace(
            posterior=_of_latents(sample.posterior, first),
            prior=_of_latents(sample.prior, first),
            z=sample.z[:, :first],
        )
        loss, logs, state = self.objective(of_first, state)
        latent_kl = batch_mean(kl_per_latent(sample.posterior, sample.prior))
        groups = tf.split(latent_kl[first:], sizes)
        for (step, _), group in zip(self.opening, groups, strict=True):
            age = tf.maximum(tf.cast(sample.step, "int64") - step, 0)
            loss += weight_at(self.beta, age) * tf.reduce_sum(group)
        n_open = tf.reduce_sum(self.open_latents(sample.step, latent_dim))
        own = {"open_latents": n_open, "kl_of_groups": tf.reduce_sum(latent_kl[first:])}
        return Cost(loss, {**logs, **own}, state)

    def advice(self, logs: Mapping[str, float], first_step: int, last_step: int) -> str | None:
        """Returns that of R_0, which sees the KL of the first latents only."""
        first = {**logs, "kl_loss": logs["kl_loss"] - logs["kl_of_groups"]}
        return self.objective.advice(first, first_step, last_step)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "objective": self.objective,
            "opening": [list(group) for group in self.opening],
            "beta": self.beta,
        }
        return keras.saving.serialize_keras_object(config)


def _of_latents(distribution: tfd.Independent, n: int) -> tfd.Independent:
    normal = distribution.distribution
    return tfd.Independent(tfd.Normal(normal.mean()[..., :n], normal.stddev()[..., :n]), 1)
