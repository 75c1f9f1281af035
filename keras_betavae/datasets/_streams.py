"""Batches of images, drawn and streamed."""

import abc
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


class Streams(abc.ABC):
    """The part of `FactorDataset` that draws and streams its images."""

    factor_sizes: tuple[int, ...]
    image_shape: tuple[int, ...]

    @abc.abstractmethod
    def __len__(self) -> int:
        """Returns the number of images."""

    @property
    @abc.abstractmethod
    def is_grid(self) -> bool:
        """Whether every combination of factor values is there, in order."""

    @abc.abstractmethod
    def images_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the images of the given indices."""

    @abc.abstractmethod
    def factors_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the factors of the given indices."""

    def sample_pairs(
        self, n: int, k_changed: int | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the indices of `n` pairs of images that differ in a few factors.

        The first image is drawn with replacement. The factors that change are drawn from
        those of more than one value, and their new values from the others that they have.

        Args:
            n: Number of pairs.
            k_changed: Number of factors in which the images of a pair differ, exactly; None
                draws it for each pair, from 1 to one less than the number of factors that
                have more than one value.
            seed: Seed of the draw.

        Returns:
            Indices of the first and of the second images, (n,) each.

        Raises:
            ValueError: If the images are no full grid, or a number is outside its range.

        References:
            Locatello et al., Weakly-Supervised Disentanglement Without Compromises, ICML
            2020.
        """
        _check_pairs(self.is_grid, self.factor_sizes, k_changed)
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        return _draw_pairs(np.random.default_rng(seed), n, self.factor_sizes, k_changed)

    def to_tf_data(
        self,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int | None = None,
        repeat: bool = False,
        start_step: int = 0,
        drop_remainder: bool = False,
    ) -> tf.data.Dataset:
        """Returns batches of uint8 images for `fit`.

        Every pass over the data is a fresh permutation of all images; nothing but that
        permutation and a few batches is in memory beside the data.

        Args:
            batch_size: Images per batch.
            shuffle: Whether the order is random.
            seed: Seed of the order; None draws one.
            repeat: Whether passes follow each other without end, as `fit` with
                `steps_per_epoch` wants.
            start_step: With `repeat`, the number of batches to leave out at the start:
                with the same seed a resumed training goes on in the order of the one
                that stopped.
            drop_remainder: Whether a last batch that is short is left out.

        Returns:
            A `tf.data.Dataset` of uint8 tensors `(batch, *image_shape)`.

        Raises:
            ValueError: If `batch_size` is below 1, or above the number of images while
                the remainder is dropped, or `start_step` is given without `repeat`.
        """
        n = len(self)
        if batch_size < 1 or (drop_remainder and batch_size > n):
            raise ValueError(f"batch_size must be between 1 and {n} images, got {batch_size}")
        steps = n // batch_size if drop_remainder else -(-n // batch_size)
        if start_step < 0:
            raise ValueError(f"start_step must be at least 0, got {start_step}")
        if start_step and not repeat:
            raise ValueError("start_step needs repeat=True: a single pass has no step to resume at")
        entropy = _entropy(seed)
        single_passes = itertools.count()

        def batches():
            # Without repeat, every iteration over the dataset is the next pass.
            first_pass, first_step = divmod(start_step, steps)
            for number in itertools.count(first_pass) if repeat else [next(single_passes)]:
                order = np.arange(n)
                if shuffle:
                    order = np.random.default_rng([entropy, number]).permutation(n)
                for step in range(first_step, steps):
                    yield self.images_at(order[step * batch_size : (step + 1) * batch_size])
                first_step = 0

        size = batch_size if drop_remainder else None
        spec = tf.TensorSpec((size, *self.image_shape), "uint8")
        cardinality = tf.data.INFINITE_CARDINALITY if repeat else steps
        return _as_dataset(batches, spec, cardinality)

    def to_pairs(
        self,
        k_changed: int | None,
        batch_size: int,
        seed: int | None = None,
        *,
        start_step: int = 0,
    ) -> tf.data.Dataset:
        """Returns pairs of images that differ in a few factors, without end.

        Args:
            k_changed: Number of factors in which the images of a pair differ, see
                `sample_pairs`.
            batch_size: Pairs per batch.
            seed: Seed of the draws; None draws one.
            start_step: Number of batches to leave out at the start, as in `to_tf_data`.

        Returns:
            A `tf.data.Dataset` of `(first, second)`, uint8 `(batch, *image_shape)` each.

        Raises:
            ValueError: If the images are no full grid, or a number is outside its range.
        """
        _check_pairs(self.is_grid, self.factor_sizes, k_changed)
        _check_batches(batch_size, start_step)

        def batch_of(rng):
            first, second = _draw_pairs(rng, batch_size, self.factor_sizes, k_changed)
            return self.images_at(first), self.images_at(second)

        spec = tf.TensorSpec((batch_size, *self.image_shape), "uint8")
        return _endless(batch_of, (spec, spec), _entropy(seed), start_step)

    def to_partly_labelled(
        self,
        n_labelled: int,
        batch_size: int,
        seed: int | None = None,
        *,
        labelled_per_batch: int | None = None,
        start_step: int = 0,
    ) -> tf.data.Dataset:
        """Returns images of which a fixed few have labels, without end.

        Args:
            n_labelled: Number of images that have labels, drawn from the seed.
            batch_size: Images per batch.
            seed: Seed of the draws; None draws one.
            labelled_per_batch: Number of images, the first of each batch, that are drawn
                from those with labels; half of the batch by default. The others are drawn
                from all images. Both are drawn with replacement.
            start_step: Number of batches to leave out at the start, as in `to_tf_data`.

        Returns:
            A `tf.data.Dataset` of `(images, factors)`: uint8 `(batch, *image_shape)`, and
            int32 (batch, n_factors), -1 where there are no labels.

        Raises:
            ValueError: If a number is outside its range.

        References:
            Locatello et al., Disentangling Factors of Variation Using Few Labels, ICLR 2020.
        """
        _check_batches(batch_size, start_step)
        if not 1 <= n_labelled <= len(self):
            raise ValueError(f"n_labelled must be from 1 to {len(self)}, got {n_labelled}")
        n_first = batch_size // 2 if labelled_per_batch is None else labelled_per_batch
        if not 1 <= n_first <= batch_size:
            raise ValueError(f"labelled_per_batch must be from 1 to {batch_size}, got {n_first}")
        entropy = _entropy(seed)
        # [entropy, 0] alone is the seed of the first batch.
        subset_rng = np.random.default_rng([entropy, 0, 1])
        subset = subset_rng.choice(len(self), n_labelled, replace=False)

        def batch_of(rng):
            labelled = subset[rng.integers(n_labelled, size=n_first)]
            others = rng.integers(len(self), size=batch_size - n_first)
            factors = np.full((batch_size, len(self.factor_sizes)), -1, "int32")
            factors[:n_first] = self.factors_at(labelled)
            return self.images_at(np.concatenate([labelled, others])), factors

        signature = (
            tf.TensorSpec((batch_size, *self.image_shape), "uint8"),
            tf.TensorSpec((batch_size, len(self.factor_sizes)), "int32"),
        )
        return _endless(batch_of, signature, entropy, start_step)


def _entropy(seed: int | None) -> Any:
    """Returns the seed, or one that is drawn."""
    return np.random.SeedSequence(seed).entropy


def _endless(
    batch_of: Callable[[np.random.Generator], Any],
    signature: Any,
    entropy: int,
    start_step: int,
) -> tf.data.Dataset:
    """Returns batches without end, each drawn from the entropy and its own number alone."""

    def batches():
        for step in itertools.count(start_step):
            yield batch_of(np.random.default_rng([entropy, step]))

    return _as_dataset(batches, signature, tf.data.INFINITE_CARDINALITY)


def _as_dataset(
    batches: Callable[[], Any],
    signature: Any,
    cardinality: int,
) -> tf.data.Dataset:
    """Returns what a generator yields, of known cardinality and prefetched."""
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    return dataset.prefetch(2)


def _check_batches(batch_size: int, start_step: int) -> None:
    """Checks the numbers of a stream without end.

    Raises:
        ValueError: If `batch_size` is below 1 or `start_step` below 0.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if start_step < 0:
        raise ValueError(f"start_step must be at least 0, got {start_step}")


def _check_pairs(is_grid: bool, sizes: Sequence[int], k_changed: int | None) -> None:
    """Checks that pairs can be drawn.

    Raises:
        ValueError: If there is no full grid, or too few factors vary for `k_changed`.
    """
    if not is_grid:
        raise ValueError("pairs need a full grid of images: some combinations may be missing here")
    n_varying = sum(size > 1 for size in sizes)
    if k_changed is None and n_varying < 2:
        raise ValueError(f"k_changed=None needs at least 2 varying factors, got {n_varying}")
    if k_changed is not None and not 1 <= k_changed <= n_varying:
        raise ValueError(
            f"k_changed must be from 1 to the {n_varying} varying factors, got {k_changed}"
        )


def _draw_pairs(
    rng: np.random.Generator,
    n: int,
    sizes: Sequence[int],
    k_changed: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices of `n` pairs of images of a grid, (n,) each."""
    first = rng.integers(math.prod(sizes), size=n)
    factors = np.stack(np.unravel_index(first, sizes), axis=-1)
    varying = np.flatnonzero(np.array(sizes) > 1)
    own_sizes = np.array(sizes)[varying]
    k = rng.integers(1, len(varying), size=n) if k_changed is None else np.full(n, k_changed)
    ranks = rng.permuted(np.tile(np.arange(len(varying)), (n, 1)), axis=1)
    shifts = rng.integers(1, own_sizes, size=ranks.shape) * (ranks < k[:, None])
    factors[:, varying] = (factors[:, varying] + shifts) % own_sizes
    return first, np.ravel_multi_index(tuple(factors.T), sizes)
