"""Tables of the scores of several representations, computed in parallel."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_betavae._utils.quantiles import FACTOR_BINS
from keras_betavae.evaluation.choice import Scores, choose
from keras_betavae.evaluation.score_table import Row, ScoreTable
from keras_betavae.metrics import Score
from keras_betavae.metrics._samples import are_continuous

Sample = tuple[np.ndarray | None, np.ndarray, list[str] | None]
"""Factors (or None), codes, and the factors' names (or None)."""


def score_tables(
    representations: Mapping[str, tuple[Iterable[Sample], Scores]],
    seed: int,
    n_jobs: int | None,
    on_score: Callable[[], None],
) -> dict[str, ScoreTable]:
    """Returns the tables of several representations, which share the threads.

    Args:
        representations: By name, a sample for each of consecutive seeds, and the scores. Samples
            are drawn in this order, while earlier ones are scored.
        seed: The first seed.
        n_jobs: As in `evaluate`.
        on_score: As in `evaluate`.
    """
    results: dict[str, dict[str, _Results]] = {name: {} for name in representations}

    def tasks() -> Iterator[tuple]:
        for name, (samples, scores) in representations.items():
            for number, sample in enumerate(samples, int(seed)):
                factors, _, names = sample
                results[name] = results[name] or {
                    score_name: _Results(score_name, score)
                    for score_name, score in choose(
                        scores, 0 if factors is None else factors.shape[1], names
                    ).items()
                }
                yield from ((result, sample, number) for result in results[name].values())

    def compute(task: tuple) -> tuple:
        result, sample, number = task
        found = result.compute(sample, number, n_jobs)
        on_score()
        return result, sample, *found

    # In order, as the interval depends on the order of the values.
    for result, sample, rows, seconds in _in_threads(compute, tasks(), n_jobs):
        result.add(sample, rows, seconds)
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

    def compute(self, sample: Sample, seed: int, n_jobs: int | None) -> tuple:
        """Returns the rows of a sample's score, and the seconds that they took."""
        factors, codes, names = sample
        start = time.perf_counter()
        options = {"seed": seed, "factor_names": names, "n_jobs": n_jobs}
        rows = _compute(self._name, self._score, factors, codes, options)
        return rows, time.perf_counter() - start

    def add(self, sample: Sample, rows: list[tuple[str, float]], seconds: float) -> None:
        """Adds the result of the next seed."""
        factors, codes, _ = sample
        for row, value in rows:
            self._values.setdefault(row, []).append(value)
        self._seconds += seconds
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


def _in_threads(
    function: Callable[[tuple], tuple], tasks: Iterator[tuple], n_jobs: int | None
) -> list[tuple]:
    """Returns the results of all tasks, the first of which run while the others are made."""
    from joblib import effective_n_jobs

    n_threads = effective_n_jobs(n_jobs)
    if n_threads == 1:
        return list(map(function, tasks))
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, tasks))


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
