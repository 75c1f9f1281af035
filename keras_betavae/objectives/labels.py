"""Learning from few labels: factors are regressed from given latents."""

import operator
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from keras_betavae._utils.checks import whole
from keras_betavae.objectives.base import Cost, Objective, Sample, Wrapper
from keras_betavae.objectives.schedules import (
    Weight,
    checked_weight,
    scheduled,
    scheduled_names,
    weight_at,
)


@keras.saving.register_keras_serializable(package="keras_betavae")
class SemiSupervised(Wrapper):
    r"""Adds a regression of known factors from latents to an objective.

    .. math::
        R = R_0 + \gamma \, \mathbb{E}_{x \in \mathcal{L}} \sum_k
        \ell\left(\mu_{j(k)}(x), \, y_k / n_k\right)

    μ_j(k) is the posterior mean of the latent that is assigned to factor k, y_k the factor's class
    and n_k the number of its classes. ℓ is the binary cross-entropy with μ as the logit
    (`"xent"`) or the squared difference from its sigmoid (`"l2"`). The mean is over the labeled
    images of the (global) batch; the paper's code sums over them, so its γ is this one divided by
    their number.

    `fit` then takes `(x, y)` batches with integers y (batch, n_factors). -1 marks a missing label,
    which is left out: an image may have all labels, some or none
    (`FactorDataset.to_partly_labeled`).

    Args:
        objective: R_0.
        factor_sizes: n_k, at least 1 each.
        gamma: γ, at least 0, or a schedule.
        latents: j(k), a latent for each factor; by default the first ones.
        loss: `"xent"` or `"l2"`.

    Raises:
        ValueError: If an argument is outside its range or a latent is given twice; when it is
            called, if there are no labels of the shape (batch, n_factors).

    References:
        Locatello et al., Disentangling Factors of Variation Using Few Labels, ICLR 2020.

    Example:
        >>> from keras_betavae.objectives import Beta
        >>> SemiSupervised(Beta(4.0), factor_sizes=(3, 6), gamma=10.0).latents
        (0, 1)
    """

    def __init__(
        self,
        objective: Objective,
        factor_sizes: Sequence[int],
        gamma: Weight = 10.0,
        *,
        latents: Sequence[int] | None = None,
        loss: str = "xent",
    ):
        if not isinstance(objective, Objective) or objective.n_labels:
            raise ValueError(f"objective must be one that uses no labels, got {objective!r}")
        self.objective = objective
        self.factor_sizes = tuple(whole("factor_sizes", size) for size in factor_sizes)
        self.n_labels = len(self.factor_sizes)
        self.gamma = checked_weight("gamma", gamma)
        chosen = range(len(self.factor_sizes)) if latents is None else latents
        self.latents = tuple(operator.index(latent) for latent in chosen)
        if (
            not len(set(self.latents)) == len(self.latents) == self.n_labels
            or min(self.latents, default=-1) < 0
        ):
            raise ValueError(
                "latents must be different latents, counted from 0, one for each of the "
                f"{self.n_labels} factors, got {self.latents}"
            )
        if loss not in ("xent", "l2"):
            raise ValueError(f"loss must be 'xent' or 'l2', got {loss!r}")
        self.loss = loss

    @property
    def log_names(self) -> tuple[str, ...]:
        """The names of R_0, the supervised loss, and γ if it is a schedule."""
        own = ("supervised_loss", *scheduled_names(gamma_supervised=self.gamma))
        return (*self.objective.log_names, *own)

    @property
    def charts(self) -> dict[str, tuple[str, ...]]:
        """The charts of R_0, and the supervised loss."""
        return {**self.objective.charts, "supervised loss": ("supervised_loss",)}

    def labels_are_sound(self, labels: tf.Tensor | None) -> tf.Tensor | bool:
        """Returns whether all labels are -1, NaN, or classes of their factors."""
        if labels is None:
            return True
        sizes = tf.constant(self.factor_sizes, labels.dtype)
        are_classes = (labels >= 0) & (labels < sizes) & (labels == tf.floor(labels))
        return tf.reduce_all(tf.math.is_nan(labels) | (labels == -1) | are_classes)

    def __call__(self, sample: Sample, state: Mapping[str, tf.Tensor]) -> Cost:
        """Returns R_0 + γ · supervised loss, in nats for `"xent"`."""
        unsupervised = self.objective(sample, state)
        supervised = self._supervised(sample.posterior, sample.labels)
        own = scheduled(sample.step, gamma_supervised=self.gamma)
        return Cost(
            unsupervised.loss + weight_at(self.gamma, sample.step) * supervised,
            {**unsupervised.logs, "supervised_loss": supervised, **own},
            unsupervised.state,
        )

    def _supervised(self, posterior, labels):
        mean = posterior.mean()
        if max(self.latents) >= mean.shape[-1]:
            raise ValueError(f"latents must be below {mean.shape[-1]}, got {self.latents}")
        if labels is None or not labels.shape.is_compatible_with((None, self.n_labels)):
            given = "none" if labels is None else tuple(labels.shape)
            raise ValueError(
                f"labels must come as (x, y) batches with y of the shape (batch, {self.n_labels}), "
                f"got {given}"
            )
        logits = tf.gather(mean, self.latents, axis=-1)
        labels = tf.cast(labels, logits.dtype)
        known = labels >= 0.0  # A comparison with NaN is false.
        targets = tf.where(known, labels / tf.constant(self.factor_sizes, logits.dtype), 0.0)
        if self.loss == "xent":
            losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
        else:
            losses = (tf.sigmoid(logits) - targets) ** 2
        losses = tf.reduce_sum(tf.where(known, losses, 0.0))
        n_labeled = tf.reduce_sum(tf.cast(tf.reduce_any(known, axis=-1), logits.dtype))
        return tf.math.divide_no_nan(losses, n_labeled)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "objective": self.objective,
            "factor_sizes": list(self.factor_sizes),
            "gamma": self.gamma,
            "latents": list(self.latents),
            "loss": self.loss,
        }
        return keras.saving.serialize_keras_object(config)
