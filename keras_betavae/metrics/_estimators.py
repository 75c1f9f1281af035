"""The scikit-learn estimators of the scores."""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from threadpoolctl import threadpool_limits

ESTIMATORS = ("gradient_boosting", "random_forest", "lasso", "logistic_regression")


def make_estimator(estimator: Any, seed: int, *, regresses: bool = False) -> Any:
    """Returns a fresh scikit-learn estimator, seeded.

    Args:
        estimator: One of `ESTIMATORS`, or a scikit-learn estimator, which is copied.
        seed: For each `random_state` of it and its parts that is None.
        regresses: Whether trees by name are regressors instead of classifiers.

    Raises:
        ValueError: If the name is none of these.
    """
    from sklearn.base import clone

    estimator = clone(_named(estimator, regresses) if isinstance(estimator, str) else estimator)
    for name, value in estimator.get_params().items():
        if name.split("__")[-1] == "random_state" and value is None:
            estimator.set_params(**{name: int(seed) % 2**32})
    return estimator


@contextlib.contextmanager
def fitting() -> Iterator[None]:
    """A context in which estimators are fitted.

    Linear algebra uses one thread: the products are small, and scores must not depend on the
    number of cores. A fit that has not converged is used as it is, as in published tables.
    Threads share both settings: the first to enter sets them, and the last to leave restores the
    previous ones.
    """
    _SHARED.enter()
    try:
        yield
    finally:
        _SHARED.leave()


class _SharedSettings:
    """Settings of the process, held while at least one thread fits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._settings = contextlib.ExitStack()

    def enter(self) -> None:
        from sklearn.exceptions import ConvergenceWarning

        with self._lock:
            self._n_inside += 1
            if self._n_inside == 1:
                self._settings.enter_context(threadpool_limits(limits=1, user_api="blas"))
                self._settings.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", ConvergenceWarning)

    def leave(self) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._settings.close()


_SHARED = _SharedSettings()


def _named(name: str, regresses: bool) -> Any:
    from sklearn import ensemble
    from sklearn.linear_model import Lasso, LogisticRegression

    kind = "Regressor" if regresses else "Classifier"
    match name:
        case "gradient_boosting":
            return getattr(ensemble, f"GradientBoosting{kind}")()
        case "random_forest":
            return getattr(ensemble, f"RandomForest{kind}")()
        case "lasso":
            return Lasso(alpha=0.02)
        case "logistic_regression":
            return LogisticRegression(max_iter=1_000)
    raise ValueError(
        f"estimator must be a scikit-learn estimator or one of {', '.join(ESTIMATORS)}, got "
        f"{name!r}"
    )
