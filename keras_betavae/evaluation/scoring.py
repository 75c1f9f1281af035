"""Scores of a model, or of given codes."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_betavae._utils.quantiles import FACTOR_BINS
from keras_betavae.evaluation.score_table import Row, ScoreTable
from keras_betavae.metrics import SCORES, Score
from keras_betavae.metrics._samples import are_continuous, check_codes, check_factors_and_codes

Scores = str | Iterable[str] | Mapping[str, Callable | Score]
_MOST_FACTORS = max(score.n_factors for score in SCORES.values())
Sample = tuple[np.ndarray | None, np.ndarray, list[str] | None]
"""Factors (or None), codes, and the factors' names (or None)."""


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


def choose(
    scores: Scores, n_factors: int, factor_names: Sequence[str] | None = None
) -> dict[str, Score]:
    """Returns the entries that the argument `scores` of `evaluate` selects.

    Args:
        scores: As in `evaluate`.
        n_factors: Number of known factors with more than one value.
        factor_names: Their names, or None.

    Raises:
        ValueError: If a name is unknown, or a score compares several models.
    """
    chosen: dict[str, Score] = {}
    if isinstance(scores, Mapping):
        for name, each in scores.items():
            chosen[name] = each if isinstance(each, Score) else Score(each)
    else:
        for name in [scores] if isinstance(scores, str) else scores:
            if name in ("all", "fast"):
                chosen |= _group(name, n_factors, factor_names or ())
            elif name in SCORES:
                chosen[name] = SCORES[name]
            else:
                known = ", ".join(n for n, s in SCORES.items() if not s.several_models)
                raise ValueError(f"scores must be all, fast or of {known}, got {name!r}")
    for name, score in chosen.items():
        if score.several_models:
            raise ValueError(f"{name} compares several models; call it with the codes of each")
    return chosen


def left_out(scores: Scores, data: Any) -> str | None:
    """Returns a line on the scores that `evaluate` leaves out for lack of factors, or None.

    Args:
        scores: As in `evaluate`.
        data: As in `evaluate`.
    """
    names = [data.factor_names[k] for k in data.varying] if data.factor_names else []
    computed = choose(scores, len(names), names)
    missing = [name for name in choose(scores, _MOST_FACTORS) if name not in computed]
    if not missing:
        return None
    needed, found = ("factors", "none") if not names else ("two factors", " and ".join(names))
    return f"Left out, for they need {needed} and there is {found}: {', '.join(missing)}"


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
    """Returns the factors with more than one value, the codes and the factors' names."""
    factors, codes = data.encode_with(model, n, seed)
    kept = list(data.varying) if data.factor_names else []
    if not kept:
        return None, check_codes(codes), None
    factors, codes = check_factors_and_codes(factors, codes)
    return factors[:, kept], codes, [data.factor_names[k] for k in kept]


def flatten(name: str, result: Any) -> Iterable[tuple[str, float]]:
    """Yields the row name and the value of each number in a score's result.

    The rows of `dci_scores`, or of `dci`, begin with `dci_`.
    """
    if hasattr(result, "_asdict"):
        result = result._asdict()
    if not isinstance(result, Mapping):
        yield name, result
        return
    for key, value in result.items():
        yield from flatten(f"{name.removesuffix('_scores')}_{key}", value)


def seeds(seed: int, n_seeds: int) -> range:
    """Returns consecutive seeds.

    Raises:
        ValueError: If there are none.
    """
    if n_seeds < 1:
        raise ValueError(f"n_seeds must be at least 1, got {n_seeds}")
    return range(int(seed), int(seed) + n_seeds)


def score_tables(
    representations: Mapping[str, tuple[Iterable[Sample], Scores]],
    seed: int,
    n_jobs: int | None,
    on_score: Callable[[], None],
) -> dict[str, ScoreTable]:
    """Returns the tables of several representations, which share the threads.

    Args:
        representations: By name, a sample for each of consecutive seeds, and the scores.
        seed: The first seed.
        n_jobs: As in `evaluate`.
        on_score: As in `evaluate`.
    """
    results: dict[str, dict[str, _Results]] = {name: {} for name in representations}

    def compute(task: tuple) -> None:
        result, sample, number = task
        result.add(sample, number, n_jobs)
        on_score()

    samples = zip(*(drawn for drawn, _ in representations.values()), strict=True)
    for number, drawn in enumerate(samples, int(seed)):
        tasks = []
        for (name, (_, scores)), sample in zip(representations.items(), drawn, strict=True):
            factors, _, names = sample
            results[name] = results[name] or {
                score_name: _Results(score_name, score)
                for score_name, score in choose(
                    scores, 0 if factors is None else factors.shape[1], names
                ).items()
            }
            tasks += [(result, sample, number) for result in results[name].values()]
        # Scores of many codes take longest: begun last, they would run alone.
        tasks.sort(key=lambda task: -task[1][1].shape[1])
        _in_threads(compute, tasks, n_jobs)
    return {
        name: ScoreTable([row for each in found.values() for row in each.rows(int(seed))])
        for name, found in results.items()
    }


class _Results:
    """The results of one score over consecutive seeds."""

    def __init__(self, name: str, score: Score):
        self._name, self._score = name, score
        self._n_codes, self._seconds, self._is_binned = 0, 0.0, False
        self._values: dict[str, list[float]] = {}

    def add(self, sample: Sample, seed: int, n_jobs: int | None) -> None:
        """Computes the score of a sample."""
        factors, codes, names = sample
        start = time.perf_counter()
        options = {"seed": seed, "factor_names": names, "n_jobs": n_jobs}
        for row, value in _compute(self._name, self._score, factors, codes, options):
            self._values.setdefault(row, []).append(value)
        self._seconds += time.perf_counter() - start
        self._n_codes = len(codes)
        self._is_binned = factors is not None and bool(are_continuous(factors).any())

    def rows(self, seed: int) -> Iterable[Row]:
        """Yields the rows of a table; `seed` is the first."""
        score, n_codes = self._score, self._n_codes
        for name, values in self._values.items():
            has_bins = self._is_binned and score.n_factors and name not in score.regressed
            yield Row(
                name,
                self._name,
                float(np.mean(values)),
                *_interval(values, seed),
                score.larger_is_better,
                seed,
                len(values),
                n_codes,
                *score.sample_sizes(n_codes),
                self._seconds,
                factor_bins=FACTOR_BINS if has_bins else None,
            )


def _in_threads(function: Callable[[Any], None], tasks: list, n_jobs: int | None) -> None:
    from joblib import effective_n_jobs

    n_threads = effective_n_jobs(n_jobs)
    if n_threads == 1:
        for task in tasks:
            function(task)
    else:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(function, tasks))


def _group(group: str, n_factors: int, factor_names: Sequence[str]) -> dict[str, Score]:
    """Returns the scores of a group that the known factors suffice for."""
    return {
        name: score
        for name, score in SCORES.items()
        if group in ("all", score.group)
        and not score.several_models
        and score.n_factors <= n_factors - len(set(score.ignored_factors) & set(factor_names))
    }


def _compute(
    name: str, score: Score, factors: np.ndarray | None, codes: np.ndarray, options: dict[str, Any]
) -> list[tuple[str, float]]:
    if score.n_factors and factors is None:
        raise ValueError(f"{name} needs factors, and there are none")
    arrays = (factors, codes) if score.n_factors else (codes,)
    try:
        result = score.function(*arrays, **{option: options[option] for option in score.options})
        return [(row, float(value)) for row, value in flatten(name, result)]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    except Exception as error:
        error.add_note(f"in the score {name}")
        raise


def _interval(values: list[float], seed: int) -> tuple[float | None, float | None]:
    if len(values) == 1 or not np.isfinite(values).all():
        return None, None
    from scipy.stats import bootstrap

    # The percentile method has no acceleration, which equal values would make undefined.
    interval = bootstrap(
        (np.array(values),), np.mean, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return float(interval.low), float(interval.high)
