"""The running means of a step's terms."""

from collections.abc import Mapping

import keras
import tensorflow as tf


class VectorMean(keras.metrics.Metric):
    """The running mean of a vector; `keras.metrics.Mean` averages over its entries too."""

    def __init__(self, size: int, name: str):
        super().__init__(name=name)
        self.total = self.add_variable((size,), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, value: tf.Tensor, sample_weight: tf.Tensor) -> None:
        """Adds a vector that stands for `sample_weight` samples."""
        weight = tf.cast(sample_weight, value.dtype)
        self.total.assign(self.total + value * weight)
        self.count.assign(self.count + weight)

    def result(self) -> tf.Tensor:
        """Returns the mean, zeros before the first update."""
        return tf.math.divide_no_nan(self.total.value, self.count.value)


class RunningMeans:
    """The running means of a step's scalars and of each latent's KL.

    Args:
        latent_dim: Number of latents.
    """

    def __init__(self, latent_dim: int):
        self._scalars: dict[str, keras.metrics.Mean] = {}
        self.latent_kl = VectorMean(latent_dim, name="latent_kl")

    def add(self, *names: str) -> None:
        """Adds scalars by name.

        Raises:
            ValueError: If a name is taken.
        """
        for name in names:
            if name in (*self._scalars, self.latent_kl.name):
                raise ValueError(f"the model logs {name} already; give the log another name")
            self._scalars[name] = keras.metrics.Mean(name=name)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """All means."""
        return [*self._scalars.values(), self.latent_kl]

    def update(self, terms: Mapping[str, tf.Tensor], size: tf.Tensor) -> None:
        """Adds the terms of a batch, weighted by its size.

        Raises:
            ValueError: If a term is missing, or has a name that was not added.
        """
        names = {*self._scalars, "latent_kl"}
        if names != set(terms):
            raise ValueError(
                "an objective's logs must have the names in its log_names: missing "
                f"{sorted(names - set(terms))}, not named {sorted(set(terms) - names)}"
            )
        for name, mean in self._scalars.items():
            mean.update_state(terms[name], sample_weight=size)
        self.latent_kl.update_state(terms["latent_kl"], sample_weight=size)

    def results(self) -> dict[str, tf.Tensor]:
        """Returns the means of the scalars by name."""
        return {name: mean.result() for name, mean in self._scalars.items()}
