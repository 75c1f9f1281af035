"""A model's scores with those of representations that nobody trained."""

from typing import Any

from keras_betavae import metrics
from keras_betavae.evaluation.score_table import ScoreTable
from keras_betavae.evaluation.scoring import (
    Scores,
    check_model_and_data,
    choose,
    encode,
    evaluate,
    evaluate_codes,
)


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
) -> dict[str, ScoreTable]:
    """Scores a model together with the controls that give its scores a meaning.

    Args:
        model: The trained model.
        untrained: The same network with its initial weights.
        data: As in `evaluate`.
        scores: As in `evaluate`.
        n: Number of images to draw and encode, the same ones for all.
        seed: Seed of the draw and of every score.
        n_seeds: As in `evaluate`; the images of PCA, ICA and the pixels are drawn once.
        n_jobs: As in `evaluate`.

    Returns:
        Tables by name: both models, PCA and ICA with 10 components, and raw pixels for
        those of the scores that can take so many codes. `side_by_side` prints them.

    Raises:
        TypeError: As `evaluate`.
        ValueError: As `evaluate`.
    """
    for each in (model, untrained):
        check_model_and_data(each, data)
    options: dict[str, Any] = {"seed": seed, "n_seeds": n_seeds, "n_jobs": n_jobs}
    factors, pixels, names = encode(metrics.pixel_codes, data, n, seed)
    chosen = choose(scores, 0 if factors is None else factors.shape[1], names)
    tables = {
        name: evaluate(each, data, scores=chosen, n=n, **options)
        for name, each in (("trained", model), ("untrained", untrained))
    }
    k = min(10, *pixels.shape)
    controls = {
        f"PCA, {k} components": (metrics.pca_codes(pixels, k, seed), chosen),
        f"ICA, {k} components": (metrics.ica_codes(pixels, k, seed), chosen),
        "raw pixels": (pixels, {name: s for name, s in chosen.items() if s.for_pixels}),
    }
    for name, (codes, some) in controls.items():
        if some:
            tables[name] = evaluate_codes(
                factors, codes, scores=some, factor_names=names, **options
            )
    return tables
