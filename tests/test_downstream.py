import itertools
from collections import Counter

import keras
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


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("estimator", "by_hand"),
    [
        ("gradient_boosting", GradientBoostingClassifier()),
        ("random_forest", RandomForestClassifier()),
        ("logistic_regression", LogisticRegression(max_iter=1_000)),
        (KNeighborsClassifier(3), KNeighborsClassifier(3)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_accuracy_is_that_of_classifiers_fitted_one_by_one(estimator, by_hand, seed):
    sizes = (20, 60) if isinstance(estimator, str) else (20, 60, 300)
    if hasattr(by_hand, "random_state"):
        by_hand.set_params(random_state=seed)
    expected = accuracy_by_hand(FACTORS, MIXED, by_hand, sizes, 150, seed)
    accuracy, efficiency = downstream_scores(
        FACTORS, MIXED, sizes=sizes, estimator=estimator, seed=seed
    )
    assert list(accuracy) == list(sizes)
    assert accuracy == pytest.approx(expected, rel=1e-12)
    assert efficiency == pytest.approx({n: expected[n] / expected[sizes[-1]] for n in sizes[:-1]})
    assert {type(value) for value in [*accuracy.values(), *efficiency.values()]} == {float}
    assert 0.3 < min(accuracy.values()) < max(accuracy.values()) < 1.0


# Downstream: closed forms.


def test_the_factors_themselves_are_told_from_many_labels():
    # A tree separates all values that it has been shown: of 100 draws of the rarest of four,
    # none is left out but by a chance below 4 * 0.75 ** 100.
    for codes in (FACTORS * 1.0, FACTORS[:, ::-1] * -3.0, FACTORS[:, [0, 0, 2, 1, 2]] * 1.0):
        scores = downstream_scores(FACTORS, codes, sizes=(100, 300), estimator=TREE)
        assert scores.accuracy == {100: 1.0, 300: 1.0}
        assert scores.efficiency == {100: 1.0}


@pytest.mark.parametrize("degrees", [0, 30, 45])
def test_a_rotation_of_binary_factors_is_told_linearly(degrees):
    factors = drawn_factors((2, 2), 450)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    codes = factors @ np.array([[c, -s], [s, c]])
    scores = downstream_scores(factors, codes, sizes=(100,), estimator="logistic_regression")
    assert scores.accuracy == {100: 1.0}


def test_two_factors_in_one_code_cut_at_one_point():
    # 2 a + 3 b is 0, 2, 3 or 5. For either target a linear classifier cuts between 2 and 3
    # (the middle of 1.5 and 3.5, the means by a, and of 1 and 4, those by b): b is told, and
    # b is what is predicted for a as well.
    factors = drawn_factors((2, 2), 1_500)
    codes = factors @ np.array([[2.0], [3.0]])
    scores = downstream_scores(factors, codes, sizes=(1_000,), estimator="logistic_regression")
    _, _, y_test, _ = draw_split(factors, codes, 1_000, 500, 0)
    agreement = np.mean(y_test[:, 0] == y_test[:, 1])
    assert scores.accuracy[1_000] == pytest.approx((agreement + 1) / 2, abs=1e-12)


def test_constant_codes_predict_the_most_frequent_value():
    factors = drawn_factors((2, 3, 4), 1_500) // [1, 2, 3]  # Ones: a half, a third, a quarter.
    codes = np.full((1_500, 2), 0.1)
    y_train, _, y_test, _ = draw_split(factors, codes, 1_000, 500, 0)
    shares = [
        np.mean(new == Counter(old.tolist()).most_common(1)[0][0])
        for old, new in zip(y_train.T, y_test.T, strict=True)
    ]
    for estimator in (TREE, "logistic_regression"):
        scores = downstream_scores(factors, codes, sizes=(1_000,), estimator=estimator)
        assert scores.accuracy[1_000] == pytest.approx(np.mean(shares), abs=1e-12)
    assert np.mean(shares) > 0.6


@pytest.mark.parametrize("estimator", [TREE, "logistic_regression"])
def test_noise_is_at_chance(estimator):
    # What is predicted from noise is independent of uniform values.
    factors = drawn_factors((2, 3, 4), 3_000)
    noise = np.random.default_rng(1).normal(size=(3_000, 3))
    scores = downstream_scores(factors, noise, sizes=(10, 2_000), estimator=estimator)
    chance = np.array([1 / 2, 1 / 3, 1 / 4])
    error = np.sqrt(np.sum(standard_error(chance, 1_000) ** 2)) / 3
    for accuracy in scores.accuracy.values():
        assert accuracy == pytest.approx(chance.mean(), abs=4 * error)
    assert scores.efficiency[10] == pytest.approx(1.0, abs=8 * error / chance.mean())


# Downstream: the labelled samples.


def test_labelled_samples_are_nested_and_apart_from_the_test_samples(recorder):
    # The first code numbers the samples; the scores standardise it.
    codes = np.stack([np.arange(450.0), MIXED[:, 0]], axis=1)
    downstream_scores(FACTORS, codes, sizes=(10, 40, 300), estimator=recorder, n_test=100)
    assert len(recorder.fitted) == len(recorder.tested) == 3 * 3

    def shape(x):
        """What standardising leaves: distances in units of the first two samples'."""
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


def test_all_samples_beside_those_scored_may_be_labelled(recorder):
    downstream_scores(FACTORS, MIXED, sizes=(300,), estimator=recorder)
    assert [len(x) for x, _ in recorder.fitted] == [300] * 3
    with pytest.raises(ValueError, match=r"sizes must be from 1 to 300, .* the 150 .*got \(301,\)"):
        downstream_scores(FACTORS, MIXED, sizes=(301,), estimator=recorder)
    downstream_scores(FACTORS, MIXED, sizes=(440,), estimator=recorder, n_test=10)


def test_labelled_samples_of_one_value_predict_that_value():
    # One sample shows one value of each factor.
    y_train, _, y_test, _ = draw_split(FACTORS, MIXED, 300, 150, 0)
    scores = downstream_scores(FACTORS, MIXED, sizes=(1, 300), estimator=TREE)
    assert scores.accuracy[1] == pytest.approx(np.mean(y_test == y_train[0]), abs=1e-12)
    assert 0.0 < scores.accuracy[1] < 0.6
    # All later labelled samples have another value than the first 20, and half of the test
    # samples too: half are right by 20 labels, and all by 300.
    labelled, _, tested, _ = draw_split(np.arange(450)[:, None], MIXED, 300, 150, 0)
    factor = np.zeros((450, 1), int)
    factor[labelled[20:, 0]] = factor[tested[::2, 0]] = 1
    for factors in (factor, 1 - factor):
        scores = downstream_scores(factors, factor + 0.0, sizes=(20, 300), estimator=TREE)
        assert scores == ({20: 0.5, 300: 1.0}, {20: 0.5})


def test_sizes_are_sorted_and_may_be_an_array():
    expected = downstream_scores(FACTORS, MIXED, sizes=(10, 40, 300), estimator=TREE)
    for sizes in ([300, 10, 40], np.array([40, 10, 300])):
        scores = downstream_scores(FACTORS, MIXED, sizes=sizes, estimator=TREE)
        assert scores == expected
        assert list(scores.accuracy) == [10, 40, 300]
        assert list(scores.efficiency) == [10, 40]


def test_efficiency_is_the_ratio_to_the_largest():
    scores = downstream_scores(FACTORS, MIXED, sizes=(10, 40, 300), estimator=TREE)
    assert set(scores.efficiency) == {10, 40}
    for n, ratio in scores.efficiency.items():
        assert ratio == scores.accuracy[n] / scores.accuracy[300]
    assert downstream_scores(FACTORS, MIXED, sizes=(300,), estimator=TREE).efficiency == {}


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


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("estimator", "by_hand"),
    [
        ("random_forest", RandomForestClassifier()),
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


def test_gradient_boosting_is_the_default():
    y_train, x_train, y_test, x_test = draw_split(FACTORS[:, :2], MIXED, 300, 150, 0)
    scaler = StandardScaler().fit(x_train)
    distances = []
    for target in (0, 1):
        booster = GradientBoostingClassifier(random_state=0)
        booster.fit(scaler.transform(x_train), y_train[:, target])
        predicted = booster.predict(scaler.transform(x_test))
        distances.append(total_variation_by_hand(predicted, y_test[:, 1 - target]))
    score = unfairness_score(FACTORS[:, :2], MIXED, corrected=False)
    assert score == pytest.approx(np.mean(distances), abs=1e-12)


# Unfairness: closed forms.


def test_predictions_that_are_the_sensitive_factor():
    # 2 a + 3 b, as above: b is predicted for either target. For target a, all predictions of
    # a group of b are one value, of all predictions a share p are 1: the groups' distances
    # are p (of a share 1 - p) and 1 - p (of a share p), 2 p (1 - p) on the average. For
    # target b, a group of a differs from all as the table of the factors has it: by the
    # average over groups of |p(b | a) - p(b)|.
    factors = drawn_factors((2, 2), 6_000)
    codes = factors @ np.array([[2.0], [3.0]])
    _, _, y_test, _ = draw_split(factors, codes, 4_000, 2_000, 0)
    a, b = y_test.T
    p = b.mean()
    by_chance = sum(abs(b[a == v].mean() - p) * np.mean(a == v) for v in (0, 1))
    options = {"estimator": "logistic_regression"}
    plain = unfairness_score(factors, codes, corrected=False, **options)
    assert plain == pytest.approx((2 * p * (1 - p) + by_chance) / 2, abs=1e-12)
    # 1/2 and 0 with exactly balanced factors. A distance by chance has a standard error of
    # 1 / (2 sqrt(2000)), of which the average takes half.
    score = unfairness_score(factors, codes, **options)
    assert score == pytest.approx(1 / 4, abs=4 / (4 * np.sqrt(2_000)))


def test_predictions_that_are_a_function_of_the_sensitive_factor():
    # Of four values of s, the first code tells two from two, and that is what is predicted:
    # all of one value within a group, halves among all, a distance of 1/2. Given t the
    # predictions are halves still.
    factors = drawn_factors((3, 4), 6_000)
    codes = (factors[:, 1:] >= 2) * 1.0
    score = unfairness_score(factors, codes, estimator=ReadsCode())
    assert score == pytest.approx((1 / 2 + 0) / 2, abs=0.02)


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


def test_total_variation_of_a_small_table():
    # Groups of 4 and 2 samples. Shares of the three predictions: (2, 1, 1) / 4 and
    # (0, 0, 2) / 2; among all (2, 1, 3) / 6. Half the sums of differences: (1/6 + 1/12 + 1/4)
    # / 2 = 1/4 and (1/3 + 1/6 + 1/2) / 2 = 1/2. By group sizes: (4/4 + 2/2) / 6 = 1/3.
    predicted, sensitive = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 0, 0, 0, 1, 1])
    assert downstream._mean_total_variation(predicted, sensitive) == pytest.approx(1 / 3)
    # Numbers that no sample has count for nothing.
    assert downstream._mean_total_variation(3 * predicted, 2 * sensitive) == pytest.approx(1 / 3)


@pytest.mark.parametrize("seed", range(5))
def test_total_variation_is_that_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    sensitive = rng.integers(0, 7, 200)
    predicted = rng.integers(0, 3 + sensitive)
    expected = total_variation_by_hand(predicted, sensitive)
    distance = downstream._mean_total_variation(predicted, sensitive)
    assert distance == pytest.approx(expected, abs=1e-12)
    assert distance == downstream._dependence(predicted, sensitive, False, 0)


@pytest.mark.parametrize("corrected", [False, True])
def test_constant_predictions_are_fair(corrected):
    for codes in (np.zeros((450, 2)), np.full((450, 1), 0.1)):
        for estimator in (TREE, "logistic_regression"):
            options = {"estimator": estimator, "corrected": corrected}
            assert unfairness_score(FACTORS, codes, **options) == 0.0


def test_the_factors_themselves_are_fair():
    # All predictions are right, and as independent of each other as the factors. The plain
    # distance is that of the factors: in groups of 400 test samples and more, a share of 1/5
    # is off by 0.016 on the average, and half of five of these is 0.04.
    factors = drawn_factors((2, 3, 5), 6_000)
    codes = factors[:, [1, 2, 0, 0]] * -2.0
    _, _, y_test, _ = draw_split(factors, codes, 4_000, 2_000, 0)
    expected = np.mean(
        [
            total_variation_by_hand(y_test[:, t], y_test[:, s])
            for t, s in itertools.permutations(range(3), 2)
        ]
    )
    plain = unfairness_score(factors, codes, estimator=TREE, corrected=False)
    assert plain == pytest.approx(expected, abs=1e-12)
    assert 0.0 <= unfairness_score(factors, codes, estimator=TREE) < plain < 0.06


def test_noise_is_fair():
    # Noise knows of no factor. As above.
    factors = drawn_factors((2, 3, 5), 6_000)
    noise = np.random.default_rng(1).normal(size=(6_000, 2))
    plain = unfairness_score(factors, noise, estimator=TREE, corrected=False)
    assert 0.0 <= unfairness_score(factors, noise, estimator=TREE) < plain < 0.06


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


@pytest.mark.parametrize("n", [6, 12, 24, 32])
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
@pytest.mark.parametrize("n", [6, 12, 16])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 1.0])
def test_the_corrected_distance_is_within_003_of_the_truth(laws, n, share):
    # As documented, here with up to 16 values, where chance adds up to 0.09.
    law = laws(share, n)
    np.testing.assert_allclose(law.sum(axis=1), 1)
    truth = true_distance(law)
    plain, corrected = distances(law)
    assert abs(corrected - truth) < 0.03
    # It is an improvement wherever chance adds much.
    assert abs(corrected - truth) < abs(plain - truth) or abs(plain - truth) < 0.02


@pytest.mark.parametrize("laws", [repeating, halved, some_groups])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.3, 1.0])
def test_the_corrected_distance_of_32_values_is_within_005(laws, share):
    law = laws(share, 32)
    truth = true_distance(law)
    plain, corrected = distances(law)
    assert abs(corrected - truth) < 0.05
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


@pytest.mark.parametrize("name", SCORES)
def test_a_score_depends_on_its_seed_alone(name):
    score, options = SCORES[name], {"estimator": RandomForestClassifier(3), **OPTIONS[name]}
    np.random.seed(0)
    first = score(FACTORS, MIXED, seed=3, **options)
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    assert score(FACTORS, MIXED, seed=3, **options) == first
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    others = [score(FACTORS, MIXED, seed=seed, **options) for seed in range(3)]
    assert all(other != first for other in others)
    assert options["estimator"].random_state is None
    assert not hasattr(options["estimator"], "classes_")


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
@pytest.mark.parametrize("estimator", [RandomForestClassifier(5), "logistic_regression"])
def test_two_threads_score_as_one(name, estimator):
    scores = [
        SCORES[name](FACTORS, MIXED, estimator=estimator, n_jobs=n_jobs, **OPTIONS[name])
        for n_jobs in (None, 2)
    ]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("name", SCORES)
def test_float32_lists_and_tensors_score_as_float64(name):
    score, options = SCORES[name], {"estimator": TREE, **OPTIONS[name]}
    factors, codes = FACTORS.copy(), np.round(8 * MIXED)
    before = codes.copy()
    expected = score(factors, codes, **options)
    assert score(factors, codes.astype("int8"), **options) == expected
    assert score(factors.astype("uint8"), codes.astype("float32"), **options) == expected
    tensor = keras.ops.convert_to_tensor(codes.astype("float32"))
    assert score(factors.tolist(), tensor, **options) == expected
    # Classes are numbered from 0, in order, whatever the values.
    assert score(3 * factors - 7, codes, **options) == expected
    np.testing.assert_array_equal(factors, FACTORS)
    np.testing.assert_array_equal(codes, before)


# Bad input.

GOOD = np.arange(24.0).reshape(12, 2)
CLASSES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]] * 2)


def changed(array, value):
    array = array.copy()
    array[4, 1] = value
    return array


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    ("factors", "codes", "words"),
    [
        (CLASSES, changed(GOOD, np.nan), "NaN or infinite in 1 rows, first in row 4"),
        (CLASSES, changed(GOOD, np.inf), "NaN or infinite in 1 rows, first in row 4"),
        (CLASSES[:5], GOOD, "same samples, got 5 and 12"),
        (CLASSES[:1], GOOD[:1], "at least 2 samples, got 1"),
        (CLASSES.astype(float), GOOD, "integer classes .* float64"),
        (CLASSES[:, 0], GOOD, r"factors .* got int64 \(12,\)"),
        (CLASSES, GOOD[:, 0], r"codes .* got float64 \(12,\)"),
        (CLASSES, GOOD.astype(str), "codes must be numbers"),
        (CLASSES, GOOD[:, :0], "codes must be numbers"),
        (CLASSES * [1, 0], GOOD, "factor 1 has one value"),
        (CLASSES * [0, 1], GOOD, "factor 0 has one value"),
    ],
)
def test_bad_arrays_are_refused(name, factors, codes, words):
    options = {"downstream": {"sizes": (8,)}, "unfairness": {}}[name]
    with pytest.raises(ValueError, match=words):
        SCORES[name](factors, codes, estimator=TREE, **options)


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
        ((), r"sizes must be from 1 to 8, the samples beside the 4 that are scored, got \(\)"),
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
        (CLASSES[:, :1], {}, r"needs (two|2), got 1"),
        (CLASSES[:2], {}, "samples to fit to and to test on, got 2"),
        (CLASSES, {"n_train": 0}, "n_train must be at least 1, got 0"),
        (CLASSES, {"n_test": -1}, "n_test must be at least 1, got -1"),
        (CLASSES, {"n_train": 1, "n_test": 11}, "one value among the 1 samples to fit to"),
    ],
)
def test_bad_options_of_unfairness_are_refused(factors, options, words):
    with pytest.raises(ValueError, match=words):
        unfairness_score(factors, GOOD[: len(factors)], estimator=TREE, **options)
