"""Scores of a model and of untrained representations."""

import functools
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_betavae import metrics
from keras_betavae.evaluation.choice import Scores, choose
from keras_betavae.evaluation.parallel import Later, Sample, score_tables
from keras_betavae.evaluation.score_table import ScoreTable
from keras_betavae.evaluation.scoring import check_model_and_data, encode, seeds
from keras_betavae.metrics.controls import independent


def evaluate_with_controls(
    model: Any,
    untrained: Any,
    data: Any,
    *,
    scores: Scores = "fast",
    n: int = 20_000,
    seed: int = 0,
    n_seeds: int = 1,
    n_jobs: int | None = None,
    codes: np.ndarray | None = None,
    verbose: bool = False,
) -> dict[str, ScoreTable]:
    """Scores a model and its controls.

    Args:
        model: The trained model.
        untrained: The same network with its initial weights.
        data: As in `evaluate`.
        scores: As in `evaluate`.
        n: Number of images to draw and encode, the same ones for all representations.
        seed: Seed of the draw and of every score.
        n_seeds: As in `evaluate`; the images for PCA, ICA and raw pixels are drawn once.
        n_jobs: As in `evaluate`.
        codes: The model's codes of the images that `n` and `seed` draw, if they are already
            computed; `n_seeds` must then be 1.
        verbose: Whether a progress bar is shown.

    Returns:
        Tables by name: both models, PCA and ICA with 10 components, and raw pixels (only the
        scores that support so many codes). `side_by_side` prints them.

    Raises:
        TypeError: As `evaluate`.
        ValueError: As `evaluate`.
    """
    for each in (model, untrained):
        check_model_and_data(each, data)
    if codes is not None and n_seeds != 1:
        raise ValueError(f"n_seeds must be 1 if codes are given, got {n_seeds}")
    factors, pixels, names = encode(metrics.pixel_codes, data, n, seed)
    chosen = choose(scores, 0 if factors is None else factors.shape[1], names)
    for_pixels = {name: score for name, score in chosen.items() if score.for_pixels}
    bar = _Bar((4 * len(chosen) + len(for_pixels)) * n_seeds, verbose)
    numbers = seeds(seed, n_seeds)
    k = min(10, *pixels.shape)

    @functools.cache
    def pca() -> np.ndarray:
        return metrics.pca_codes(pixels, k, seed)

    @functools.cache
    def ica() -> np.ndarray:
        return independent(pca(), seed)

    encoded = (encode(model, data, n, number) for number in numbers)
    tables: dict[str, tuple[Iterable[Sample | Later], Scores]] = {
        "trained": (encoded if codes is None else [(factors, codes, names)], chosen),
        "untrained": ((encode(untrained, data, n, number) for number in numbers), chosen),
        # They take longest, so they run while the components are computed.
        "raw pixels": ([(factors, pixels, names)] * n_seeds, for_pixels),
        f"PCA, {k} components": ([(factors, pca, names)] * n_seeds, chosen),
        f"ICA, {k} components": ([(factors, ica, names)] * n_seeds, chosen),
    }
    if not for_pixels:
        del tables["raw pixels"]
    found = score_tables(tables, seed, n_jobs, bar.step)
    return {name: found[name] for name in sorted(found, key="raw pixels".__eq__)}


class _Bar:
    """A progress bar that several threads update."""

    def __init__(self, n: int, verbose: bool):
        import keras

        self._lock = threading.Lock()
        self._n = 0
        self._bar = keras.utils.Progbar(n, unit_name="score", verbose=int(verbose))

    def step(self) -> None:
        """Advances the bar by one score."""
        with self._lock:
            self._n += 1
            self._bar.update(self._n)
