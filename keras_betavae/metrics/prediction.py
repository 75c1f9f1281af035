"""Scores from the prediction of factors from codes."""

from typing import Any, NamedTuple

import numpy as np

from keras_betavae.metrics._estimators import fitting, make_estimator
from keras_betavae.metrics._samples import draw_split, split_truth, standardize


class DCIScores(NamedTuple):
    """The result of `dci_scores`.

    Attributes:
        disentanglement: Whether each code is important for one factor.
        completeness: Whether each factor has one important code.
        informativeness: How well the factors are predicted.
    """

    disentanglement: float
    completeness: float
    informativeness: float


def dci_scores(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    estimator: Any = "gradient_boosting",
    n_train: int = 10_000,
    n_test: int = 5_000,
    n_jobs: int | None = None,
    seed: int = 0,
) -> DCIScores:
    r"""Returns disentanglement, completeness and informativeness.

    .. math::
        D = \sum_j \frac{R_{j \cdot}}{R_{\cdot \cdot}}
        \left(1 - H_K(R_{j \cdot})\right), \quad
        C = \sum_k \frac{R_{\cdot k}}{R_{\cdot \cdot}}
        \left(1 - H_D(R_{\cdot k})\right)

    with R the importance of code j in predicting factor k, a dot for a sum, and
    :math:`H_n` the entropy to the base n of a row or column scaled to sum to 1.
    Informativeness is the mean test score of the predictors: the accuracy of classifiers,
    R² (at least 0) of regressors. Continuous factors are regressed.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        estimator: Fitted per factor, to standardized codes:

            - `"gradient_boosting"`: scikit-learn's `GradientBoostingClassifier`, as in
              published tables; minutes for the factors of dSprites.
            - `"random_forest"`: `RandomForestClassifier`; seconds. Both use their regressors for
              continuous factors.
            - `"lasso"`: `Lasso(alpha=0.02)` on the standardized class numbers, for
              ordered factors; as in the paper.
            - any scikit-learn estimator that has `feature_importances_` or `coef_` after
              fitting. A regressor is fitted to standardized values or class numbers, a
              classifier to the quantile bins of continuous factors. R is the absolute
              importance, summed over classes if `coef_` has several rows.
        n_train: Samples that the estimators are fitted to.
        n_test: Samples that they are scored on. With fewer samples than both together,
            both shrink in proportion.
        n_jobs: Threads, a factor each; None is 1 and -1 is all cores.
        seed: Seed of the draw, and of estimators that are not seeded.

    Returns:
        Three numbers from 0 to 1 (best). If no code is important, disentanglement and
        completeness are 0; with a single code the completeness is 1. Deep trees assign
        importance to noise: with random forests the factors of dSprites themselves score
        0.6 (with gradient boosting 1), and noise 0. With Lasso noise may score high, because
        the few coefficients that exceed the penalty by chance look disentangled; the
        informativeness is then about 0.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, there are fewer than
            two factors, one has one value, or an option is out of range.
        TypeError: If the estimator has neither `feature_importances_` nor `coef_`.

    References:
        Eastwood & Williams, A Framework for the Quantitative Evaluation of Disentangled
        Representations, ICLR 2018. Locatello et al. 2019, appendix C.

    Example:
        >>> factors = np.stack(np.meshgrid(range(6), range(6)), -1).reshape(-1, 2)
        >>> scores = dci_scores(factors, factors * 1.0, estimator="lasso")
        >>> round(scores.disentanglement, 6)
        1.0
    """
    from joblib import Parallel, delayed

    y_train, x_train, y_test, x_test = split_truth(
        factors, codes, n_train, n_test, seed, n_factors=2
    )
    x_train, x_test = standardize(x_train, x_test)
    with fitting():
        fits = Parallel(n_jobs, prefer="threads")(
            delayed(_importance_and_score)(
                make_estimator(estimator, seed, regresses=bool(is_continuous)),
                x_train,
                (y_train.classes[:, k], y_train.values[:, k]),
                x_test,
                (y_test.classes[:, k], y_test.values[:, k]),
            )
            for k, is_continuous in enumerate(y_train.is_continuous)
        )
    importances = np.stack([importance for importance, _ in fits], axis=1)
    informativeness = float(np.mean([score for _, score in fits]))
    return DCIScores(_purity(importances), _purity(importances.T), informativeness)


def _importance_and_score(estimator, x_train, y_train, x_test, y_test):
    from sklearn.base import is_regressor

    (y_train, values), (y_test, new_values) = y_train, y_test
    if is_regressor(estimator):
        mean, std = values.mean(), values.std()
        y_train, y_test = (values - mean) / std, (new_values - mean) / std
    estimator.fit(x_train, y_train)
    importance = getattr(estimator, "feature_importances_", getattr(estimator, "coef_", None))
    if importance is None:
        raise TypeError(f"{estimator} has neither feature_importances_ nor coef_")
    importance = np.abs(importance).reshape(-1, x_train.shape[1]).sum(axis=0)
    return importance, max(0.0, estimator.score(x_test, y_test))


def _purity(importances: np.ndarray) -> float:
    """Returns 1 minus the entropy of each row, to the base of its length, weighted by its sum."""
    from scipy.special import entr

    n = importances.shape[1]
    total = importances.sum()
    if total == 0:
        return 0.0
    if n == 1:
        return 1.0
    rows = importances.sum(axis=1, keepdims=True)
    p = importances / np.where(rows > 0, rows, 1)
    entropy = entr(p).sum(axis=1) / np.log(n)
    return float(np.sum(rows[:, 0] / total * (1 - entropy)).clip(0, 1))


def sap_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    continuous: bool = False,
    n_train: int = 10_000,
    n_test: int = 5_000,
    seed: int = 0,
) -> float:
    r"""Returns the separated attribute predictability.

    .. math::
        \mathrm{SAP} = \frac{1}{K} \sum_k \left(S_{j(k) k} - \max_{j \neq j(k)} S_{jk}\right),
        \quad j(k) = \operatorname{argmax}_j S_{jk}

    with S the score of predicting factor k from code j only.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        continuous: If False, S is the test accuracy of a linear support vector classifier
            (C = 0.01, classes balanced), as in published tables. If True, S is the
            squared correlation with the class number on the training samples, for ordered
            factors. Continuous factors always use the squared correlation with their
            values.
        n_train: Samples that the classifiers are fitted to.
        n_test: Samples that they are scored on. With fewer samples than both together,
            both shrink in proportion.
        seed: Seed of the draw.

    Returns:
        From 0 to 1 (best). A single code is compared with a constant one. One linear function
        per value can hardly separate a value in the middle of a code's range, so perfect
        codes of many values score far below 1 with the classifier: 0.25 with the factors of
        dSprites. Codes are not rescaled for the classifier, and small ones usually score even
        lower.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, a factor has only one
            value, or an option is out of range.

    References:
        Kumar, Sattigeri & Balakrishnan, Variational Inference of Disentangled Latent
        Concepts from Unlabeled Observations, ICLR 2018, section 3. Locatello et al. 2019,
        appendix C.

    Example:
        >>> factors = np.stack(np.meshgrid(range(6), range(6)), -1).reshape(-1, 2)
        >>> round(sap_score(factors, factors * 1.0, continuous=True), 2)
        0.99
    """
    y_train, x_train, y_test, x_test = split_truth(factors, codes, n_train, n_test, seed)
    if x_train.shape[1] == 1:
        x_train, x_test = (np.pad(x, ((0, 0), (0, 1))) for x in (x_train, x_test))
    predictability = _squared_correlation(x_train, y_train.values)
    classified = np.flatnonzero(~(y_train.is_continuous | continuous))
    if len(classified):
        predictability[:, classified] = _single_code_accuracy(
            x_train, y_train.classes[:, classified], x_test, y_test.classes[:, classified]
        )
    ranked = np.sort(predictability, axis=0)
    return float(np.mean(ranked[-1] - ranked[-2]))


def _squared_correlation(codes, values) -> np.ndarray:
    (codes,), (values,) = standardize(codes), standardize(values)
    with fitting():
        return (codes.T @ values / len(codes)) ** 2


def _single_code_accuracy(x_train, y_train, x_test, y_test) -> np.ndarray:
    from sklearn.svm import LinearSVC

    accuracy = np.empty((x_train.shape[1], y_train.shape[1]))
    with fitting():
        for j, k in np.ndindex(accuracy.shape):
            # The primal problem has one solution; without a seed np.random would be used.
            classifier = LinearSVC(C=0.01, class_weight="balanced", dual=False, random_state=0)
            classifier.fit(x_train[:, [j]], y_train[:, k])
            accuracy[j, k] = classifier.score(x_test[:, [j]], y_test[:, k])
    return accuracy


def explicitness_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    n_train: int = 10_000,
    n_test: int = 5_000,
    seed: int = 0,
) -> float:
    r"""Returns the explicitness: how well a linear classifier separates the factors' values.

    .. math:: \frac{1}{K} \sum_k \frac{1}{|Y_k|} \sum_{y \in Y_k} \mathrm{AUC}_{ky}

    with AUC the area under the ROC curve of one value against the rest, from the
    probabilities of a multinomial logistic regression per factor (scikit-learn's
    defaults) on standardized codes.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        n_train: Samples that the regressions are fitted to.
        n_test: Samples that they are scored on. With fewer samples than both together,
            both shrink in proportion.
        seed: Seed of the draw.

    Returns:
        From 0 to 1 (best); chance level is 0.5. Values that the training or the test samples
        lack, or that all test samples have, are left out. The score does not require
        disentanglement: a rotation of the codes changes it little.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, a factor has only one
            value, or an option is out of range.

    References:
        Ridgeway & Mozer, Learning Deep Disentangled Embeddings With the F-Statistic Loss,
        NeurIPS 2018, section 3. Locatello et al. 2019, appendix C.

    Example:
        >>> factors = np.stack(np.meshgrid(range(2), range(8)), -1).reshape(-1, 2)
        >>> explicitness_score(factors[:, :1], factors * 1.0)
        1.0
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    y_train, x_train, y_test, x_test = draw_split(factors, codes, n_train, n_test, seed)
    x_train, x_test = standardize(x_train, x_test)
    areas = []
    with fitting():
        models = [LogisticRegression().fit(x_train, y) for y in y_train.T]
    for model, y_new in zip(models, y_test.T, strict=True):
        probabilities = model.predict_proba(x_test)
        is_value = y_new[:, None] == model.classes_
        shown = is_value.any(axis=0) & ~is_value.all(axis=0)
        if not shown.any():
            raise ValueError(
                f"the {len(y_new)} samples to test on show too few values of a factor; encode "
                "more images"
            )
        areas.append(roc_auc_score(is_value[:, shown], probabilities[:, shown]))
    return float(np.mean(areas))
