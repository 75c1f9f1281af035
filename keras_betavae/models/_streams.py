"""A model's random streams."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp


class RandomStreams:
    """Two streams: one for the codes in training, one for everything else.

    So evaluation and sampling do not change the rest of the training.

    Args:
        seed: Seed of both streams; None draws a seed for each.
    """

    def __init__(self, seed: int | None):
        self._training = keras.random.SeedGenerator(seed)
        self._other = keras.random.SeedGenerator(None if seed is None else seed + 1)

    @property
    def generators(self) -> tuple[keras.random.SeedGenerator, keras.random.SeedGenerator]:
        """The generators of both streams."""
        return self._training, self._other

    def next(self, training: bool) -> tf.Tensor:
        """Returns a new seed for TFP's stateless sampling, the same one on all replicas, (2,)."""
        generator = self._training if training else self._other
        return tf.cast(generator.next(), "int32")

    def stateless_seed(self, seed: int | tf.Tensor | None) -> tf.Tensor:
        """Returns a stateless seed from `seed`, or a new one, different on each replica, (2,)."""
        if seed is not None:
            return tf.stack([tf.cast(seed, "int32"), 0])
        state = self.next(training=False)
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return state
        return tf.random.experimental.stateless_fold_in(state, replica.replica_id_in_sync_group)

    def seeds(self, seed: int | tf.Tensor | None, n: int) -> tf.Tensor:
        """Returns `n` independent seeds, (n, 2).

        Raises:
            ValueError: If `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"n_samples must be at least 1, got {n}")
        return tf.stack(tfp.random.split_seed(self.stateless_seed(seed), n))
