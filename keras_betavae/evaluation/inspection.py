"""Inspection of a trained model's latents from one encoding, with pictures."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_betavae import metrics, visualization
from keras_betavae._utils.names import file_names
from keras_betavae.datasets import ImageDataset, from_arrays
from keras_betavae.metrics._samples import binned

ACTIVE_NATS = 0.01
"""A latent is active if its KL is above this."""


@dataclasses.dataclass(frozen=True)
class Inspection:
    """The codes of a data set, and their relation to the factors.

    Attributes:
        codes: The posterior's means, (n, latent_dim).
        factors: Factors of the same images as `encode_with` returns them, (n, n_factors).
        factor_names: A name for each factor.
        kl: The mean KL of each latent, in nats, (latent_dim,).
        information: Mutual information of latents and factors in nats, (latent_dim,
            n_factors); without columns if no factors are known.
        centers: The mean value in each quantile bin of each continuous factor, by name.
        view: How to draw the data.
    """

    codes: np.ndarray
    factors: np.ndarray
    factor_names: tuple[str, ...]
    kl: np.ndarray
    information: np.ndarray
    centers: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    view: visualization.View = dataclasses.field(default_factory=visualization.View)

    @functools.cached_property
    def classes(self) -> np.ndarray:
        """The factors as integers, (n, n_factors); quantile bins of continuous ones."""
        return binned(self.factors)

    @property
    def by_kl(self) -> np.ndarray:
        """The latents sorted by decreasing KL, (latent_dim,)."""
        return np.argsort(-self.kl, kind="stable")

    @property
    def active(self) -> np.ndarray:
        """The active latents sorted by decreasing KL; the first one if none is active."""
        return self.by_kl[: max(1, int((self.kl > ACTIVE_NATS).sum()))]

    @property
    def labels(self) -> list[str]:
        """A label for each latent: its number, its KL, and the factor that it encodes."""
        information = self.information if self.factor_names else None
        return visualization.latent_labels(
            self.kl, information, self.factor_names, threshold=ACTIVE_NATS
        )

    def labels_of(self, latents: Sequence[int] | np.ndarray) -> list[str]:
        """Returns the labels of some latents."""
        labels = self.labels
        return [labels[latent] for latent in latents]

    def pictures(self, model: Any, images: np.ndarray, *, seed: int = 0) -> dict[str, np.ndarray]:
        """Returns all pictures of the model by name, uint8 (height, width, 3) each.

        These are `reconstructions`, `samples`, `traversal`, `interpolation`, `histograms` and
        `posterior_pairs`; with factors also `mutual_information` and `curves_<factor>`, with a
        curve for each shape. If two of the factors are pos_x and pos_y, `response_maps` replaces
        their curves.

        Args:
            model: The model that was inspected.
            images: At least 2 images to reconstruct, uint8 `(n, *image_shape)`; the traversal is
                around the code of the first one.
            seed: Seed of the samples.
        """
        codes, cells = np.asarray(model.encode(images)[0]), self.view.cells
        latents, named = self.active, self.labels_of(self.active)
        rows = visualization.traverse(model, codes[0], latents=self.by_kl)
        half = len(codes) // 2
        between = visualization.interpolate(model, codes[:half], codes[half : 2 * half])
        samples = np.asarray(model.sample(24, seed=seed)).reshape(3, 8, *images.shape[1:])
        shown = {
            "reconstructions": visualization.labeled_grid(
                cells(visualization.reconstructions(model, images)),
                [self.view.kind[:-1], "reconstruction"],
            ),
            "samples": visualization.image_grid(cells(samples)),
            "traversal": self.traversal_picture(rows),
            "interpolation": visualization.image_grid(cells(between)),
        }
        figures = {
            "histograms": visualization.plot_histograms(self.codes[:, latents], named),
            "posterior_pairs": visualization.plot_pairs(
                self.codes[:, latents[:5]], [f"z{latent}" for latent in latents[:5]]
            ),
        }
        figures |= self._figures_of_factors(latents, named)
        shown |= {name: visualization.figure_image(figure) for name, figure in figures.items()}
        return shown

    def traversal_picture(self, rows: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
        """Returns a picture of a traversal of all latents, sorted by KL, with their labels.

        Args:
            rows: The result of `visualization.traverse` with `latents=self.by_kl`.
            values: The values of the latents; those of `traverse` by default.

        Returns:
            uint8 (height, width, 3): a row of images for each latent, or a panel of curves.
        """
        labels = self.labels_of(self.by_kl)
        if not self.view.is_series:
            return visualization.labeled_grid(self.view.cells(rows), labels)
        if values is None:
            values = visualization.traversal_values("limit", rows.shape[1])
        values = values if values.ndim == 1 else values[self.by_kl]
        return visualization.figure_image(self.view.plot_traversal(rows, values, labels))

    def _figures_of_factors(self, latents: np.ndarray, named: list[str]) -> dict[str, Any]:
        names = list(self.factor_names)
        if not names:
            return {}
        figures = {
            "mutual_information": visualization.plot_information(self.information, names),
        }
        codes = self.codes[:, latents]
        positions = {"pos_x", "pos_y"}
        mapped = positions if positions <= set(names) else set()
        if mapped:
            maps = visualization.response_map(
                self.classes, codes, names.index("pos_y"), names.index("pos_x")
            )
            figures["response_maps"] = visualization.plot_response_maps(maps, named)
        by = names.index("shape") if "shape" in names else None
        shapes = (
            [""] if by is None else [f"shape {k}" for k in range(self.classes[:, by].max() + 1)]
        )
        safe = file_names(names)
        for along, name in enumerate(names):
            if along != by and name not in mapped:
                curves = visualization.response_curves(self.classes, codes, along, by)
                figures[f"curves_{safe[name]}"] = visualization.plot_response_curves(
                    curves, named, along=name, by=shapes, values=self.centers.get(name)
                )
        return figures


def inspect(model: Any, data: Any, *, n: int = 10_000, seed: int = 0) -> Inspection:
    """Encodes images of a data set and computes each latent's KL and mutual information.

    Args:
        model: Anything with a method `encode` that returns the posterior's mean and
            log-variance.
        data: Images, with factors or without; or an array for `datasets.from_arrays`.
        n: Number of images to draw, at most all.
        seed: Seed of the draw.

    Returns:
        The inspection. Factors with only one value are left out.
    """
    data = as_dataset(data)

    def both(images: np.ndarray) -> np.ndarray:
        return np.concatenate([np.asarray(part) for part in model.encode(images)[:2]], axis=-1)

    factors, encoded = data.encode_with(both, n, seed)
    mean, log_var = np.split(encoded.astype(np.float64), 2, axis=-1)
    kl = 0.5 * np.mean(mean**2 + np.exp(log_var) - 1.0 - log_var, axis=0)
    kept = [k for k in range(factors.shape[1]) if np.ptp(factors[:, k])]
    factors = factors[:, kept]
    information = np.empty((mean.shape[1], 0))
    if kept:
        information = metrics.mutual_information(factors, mean, n_samples=n, seed=seed)
    names = tuple(data.factor_names[k] for k in kept)
    centers = {
        name: _centers(data.continuous[name], binned(factors[:, [k]])[:, 0], factors[:, k])
        for k, name in enumerate(names)
        if name in data.continuous
    }
    view = visualization.View.of(data)
    return Inspection(mean, factors, names, kl, information, centers, view)


def as_dataset(data: Any) -> ImageDataset:
    """Returns data as a data set; an array is passed to `datasets.from_arrays`.

    Raises:
        TypeError: If `data` is neither a data set nor an array.
    """
    if isinstance(data, np.ndarray):
        return from_arrays(data)
    if not hasattr(data, "encode_with"):
        raise TypeError(
            f"data must be a data set or an array, got {type(data).__name__}; make a data set with "
            "datasets.from_arrays"
        )
    return data


def _centers(values: np.ndarray, classes: np.ndarray, standardized: np.ndarray) -> np.ndarray:
    """Returns the mean in each class, in the units of `values`; NaN for empty classes."""
    counts = np.bincount(classes)
    with np.errstate(invalid="ignore"):
        means = np.bincount(classes, standardized) / counts
    return values.mean() + values.std() * means


def showcase(data: ImageDataset, n: int = 8) -> np.ndarray:
    """Returns example images of a data set, always the same ones, uint8 `(n, *image_shape)`.

    Args:
        data: Images.
        n: Number of examples.
    """
    return data.images_at(data.sample_indices(n, seed=1))
