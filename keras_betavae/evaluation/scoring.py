"""Scores of a model, or of given codes."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from keras_betavae.evaluation.choice import Scores
from keras_betavae.evaluation.parallel import Sample, score_tables
from keras_betavae.evaluation.score_table import ScoreTable
from keras_betavae.metrics._samples import check_codes, check_factors_and_codes


def evaluate(
    model: Any,
    data: Any,
    *,
    scores: Scores = "all",
    n: int = 20_000,
    seed: int = 0,
    n_seeds: int = 1,
    n_jobs: int | None = None,
    on_score: Callable[[], None] = lambda: None,
) -> ScoreTable:
    """Scores a model on a data set. The images are encoded once for all scores.

    Args:
        model: Anything with a method `encode`, such as `BetaVAE`; or a function from uint8
            images `(batch, *image_shape)` to codes (batch, latent_dim), or to a tuple that
            begins with the codes.
        data: A `FactorDataset`; or an `ImageDataset`, for scores that need no factors. Factors
            with only one value are left out.
        scores: One of:

            - `"all"` (many minutes, mostly for gradient boosting) or `"fast"` (seconds). Both
              leave out scores that need more factors than the data have.
            - Names in `metrics.SCORES`, which may include the two groups.
            - A dict from your own names to functions of `(factors, codes)`, or to
              `metrics.Score`, which declares further arguments. A function returns a number,
              or several in a named tuple or a dict.
        n: Number of images to draw and encode, at most all.
        seed: Seed of the draw and of every score.
        n_seeds: If above 1, the draw and the scores are repeated with the seeds seed, seed + 1,
            ... The value is then the mean, with a 95 % bootstrap percentile interval over the
            seeds, which is too narrow for few seeds.
        n_jobs: Number of scores to compute in parallel, and threads of scores that fit many
            estimators; None means 1, -1 all cores.
        on_score: Called after each score, to show progress.

    Returns:
        A dict of the values that prints as a table. A composite score such as `dci_scores`
        has rows `dci_disentanglement` and so on.

    Raises:
        TypeError: If `model` is not a model or function (use `evaluate_codes` for codes), or is a
            bare network, which expects scaled images; or if `data` is not a data set.
        ValueError: If a score is unknown or cannot be computed from this data; the message
            names the score.

    Example:
        >>> from keras_betavae.datasets import load_sprites
        >>> data = load_sprites(orientation=4, pos_x=4, pos_y=4)
        >>> def center(images):
        ...     return np.stack([images.mean((1, 3)).argmax(1), images.mean((2, 3)).argmax(1)], 1)
        >>> evaluate(center, data, scores=["active_units"])["active_units"]
        2.0
    """
    check_model_and_data(model, data)
    samples = (encode(model, data, n, number) for number in seeds(seed, n_seeds))
    return score_tables({"": (samples, scores)}, seed, n_jobs, on_score)[""]


def evaluate_codes(
    factors: np.ndarray | None,
    codes: np.ndarray,
    *,
    scores: Scores = "all",
    factor_names: Iterable[str] | None = None,
    seed: int = 0,
    n_seeds: int = 1,
    n_jobs: int | None = None,
    on_score: Callable[[], None] = lambda: None,
) -> ScoreTable:
    """Scores codes from any source.

    Args:
        factors: Factors, (n_samples, n_factors); None for scores that need no factors.
        codes: Codes, (n_samples, latent_dim).
        scores: As in `evaluate`.
        factor_names: A name for each factor; `beta_vae_score` leaves out the one named
            "shape".
        seed: Seed of every score.
        n_seeds: As in `evaluate`; only the scores' own draws differ between seeds.
        n_jobs: As in `evaluate`.
        on_score: As in `evaluate`.

    Returns:
        As `evaluate`.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, a factor has only one value,
            `factor_names` does not fit, or a score is unknown or cannot be computed.

    Example:
        >>> factors = np.stack(np.meshgrid(range(8), range(8)), -1).reshape(-1, 2)
        >>> evaluate_codes(factors, factors / 8.0, scores=["mig_score"])["mig_score"]
        1.0
    """
    names = None if factor_names is None else list(factor_names)
    if factors is None:
        if names is not None:
            raise ValueError("factor_names name the columns of factors, which is None")
        codes = check_codes(codes)
    else:
        factors, codes = check_factors_and_codes(factors, codes)
        if names is not None and len(names) != factors.shape[1]:
            raise ValueError(f"factor_names has {len(names)} names for {factors.shape[1]} factors")
    samples = [(factors, codes, names)] * len(seeds(seed, n_seeds))
    return score_tables({"": (samples, scores)}, seed, n_jobs, on_score)[""]


def check_model_and_data(model: Any, data: Any) -> None:
    """Raises TypeError unless `model` is a model or function and `data` a data set."""
    import keras

    network = getattr(model, "__self__", model)  # The owner of a method, such as encoder.predict.
    if isinstance(network, keras.Layer) and not hasattr(network, "encode"):
        raise TypeError(
            f"model must have a method encode or be a function, got the network {network.name!r}, "
            "which takes images that are scaled already; pass the BetaVAE, or a function such as "
            "lambda images: encoder(images / 255.0)"
        )
    if not callable(getattr(model, "encode", model)):
        raise TypeError(
            f"model must have a method encode or be a function, got {type(model).__name__}; codes "
            "are scored by evaluation.evaluate_codes(factors, codes)"
        )
    if not hasattr(data, "encode_with"):
        raise TypeError(
            f"data must be an ImageDataset or FactorDataset, got {type(data).__name__}; codes go "
            "to evaluation.evaluate_codes(factors, codes), images first to datasets.from_arrays"
        )


def encode(model: Any, data: Any, n: int, seed: int) -> Sample:
    """Returns the factors with more than one value, the codes and the factors' names.

    Raises:
        ValueError: If all images drawn have the same value of a factor.
    """
    factors, codes = data.encode_with(model, n, seed)
    kept = list(data.varying) if data.factor_names else []
    if not kept:
        return None, check_codes(codes), None
    factors, codes = check_factors_and_codes(factors, codes)
    if constant := [data.factor_names[k] for k in kept if not np.ptp(factors[:, k])]:
        raise ValueError(
            f"all {len(factors)} images drawn have one value of {', '.join(constant)}; raise n"
        )
    return factors[:, kept], codes, [data.factor_names[k] for k in kept]


def seeds(seed: int, n_seeds: int) -> range:
    """Returns consecutive seeds.

    Raises:
        ValueError: If there are none.
    """
    if n_seeds < 1:
        raise ValueError(f"n_seeds must be at least 1, got {n_seeds}")
    return range(int(seed), int(seed) + n_seeds)
