import inspect
import itertools
from collections import Counter

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from keras_betavae.metrics import downstream, downstream_scores, unfairness_score
from keras_betavae.metrics._samples import draw_split

TREE = DecisionTreeClassifier()


def drawn_factors(sizes, n, seed=0):
    return np.random.default_rng(seed).integers(0, sizes, (n, len(sizes)))


def standard_error(share, n):
    """Of a share of n independent draws."""
    return np.sqrt(share * (1 - share) / n)


# Three factors in four codes, with noise, so that no prediction is perfect.
FACTORS = drawn_factors((2, 3, 4), 450)
RNG = np.random.default_rng(1)
MIXED = FACTORS @ RNG.normal(size=(3, 4)) + 0.5 * RNG.normal(size=(450, 4))


class ReadsCode(ClassifierMixin, BaseEstimator):
    """Predicts whether the first code is above its mean, whatever the target."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, x):
        return (x[:, 0] > 0).astype(int)


class Recorder(ReadsCode):
    """Keeps what it is given in lists of its class."""

    fitted, tested = [], []

    def fit(self, x, y):
        self.fitted.append((x, y))
        return super().fit(x, y)

    def predict(self, x):
        self.tested.append(x)
        return super().predict(x)


@pytest.fixture
def recorder():
    Recorder.fitted.clear()
    Recorder.tested.clear()
    return Recorder()


# Downstream: against the definition.


def accuracy_by_hand(factors, codes, classifier, sizes, n_test, seed):
    """By the number of labels, from classifiers fitted one by one."""
    y_train, x_train, y_test, x_test = draw_split(factors, codes, max(sizes), n_test, seed)
    accuracy = {}
    for n in sizes:
        scaler = StandardScaler().fit(x_train[:n])
        shares = []
        for k in range(factors.shape[1]):
            classifier.fit(scaler.transform(x_train[:n]), y_train[:n, k])
            predicted = classifier.predict(scaler.transform(x_test))
            hits = [a == b for a, b in zip(predicted, y_test[:, k], strict=True)]
            shares.append(sum(hits) / len(hits))
        accuracy[n] = sum(shares) / len(shares)
    return accuracy


@pytest.mark.parametrize(
    ("estimator", "by_hand"),
    [
        ("gradient_boosting", GradientBoostingClassifier()),
        ("logistic_regression", LogisticRegression(max_iter=1_000)),
        (RandomForestClassifier(5), RandomForestClassifier(5)),
        (KNeighborsClassifier(3), KNeighborsClassifier(3)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_accuracy_is_that_of_classifiers_fitted_one_by_one(estimator, by_hand):
    # Two values a factor keep the boosting, which fits 100 trees for each, short.
    factors = FACTORS % 2 if estimator == "gradient_boosting" else FACTORS
    seed = 1
    sizes = (20, 60) if isinstance(estimator, str) else (20, 60, 300)
    if hasattr(by_hand, "random_state"):
        by_hand.set_params(random_state=seed)
    expected = accuracy_by_hand(factors, MIXED, by_hand, sizes, 150, seed)
    accuracy, efficiency = downstream_scores(
        factors, MIXED, sizes=sizes, estimator=estimator, seed=seed
    )
    assert list(accuracy) == list(sizes)
    assert accuracy == pytest.approx(expected, rel=1e-12)
    assert efficiency == pytest.approx({n: expected[n] / expected[sizes[-1]] for n in sizes[:-1]})
    assert {type(value) for value in [*accuracy.values(), *efficiency.values()]} == {float}
    assert 0.3 < min(accuracy.values()) < max(accuracy.values()) < 1.0
    for score in (downstream_scores, unfairness_score):
        default = inspect.signature(score).parameters["estimator"].default
        assert default == "gradient_boosting"


# Downstream: closed forms.


# Downstream: the labeled samples.


def test_labeled_samples_are_nested_and_apart_from_the_test_samples(recorder):
    # The first code numbers the samples; the scores standardize it.
    codes = np.stack([np.arange(450.0), MIXED[:, 0]], axis=1)
    downstream_scores(FACTORS, codes, sizes=(10, 40, 300), estimator=recorder, n_test=100)
    assert len(recorder.fitted) == len(recorder.tested) == 3 * 3

    def shape(x):
        """What standardizing leaves: distances in units of the first two samples'."""
        return (x[:, 0] - x[0, 0]) / (x[1, 0] - x[0, 0])

    for k in range(3):
        fits = recorder.fitted[3 * k : 3 * k + 3]
        assert [len(x) for x, _ in fits] == [10, 40, 300]
        for x, y in fits:
            np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
            np.testing.assert_allclose(x.std(axis=0), 1)
            np.testing.assert_allclose(shape(x), shape(fits[2][0])[: len(x)])
            np.testing.assert_array_equal(y, fits[2][1][: len(y)])
        x, x_new = fits[2][0], recorder.tested[3 * k + 2]
        assert len(x_new) == 100
        assert len(np.unique(np.concatenate([x, x_new])[:, 0])) == 400


@pytest.mark.parametrize(("n_test", "expected"), [(1, 1), (100, 100), (150, 150), (5_000, 150)])
def test_at_most_a_third_is_scored(recorder, n_test, expected):
    downstream_scores(FACTORS, MIXED, sizes=(20,), estimator=recorder, n_test=n_test)
    assert [len(x) for x in recorder.tested] == [expected] * 3


def test_labeled_samples_of_one_value_predict_that_value():
    # One sample shows one value of each factor.
    y_train, _, y_test, _ = draw_split(FACTORS, MIXED, 300, 150, 0)
    scores = downstream_scores(FACTORS, MIXED, sizes=(1, 300), estimator=TREE)
    assert scores.accuracy[1] == pytest.approx(np.mean(y_test == y_train[0]), abs=1e-12)
    assert 0.0 < scores.accuracy[1] < 0.6
    # All later labeled samples have another value than the first 20, and half of the test
    # samples too: half are right by 20 labels, and all by 300.
    labeled, _, tested, _ = draw_split(np.arange(450)[:, None], MIXED, 300, 150, 0)
    factor = np.zeros((450, 1), int)
    factor[labeled[20:, 0]] = factor[tested[::2, 0]] = 1
    for factors in (factor, 1 - factor):
        scores = downstream_scores(factors, factor + 0.0, sizes=(20, 300), estimator=TREE)
        assert scores == ({20: 0.5, 300: 1.0}, {20: 0.5})


def test_efficiency_of_classifiers_that_are_never_right_is_0():
    class Wrong(ReadsCode):
        def predict(self, x):
            return np.full(len(x), 99)

    scores = downstream_scores(FACTORS, MIXED, sizes=(20, 300), estimator=Wrong())
    assert scores.accuracy == {20: 0.0, 300: 0.0}
    assert scores.efficiency == {20: 0.0}


# Unfairness: against the definition.


def total_variation_by_hand(predicted, sensitive):
    """The mean over samples of the distance of their group's predictions from all."""
    predicted, sensitive = predicted.tolist(), sensitive.tolist()
    everything = Counter(predicted)
    distance = 0.0
    for value in set(sensitive):
        group = [p for p, s in zip(predicted, sensitive, strict=True) if s == value]
        counts = Counter(group)
        differences = [
            abs(counts[p] / len(group) - everything[p] / len(predicted)) for p in everything
        ]
        distance += len(group) / len(predicted) * sum(differences) / 2
    return distance


@pytest.mark.parametrize("seed", range(1))
@pytest.mark.parametrize(
    ("estimator", "by_hand"),
    [
        (RandomForestClassifier(10), RandomForestClassifier(10)),
        ("logistic_regression", LogisticRegression(max_iter=1_000)),
        (DecisionTreeClassifier(max_depth=3), DecisionTreeClassifier(max_depth=3)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_unfairness_is_the_mean_total_variation(estimator, by_hand, seed):
    y_train, x_train, y_test, x_test = draw_split(FACTORS, MIXED, 300, 150, seed)
    scaler = StandardScaler().fit(x_train)
    by_hand.set_params(random_state=seed)
    distances = []
    for target, other in itertools.permutations(range(3), 2):
        by_hand.fit(scaler.transform(x_train), y_train[:, target])
        predicted = by_hand.predict(scaler.transform(x_test))
        distances.append(total_variation_by_hand(predicted, y_test[:, other]))
    score = unfairness_score(FACTORS, MIXED, estimator=estimator, corrected=False, seed=seed)
    assert score == pytest.approx(np.mean(distances), abs=1e-12)
    assert type(score) is float
    assert 0.05 < score < 0.9
    # The correction takes off what chance adds, and never more than all.
    assert 0.0 < unfairness_score(FACTORS, MIXED, estimator=estimator, seed=seed) < score


# Unfairness: closed forms.


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("n_values", [2, 5])
def test_the_distance_of_predictions_that_repeat_the_sensitive_factor(corrected, n_values):
    # One value within each group, all equally often among all: 1 - 1 / n. The correction
    # takes b² / 2 (1 - 1 / n) off, where b, what chance adds, is below 0.02 here.
    sensitive = np.arange(10_000) % n_values
    for predicted in (sensitive, n_values - 1 - sensitive):
        distance = downstream._dependence(predicted, sensitive, corrected, 0)
        assert distance == pytest.approx(1 - 1 / n_values, abs=1e-3)
    # A constant prediction, or one that is equally frequent in all groups: 0.
    for predicted in (np.zeros(10_000, int), np.arange(10_000) // n_values % 2):
        assert downstream._dependence(predicted, sensitive, corrected, 0) == pytest.approx(0.0)


@pytest.mark.parametrize("corrected", [False, True])
def test_constant_predictions_are_fair(corrected):
    for codes in (np.zeros((450, 2)), np.full((450, 1), 0.1)):
        for estimator in (TREE, "logistic_regression"):
            options = {"estimator": estimator, "corrected": corrected}
            assert unfairness_score(FACTORS, codes, **options) == 0.0


# Unfairness: the correction.


def simulated(law, n_samples, seed):
    """Draws groups, all equally likely, and predictions by law[group]."""
    rng = np.random.default_rng(seed)
    sensitive = rng.integers(len(law), size=n_samples)
    thresholds = np.cumsum(law, axis=1)
    predicted = np.sum(rng.random(n_samples)[:, None] > thresholds[sensitive], axis=1)
    return np.minimum(predicted, law.shape[1] - 1), sensitive


def true_distance(law):
    return np.mean(np.abs(law - law.mean(axis=0)).sum(axis=1) / 2)


def repeating(share, n):
    """Laws of n groups: the group's own number in this share of cases, else any number."""
    return (1 - share) / n + share * np.eye(n)


def halved(share, n):
    """Laws of n groups: one half of the numbers is likelier in every second group."""
    likelier = (np.arange(n)[:, None] + np.arange(n) * 2 // n) % 2
    return (1 + share * (2 * likelier - 1)) / n


def some_groups(share, n):
    """Laws of n groups of which every second depends."""
    law = repeating(share, n)
    law[::2] = 1 / n
    return law


def distances(law, n_samples=5_000, n_simulations=5):
    """The plain and the corrected distance, means of some simulations."""
    drawn = [simulated(law, n_samples, seed) for seed in range(n_simulations)]
    return [
        np.mean([downstream._dependence(*pair, corrected, 0) for pair in drawn])
        for corrected in (False, True)
    ]


@pytest.mark.parametrize("n", [6, 32])
def test_the_plain_distance_of_independent_samples(n):
    # A share p = 1/n among m = 5000/n samples of a group is off by sqrt(2 p (1 - p) / (π m)) on
    # the average, less a factor sqrt(1 - 1/n) since the group is among all. Half of n of these:
    # 0.175 with 32 values.
    p, m = 1 / n, 5_000 / n
    expected = n / 2 * np.sqrt(2 * p * (1 - p) / (np.pi * m) * (1 - 1 / n))
    plain, corrected = distances(repeating(0.0, n))
    assert plain == pytest.approx(expected, rel=0.06)
    assert corrected < plain / 2


@pytest.mark.parametrize("laws", [repeating, halved, some_groups])
@pytest.mark.parametrize(("n", "bound"), [(12, 0.03), (32, 0.05)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_the_corrected_distance_is_close_to_the_truth(laws, n, bound, share):
    # As documented: with 32 values, chance adds 0.17.
    law = laws(share, n)
    np.testing.assert_allclose(law.sum(axis=1), 1)
    truth = true_distance(law)
    plain, corrected = distances(law)
    assert abs(corrected - truth) < bound
    # It is an improvement wherever chance adds much.
    assert abs(corrected - truth) < abs(plain - truth) or abs(plain - truth) < 0.02


def test_the_correction_is_the_distance_after_shuffling():
    # b from shuffles of the test's own; five of them have a mean that is known to 1 of 100.
    predicted, sensitive = simulated(repeating(0.3, 12), 3_000, 0)
    rng = np.random.default_rng(10)
    shuffled = np.mean(
        [total_variation_by_hand(predicted, rng.permutation(sensitive)) for _ in range(20)]
    )
    plain = total_variation_by_hand(predicted, sensitive)
    expected = np.sqrt(plain**2 - shuffled**2)
    corrected = downstream._dependence(predicted, sensitive, True, 0)
    assert corrected == pytest.approx(expected, abs=0.01)
    assert corrected < plain - 0.01


# Both scores: estimators, seeds and threads.

OPTIONS = {"downstream": {"sizes": (20, 300)}, "unfairness": {}}
SCORES = {"downstream": downstream_scores, "unfairness": unfairness_score}


def test_an_estimator_keeps_its_own_random_state():
    for seed in (0, 1):
        own = RandomForestClassifier(3, random_state=7)
        expected = accuracy_by_hand(FACTORS, MIXED, own, (20, 300), 150, seed)
        scores = downstream_scores(
            FACTORS,
            MIXED,
            sizes=(20, 300),
            estimator=RandomForestClassifier(3, random_state=7),
            seed=seed,
        )
        assert scores.accuracy == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_two_threads_score_as_one(name):
    estimator = RandomForestClassifier(5)
    scores = [
        SCORES[name](FACTORS, MIXED, estimator=estimator, n_jobs=n_jobs, **OPTIONS[name])
        for n_jobs in (None, 2)
    ]
    assert scores[0] == scores[1]


# Bad input.

GOOD = np.arange(24.0).reshape(12, 2)
CLASSES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]] * 2)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        ("lasso", "estimator must be a classifier, got Lasso"),
        (Ridge(), "estimator must be a classifier, got Ridge"),
        ("forest", "gradient_boosting, random_forest, .*, logistic_regression, got 'forest'"),
    ],
)
def test_what_is_no_classifier_is_refused(name, estimator, words):
    with pytest.raises(ValueError, match=words):
        SCORES[name](FACTORS, MIXED, estimator=estimator, **OPTIONS[name])


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((), r"sizes must be from 1 to 8, as 4 of the 12 samples are scored, got \(\)"),
        ((0, 4), r"sizes must be from 1 to 8, .*got \(0, 4\)"),
        ((-1,), r"sizes must be from 1 to 8, .*got \(-1,\)"),
    ],
)
def test_no_sizes_and_sizes_below_1_are_refused(sizes, words):
    with pytest.raises(ValueError, match=words):
        downstream_scores(CLASSES, GOOD, sizes=sizes, estimator=TREE)


def test_sizes_beyond_the_samples_are_left_out():
    factors = drawn_factors((2, 3), 300)
    scores = downstream_scores(factors, factors * 1.0, estimator="logistic_regression")
    # A third is scored.
    assert list(scores.accuracy) == [10, 100]
    assert list(scores.efficiency) == [10]


@pytest.mark.parametrize(
    ("factors", "options", "words"),
    [
        (CLASSES[:, :1], {}, r"needs at least (two|2), got 1"),
        (CLASSES[:2], {}, "samples to fit to and to test on, got 2"),
        (CLASSES, {"n_train": 0}, "n_train must be at least 1, got 0"),
        (CLASSES, {"n_test": -1}, "n_test must be at least 1, got -1"),
        (CLASSES, {"n_train": 1, "n_test": 11}, "one value among the 1 samples to fit to"),
    ],
)
def test_bad_options_of_unfairness_are_refused(factors, options, words):
    with pytest.raises(ValueError, match=words):
        unfairness_score(factors, GOOD[: len(factors)], estimator=TREE, **options)
