"""Images with the factors that made them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf

from keras_betavae.datasets._pairs import PairDraw
from keras_betavae.datasets._sources import Chosen, Source
from keras_betavae.datasets._streams import check_numbers, endless, entropy_of
from keras_betavae.datasets.images import ImageDataset


class FactorDataset(ImageDataset):
    """Images and their ground-truth factors, sampled and streamed by factor.

    The images are a full grid (every combination of factor values once, the last
    factor varying fastest, as the released data sets are) or labelled images that
    are no grid.

    Args:
        images: As in `ImageDataset`.
        factor_names: One name per factor.
        factor_sizes: Number of values of each factor.
        factors: Integer classes (n, n_factors) for images that are no grid; None for a
            full grid.
        packed_shape: As in `ImageDataset`.

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
        images: Any,
        factor_names: Sequence[str],
        factor_sizes: Sequence[int],
        *,
        factors: np.ndarray | None = None,
        packed_shape: Sequence[int] | None = None,
    ):
        self.factor_names = tuple(factor_names)
        self.factor_sizes = tuple(int(size) for size in factor_sizes)
        sizes_fit = len(self.factor_names) == len(self.factor_sizes) > 0
        if not sizes_fit or min(self.factor_sizes) < 1:
            raise ValueError(
                f"factor_names and factor_sizes must pair up, with sizes of at least 1, got "
                f"{self.factor_names} and {self.factor_sizes}"
            )
        if len(set(self.factor_names)) < len(self.factor_names):
            raise ValueError(f"factor_names must differ, got {self.factor_names}")
        self._factors = None if factors is None else _checked_factors(factors, self.factor_sizes)
        super().__init__(images, packed_shape=packed_shape)
        n = math.prod(self.factor_sizes) if self._factors is None else len(self._factors)
        if len(self) != n:
            raise ValueError(f"there are factors for {n} images, but {len(self)} images")

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

    @property
    def varying(self) -> tuple[int, ...]:
        """Which factors, by number, have more than one value here."""
        if self._factors is None:
            return tuple(k for k, size in enumerate(self.factor_sizes) if size > 1)
        return tuple(np.flatnonzero(np.ptp(self._factors, axis=0)).tolist())

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

    def only(self, combination: Mapping[str, int | Sequence[int]]) -> Self:
        """Returns the images that have a combination of factor values.

        Args:
            combination: For each factor that matters, by name, the classes that it may have.

        Returns:
            Those images, in the order that they have here, with the factors and sizes as
            they are.

        Raises:
            ValueError: If a factor or a class is unknown, or there are no such images.

        Example:
            >>> data = FactorDataset(np.zeros((6, 8, 8, 1), "uint8"), ("shape", "pos_x"), (2, 3))
            >>> data.only({"shape": 1, "pos_x": (0, 2)}).factors_at([0, 1]).tolist()
            [[1, 0], [1, 2]]
        """
        return self._at(np.flatnonzero(self._has(combination)))

    def without(self, combination: Mapping[str, int | Sequence[int]]) -> Self:
        """Returns all images but those that have a combination of factor values.

        To see whether a model generalises, train it on these and look at what it makes of
        `only(combination)`.

        Args:
            combination: As in `only`.

        Returns:
            The other images, as in `only`.

        Raises:
            ValueError: As in `only`.

        Example:
            >>> data = FactorDataset(np.zeros((6, 8, 8, 1), "uint8"), ("shape", "pos_x"), (2, 3))
            >>> len(data.without({"shape": 1, "pos_x": (0, 2)}))
            4
        """
        return self._at(np.flatnonzero(~self._has(combination)))

    def _has(self, combination: Mapping[str, int | Sequence[int]]) -> np.ndarray:
        """Returns which images have all of the factor values, booleans (n,)."""
        unknown = [name for name in combination if name not in self.factor_names]
        if unknown or not combination:
            raise ValueError(
                f"combination must name some of {', '.join(self.factor_names)}, got "
                f"{list(combination)}"
            )
        has = np.ones(len(self), bool)
        for name, classes in combination.items():
            k = self.factor_names.index(name)
            chosen = np.atleast_1d(np.asarray(classes))
            inside = chosen.dtype.kind in "iu" and chosen.size
            if not inside or chosen.min() < 0 or chosen.max() >= self.factor_sizes[k]:
                raise ValueError(
                    f"the classes of {name} must be integers from 0 to "
                    f"{self.factor_sizes[k] - 1}, got {classes}"
                )
            column = self._factors[:, k] if self._factors is not None else self._grid_column(k)
            has &= np.isin(column, chosen)
        return has

    def _grid_column(self, k: int) -> np.ndarray:
        """Returns the classes of one factor of a grid, (n,)."""
        before, after = math.prod(self.factor_sizes[:k]), math.prod(self.factor_sizes[k + 1 :])
        return np.tile(np.repeat(np.arange(self.factor_sizes[k]), after), before)

    def _at(self, indices: np.ndarray) -> Self:
        if not len(indices):
            raise ValueError("no image would be left")
        factors = self.factors_at(indices)
        images = Chosen(self._images, indices)
        return type(self)(images, self.factor_names, self.factor_sizes, factors=factors)

    def sample_pairs(
        self,
        n: int,
        k_changed: int | None,
        seed: int,
        *,
        among: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the indices of `n` pairs of images that differ in a few factors.

        The first image is drawn with replacement. The factors that change are drawn from
        those of more than one value, and their new values from the others that they have.

        Args:
            n: Number of pairs.
            k_changed: Number of factors in which the images of a pair differ, exactly; None
                draws it for each pair, from 1 to the number of those that may change, but
                one less than the number of factors that have more than one value.
            seed: Seed of the draw.
            among: Names of the factors that may change, so that pairs always share the others
                (as `GroupVAE` wants); None for all.

        Returns:
            Indices of the first and of the second images, (n,) each.

        Raises:
            ValueError: If the images are no full grid, a name is unknown, or a number is
                outside its range.

        References:
            Locatello et al., Weakly-Supervised Disentanglement Without Compromises, ICML
            2020.
        """
        draw = self._pair_draw(k_changed, among)
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        return draw(np.random.default_rng(seed), n)

    def to_pairs(
        self,
        k_changed: int | None,
        batch_size: int,
        seed: int | None = None,
        *,
        among: Sequence[str] | None = None,
        start_step: int = 0,
    ) -> tf.data.Dataset:
        """Returns pairs of images that differ in a few factors, without end.

        Args:
            k_changed: As in `sample_pairs`.
            batch_size: Pairs per batch.
            seed: Seed of the draws; None draws one.
            among: As in `sample_pairs`.
            start_step: Number of batches to leave out at the start, as in `to_tf_data`.

        Returns:
            A `tf.data.Dataset` of `(first, second)`, uint8 `(batch, *image_shape)` each.

        Raises:
            ValueError: As in `sample_pairs`.
        """
        draw = self._pair_draw(k_changed, among)
        check_numbers(batch_size, start_step)

        def batch_of(rng):
            first, second = draw(rng, batch_size)
            return self.images_at(first), self.images_at(second)

        spec = tf.TensorSpec((batch_size, *self.image_shape), "uint8")
        return endless(batch_of, (spec, spec), entropy_of(seed), start_step)

    def _with(self, images: Source) -> Self:
        return type(self)(images, self.factor_names, self.factor_sizes, factors=self._factors)

    def _pair_draw(self, k_changed: int | None, among: Sequence[str] | None) -> PairDraw:
        if not self.is_grid:
            raise ValueError(
                "pairs need a full grid of images: some combinations may be missing here"
            )
        return PairDraw(self.factor_names, self.factor_sizes, k_changed, among)

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
            ValueError: If a number is outside its range, or one of several workers is given no
                seed.

        References:
            Locatello et al., Disentangling Factors of Variation Using Few Labels, ICLR 2020.
        """
        check_numbers(batch_size, start_step)
        if not 1 <= n_labelled <= len(self):
            raise ValueError(f"n_labelled must be from 1 to {len(self)}, got {n_labelled}")
        n_first = batch_size // 2 if labelled_per_batch is None else labelled_per_batch
        if not 1 <= n_first <= batch_size:
            raise ValueError(f"labelled_per_batch must be from 1 to {batch_size}, got {n_first}")
        entropy = entropy_of(seed)
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
        return endless(batch_of, signature, entropy, start_step)


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
