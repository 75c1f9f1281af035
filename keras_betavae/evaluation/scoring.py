"""Scoring a model by many scores from one encoding."""

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from keras_betavae import metrics
from keras_betavae.evaluation.score_table import Row, ScoreTable
from keras_betavae.metrics import SCORES, Score
from keras_betavae.metrics._samples import check_codes, check_factors_and_codes, split_sizes

Scores = str | Iterable[str] | Mapping[str, Callable] | Mapping[str, Score]
OF_MANY_CODES = ("beta_vae_score", "beta_vae_score_locatello", "beta_vae_score_scale_free")


def evaluate(
    model_or_codes: Any,
    data: Any = None,
    *,
    scores: Scores = "all",
    n: int = 20_000,
    seed: int = 0,
    n_seeds: int = 1,
    factor_names: Iterable[str] | None = None,
    n_jobs: int | None = None,
) -> ScoreTable:
    """Scores a model or codes by many scores, from one encoding.

    Args:
        model_or_codes: Anything that `ImageDataset.encode_with` takes (a model with a
            method `encode`, or a function from uint8 images to codes), or codes
            (n_samples, latent_dim).
        data: For a model a `FactorDataset`, or an `ImageDataset`, which leaves the scores that
            need no factors. For codes the factors (n_samples, n_factors)
            of the same images, or the `FactorDataset` of which they encode every image in
            order, or None, which leaves the scores that need no factors. Factors that have
            one value in a `FactorDataset` are left out.
        scores: `"all"` (many minutes: gradient boosting), `"fast"` (seconds), names or
            entries of `metrics.SCORES`, or functions of `(factors, codes)` by name of your own,
            which are handed `seed`, `factor_names` and `n_jobs` where they take them (and
            no `partial` has bound them) and return a number, or several in a named tuple
            or a dict. The two groups leave out what the data has no factors for.
        n: Images that are drawn and encoded, at most all; codes are taken whole.
        seed: Seed of the draw and of every score.
        n_seeds: With more than one, everything (for codes, only the scores' own draws) is
            done with each of the seeds seed, seed + 1, ...; the value is the mean, and
            the interval its 95 % bootstrap percentile interval over the seeds, which of
            few seeds is too narrow.
        factor_names: A name for each column of a factors array; `beta_vae_score` leaves
            out the one named "shape".
        n_jobs: Threads of the scores that fit many estimators; None is 1, -1 all cores.

    Returns:
        A dict of the values that prints as a table; a composite score such as
        `dci_scores` has rows `dci_disentanglement` and so on.

    Raises:
        ValueError: If a score is unknown, or its data does not do; the message names the
            score.

    Example:
        >>> factors = np.stack(np.meshgrid(range(8), range(8)), -1).reshape(-1, 2)
        >>> evaluate(factors / 8.0, factors, scores=["mig_score"])["mig_score"]
        1.0
    """
    if n_seeds < 1:
        raise ValueError(f"n_seeds must be at least 1, got {n_seeds}")
    seconds: dict[str, float] = {}
    values: dict[tuple[str, str], list[float]] = {}
    chosen: dict[str, Score] = {}
    codes = np.empty((0, 0))
    for number in range(int(seed), int(seed) + n_seeds):
        if number == seed or not _are_codes(model_or_codes):
            factors, codes, names = _encode(model_or_codes, data, n, number, factor_names)
        chosen = chosen or choose(scores, 0 if factors is None else factors.shape[1], names)
        for score_name, score in chosen.items():
            start = time.perf_counter()
            options = {"seed": number, "factor_names": names, "n_jobs": n_jobs}
            for name, value in _compute(score_name, score, factors, codes, options):
                values.setdefault((score_name, name), []).append(value)
            seconds[score_name] = seconds.get(score_name, 0.0) + time.perf_counter() - start
    rows = []
    for (score_name, name), found in values.items():
        score = chosen[score_name]
        n_train, n_test = _sample_sizes(score.function, len(codes))
        low, high = _interval(found, int(seed))
        made = int(seed), len(found), len(codes), n_train, n_test, seconds[score_name]
        mean, better = float(np.mean(found)), score.larger_is_better
        rows.append(Row(name, score_name, mean, low, high, better, *made))
    return ScoreTable(rows)


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
    """Scores a model beside the controls that give its scores a meaning.

    Args:
        model: The trained model.
        untrained: The same network with the weights that it started from.
        data: As for a model in `evaluate`.
        scores: As in `evaluate`.
        n: Images that are drawn and encoded, the same for all.
        seed: Seed of the draw and of every score.
        n_seeds: As in `evaluate`; the images of the PCA, ICA and pixels are drawn once.
        n_jobs: As in `evaluate`.

    Returns:
        Tables by name: both models, PCA and ICA with 10 components, and, where
        `beta_vae_score` is chosen, raw pixels, which are too many codes for the others.
        `side_by_side` prints them.
    """
    options: dict[str, Any] = {"seed": seed, "n_seeds": n_seeds, "n_jobs": n_jobs}
    factors, pixels, names = _encode(metrics.pixel_codes, data, n, seed, None)
    scores = choose(scores, 0 if factors is None else factors.shape[1], names)
    of_pixels = {name: score for name, score in scores.items() if name in OF_MANY_CODES}
    k = min(10, *pixels.shape)
    controls = {
        f"PCA, {k} components": (metrics.pca_codes(pixels, k, seed), scores),
        f"ICA, {k} components": (metrics.ica_codes(pixels, k, seed), scores),
        "raw pixels": (pixels, of_pixels),
    }
    tables = {
        name: evaluate(each, data, scores=scores, n=n, **options)
        for name, each in (("trained", model), ("untrained", untrained))
    }
    for name, (codes, chosen) in controls.items():
        if chosen:
            tables[name] = evaluate(codes, factors, scores=chosen, factor_names=names, **options)
    return tables


def _are_codes(model_or_codes: Any) -> bool:
    return not callable(getattr(model_or_codes, "encode", model_or_codes))


def _encode(model_or_codes, data, n, seed, factor_names):
    """Returns factors (None without), codes, and the factors' names (None without)."""
    if hasattr(data, "encode_with"):
        if factor_names is not None:
            raise ValueError("factor_names go with an array of factors; a dataset has its own")
        if _are_codes(model_or_codes):
            codes, factors = np.asarray(model_or_codes), data.factors_at(np.arange(len(data)))
        else:
            factors, codes = data.encode_with(model_or_codes, n, seed)
        if not data.factor_names:
            return None, check_codes(codes), None
        factors, codes = check_factors_and_codes(factors, codes)
        kept = list(data.varying)
        return factors[:, kept], codes, [data.factor_names[k] for k in kept]
    if not _are_codes(model_or_codes):
        raise ValueError("data must be a data set where a model is to encode its images")
    if data is None:
        return None, check_codes(model_or_codes), None
    factors, codes = check_factors_and_codes(data, model_or_codes)
    names = None if factor_names is None else list(factor_names)
    if names is not None and len(names) != factors.shape[1]:
        raise ValueError(f"factor_names has {len(names)} names for {factors.shape[1]} factors")
    return factors, codes, names


def choose(
    scores: Scores, n_factors: int, factor_names: Iterable[str] | None = None
) -> dict[str, Score]:
    """Returns what `scores` of `evaluate` names.

    Raises:
        ValueError: If a name is unknown, or a score compares several models.
    """
    if isinstance(scores, Mapping):
        chosen = {
            name: each if isinstance(each, Score) else Score(each, "", needs="factors")
            for name, each in scores.items()
        }
    else:
        chosen = {}
        for name in [scores] if isinstance(scores, str) else scores:
            if name in ("all", "fast"):
                chosen |= _group(name, n_factors, list(factor_names or ()))
            elif name in SCORES:
                chosen[name] = SCORES[name]
            else:
                known = ", ".join(n for n, s in SCORES.items() if s.needs != "several models")
                raise ValueError(f"scores must be all, fast or of {known}, got {name!r}")
    for name, score in chosen.items():
        if score.needs == "several models":
            raise ValueError(f"{name} compares several models; call it with the codes of each")
    return chosen


def _group(group: str, n_factors: int, factor_names: list[str]) -> dict[str, Score]:
    """Returns the scores of a group that so many factors will do for."""
    n_needed = {"codes": 0, "factors": 1, "two factors": 2, "several models": np.inf}
    chosen = {
        name: score
        for name, score in SCORES.items()
        if n_needed[score.needs] <= n_factors and group in ("all", score.group)
    }
    if n_factors == 2 and "shape" in factor_names:
        chosen.pop("beta_vae_score", None)  # It leaves the shape out.
    return chosen


def _compute(
    name: str, score: Score, factors, codes, options: dict[str, Any]
) -> list[tuple[str, float]]:
    bound = getattr(score.function, "keywords", {})
    taken = _parameters(score.function).keys() - bound.keys()
    options = {k: value for k, value in options.items() if k in taken and value is not None}
    if score.needs != "codes" and factors is None:
        raise ValueError(f"{name} needs factors, and data has none")
    arrays = (codes,) if score.needs == "codes" else (factors, codes)
    try:
        result = score.function(*arrays, **options)
        return [(row, float(value)) for row, value in flatten(name, result)]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    except Exception as error:
        error.add_note(f"in the score {name}")
        raise


def flatten(name: str, result: Any) -> Iterable[tuple[str, float]]:
    """Yields the name and value of each number of a score's result."""
    if hasattr(result, "_asdict"):
        result = result._asdict()
    if not isinstance(result, Mapping):
        yield name, result
        return
    for key, value in result.items():
        yield from flatten(f"{name.removesuffix('_scores')}_{key}", value)


def _sample_sizes(function: Callable, n_codes: int) -> tuple[int, int | None]:
    taken = _parameters(function)
    known = {getattr(score.function, "func", score.function) for score in SCORES.values()}
    if getattr(function, "func", function) not in known:
        return n_codes, None
    if "sizes" in taken:
        n_test = max(1, min(taken["n_test"], n_codes // 3))
        return max(size for size in taken["sizes"] if size <= n_codes - n_test), n_test
    if "n_pairs" in taken or "n_per_vote" in taken:
        return taken["n_train"], taken["n_test"]
    if "n_test" in taken:
        return split_sizes(n_codes, taken["n_train"], taken["n_test"])
    return min(n_codes, taken.get("n_samples", n_codes)), None


def _parameters(function: Callable) -> dict[str, Any]:
    """Returns a function's parameters and their defaults."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # Some that are written in C do not tell.
        return {}
    return {name: parameter.default for name, parameter in parameters.items()}


def _interval(values: list[float], seed: int) -> tuple[float | None, float | None]:
    if len(values) == 1 or not np.isfinite(values).all():
        return None, None
    from scipy.stats import bootstrap

    # The percentile method has no acceleration, which equal values would make undefined.
    interval = bootstrap(
        (np.array(values),), np.mean, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return float(interval.low), float(interval.high)
