import itertools
import threading
import time
import warnings

import keras
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
from sklearn.metrics import roc_auc_score
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


def standardised(factors, sizes):
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
UNIT = standardised(MANY, (4, 4))


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
        # Standardised by the samples to fit to. The first code numbers the samples.
        np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(x.std(axis=0), 1)
        numbers = np.concatenate([x, x_new])[:, 0]
        assert len(np.unique(numbers)) == sum(expected)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_depends_on_its_seed_alone(name):
    score = SCORES[name]
    np.random.seed(0)
    first = score(FACTORS, MIXED, seed=3)
    np.random.seed(1)
    assert score(FACTORS, MIXED, seed=3) == first
    assert len({score(FACTORS, MIXED, seed=seed) for seed in range(4)}) > 1
    for value in np.ravel(first):
        assert 0.0 <= value <= 1.0


@pytest.mark.parametrize("name", SCORES)
def test_the_global_random_state_is_left_alone(name):
    np.random.seed(1)
    state = np.random.get_state()
    SCORES[name](FACTORS, MIXED)
    for before, after in zip(state, np.random.get_state(), strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("name", SCORES)
def test_float32_lists_and_tensors_score_as_float64(name):
    score = SCORES[name]
    factors, codes = FACTORS.copy(), np.round(8 * MIXED)
    before = codes.copy()
    expected = score(factors, codes)
    assert score(factors, codes.astype("int8")) == expected
    assert score(factors.astype("uint8"), codes.astype("float32")) == expected
    tensor = keras.ops.convert_to_tensor(codes.astype("float32"))
    assert score(factors.tolist(), tensor) == expected
    # Classes are numbered from 0, in order, whatever the values.
    assert score(3 * factors - 7, codes) == expected
    np.testing.assert_array_equal(factors, FACTORS)
    np.testing.assert_array_equal(codes, before)


@pytest.mark.parametrize("name", SCORES)
def test_the_order_of_the_codes_does_not_matter(name):
    expected = SCORES[name](FACTORS, MIXED)
    score = SCORES[name](FACTORS, MIXED[:, [2, 0, 3, 1]])
    # Solvers stop at a tolerance; 1/100 of it would be one of 100 predictions.
    np.testing.assert_allclose(score, expected, atol=1e-3)


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
        (DecisionTreeClassifier(max_depth=3), DecisionTreeClassifier(max_depth=3), False),
        (LogisticRegression(C=0.1), LogisticRegression(C=0.1), False),
        (LinearSVC(dual=False), LinearSVC(dual=False), False),
        (LinearRegression(), LinearRegression(), True),
        (RandomForestRegressor(10), RandomForestRegressor(10, random_state=2), True),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_dci_is_that_of_importances_fitted_one_by_one(estimator, by_hand, regressor):
    if isinstance(by_hand, DecisionTreeClassifier):
        by_hand.set_params(random_state=2)
    importances, informativeness = fitted_by_hand(FACTORS, MIXED, by_hand, regressor, seed=2)
    scores = dci_scores(FACTORS, MIXED, estimator=estimator, seed=2)
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


# DCI: closed forms. A least-squares regression of a standardised factor on standardised codes.


def linear_dci(factors, codes):
    return dci_scores(factors, codes, estimator=LinearRegression())


def test_lasso_finds_the_factors_themselves_and_nothing_else():
    # The code of a factor explains all, and the penalty shrinks its coefficient from 1 to
    # 0.98. The residual is 0.02 of the factor, whose products with other codes are below 0.02
    # and so below the penalty. The test samples' R² is 1 - 0.02² sum(y²) / sum((y - mean)²)
    # with y in units of the training samples, about 1 - 0.0004.
    codes = np.stack([-2.0 * FACTORS[:, 2], FACTORS[:, 0], np.zeros(300), FACTORS[:, 1]], axis=1)
    y_train, _, y_test, _ = draw_split(FACTORS, codes, 200, 100, 0)
    y = (y_test - y_train.mean(axis=0)) / y_train.std(axis=0)
    informativeness = np.mean(1 - 0.02**2 * (y**2).sum(axis=0) / (100 * y.var(axis=0)))
    scores = dci_scores(FACTORS, codes, estimator="lasso")
    np.testing.assert_allclose(scores, (1, 1, informativeness), rtol=1e-9)


@pytest.mark.parametrize("degrees", [0, 10, 30, 45, 60, 90])
def test_dci_of_a_rotation(degrees):
    # Factor k is the sum over codes of the rotation's entries: each row and column of
    # importances is |cos|, |sin|.
    weights = np.abs([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    expected = 1 - entropy(*weights)
    disentanglement, completeness, informativeness = linear_dci(MANY, UNIT @ rotation(degrees))
    assert disentanglement == pytest.approx(expected, abs=0.02)
    assert completeness == pytest.approx(expected, abs=0.02)
    assert informativeness == pytest.approx(1.0)


def test_dci_of_a_duplicated_code():
    # Least squares of least norm gives each of two equal codes 1/2. Every code is important
    # for one factor; factor a has two of three codes, factor b one; both columns sum to 1.
    a, b = UNIT.T
    scores = linear_dci(MANY, np.stack([a, a, b], axis=1))
    completeness = ((1 - entropy(1 / 2, 1 / 2, 0)) + 1) / 2
    np.testing.assert_allclose(scores, (1, completeness, 1), atol=1e-6)


def test_dci_of_a_factor_in_two_codes():
    # Factor a = 2 h + l of two binary codes, each of deviation 1/2; a is of deviation
    # sqrt(5) / 2. In these units the coefficients are 2 / sqrt(5) and 1 / sqrt(5), b's is 1.
    high, low = np.divmod(MANY[:, 0], 2)
    scores = linear_dci(MANY, np.stack([high, low, MANY[:, 1]], axis=1))
    weight = 3 / np.sqrt(5)
    completeness = (weight * (1 - entropy(2, 1, 0)) + 1) / (weight + 1)
    np.testing.assert_allclose(scores, (1, completeness, 1), atol=0.02)


def test_dci_of_two_factors_in_one_code():
    # a + b correlates with each by sqrt(1/2): equal importances, half of the variance told. A
    # single code leaves no choice of codes; with a constant one beside it, that has none.
    codes = UNIT.sum(axis=1, keepdims=True)
    for representation in (codes, np.concatenate([codes, np.full_like(codes, 0.1)], axis=1)):
        disentanglement, completeness, informativeness = linear_dci(MANY, representation)
        assert disentanglement == pytest.approx(0.0, abs=1e-3)
        assert completeness == 1.0
        assert informativeness == pytest.approx(1 / 2, abs=0.04)


@pytest.mark.parametrize("estimator", ["gradient_boosting", "random_forest", "lasso"])
def test_a_single_code_is_complete(estimator):
    scores = dci_scores(FACTORS, MIXED[:, :1], estimator=estimator)
    assert scores.completeness == 1.0
    assert 0.0 <= scores.disentanglement < 1.0


@pytest.mark.parametrize(
    "estimator", ["gradient_boosting", "random_forest", "lasso", LogisticRegression()]
)
def test_without_an_important_code_dci_is_0(estimator):
    for codes in (np.zeros((300, 3)), np.full((300, 1), 0.1)):
        scores = dci_scores(FACTORS, codes, estimator=estimator)
        assert scores.disentanglement == scores.completeness == 0.0
        # The most frequent value, or the mean, is all that is left to predict.
        y_train, _, y_test, _ = draw_split(FACTORS, codes, 200, 100, 0)
        if estimator == "lasso":
            assert scores.informativeness == 0.0
        else:
            shares = [
                np.mean(new == np.bincount(old).argmax())
                for old, new in zip(y_train.T, y_test.T, strict=True)
            ]
            assert scores.informativeness == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("estimator", ["gradient_boosting", "random_forest"])
def test_trees_find_the_factors_and_little_in_noise(estimator):
    if estimator == "gradient_boosting":
        scores = dci_scores(FACTORS, FACTORS.astype(float), estimator=estimator)
        assert min(scores) > 0.999
        assert scores.informativeness == 1.0
    noise = np.random.default_rng(0).normal(size=(300, 5))
    scores = dci_scores(FACTORS, noise, estimator=estimator)
    # As documented.
    assert 0.0 < scores.disentanglement < 0.1
    assert 0.0 < scores.completeness < 0.1
    # Predictions that are independent of uniform values are right in 1 of their number.
    chance = np.array([1 / 2, 1 / 3, 1 / 4])
    error = np.sqrt(np.sum(standard_error(chance, 100) ** 2)) / 3
    assert scores.informativeness == pytest.approx(chance.mean(), abs=4 * error)


def test_dead_codes_keep_a_forest_below_1():
    noise = 0.01 * np.random.default_rng(0).normal(size=(300, 5))
    codes = np.concatenate([FACTORS, noise], axis=1)
    alone = dci_scores(FACTORS, FACTORS.astype(float), estimator="random_forest")
    beside = dci_scores(FACTORS, codes, estimator="random_forest")
    assert beside.disentanglement < alone.disentanglement - 0.1
    assert beside.completeness < alone.completeness - 0.1


@pytest.mark.parametrize("n", [300, 6_000])
def test_lasso_predicts_nothing_from_noise(n):
    factors = drawn_factors((2, 3, 4), n)
    noise = np.random.default_rng(1).normal(size=(n, 10))
    # R² of what a few chance coefficients say of new samples.
    assert dci_scores(factors, noise, estimator="lasso").informativeness < 0.01


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


def test_unseeded_estimators_are_seeded_by_the_score():
    estimator = RandomForestClassifier(5)
    np.random.seed(0)
    first = dci_scores(FACTORS, MIXED, estimator=estimator, seed=1)
    np.random.seed(1)
    assert dci_scores(FACTORS, MIXED, estimator=estimator, seed=1) == first
    assert estimator.random_state is None


@pytest.mark.parametrize("estimator", ["random_forest", "lasso", LogisticRegression()])
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


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [0.3, 1.0, 20.0])
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


@pytest.mark.parametrize("seed", range(3))
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


@pytest.mark.parametrize(("size", "expected"), [(2, 1 / 2), (3, 2 / 3)])
def test_discrete_sap_of_the_factors_themselves(size, expected):
    # The factor's own code tells two or three values, all of them. Any prediction from the
    # other's is independent of the factor and right in 1 of size.
    factors = drawn_factors((size, size), 6_000)
    codes = standardised(factors, (size, size))
    bound = 4 * standard_error(1 / size, 2_000)
    for representation in (codes, -codes[:, ::-1] + 3):
        score = sap_score(factors, representation, n_train=4_000, n_test=2_000)
        assert score == pytest.approx(expected, abs=bound)


# A squared correlation by chance, of 10,000 samples, is below 0.002 but for 1 of 100,000.
CHANCE = 0.002


def test_continuous_sap_of_the_factors_themselves_is_one():
    for codes in (UNIT, -3 * UNIT[:, ::-1], MANY.astype(float)):
        assert sap_score(MANY, codes, continuous=True) == pytest.approx(1.0, abs=CHANCE)


@pytest.mark.parametrize("degrees", [0, 15, 30, 45, 75])
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


def test_continuous_sap_of_a_factor_in_two_codes():
    # a = 2 h + l with equal variances of h and l: correlations squared of 4/5 and 1/5.
    high, low = np.divmod(MANY[:, 0], 2)
    codes = np.stack([low, high, MANY[:, 1]], axis=1)
    score = sap_score(MANY, codes, continuous=True)
    assert score == pytest.approx((3 / 5 + 1) / 2, abs=0.02)


def test_continuous_sap_of_two_factors_in_one_code():
    # Half of the variance of a + b is each factor's. The constant code tells nothing, and so
    # does a code that is not there.
    codes = UNIT.sum(axis=1, keepdims=True)
    score = sap_score(MANY, codes, continuous=True)
    assert score == pytest.approx(1 / 2, abs=0.02)
    constant = np.full_like(codes, 0.1)
    both = np.concatenate([constant, codes], axis=1)
    assert sap_score(MANY, both, continuous=True) == score
    # All constant: no code is ahead.
    assert sap_score(MANY, constant, continuous=True) == 0.0


@pytest.mark.parametrize("continuous", [False, True])
def test_a_single_code_counts_as_if_a_constant_one_stood_beside_it(continuous):
    beside = np.pad(MIXED[:, :1], ((0, 0), (1, 0)))
    expected = sap_score(FACTORS, beside, continuous=continuous)
    assert sap_score(FACTORS, MIXED[:, :1], continuous=continuous) == expected
    assert expected > 0.0


def test_a_single_constant_code_scores_0():
    assert sap_score(FACTORS, np.zeros((300, 1))) == 0.0


def test_noise_has_a_sap_of_about_0():
    factors = drawn_factors((2, 2), 15_000)
    noise = np.random.default_rng(0).normal(size=(15_000, 8))
    assert 0.0 <= sap_score(factors, noise, continuous=True) < CHANCE
    # Accuracies are within 4 standard errors of one half, and so of each other within 8.
    assert 0.0 <= sap_score(factors, noise) < 8 * standard_error(1 / 2, 5_000)


def test_small_codes_have_a_lower_discrete_sap():
    factors = drawn_factors((4, 4), 6_000)
    codes = standardised(factors, (4, 4))
    # All four values are told, and 1/4 by the other code. At a hundredth of the scale the
    # penalty leaves the outer two alone, if that.
    scores = [sap_score(factors, scale * codes) for scale in (1.0, 0.01)]
    assert scores[0] == pytest.approx(3 / 4, abs=4 * standard_error(1 / 4, 2_000))
    assert scores[1] < 1 / 4 + 8 * standard_error(1 / 4, 2_000)
    # Correlations have no scale. Powers of two do not round.
    continuous = [sap_score(factors, scale * codes, continuous=True) for scale in (1.0, 2.0**-20)]
    assert continuous[0] == continuous[1]


def test_discrete_sap_of_many_values_is_far_below_1():
    # As documented, of codes that are the factors.
    factors = drawn_factors((32, 40), 6_000)
    assert sap_score(factors, standardised(factors, (32, 40))) < 0.2


def test_discrete_sap_of_the_factors_of_dsprites_is_what_is_documented():
    sizes = (3, 6, 40, 32, 32)
    factors = drawn_factors(sizes, 15_000)
    assert sap_score(factors, standardised(factors, sizes)) == pytest.approx(0.25, abs=0.02)


# Explicitness.


def area_by_hand(is_value, scores):
    """How often a sample of the value is scored above another; a tie counts one half."""
    inside, outside = scores[is_value], scores[~is_value]
    wins = sum((a > b) + (a == b) / 2 for a in inside.tolist() for b in outside.tolist())
    return wins / (len(inside) * len(outside))


def explicitness_by_hand(factors, codes, area, seed=0, n_train=200, n_test=100):
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
                areas.append(area(is_value, column))
        means.append(np.mean(areas))
    return np.mean(means)


@pytest.mark.parametrize("area", [area_by_hand, roc_auc_score])
@pytest.mark.parametrize("seed", range(3))
def test_explicitness_is_the_mean_area_by_value_and_factor(area, seed):
    score = explicitness_score(FACTORS, 100 * MIXED, seed=seed)
    expected = explicitness_by_hand(FACTORS, 100 * MIXED, area, seed)
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
        expected = explicitness_by_hand(factors, codes, area_by_hand, seed)
        assert score == pytest.approx(expected, rel=1e-9)
    assert seen == {2, 3}


def test_explicitness_of_the_factors_themselves_is_one():
    # Two values apart: every sample of the one is scored above every sample of the other.
    factors = drawn_factors((2, 2), 300)
    for codes in (factors * 1.0, factors[:, ::-1] * -5.0, factors[:, [0, 0, 1, 1]] * 1.0):
        assert explicitness_score(factors, codes) == 1.0


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_explicitness_of_a_noisy_code(noise):
    # Codes 0 and 1 with normal noise: one is above the other by 1 on the average, with
    # deviation sqrt(2) noise: the area is Φ(1 / (sqrt(2) noise)).
    factors = drawn_factors((2,), 9_000)
    codes = factors + noise * np.random.default_rng(1).normal(size=(9_000, 1))
    score = explicitness_score(factors, codes, n_train=6_000, n_test=3_000)
    expected = stats.norm.cdf(1 / (np.sqrt(2) * noise))
    # An area of n and n samples has a standard error below 1 / sqrt(4 n), at any law.
    assert score == pytest.approx(expected, abs=4 / np.sqrt(4 * 1_500))


def test_explicitness_of_two_factors_in_one_code():
    # a + 2 b: of samples with a = 1 (codes 1, 3) and a = 0 (codes 0, 2), the pairs 1 > 0,
    # 3 > 0 and 3 > 2 are in order, 1 < 2 is not: 3/4. All with b = 1 are above all others.
    factors = drawn_factors((2, 2), 9_000)
    codes = factors @ np.array([[1.0], [2.0]])
    score = explicitness_score(factors, codes, n_train=6_000, n_test=3_000)
    assert score == pytest.approx((3 / 4 + 1) / 2, abs=4 / np.sqrt(4 * 1_500))


@pytest.mark.parametrize("seed", range(3))
def test_explicitness_of_noise_is_at_chance(seed):
    factors = drawn_factors((2, 3, 4), 3_000, seed)
    noise = np.random.default_rng(seed + 10).normal(size=(3_000, 5))
    # The area of scores that ignore the value has variance (n + 1) / (12 n_1 n_0), Mann and
    # Whitney's, which is largest for the value of a quarter of the 1,000 test samples.
    error = np.sqrt(1_001 / (12 * 250 * 750))
    assert explicitness_score(factors, noise, seed=seed) == pytest.approx(0.5, abs=4 * error)


def test_constant_codes_are_explicit_of_nothing():
    # All probabilities tie.
    assert explicitness_score(FACTORS, np.full((300, 2), 0.1)) == 0.5


def test_constant_codes_do_not_change_explicitness():
    codes = np.concatenate([np.full((300, 2), 0.1), MIXED], axis=1)
    expected = explicitness_score(FACTORS, MIXED)
    assert explicitness_score(FACTORS, codes) == pytest.approx(expected, abs=1e-4)


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


def test_explicitness_does_not_see_the_scale_of_a_code():
    expected = explicitness_score(FACTORS, MIXED)
    score = explicitness_score(FACTORS, MIXED * [1e-6, -1.0, 1e6, 30.0] + [0, 5, 0, -1])
    assert score == pytest.approx(expected, abs=1e-4)


# Bad input.

GOOD = np.arange(24.0).reshape(12, 2)
CLASSES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]] * 2)


def changed(array, value):
    array = array.copy()
    array[4, 1] = value
    return array


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    ("factors", "codes", "options", "words"),
    [
        (CLASSES, changed(GOOD, np.nan), {}, "NaN or infinite in 1 rows, first in row 4"),
        (CLASSES, changed(GOOD, np.inf), {}, "NaN or infinite in 1 rows, first in row 4"),
        (CLASSES[:5], GOOD, {}, "same samples, got 5 and 12"),
        (CLASSES[:1], GOOD[:1], {}, "at least 2 samples, got 1"),
        (CLASSES[:2], GOOD[:2], {}, "samples to fit to and to test on, got 2"),
        (CLASSES.astype(float), GOOD, {}, "integer classes .* float64"),
        (CLASSES[:, 0], GOOD, {}, r"factors .* got int64 \(12,\)"),
        (CLASSES, GOOD[:, 0], {}, r"codes .* got float64 \(12,\)"),
        (CLASSES, GOOD.astype(str), {}, "codes must be numbers"),
        (CLASSES, GOOD[:, :0], {}, "codes must be numbers"),
        (CLASSES * [1, 0], GOOD, {}, "factor 1 has one value"),
        (CLASSES * [0, 1], GOOD, {}, "factor 0 has one value"),
        (CLASSES, GOOD, {"n_train": 1, "n_test": 11}, "one value among the 1 samples to fit"),
        (CLASSES, GOOD, {"n_train": 0}, "n_train must be at least 1, got 0"),
        (CLASSES, GOOD, {"n_test": -1}, "n_test must be at least 1, got -1"),
    ],
)
def test_bad_input_is_refused(name, factors, codes, options, words):
    with pytest.raises(ValueError, match=words):
        SCORES[name](factors, codes, **options)


def test_dci_needs_two_factors():
    with pytest.raises(ValueError, match=r"needs (two|2), got 1"):
        dci_scores(CLASSES[:, :1], GOOD, estimator="lasso")


def test_an_unknown_estimator_is_refused():
    words = "gradient_boosting, random_forest, lasso, .*got 'boosting'"
    with pytest.raises(ValueError, match=words):
        dci_scores(CLASSES, GOOD, estimator="boosting")


def test_explicitness_needs_two_values_among_the_test_samples():
    with pytest.raises(ValueError, match="the 1 samples to test on show too few values"):
        explicitness_score(CLASSES, GOOD, n_train=11, n_test=1)
