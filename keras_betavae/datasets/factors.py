"""Images with the factors that made them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_betavae.datasets import _packed
from keras_betavae.datasets._streams import Streams


class FactorDataset(Streams):
    """Images and their ground-truth factors, sampled and streamed by factor.

    The images are a full grid (every combination of factor values once, the last
    factor varying fastest, as the released data sets are) or labelled images that
    are no grid.

    Args:
        images: uint8 of shape (n, height, width, channels), or bit-packed (see
            `packed_shape`). May be a memory map; it is never copied whole.
        factor_names: One name per factor.
        factor_sizes: Number of values of each factor.
        factors: Integer classes (n, n_factors) for images that are no grid; None for a
            full grid.
        packed_shape: For binary images packed with `numpy.packbits`, (n, bytes): the
            shape (height, width, channels) of one image. They unpack to 0 and 255.

    Raises:
        ValueError: If shapes, types, names, sizes and factors do not fit each other.

    Example:
        >>> images = np.zeros((6, 8, 8, 1), "uint8")
        >>> data = FactorDataset(images, ("shape", "pos_x"), (2, 3))
        >>> data.factors_at([5])
        array([[1, 2]])
        >>> data.index_of([[1, 0]])
        array([3])
    """

    def __init__(
        self,
        images: np.ndarray,
        factor_names: Sequence[str],
        factor_sizes: Sequence[int],
        *,
        factors: np.ndarray | None = None,
        packed_shape: Sequence[int] | None = None,
    ):
        self.factor_names = tuple(factor_names)
        self.factor_sizes = tuple(int(size) for size in factor_sizes)
        self.image_shape = tuple(packed_shape or np.shape(images)[1:])
        self._images = np.asanyarray(images)
        self._factors = None if factors is None else _checked_factors(factors, self.factor_sizes)
        self._is_packed = packed_shape is not None
        self._check()

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._images)

    def __repr__(self) -> str:
        """Returns the sizes in one line."""
        factors = ", ".join(
            f"{name} {size}"
            for name, size in zip(self.factor_names, self.factor_sizes, strict=True)
        )
        return f"FactorDataset({len(self):,} images {self.image_shape}; {factors})"

    @property
    def is_grid(self) -> bool:
        """Whether every combination of factor values is there, in order."""
        return self._factors is None

    def images_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the images of the given indices, uint8 `(n, *image_shape)`, 0 to 255."""
        images = self._images[self._checked_indices(indices)]
        return _packed.unpack(images, self.image_shape) if self._is_packed else images

    def factors_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the factors of the given indices, integers (n, n_factors)."""
        indices = self._checked_indices(indices)
        if self._factors is not None:
            return self._factors[indices]
        return np.stack(np.unravel_index(indices, self.factor_sizes), axis=-1)

    def index_of(self, factors: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
        """Returns the index of the (first) image with each row of factors.

        Args:
            factors: Integers (n, n_factors).

        Raises:
            ValueError: If a value is outside its factor's range, or no image has a row.
        """
        factors = _checked_factors(np.asarray(factors), self.factor_sizes)
        cells = np.ravel_multi_index(tuple(factors.T), self.factor_sizes)
        if self._factors is None:
            return cells
        own_cells = np.ravel_multi_index(tuple(self._factors.T), self.factor_sizes)
        unique_cells, first = np.unique(own_cells, return_index=True)
        where = np.searchsorted(unique_cells, cells).clip(max=len(unique_cells) - 1)
        missing = unique_cells[where] != cells
        if missing.any():
            raise ValueError(f"no image has the factors {factors[missing][0].tolist()}")
        return first[where]

    def sample_factors(self, n: int, seed: int) -> np.ndarray:
        """Returns the factors of `n` images drawn with replacement, (n, n_factors)."""
        return self.factors_at(self.sample_indices(n, seed))

    def sample_indices(self, n: int, seed: int) -> np.ndarray:
        """Returns the indices of `n` images drawn with replacement, (n,).

        Raises:
            ValueError: If `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        return np.random.default_rng(seed).integers(len(self), size=n)

    def encode_with(
        self,
        model: Any,
        n: int | None = None,
        seed: int = 0,
        batch_size: int = 1_000,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns factors and codes, the two arguments of every score.

        Args:
            model: Anything with a method `encode`, or a function: from uint8 images
                `(batch, *image_shape)` to codes (batch, latent_dim), or to a tuple that
                begins with the codes, as `BetaVAE.encode` returns.
            n: Number of images, drawn with replacement; None takes each image once.
            seed: Seed of the draw.
            batch_size: Images encoded at a time.

        Returns:
            Factors (n, n_factors), integers, and codes (n, latent_dim), floats.

        Raises:
            ValueError: If `n` or `batch_size` is below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        indices = np.arange(len(self)) if n is None else self.sample_indices(n, seed)
        encode: Callable = getattr(model, "encode", model)
        codes = np.empty(0)
        for start in range(0, len(indices), batch_size):
            code = encode(self.images_at(indices[start : start + batch_size]))
            code = np.asarray(code[0] if isinstance(code, (tuple, list)) else code)
            if start == 0:
                codes = np.empty((len(indices), *code.shape[1:]), code.dtype)
            codes[start : start + batch_size] = code
        return self.factors_at(indices), codes

    def _checked_indices(self, indices) -> np.ndarray:
        indices = np.asarray(indices, dtype=None if len(indices) else np.int64)
        if indices.dtype.kind not in "iu":
            raise ValueError(f"indices must be integers, got {indices.dtype}")
        if indices.size and not 0 <= indices.min() <= indices.max() < len(self):
            raise ValueError(f"indices must be from 0 to {len(self) - 1}, got {indices}")
        return indices

    def _check(self) -> None:
        sizes_fit = len(self.factor_names) == len(self.factor_sizes) > 0
        if not sizes_fit or min(self.factor_sizes) < 1:
            raise ValueError(
                f"factor_names and factor_sizes must pair up, with sizes of at least 1, got "
                f"{self.factor_names} and {self.factor_sizes}"
            )
        if self._images.dtype != np.uint8:
            raise ValueError(f"images must be uint8, got {self._images.dtype}")
        if len(self.image_shape) != 3:
            raise ValueError(
                f"images must have the shape (n, height, width, channels), got {self._images.shape}"
            )
        packed_size = (_packed.n_bytes(self.image_shape),)
        if self._is_packed and self._images.shape[1:] != packed_size:
            raise ValueError(
                f"images packed from {self.image_shape} must have the shape (n, "
                f"{packed_size[0]}), got {self._images.shape}"
            )
        expected = math.prod(self.factor_sizes)
        if self._factors is not None:
            expected = len(self._factors)
        if len(self) != expected or not len(self):
            raise ValueError(f"there are factors for {expected} images, but {len(self)} images")


def _checked_factors(factors: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    factors = np.asarray(factors)
    if factors.ndim != 2 or factors.shape[1] != len(sizes) or factors.dtype.kind not in "iu":
        raise ValueError(
            f"factors must be integers of shape (n, {len(sizes)}), got {factors.dtype} "
            f"{factors.shape}"
        )
    if factors.size and ((factors < 0) | (factors >= np.array(sizes))).any():
        raise ValueError(f"factors must be classes from 0 to below their sizes {sizes}")
    return factors
