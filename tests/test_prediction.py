import itertools
import threading
import time
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from keras_betavae.metrics import dci_scores, explicitness_score, sap_score
from keras_betavae.metrics._samples import draw_split

SCORES = {
    "dci": lambda *arguments, **options: dci_scores(*arguments, estimator="lasso", **options),
    "sap": sap_score,
    "sap continuous": lambda *a, **options: sap_score(*a, continuous=True, **options),
    "explicitness": explicitness_score,
}


def drawn_factors(sizes, n, seed=0):
    return np.random.default_rng(seed).integers(0, sizes, (n, len(sizes)))


def standardized(factors, sizes):
    sizes = np.array(sizes)
    return (factors - (sizes - 1) / 2) / np.sqrt((sizes**2 - 1) / 12)


def rotation(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


def standard_error(share, n):
    """Of a share of n independent draws."""
    return np.sqrt(share * (1 - share) / n)


def entropy(*importances):
    """To the base of their number."""
    return stats.entropy(importances, base=len(importances))


# Three factors in four codes, with noise, so that no prediction is perfect.
FACTORS = drawn_factors((2, 3, 4), 300)
RNG = np.random.default_rng(1)
MIXED = FACTORS @ RNG.normal(size=(3, 4)) + 0.5 * RNG.normal(size=(300, 4))
# Two factors of equal variance. In 10,000 samples to fit to, correlations by chance are of
# standard error 0.01, and so are shares of variances.
MANY = drawn_factors((4, 4), 20_000)
UNIT = standardized(MANY, (4, 4))


# The samples that all of these scores fit to and are tested on.


@pytest.mark.parametrize(
    ("n_train", "n_test", "expected"),
    [
        (120, 30, (120, 30)),
        (200, 100, (200, 100)),
        (10_000, 5_000, (200, 100)),  # 300 samples in shares of 2 to 1.
        (100, 300, (75, 225)),  # 1 to 3.
        (10**6, 1, (299, 1)),
    ],
)
def test_samples_to_fit_to_and_to_test_on_are_disjoint(n_train, n_test, expected):
    class Recorder(DecisionTreeClassifier):
        def fit(self, x, y):
            fitted.append(x)
            return super().fit(x, y)

        def score(self, x, y):
            tested.append(x)
            return super().score(x, y)

    fitted, tested = [], []
    codes = np.stack([np.arange(300.0), MIXED[:, 0]], axis=1)
    dci_scores(FACTORS, codes, estimator=Recorder(), n_train=n_train, n_test=n_test)
    for x, x_new in zip(fitted, tested, strict=True):
        assert (len(x), len(x_new)) == expected
        # Standardized by the samples to fit to. The first code numbers the samples.
        np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(x.std(axis=0), 1)
        numbers = np.concatenate([x, x_new])[:, 0]
        assert len(np.unique(numbers)) == sum(expected)


# DCI: against the definition.


def dci_by_hand(importances):
    """Disentanglement and completeness, row by row, from (codes, factors)."""
    total = importances.sum()

    def purity(rows):
        return sum(row.sum() / total * (1 - entropy(*row)) for row in rows if row.sum())

    return purity(importances), purity(importances.T)


def fitted_by_hand(factors, codes, estimator, regressor, seed, n_train=200, n_test=100):
    """Importances (codes, factors) and test scores of an estimator per factor."""
    y_train, x_train, y_test, x_test = draw_split(factors, codes, n_train, n_test, seed)
    scaler = StandardScaler().fit(x_train)
    x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)
    importances, scores = [], []
    for k in range(factors.shape[1]):
        y, y_new = y_train[:, k], y_test[:, k]
        if regressor:
            mean, deviation = np.mean(y), np.std(y)
            y, y_new = (y - mean) / deviation, (y_new - mean) / deviation
        estimator.fit(x_train, y)
        if hasattr(estimator, "coef_"):
            coefficients = np.reshape(estimator.coef_, (-1, codes.shape[1]))
            importances.append([sum(abs(c) for c in column) for column in coefficients.T])
        else:
            importances.append(estimator.feature_importances_)
        scores.append(max(0.0, estimator.score(x_test, y_new)))
    return np.array(importances).T, scores


@pytest.mark.parametrize(
    ("estimator", "by_hand", "regressor"),
    [
        ("gradient_boosting", GradientBoostingClassifier(random_state=2), False),
        ("random_forest", RandomForestClassifier(random_state=2), False),
        ("lasso", Lasso(alpha=0.02), True),
        # Estimators of the user's, with importances or with coefficients in one or more rows.
        (ExtraTreesClassifier(10), ExtraTreesClassifier(10, random_state=2), False),
        (LogisticRegression(C=0.1), LogisticRegression(C=0.1), False),
        (LinearRegression(), LinearRegression(), True),
        (RandomForestRegressor(10), RandomForestRegressor(10, random_state=2), True),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_dci_is_that_of_importances_fitted_one_by_one(estimator, by_hand, regressor):
    # Two values a factor keep the boosting, which fits 100 trees for each, short.
    factors = FACTORS % 2 if estimator == "gradient_boosting" else FACTORS
    importances, informativeness = fitted_by_hand(factors, MIXED, by_hand, regressor, seed=2)
    scores = dci_scores(factors, MIXED, estimator=estimator, seed=2)
    expected = *dci_by_hand(importances), np.mean(informativeness)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert scores == (scores.disentanglement, scores.completeness, scores.informativeness)
    assert {type(value) for value in scores} == {float}
    assert 0.0 < min(scores) <= max(scores) < 1.0


def test_a_regressor_that_is_worse_than_the_mean_informs_of_nothing():
    # A tree grown to its end repeats the noise: R² of about -1, which counts as 0.
    noise = np.random.default_rng(0).normal(size=(300, 3))
    tree = DecisionTreeRegressor(random_state=0)
    y_train, x_train, y_test, x_test = draw_split(FACTORS, noise, 200, 100, 0)
    assert all(
        tree.fit(x_train, y_train[:, k]).score(x_test, y_test[:, k]) < -0.2 for k in range(3)
    )
    assert dci_scores(FACTORS, noise, estimator=tree).informativeness == 0.0


# DCI: closed forms. A least-squares regression of a standardized factor on standardized codes.


def linear_dci(factors, codes):
    return dci_scores(factors, codes, estimator=LinearRegression())


@pytest.mark.parametrize("degrees", [0, 30, 45])
def test_dci_of_a_rotation(degrees):
    # Factor k is the sum over codes of the rotation's entries: each row and column of
    # importances is |cos|, |sin|.
    weights = np.abs([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    expected = 1 - entropy(*weights)
    disentanglement, completeness, informativeness = linear_dci(MANY, UNIT @ rotation(degrees))
    assert disentanglement == pytest.approx(expected, abs=0.02)
    assert completeness == pytest.approx(expected, abs=0.02)
    assert informativeness == pytest.approx(1.0)


@pytest.mark.parametrize("estimator", ["lasso", RandomForestClassifier(5)])
def test_dci_is_0_where_no_code_is_important(estimator):
    for codes in (np.zeros((300, 3)), np.full((300, 1), 0.1)):
        scores = dci_scores(FACTORS, codes, estimator=estimator)
        assert scores.disentanglement == scores.completeness == 0.0
        # The most frequent value, or the mean, is all that is left to predict.
        y_train, _, y_test, _ = draw_split(FACTORS, codes, 200, 100, 0)
        shares = [
            np.mean(new == np.bincount(old).argmax())
            for old, new in zip(y_train.T, y_test.T, strict=True)
        ]
        expected = 0.0 if estimator == "lasso" else np.mean(shares)
        assert scores.informativeness == pytest.approx(expected)


def test_forests_find_little_in_noise():
    noise = np.random.default_rng(0).normal(size=(300, 5))
    scores = dci_scores(FACTORS, noise, estimator=RandomForestClassifier(30))
    # As documented.
    assert 0.0 < scores.disentanglement < 0.1
    assert 0.0 < scores.completeness < 0.1
    # Predictions that are independent of uniform values are right in 1 of their number.
    chance = np.array([1 / 2, 1 / 3, 1 / 4])
    error = np.sqrt(np.sum(standard_error(chance, 100) ** 2)) / 3
    assert scores.informativeness == pytest.approx(chance.mean(), abs=4 * error)
    assert dci_scores(FACTORS, noise[:, :1], estimator="lasso").completeness in (0.0, 1.0)


# DCI: estimators, seeds and threads.


def test_an_estimator_keeps_its_own_random_state():
    forest = RandomForestClassifier(5, random_state=7)
    for seed in (0, 1):
        importances, informativeness = fitted_by_hand(
            FACTORS, MIXED, RandomForestClassifier(5, random_state=7), False, seed
        )
        expected = *dci_by_hand(importances), np.mean(informativeness)
        scores = dci_scores(FACTORS, MIXED, estimator=forest, seed=seed)
        np.testing.assert_allclose(scores, expected, rtol=1e-9)
        unseeded = dci_scores(FACTORS, MIXED, estimator=RandomForestClassifier(5), seed=seed)
        assert scores != unseeded
    assert not hasattr(forest, "classes_")
    assert forest.random_state == 7


@pytest.mark.parametrize("estimator", ["lasso", RandomForestClassifier(5)])
def test_two_threads_score_as_one(estimator):
    one, two = (dci_scores(FACTORS, MIXED, estimator=estimator, n_jobs=n) for n in (None, 2))
    assert one == two


def test_an_estimator_that_has_not_converged_is_taken_as_it_is():
    # Warnings are errors here.
    before = list(warnings.filters)
    scores = dci_scores(FACTORS, MIXED, estimator=LogisticRegression(max_iter=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importances, informativeness = fitted_by_hand(
            FACTORS, MIXED, LogisticRegression(max_iter=1), False, 0
        )
    expected = *dci_by_hand(importances), np.mean(informativeness)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert warnings.filters == before


def test_threads_leave_the_warning_filters_as_they_were():
    turns, second_is_in = itertools.count(), threading.Event()

    class Turns(LinearRegression):
        """Whoever comes first leaves first, after the second has come."""

        def fit(self, x, y):
            if next(turns):
                second_is_in.set()
                time.sleep(0.2)
            else:
                second_is_in.wait(2)
            return super().fit(x, y)

    before = list(warnings.filters)
    dci_scores(FACTORS[:, :2], MIXED, estimator=Turns(), n_jobs=2)
    assert warnings.filters == before


@pytest.mark.parametrize("estimator", [KNeighborsClassifier(), SVC(kernel="rbf")])
def test_an_estimator_without_importances_is_refused(estimator):
    words = f"{type(estimator).__name__}.* has neither feature_importances_ nor coef_"
    with pytest.raises(TypeError, match=words):
        dci_scores(FACTORS, MIXED, estimator=estimator)


# SAP.


def sap_by_hand(predictability):
    """The mean gap, from {(code, factor): how well}."""
    n_codes, n_factors = (max(numbers) + 1 for numbers in zip(*predictability, strict=True))
    gaps = []
    for k in range(n_factors):
        best = max(range(n_codes), key=lambda j: predictability[j, k])
        rest = max(predictability[j, k] for j in range(n_codes) if j != best)
        gaps.append(predictability[best, k] - rest)
    return np.mean(gaps)


@pytest.mark.parametrize(("seed", "scale"), [(0, 1.0), (1, 20.0)])
def test_discrete_sap_is_that_of_classifiers_of_one_code(seed, scale):
    codes = scale * MIXED + 1
    y_train, x_train, y_test, x_test = draw_split(FACTORS, codes, 200, 100, seed)
    accuracies = {}
    for j, k in itertools.product(range(4), range(3)):
        machine = LinearSVC(C=0.01, class_weight="balanced", dual=False)
        machine.fit(x_train[:, j : j + 1], y_train[:, k])
        predicted = machine.predict(x_test[:, j : j + 1])
        accuracies[j, k] = sum(predicted == y_test[:, k]) / 100
    score = sap_score(FACTORS, codes, seed=seed)
    assert score == pytest.approx(sap_by_hand(accuracies), abs=1e-12)
    assert 0.0 < score < 1.0


@pytest.mark.parametrize("seed", range(2))
def test_continuous_sap_is_that_of_squared_correlations(seed):
    codes = np.concatenate([MIXED, np.full((300, 1), 0.1)], axis=1)
    y_train, x_train, _, _ = draw_split(FACTORS, codes, 200, 100, seed)
    squared = {
        (j, k): np.corrcoef(x_train[:, j], y_train[:, k])[0, 1] ** 2
        for j, k in itertools.product(range(4), range(3))
    }
    expected = sap_by_hand(squared)
    score = sap_score(FACTORS, codes, continuous=True, seed=seed)
    assert score == pytest.approx(expected, abs=1e-12)
    assert 0.01 < score < 0.99


# A squared correlation by chance, of 10,000 samples, is below 0.002 but for 1 of 100,000.
CHANCE = 0.002


@pytest.mark.parametrize("degrees", [0, 30, 45])
def test_continuous_sap_of_a_rotation(degrees):
    # Squared correlations cos² and sin²: their difference is |cos(2 θ)|. The codes' own
    # correlation by chance moves each by 0.04 at most.
    score = sap_score(MANY, UNIT @ rotation(degrees), continuous=True)
    assert score == pytest.approx(abs(np.cos(np.radians(2 * degrees))), abs=0.04)


def test_sap_of_a_duplicated_code_is_0():
    assert sap_score(FACTORS, FACTORS[:, [0, 1, 2, 2, 1, 0]]) == 0.0
    # A product of 10,000 numbers may be summed in another order.
    codes = FACTORS[:, [0, 1, 2, 2, 1, 0]]
    assert sap_score(FACTORS, codes, continuous=True) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("continuous", [False, True])
def test_a_single_code_counts_as_if_a_constant_one_stood_beside_it(continuous):
    beside = np.pad(MIXED[:, :1], ((0, 0), (1, 0)))
    expected = sap_score(FACTORS, beside, continuous=continuous)
    assert sap_score(FACTORS, MIXED[:, :1], continuous=continuous) == expected
    assert expected > 0.0


def test_discrete_sap_of_the_factors_of_dsprites_is_what_is_documented():
    sizes = (3, 6, 40, 32, 32)
    factors = drawn_factors(sizes, 15_000)
    assert sap_score(factors, standardized(factors, sizes)) == pytest.approx(0.25, abs=0.02)


# Explicitness.


def area_by_hand(is_value, scores):
    """How often a sample of the value is scored above another; a tie counts one half."""
    inside, outside = scores[is_value], scores[~is_value]
    wins = sum((a > b) + (a == b) / 2 for a in inside.tolist() for b in outside.tolist())
    return wins / (len(inside) * len(outside))


def explicitness_by_hand(factors, codes, seed=0, n_train=200, n_test=100):
    y_train, x_train, y_test, x_test = draw_split(factors, codes, n_train, n_test, seed)
    scaler = StandardScaler().fit(x_train)
    means = []
    for k in range(factors.shape[1]):
        model = LogisticRegression().fit(scaler.transform(x_train), y_train[:, k])
        probabilities = model.predict_proba(scaler.transform(x_test))
        areas = []
        for column, value in zip(probabilities.T, model.classes_, strict=True):
            is_value = y_test[:, k] == value
            if is_value.any() and not is_value.all():
                areas.append(area_by_hand(is_value, column))
        means.append(np.mean(areas))
    return np.mean(means)


@pytest.mark.parametrize("seed", range(2))
def test_explicitness_is_the_mean_area_by_value_and_factor(seed):
    score = explicitness_score(FACTORS, 100 * MIXED, seed=seed)
    expected = explicitness_by_hand(FACTORS, 100 * MIXED, seed)
    assert score == pytest.approx(expected, rel=1e-9)
    assert 0.6 < score < 0.99


def test_explicitness_leaves_out_values_that_no_test_sample_has():
    # One sample of a third value: for most seeds it is among those to fit to, else it is a
    # test sample of a value that the regression has not seen.
    factors, codes = FACTORS[:, :1].copy(), MIXED[:, :2]
    factors[17] = 2
    seen = set()
    for seed in range(8):
        y_train, _, _, _ = draw_split(factors, codes, 200, 100, seed)
        seen.add(len(np.unique(y_train)))
        score = explicitness_score(factors, codes, seed=seed)
        expected = explicitness_by_hand(factors, codes, seed)
        assert score == pytest.approx(expected, rel=1e-9)
    assert seen == {2, 3}


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_explicitness_of_a_noisy_code(noise):
    # Codes 0 and 1 with normal noise: one is above the other by 1 on the average, with
    # deviation sqrt(2) noise: the area is Φ(1 / (sqrt(2) noise)).
    factors = drawn_factors((2,), 9_000)
    codes = factors + noise * np.random.default_rng(1).normal(size=(9_000, 1))
    score = explicitness_score(factors, codes, n_train=6_000, n_test=3_000)
    expected = stats.norm.cdf(1 / (np.sqrt(2) * noise))
    # An area of n and n samples has a standard error below 1 / sqrt(4 n), at any law.
    assert score == pytest.approx(expected, abs=4 / np.sqrt(4 * 1_500))


def test_constant_codes_are_explicit_of_nothing():
    # All probabilities tie.
    assert explicitness_score(FACTORS, np.full((300, 2), 0.1)) == 0.5


def test_explicitness_does_not_ask_for_disentanglement():
    # The factors told by a rotation are the same linear functions of the codes.
    rng = np.random.default_rng(0)
    codes = UNIT + 0.7 * rng.normal(size=UNIT.shape)
    expected = explicitness_score(MANY, codes)
    assert 0.7 < expected < 0.95
    for degrees in (30, 45):
        rotated = codes @ rotation(degrees)
        assert explicitness_score(MANY, rotated) == pytest.approx(expected, abs=0.005)
        # Unlike SAP.
        ratio = sap_score(MANY, rotated, continuous=True) / sap_score(MANY, codes, continuous=True)
        assert ratio < 0.6


# Bad input.

GOOD = np.arange(24.0).reshape(12, 2)
CLASSES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]] * 2)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    ("factors", "codes", "options", "words"),
    [
        (CLASSES[:2], GOOD[:2], {}, "samples to fit to and to test on, got 2"),
        (CLASSES, GOOD, {"n_train": 1, "n_test": 11}, "one value among the 1 samples to fit"),
        (CLASSES, GOOD, {"n_train": 0}, "n_train must be at least 1, got 0"),
        (CLASSES, GOOD, {"n_test": -1}, "n_test must be at least 1, got -1"),
    ],
)
def test_bad_input_is_refused(name, factors, codes, options, words):
    with pytest.raises(ValueError, match=words):
        SCORES[name](factors, codes, **options)


def test_an_unknown_estimator_is_refused():
    words = "gradient_boosting, random_forest, lasso, .*got 'boosting'"
    with pytest.raises(ValueError, match=words):
        dci_scores(CLASSES, GOOD, estimator="boosting")


def test_explicitness_needs_two_values_among_the_test_samples():
    with pytest.raises(ValueError, match="the 1 samples to test on show too few values"):
        explicitness_score(CLASSES, GOOD, n_train=11, n_test=1)
