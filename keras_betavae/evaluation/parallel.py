"""Tables of the scores of several representations, computed in parallel."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_betavae._utils.quantiles import FACTOR_BINS
from keras_betavae.evaluation.choice import Scores, choose
from keras_betavae.evaluation.score_table import Row, ScoreTable
from keras_betavae.metrics import SCORES, Score
from keras_betavae.metrics._samples import are_continuous

Sample = tuple[np.ndarray | None, np.ndarray, list[str] | None]
"""Factors (or None), codes, and the factors' names (or None)."""
Later = tuple[np.ndarray | None, Callable[[], np.ndarray], list[str] | None]
"""A sample whose codes are computed while others are scored."""


def score_tables(
    representations: Mapping[str, tuple[Iterable[Sample | Later], Scores]],
    seed: int,
    n_jobs: int | None,
    on_score: Callable[[], None],
) -> dict[str, ScoreTable]:
    """Returns the tables of several representations, which share the threads.

    Args:
        representations: By name, a sample for each of consecutive seeds, and the scores. They are
            scored in this order.
        seed: The first seed.
        n_jobs: As in `evaluate`.
        on_score: As in `evaluate`.
    """
    results: dict[str, dict[str, _Results]] = {name: {} for name in representations}

    def compute(task: tuple) -> None:
        result, sample, number = task
        result.add(sample, number, n_jobs)
        on_score()

    def tasks(drawn: Iterable[Sample | Later], number: int) -> Iterator[tuple]:
        for (name, (_, scores)), (factors, given, names) in zip(
            representations.items(), drawn, strict=True
        ):
            results[name] = results[name] or {
                score_name: _Results(score_name, score)
                for score_name, score in choose(
                    scores, 0 if factors is None else factors.shape[1], names
                ).items()
            }
            sample = factors, given() if callable(given) else given, names
            yield from ((result, sample, number) for result in results[name].values())

    samples = zip(*(drawn for drawn, _ in representations.values()), strict=True)
    for number, drawn in enumerate(samples, int(seed)):
        _in_threads(compute, tasks(drawn, number), n_jobs)
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
            has_bins = self._is_binned and name in _binning_rows(self._name, score, self._values)
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


def _binning_rows(name: str, score: Score, rows: Iterable[str]) -> set[str]:
    """Returns which rows of a score, under a name of the user's, bin continuous factors.

    A score of the user's own is given their values.
    """
    own_name = next((own for own, each in SCORES.items() if each == score), None)
    if own_name is None or not score.n_factors:
        return set()
    beginning, own_beginning = (each.removesuffix("_scores") for each in (name, own_name))
    regressed = {beginning + row.removeprefix(own_beginning) for row in score.regressed}
    return set(rows) - regressed


def _in_threads(
    function: Callable[[tuple], None], tasks: Iterator[tuple], n_jobs: int | None
) -> None:
    from joblib import effective_n_jobs

    n_threads = effective_n_jobs(n_jobs)
    if n_threads == 1:
        for task in tasks:
            function(task)
    else:
        with ThreadPoolExecutor(n_threads) as pool:
            try:
                list(pool.map(function, tasks))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


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
