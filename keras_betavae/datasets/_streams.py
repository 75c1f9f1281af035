"""Batches as `tf.data.Dataset`s that can be resumed."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def entropy_of(seed: int | None) -> Any:
    """Returns the seed, or one that is drawn."""
    return np.random.SeedSequence(seed).entropy


def endless(
    batch_of: Callable[[np.random.Generator], Any],
    signature: Any,
    entropy: int,
    start_step: int,
) -> tf.data.Dataset:
    """Returns batches without end, each drawn from the entropy and its own number alone."""

    def batches():
        for step in itertools.count(start_step):
            yield batch_of(np.random.default_rng([entropy, step]))

    return as_dataset(batches, signature, tf.data.INFINITE_CARDINALITY)


def as_dataset(batches: Callable[[], Any], signature: Any, cardinality: int) -> tf.data.Dataset:
    """Returns what a generator yields, of known cardinality and prefetched."""
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    return dataset.prefetch(2)


def check_numbers(batch_size: int, start_step: int) -> None:
    """Checks the numbers of a stream without end.

    Raises:
        ValueError: If `batch_size` is below 1 or `start_step` below 0.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if start_step < 0:
        raise ValueError(f"start_step must be at least 0, got {start_step}")
