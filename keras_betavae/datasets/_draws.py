"""Draws of pairs of images, and of images with few labels."""

import math
from collections.abc import Sequence

import numpy as np

from keras_betavae.datasets._factor_tables import FactorTable, Grid


class PairDraw:
    """How pairs are drawn from a grid.

    Args:
        table: The factors of all images.
        k_changed: Number of factors in which a pair differs; None draws the number for each pair.
        among: Names of the factors that may change; None for all.

    Raises:
        ValueError: If the images are not a grid, a name is unknown, or too few factors vary.
    """

    def __init__(self, table: FactorTable, k_changed: int | None, among: Sequence[str] | None):
        if not isinstance(table, Grid):
            raise ValueError(
                "pairs need a full grid of images: some combinations may be missing here"
            )
        names, sizes = table.names, table.sizes
        if among is not None and not (set(among) and set(among) <= set(names)):
            raise ValueError(f"among must name some of {', '.join(names)}, got {list(among)}")
        self._sizes = sizes
        self._changing = np.array(
            [
                k
                for k, (name, size) in enumerate(zip(names, sizes, strict=True))
                if size > 1 and (among is None or name in among)
            ],
            dtype=int,
        )
        # A pair must share a factor, or nothing can be learned from it.
        n_varying = sum(size > 1 for size in sizes)
        self._highest = min(len(self._changing), n_varying - 1)
        if k_changed is None and self._highest < 1:
            raise ValueError(
                f"k_changed=None needs at least 2 varying factors, got {n_varying}, of which "
                f"{len(self._changing)} may change"
            )
        if k_changed is not None and not 1 <= k_changed <= len(self._changing):
            raise ValueError(
                f"k_changed must be from 1 to the {len(self._changing)} varying factors, got "
                f"{k_changed}"
            )
        self._k_changed = k_changed

    def __call__(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the indices of `n` pairs of images, (n,) each."""
        first = rng.integers(math.prod(self._sizes), size=n)
        factors = np.stack(np.unravel_index(first, self._sizes), axis=-1)
        changing, k = self._changing, self._k_changed
        sizes = np.array(self._sizes)[changing]
        ks = rng.integers(1, self._highest + 1, size=n) if k is None else np.full(n, k)
        ranks = rng.permuted(np.tile(np.arange(len(changing)), (n, 1)), axis=1)
        shifts = rng.integers(1, sizes, size=ranks.shape) * (ranks < ks[:, None])
        factors[:, changing] = (factors[:, changing] + shifts) % sizes
        return first, np.ravel_multi_index(tuple(factors.T), self._sizes)


class LabeledDraw:
    """Draws of images of which a fixed few have labels.

    Args:
        n: Number of images.
        n_labeled: Number of images with labels.
        batch_size: Images per batch.
        labeled_per_batch: Number of images per batch that are drawn from those with labels; None
            for half of the batch.
        entropy: Seed of the labeled images.

    Raises:
        ValueError: If a number is outside its range.
    """

    def __init__(
        self,
        n: int,
        n_labeled: int,
        batch_size: int,
        labeled_per_batch: int | None,
        entropy: int,
    ):
        if not 1 <= n_labeled <= n:
            raise ValueError(f"n_labeled must be from 1 to {n}, got {n_labeled}")
        n_drawn = batch_size // 2 if labeled_per_batch is None else labeled_per_batch
        if not 1 <= n_drawn <= batch_size:
            raise ValueError(f"labeled_per_batch must be from 1 to {batch_size}, got {n_drawn}")
        # [entropy, 0] is the seed of the first batch.
        subset_rng = np.random.default_rng([entropy, 0, 1])
        self._subset = subset_rng.choice(n, n_labeled, replace=False)
        self._n, self._n_labeled, self._n_others = n, n_drawn, batch_size - n_drawn

    def __call__(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns the indices of a batch's images, and which of them have labels."""
        is_repeated = len(self._subset) < self._n_labeled
        labeled = rng.choice(self._subset, self._n_labeled, replace=is_repeated)
        others = rng.integers(self._n, size=self._n_others)
        # FactorVAE halves batches, and replicas share them.
        order = rng.permutation(self._n_labeled + self._n_others)
        return np.concatenate([labeled, others])[order], order < self._n_labeled
