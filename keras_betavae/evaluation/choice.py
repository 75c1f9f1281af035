"""The scores that `evaluate` computes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from keras_betavae.metrics import SCORES, Score

Scores = str | Iterable[str] | Mapping[str, Callable | Score]
_MOST_FACTORS = max(score.n_factors for score in SCORES.values())


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
    found = f"only {' and '.join(names)}" if names else "none"
    ignored = {name for score in SCORES.values() for name in score.ignored_factors} & set(names)
    besides = f" besides {' and '.join(sorted(ignored))}" if len(names) > 1 else ""
    needed = f"two factors{besides}" if names else "factors"
    return f"Left out, because they need {needed} and the data have {found}: {', '.join(missing)}"


def _group(group: str, n_factors: int, factor_names: Sequence[str]) -> dict[str, Score]:
    """Returns the scores of a group that the known factors suffice for."""
    return {
        name: score
        for name, score in SCORES.items()
        if group in ("all", score.group)
        and not score.several_models
        and score.n_factors <= n_factors - len(set(score.ignored_factors) & set(factor_names))
    }
