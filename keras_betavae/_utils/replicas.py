"""The global batch on several replicas: its rows, and operations over all replicas."""

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd


class Share:
    """The rows of the global batch that this replica holds.

    The optimizer sums the replicas' gradients of `fraction` times their losses. What is gathered
    here has the gradient of that sum, so that any function of the gathered rows, computed alike
    on every replica, gets the gradient that one process would compute on the whole batch.

    Args:
        size: How many rows this replica holds.
    """

    def __init__(self, size: tf.Tensor | int):
        self.size = self.total = size
        self.start: tf.Tensor | int = 0
        self._replica = _replica_of_several()
        if self._replica is not None:
            number = self._replica.replica_id_in_sync_group
            mine = tf.one_hot(number, self._replica.num_replicas_in_sync, dtype="int32")
            sizes = self._replica.all_reduce(tf.distribute.ReduceOp.SUM, mine * size)
            self.start, self.total = tf.reduce_sum(sizes[:number]), tf.reduce_sum(sizes)

    @property
    def fraction(self) -> tf.Tensor | float:
        """The part of the global batch that is here."""
        if self._replica is None:
            return 1.0
        return tf.cast(self.size, "float32") / tf.cast(self.total, "float32")

    def gathered(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the rows of all replicas, in the order of the global batch.

        Args:
            values: This replica's rows, (size, ...).

        Returns:
            A tensor (total, ...).
        """
        if self._replica is None:
            return values
        after = self.total - self.start - self.size
        paddings = [[self.start, after], *[[0, 0]] * (len(values.shape) - 1)]
        # A sum with zeros loses nothing, and unlike `all_gather` it runs eagerly too.
        return self._replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.pad(values, paddings))

    def gathered_posterior(self, posterior: tfd.Independent) -> tfd.Independent:
        """Returns the posteriors of the global batch, independent normals as the given ones."""
        if self._replica is None:
            return posterior
        normal = posterior.distribution
        moments = self.gathered(tf.concat([normal.loc, normal.scale], axis=-1))
        return tfd.Independent(tfd.Normal(*tf.split(moments, 2, axis=-1)), 1)

    def mean(self, local: tf.Tensor) -> tf.Tensor:
        """Returns the global batch's mean of what `local` is the mean of on this replica."""
        return local if self._replica is None else total(local * self.fraction)

    def own(self, values: tf.Tensor) -> tf.Tensor:
        """Returns this replica's rows of what `gathered` returns."""
        if self._replica is None:
            return values
        return values[self.start : self.start + self.size]


def lot(n: tf.Tensor | int) -> tuple[tf.Tensor | int, tf.Tensor | int]:
    """Returns the first and after the last of `n` rows that fall to this replica to work on.

    The lots of all replicas are even, and make up all rows.
    """
    replica = _replica_of_several()
    if replica is None:
        return 0, n
    number, count = replica.replica_id_in_sync_group, replica.num_replicas_in_sync
    return n * number // count, n * (number + 1) // count


def total(values: tf.Tensor) -> tf.Tensor:
    """Returns the sum over the replicas, with the gradient that `Share` speaks of."""
    replica = _replica_of_several()
    if replica is None:
        return values
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, values)


def reducible(logs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns a step's logs as `fit` can reduce them over workers.

    Keras 3.15 (`keras.src.backend.tensorflow.trainer.reduce_per_replica`) reduces them over
    their axis 0 under `MultiWorkerMirroredStrategy`, which scalars lack: "Invalid reduction
    dimension 0". tests/test_workers.py tells when this is no longer needed.
    """
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return logs
    if strategy.num_replicas_in_sync == len(strategy.extended.worker_devices):
        return logs  # All replicas are in this process.
    return {name: tf.reshape(value, (1,)) for name, value in logs.items()}


def is_chief(model: keras.Model) -> bool:
    """Whether this process is the one that writes files for all workers."""
    return model.distribute_strategy.extended.should_save_summary


def _replica_of_several() -> tf.distribute.ReplicaContext | None:
    """Returns the replica that this is called on, None if it is alone."""
    replica = tf.distribute.get_replica_context()
    return None if replica is None or replica.num_replicas_in_sync == 1 else replica
