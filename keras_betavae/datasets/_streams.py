"""Batches as `tf.data.Dataset`s that can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


def entropy_of(seed: int | None) -> Any:
    """Returns the seed, or draws one.

    Raises:
        ValueError: If several workers have no seed; they must draw the same batches.
    """
    if seed is None:
        import tensorflow as tf

        cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
        if sum(len(cluster.get(job, ())) for job in ("chief", "worker")) > 1:
            raise ValueError(
                "seed must be given with several workers, the same on all of them, got None"
            )
    return np.random.SeedSequence(seed).entropy


def endless(
    batch_of: Callable[[np.random.Generator], Any],
    parts: Sequence[tuple[Sequence[int], str]],
    entropy: int,
    start_step: int,
) -> tf.data.Dataset:
    """Returns an endless stream of batches; each depends only on the entropy and its index.

    Args:
        batch_of: Draws a batch, a tuple of arrays.
        parts: The shape and dtype of each array.
        entropy: Seed of the draws.
        start_step: Number of batches to skip.
    """
    import tensorflow as tf

    def numbered(step):
        return batch_of(np.random.default_rng([entropy, int(step)]))

    steps = tf.data.Dataset.counter(start_step)
    signature = tuple(tf.TensorSpec(shape, dtype) for shape, dtype in parts)
    return prefetched(steps, numbered, signature, tf.data.INFINITE_CARDINALITY)


def prefetched(
    numbers: tf.data.Dataset, batch_of: Callable[..., Any], signature: Any, cardinality: int
) -> tf.data.Dataset:
    """Returns `batch_of` of each element of `numbers`, prefetched.

    It avoids `from_generator`, which under Python 3.11 makes malloc map large blocks again each
    time and slows down every later step of the process, by half for the dense networks.
    """
    import tensorflow as tf

    specs = tf.nest.flatten(signature)

    def called(*arguments):
        parts = tf.numpy_function(
            lambda *values: tf.nest.flatten(batch_of(*values)),
            arguments,
            [spec.dtype for spec in specs],
        )
        parts = [tf.ensure_shape(part, spec.shape) for part, spec in zip(parts, specs, strict=True)]
        return tf.nest.pack_sequence_as(signature, parts)

    dataset = numbers.map(called).apply(tf.data.experimental.assert_cardinality(cardinality))
    options = tf.data.Options()
    # Nothing here is to be tuned, and the end of `fit` would wait for the tuning thread to wake: it
    # sleeps for twice as long each time (TensorFlow 2.21).
    options.autotune.enabled = False
    # Each worker keeps its part of each batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.prefetch(2).with_options(options)


def check_numbers(batch_size: int, start_step: int) -> None:
    """Checks the arguments of an endless stream.

    Raises:
        ValueError: If `batch_size` is below 1 or `start_step` below 0.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if start_step < 0:
        raise ValueError(f"start_step must be at least 0, got {start_step}")
