"""The factors of each image: a full grid, or labels."""

import abc
import math
from collections.abc import Mapping, Sequence

import numpy as np

from keras_betavae._utils.checks import unmasked


class FactorTable(abc.ABC):
    """The factors of images, by index.

    Args:
        names: One name per factor.
        sizes: Number of values of each factor.

    Raises:
        ValueError: If names and sizes do not fit each other.
    """

    def __init__(self, names: Sequence[str], sizes: Sequence[int]):
        self.names = tuple(names)
        self.sizes = tuple(int(size) for size in sizes)
        if not len(self.names) == len(self.sizes) > 0 or min(self.sizes) < 1:
            raise ValueError(
                f"factor_names and factor_sizes must pair up, with sizes of at least 1, got "
                f"{self.names} and {self.sizes}"
            )
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"factor_names must differ, got {self.names}")

    @abc.abstractmethod
    def __len__(self) -> int:
        """Returns the number of images."""

    @property
    @abc.abstractmethod
    def varying(self) -> tuple[int, ...]:
        """The indices of the factors with more than one value."""

    @abc.abstractmethod
    def at(self, indices: np.ndarray) -> np.ndarray:
        """Returns the factors of valid indices, integers (n, n_factors)."""

    @abc.abstractmethod
    def column(self, k: int) -> np.ndarray:
        """Returns the classes of one factor, (n,)."""

    @abc.abstractmethod
    def index_of(self, factors: np.ndarray) -> np.ndarray:
        """Returns the index of the (first) image with each row of factors."""

    def has(self, combination: Mapping[str, int | Sequence[int]]) -> np.ndarray:
        """Returns which images have the given factor values, booleans (n,).

        Raises:
            ValueError: If a factor or a class is unknown.
        """
        unknown = [name for name in combination if name not in self.names]
        if unknown or not combination:
            raise ValueError(
                f"combination must name some of {', '.join(self.names)}, got {list(combination)}"
            )
        has = np.ones(len(self), bool)
        for name, classes in combination.items():
            k = self.names.index(name)
            chosen = np.atleast_1d(np.asarray(classes))
            are_integers = chosen.dtype.kind in "iu" and chosen.size
            if not are_integers or chosen.min() < 0 or chosen.max() >= self.sizes[k]:
                raise ValueError(
                    f"the classes of {name} must be integers from 0 to {self.sizes[k] - 1}, got "
                    f"{classes}"
                )
            has &= np.isin(self.column(k), chosen)
        return has

    def alike(self, first: str, second: str, strength: float) -> np.ndarray:
        """Returns the similarity of two factors in each image, above 0 and at most 1, (n,).

        Raises:
            ValueError: As `FactorDataset.correlated`.
        """
        able = [name for name, size in zip(self.names, self.sizes, strict=True) if size > 1]
        if first not in able or second not in able or first == second:
            raise ValueError(
                f"first and second must be two of {', '.join(able)}, got {first!r} and {second!r}"
            )
        if not 0.0 <= strength < math.inf:
            raise ValueError(f"strength must be at least 0, got {strength}")
        u, v = (
            self.column(k) / (self.sizes[k] - 1) for k in map(self.names.index, (first, second))
        )
        return np.exp(-0.5 * np.square(strength * (u - v)))

    def checked(self, factors: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
        """Returns factors as an array.

        Raises:
            ValueError: If they are not classes (n, n_factors) within the sizes.
        """
        factors = np.asarray(unmasked("factors", factors))
        n = len(self.sizes)
        if factors.ndim != 2 or factors.shape[1] != n or factors.dtype.kind not in "iu":
            raise ValueError(
                f"factors must be integers of shape (n, {n}), got {factors.dtype} {factors.shape}"
            )
        if factors.size and ((factors < 0) | (factors >= np.array(self.sizes))).any():
            raise ValueError(f"factors must be classes from 0 to below their sizes {self.sizes}")
        return factors


class Grid(FactorTable):
    """Every combination of factor values once, the last factor varying fastest."""

    def __len__(self):
        return math.prod(self.sizes)

    @property
    def varying(self):
        return tuple(k for k, size in enumerate(self.sizes) if size > 1)

    def at(self, indices):
        return np.stack(np.unravel_index(indices, self.sizes), axis=-1)

    def column(self, k):
        before, after = math.prod(self.sizes[:k]), math.prod(self.sizes[k + 1 :])
        return np.tile(np.repeat(np.arange(self.sizes[k]), after), before)

    def index_of(self, factors):
        return np.ravel_multi_index(tuple(self.checked(factors).T), self.sizes)


class Labels(FactorTable):
    """Factors that are given for each image."""

    def __init__(self, names: Sequence[str], sizes: Sequence[int], factors: np.ndarray):
        super().__init__(names, sizes)
        self.factors = self.checked(factors)

    def __len__(self):
        return len(self.factors)

    @property
    def varying(self):
        return tuple(np.flatnonzero(np.ptp(self.factors, axis=0)).tolist())

    def at(self, indices):
        return self.factors[indices]

    def column(self, k):
        return self.factors[:, k]

    def index_of(self, factors):
        factors = self.checked(factors)
        rows = np.concatenate([self.factors, factors])
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        found = first[inverse.reshape(-1)[len(self) :]]
        missing = found >= len(self)
        if missing.any():
            raise ValueError(f"no image has the factors {factors[missing][0].tolist()}")
        return found
