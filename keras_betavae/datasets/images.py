"""Data sets of images, vectors and signals, without factors."""

from __future__ import annotations

import functools
import itertools
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from keras_betavae.datasets._sources import Chosen, Source, source_of
from keras_betavae.datasets._streams import entropy_of, prefetched

if TYPE_CHECKING:
    import tensorflow as tf


class ImageDataset:
    """Images, vectors or signals without factors.

    Attributes:
        image_shape: Shape of one image, (height, width, channels), of a signal, (length,
            channels), or of a vector, (columns,).
        dtype: `"uint8"`, or `"float32"` for vectors, signals and images of real values.
        columns: Names of a vector's columns or a signal's channels; `()` for images.
        factor_names: Names of the factors; `()`.
        factor_sizes: Number of values of each factor; `()`.
        continuous: Values of the continuous factors, by name; empty.

    Args:
        images: uint8 of shape (n, height, width, channels): an array, a memory map (never copied
            as a whole), an `h5py.Dataset` (read in blocks), or bit-packed images (see
            `packed_shape`). Or float32 of shape (n, columns), (n, length, channels) or
            (n, height, width, channels).
        packed_shape: For binary images packed with `numpy.packbits`, (n, bytes): the
            shape (height, width, channels) of one image. They unpack to 0 and 255.
        columns: Names of a vector's columns or a signal's channels; by default their indices.

    Raises:
        ValueError: If there are no images, their type or shape is wrong, or `columns` does not fit
            them.

    Example:
        >>> data = ImageDataset(np.zeros((10, 8, 8, 1), "uint8"))
        >>> [batch.shape[0] for batch in data.to_tf_data(batch_size=4)]
        [4, 4, 2]
    """

    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()
    continuous: Mapping[str, np.ndarray] = types.MappingProxyType({})

    def __init__(
        self,
        images: Any,
        *,
        packed_shape: Sequence[int] | None = None,
        columns: Sequence[str] = (),
    ):
        self._images = source_of(images, packed_shape)
        self.image_shape, self.dtype = tuple(self._images.image_shape), self._images.dtype
        if not len(self) or min(self.image_shape) < 1:
            raise ValueError(
                f"images must hold at least one image of at least one pixel, got {len(self)} of "
                f"{self.image_shape}"
            )
        n_columns = 0 if len(self.image_shape) == 3 else self.image_shape[-1]
        self.columns = tuple(columns) or tuple(map(str, range(n_columns)))
        if len(self.columns) != n_columns or len(set(self.columns)) < n_columns:
            raise ValueError(
                f"columns must be {n_columns} different names, got {list(self.columns)}"
            )

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._images)

    def __repr__(self) -> str:
        """Returns the sizes in one line."""
        return f"ImageDataset({len(self):,} {self.kind} {self.image_shape})"

    @property
    def kind(self) -> str:
        """`"images"`, `"signals"` or `"vectors"`."""
        return ("vectors", "signals", "images")[len(self.image_shape) - 1]

    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and standard deviation of each column or channel of the model's input.

        They are the arguments of `networks.standardized`. All values are used: call it on the
        training part of `split` to use training data only.

        Returns:
            Floats, (columns,) or (channels,) each; the deviation of a constant column is 1.

        Example:
            >>> data = ImageDataset(np.array([[0, 1], [4, 1]], "float32"))
            >>> data.mean_and_std()
            (array([2., 1.]), array([2., 1.]))
        """
        scale = 1 / 255 if self.dtype == "uint8" else 1.0
        step = max(1, 2**22 // math.prod(self.image_shape))
        sums = np.zeros((2, self.image_shape[-1]))
        center, n = 0.0, 0
        for start in range(0, len(self), step):
            block = self.images_at(np.arange(start, min(start + step, len(self)))) * scale
            values = block.reshape(-1, self.image_shape[-1]).astype(np.float64)
            # Squares of values far from 0 would lose precision.
            center = values.mean(axis=0) if start == 0 else center
            n += len(values)
            sums += (values - center).sum(axis=0), ((values - center) ** 2).sum(axis=0)
        mean = sums[0] / n
        std = np.sqrt((sums[1] / n - mean**2).clip(min=0))
        # Rounding gives a constant column a small deviation.
        is_constant = std <= 1e-7 * np.abs(center + mean)
        return center + mean, np.where(is_constant, 1.0, std)

    @property
    def shuffle_window(self) -> int:
        """The number of images over which a shuffled pass shuffles.

        These are all images, unless they are read in blocks: then the blocks are read in random
        order, and the images of a few blocks at a time are shuffled. For a subset, this is the
        average number of its images that are shuffled together.
        """
        return self._images.window

    def factors_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the factors of the given indices, integers (n, 0): an image has no factors."""
        return np.empty((len(self._checked_indices(indices)), 0), np.int64)

    def images_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the images of the given indices, `(n, *image_shape)`.

        Images are uint8 from 0 to 255; vectors, signals and images of real values are float32.
        """
        return self._images.take(self._checked_indices(indices))

    def sample_indices(self, n: int, seed: int, *, distinct: bool = False) -> np.ndarray:
        """Returns the indices of `n` images drawn with replacement, (n,).

        If `distinct`, they are drawn without; an n above the number of images takes all, in order.

        Raises:
            ValueError: If `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        if distinct and n >= len(self):
            return np.arange(len(self))
        if distinct:
            return np.random.default_rng(seed).choice(len(self), n, replace=False)
        return np.random.default_rng(seed).integers(len(self), size=n)

    def encode_with(
        self, model: Any, n: int | None = None, seed: int = 0, batch_size: int = 1_000
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns factors and codes, the two arguments of every score.

        Args:
            model: Anything with a method `encode`; or a function from uint8 images
                `(batch, *image_shape)` to codes (batch, latent_dim), or to a tuple that
                begins with the codes, as in `BetaVAE.encode`.
            n: Number of images, drawn without replacement, so no score is tested on samples that
                it was fitted to. None, or an n above the number of images, takes all.
            seed: Seed of the draw.
            batch_size: Images per call of the model.

        Returns:
            Factors (n, n_factors), and codes (n, latent_dim), floats. Factors are integers, without
            columns if none are known. If some are continuous, they are floats: standardized
            values of those, and classes of the others.

        Raises:
            ValueError: If `n` or `batch_size` is below 1, or there is not one code for each image.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        indices = self.sample_indices(len(self) if n is None else n, seed, distinct=True)
        # So images that are read in blocks are read once.
        by_place = np.argsort(indices, kind="stable")
        encode: Callable = getattr(model, "encode", model)
        codes = np.empty(0)
        for start in range(0, len(indices), batch_size):
            batch = by_place[start : start + batch_size]
            code = encode(self.images_at(indices[batch]))
            code = np.asarray(code[0] if isinstance(code, (tuple, list)) else code)
            if code.shape[:1] != batch.shape:
                raise ValueError(f"the model returned codes {code.shape} of {len(batch)} images")
            if start == 0:
                codes = np.empty((len(indices), *code.shape[1:]), code.dtype)
            codes[batch] = code
        return self._scored_factors_at(indices), codes

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
        """Returns batches of images for `fit`.

        Each pass over the data is a new permutation of all images (within `shuffle_window`).
        Apart from the data, only that permutation and a few batches are in memory.

        Args:
            batch_size: Images per batch.
            shuffle: Whether the order is random.
            seed: Seed of the order; None draws one.
            repeat: Whether passes repeat endlessly, as `fit` with `steps_per_epoch` requires.
            start_step: With `repeat`, the number of batches to skip at the start. With the
                same seed, a resumed training continues with the same order of images.
            drop_remainder: Whether a short last batch is dropped.

        Returns:
            A `tf.data.Dataset` of tensors `(batch, *image_shape)` of the data's `dtype`.

        Raises:
            ValueError: If `batch_size` is below 1, or above the number of images while the
                remainder is dropped; if `start_step` is given without `repeat`; or if
                several workers have no seed.
        """
        import tensorflow as tf

        n = len(self)
        if batch_size < 1 or (drop_remainder and batch_size > n):
            raise ValueError(f"batch_size must be between 1 and {n} images, got {batch_size}")
        steps = n // batch_size if drop_remainder else -(-n // batch_size)
        if start_step < 0:
            raise ValueError(f"start_step must be at least 0, got {start_step}")
        if start_step and not repeat:
            raise ValueError("start_step needs repeat=True: a single pass has no step to resume at")
        entropy = entropy_of(seed) if shuffle else 0
        first_pass, first_step = divmod(start_step, steps)
        passes = tf.data.Dataset.counter(first_pass)
        if not repeat:
            # Each iteration over the dataset is the next pass.
            single_passes = itertools.count()
            passes = tf.data.Dataset.from_tensors(0).map(
                lambda _: tf.numpy_function(lambda: np.int64(next(single_passes)), [], "int64")
            )

        @functools.lru_cache(maxsize=2)
        def order_of(number):
            if not shuffle:
                return np.arange(n)
            return self._images.shuffled(np.random.default_rng([entropy, number]))

        def batch_of(number, step):
            order = order_of(int(number))
            return self.images_at(order[step * batch_size : (step + 1) * batch_size])

        def numbered(number):
            start = tf.where(number == first_pass, np.int64(first_step), np.int64(0))
            return tf.data.Dataset.range(start, steps).map(lambda step: (number, step))

        size = batch_size if drop_remainder else None
        spec = tf.TensorSpec((size, *self.image_shape), self.dtype)
        cardinality = tf.data.INFINITE_CARDINALITY if repeat else steps
        return prefetched(passes.flat_map(numbered), batch_of, spec, cardinality)

    def split(self, test: float = 0.1, seed: int = 0) -> tuple[Self, Self]:
        """Splits the images at random into a training and a test set.

        Args:
            test: Share of the images in the test set, above 0 and below 1.
            seed: Seed of the draw.

        Returns:
            The training and the test images, each in the original order.

        Raises:
            ValueError: If `test` is outside its range, or leaves one set empty.

        Example:
            >>> data = ImageDataset(np.zeros((10, 8, 8, 1), "uint8"))
            >>> [len(part) for part in data.split(test=0.2)]
            [8, 2]
        """
        n_test = round(test * len(self)) if 0.0 < test < 1.0 else 0
        if not 0 < n_test < len(self):
            raise ValueError(
                f"test must be a part above 0 and below 1 that leaves both of {len(self)} images "
                f"some, got {test}"
            )
        order = np.random.default_rng(seed).permutation(len(self))
        return self._at(np.sort(order[n_test:])), self._at(np.sort(order[:n_test]))

    def _scored_factors_at(self, indices: np.ndarray) -> np.ndarray:
        """Returns factors as scores take them, (n, n_factors)."""
        return self.factors_at(indices)

    def _at(self, indices: np.ndarray) -> Self:
        """Returns the data set of some of the images."""
        return type(self)(Chosen(self._images, indices), columns=self.columns)

    def _with(self, images: Source) -> Self:
        """Returns the data set of other images of the same factors."""
        return type(self)(images, columns=self.columns)

    def _checked_indices(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        indices = np.asarray(indices)
        if not indices.size:
            indices = indices.astype(np.int64)
        if indices.dtype.kind not in "iu" or indices.ndim != 1:
            raise ValueError(
                f"indices must be a row of integers, got {indices.dtype} {indices.shape}"
            )
        if indices.size and not 0 <= indices.min() <= indices.max() < len(self):
            raise ValueError(f"indices must be from 0 to {len(self) - 1}, got {indices}")
        return indices.astype(np.int64, copy=False)
