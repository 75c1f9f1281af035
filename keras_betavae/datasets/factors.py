"""Images with ground-truth factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from keras_betavae.datasets._continuous import checked, scored
from keras_betavae.datasets._draws import LabeledDraw, PairDraw
from keras_betavae.datasets._factor_tables import FactorTable, Grid, Labels
from keras_betavae.datasets._sources import Chosen, Source
from keras_betavae.datasets._streams import check_numbers, endless, entropy_of
from keras_betavae.datasets.images import ImageDataset

if TYPE_CHECKING:
    import tensorflow as tf


class FactorDataset(ImageDataset):
    """Images with their ground-truth factors.

    The images are a full grid (every combination of factor values once, the last
    factor varying fastest, as in the released data sets) or labeled images in any order.

    Args:
        images: As in `ImageDataset`.
        factor_names: One name per factor.
        factor_sizes: Number of values of each factor.
        factors: Integer classes (n, n_factors) of images that are not a grid; None for a
            full grid.
        continuous: The values, (n,) floats, of each continuous factor, by name. Its classes are
            bins; scores use the values.
        packed_shape: As in `ImageDataset`.
        columns: As in `ImageDataset`.

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
        continuous: Mapping[str, np.ndarray] | None = None,
        packed_shape: Sequence[int] | None = None,
        columns: Sequence[str] = (),
    ):
        self._table: FactorTable = (
            Grid(factor_names, factor_sizes)
            if factors is None
            else Labels(factor_names, factor_sizes, factors)
        )
        self.factor_names, self.factor_sizes = self._table.names, self._table.sizes
        super().__init__(images, packed_shape=packed_shape, columns=columns)
        if len(self) != len(self._table):
            raise ValueError(
                f"there are factors for {len(self._table)} images, but {len(self)} images"
            )
        self.continuous = checked(continuous or {}, self.factor_names, len(self))

    def __repr__(self) -> str:
        """Returns the sizes in one line."""
        factors = ", ".join(
            f"{name} {'continuous' if name in self.continuous else size}"
            for name, size in zip(self.factor_names, self.factor_sizes, strict=True)
        )
        return f"FactorDataset({len(self):,} {self.kind} {self.image_shape}; {factors})"

    @property
    def is_grid(self) -> bool:
        """Whether the images are all combinations of factor values, in order."""
        return isinstance(self._table, Grid)

    @property
    def varying(self) -> tuple[int, ...]:
        """The indices of the factors with more than one value."""
        return self._table.varying

    def factors_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the factors of the given indices, integers (n, n_factors).

        Continuous factors have quantile bins.
        """
        return self._table.at(self._checked_indices(indices))

    def _scored_factors_at(self, indices: np.ndarray) -> np.ndarray:
        return scored(self.factors_at(indices), indices, self.factor_names, self.continuous)

    def index_of(self, factors: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
        """Returns the index of the (first) image with each row of factors.

        Args:
            factors: Integers (n, n_factors).

        Raises:
            ValueError: If a value is outside its factor's range, or no image has a row.
        """
        return self._table.index_of(np.asanyarray(factors))

    def sample_factors(self, n: int, seed: int) -> np.ndarray:
        """Returns the factors of `n` images drawn with replacement, (n, n_factors)."""
        return self.factors_at(self.sample_indices(n, seed))

    def only(self, combination: Mapping[str, int | Sequence[int]]) -> Self:
        """Returns the images with a combination of factor values.

        Args:
            combination: The class or classes of some factors, by name.

        Returns:
            These images, in the same order, with the same factors and sizes.

        Raises:
            ValueError: If a factor or a class is unknown, or no image is left.

        Example:
            >>> data = FactorDataset(np.zeros((6, 8, 8, 1), "uint8"), ("shape", "pos_x"), (2, 3))
            >>> data.only({"shape": 1, "pos_x": (0, 2)}).factors_at([0, 1]).tolist()
            [[1, 0], [1, 2]]
        """
        return self._at(np.flatnonzero(self._table.has(combination)))

    def without(self, combination: Mapping[str, int | Sequence[int]]) -> Self:
        """Returns the images without a combination of factor values.

        To test whether a model generalizes, train it on these images and evaluate it on
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
        return self._at(np.flatnonzero(~self._table.has(combination)))

    def correlated(self, first: str, second: str, strength: float, seed: int = 0) -> Self:
        r"""Returns a subset of the images in which two factors are correlated.

        An image is kept with the probability

        .. math:: p = \exp\left(-\tfrac{1}{2} s^2 (u - v)^2\right)

        where u and v are the classes of both factors scaled to 0 to 1, so they are similar in most
        of the images that are left. The other factors stay independent of both.

        Args:
            first: Name of a factor.
            second: Name of another.
            strength: s, at least 0; 0 keeps all images. The paper's strongest correlation is 5.
            seed: Seed of the draw.

        Raises:
            ValueError: If these are not two varying factors, or `strength` is below 0 or infinite.

        References:
            Träuble et al., On Disentangled Representations Learned from Correlated Data, ICML
            2021, with σ = 1 / s.

        Example:
            >>> data = FactorDataset(np.zeros((9, 8, 8, 1), "uint8"), ("scale", "pos_x"), (3, 3))
            >>> data.correlated("scale", "pos_x", strength=20.0).factors_at([0, 1, 2]).tolist()
            [[0, 0], [1, 1], [2, 2]]
        """
        chances = self._table.alike(first, second, strength)
        return self._at(np.flatnonzero(np.random.default_rng(seed).random(len(self)) < chances))

    def _at(self, indices: np.ndarray) -> Self:
        if not len(indices):
            raise ValueError("no image would be left")
        return self._with(Chosen(self._images, indices), indices)

    def sample_pairs(
        self,
        n: int,
        k_changed: int | None,
        seed: int,
        *,
        among: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the indices of `n` pairs of images that differ in a few factors.

        The first image is drawn with replacement. The factors that change are drawn from those
        with more than one value, and their new values from their other values.

        Args:
            n: Number of pairs.
            k_changed: Exact number of factors in which the images of a pair differ. None draws it
                for each pair, from 1 to the number of factors that may change, but at most one
                less than the number of factors with more than one value.
            seed: Seed of the draw.
            among: Names of the factors that may change; pairs always share the others, as
                `GroupVAE` requires. None for all factors.

        Returns:
            Indices of the first and the second images, (n,) each.

        Raises:
            ValueError: If the images are not a full grid, a name is unknown, or a number is
                outside its range.

        References:
            Locatello et al., Weakly-Supervised Disentanglement Without Compromises, ICML
            2020.
        """
        draw = PairDraw(self._table, k_changed, among)
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
        """Returns an endless stream of pairs of images that differ in a few factors.

        Args:
            k_changed: As in `sample_pairs`.
            batch_size: Pairs per batch.
            seed: Seed of the draws; None draws one.
            among: As in `sample_pairs`.
            start_step: Number of batches to skip at the start, as in `to_tf_data`.

        Returns:
            A `tf.data.Dataset` of `(first, second)`, uint8 `(batch, *image_shape)` each.

        Raises:
            ValueError: As in `sample_pairs`.
        """
        draw = PairDraw(self._table, k_changed, among)
        check_numbers(batch_size, start_step)

        def batch_of(rng):
            return tuple(map(self.images_at, draw(rng, batch_size)))

        part = (batch_size, *self.image_shape), self.dtype
        return endless(batch_of, (part, part), entropy_of(seed), start_step)

    def _with(self, images: Source, indices: np.ndarray | None = None) -> Self:
        """Returns a data set of other images with the factors of all or some of these."""
        kept = np.arange(len(self)) if indices is None else indices
        return type(self)(
            images,
            self.factor_names,
            self.factor_sizes,
            factors=None if self.is_grid and indices is None else self.factors_at(kept),
            continuous={name: values[kept] for name, values in self.continuous.items()},
            columns=self.columns,
        )

    def to_partly_labeled(
        self,
        n_labeled: int,
        batch_size: int,
        seed: int | None = None,
        *,
        labeled_per_batch: int | None = None,
        start_step: int = 0,
    ) -> tf.data.Dataset:
        """Returns an endless stream of images of which a fixed few have labels.

        Args:
            n_labeled: Number of images with labels, which the seed determines.
            batch_size: Images per batch.
            seed: Seed of the draws; None draws one.
            labeled_per_batch: Number of images per batch, at random places, that are drawn from
                those with labels, without replacement if there are enough; half of the batch by
                default. They make up that share of the unsupervised loss, too. The others are
                drawn from all images with replacement.
            start_step: Number of batches to skip at the start, as in `to_tf_data`.

        Returns:
            A `tf.data.Dataset` of `(images, factors)`: uint8 `(batch, *image_shape)`, and
            int32 (batch, n_factors), with -1 for missing labels.

        Raises:
            ValueError: If a number is outside its range, or several workers have no seed.

        References:
            Locatello et al., Disentangling Factors of Variation Using Few Labels, ICLR 2020.
        """
        check_numbers(batch_size, start_step)
        entropy = entropy_of(seed)
        draw = LabeledDraw(len(self), n_labeled, batch_size, labeled_per_batch, entropy)

        def batch_of(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
            indices, has_labels = draw(rng)
            factors = np.full((batch_size, len(self.factor_sizes)), -1, "int32")
            factors[has_labels] = self.factors_at(indices[has_labels])
            return self.images_at(indices), factors

        images = (batch_size, *self.image_shape), self.dtype
        labels = (batch_size, len(self.factor_sizes)), "int32"
        return endless(batch_of, (images, labels), entropy, start_step)
