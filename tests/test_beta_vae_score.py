from collections import Counter

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from keras_betavae.metrics import _differences, _linear, beta_vae_score, intervention

PROTOCOLS = ("higgins", "locatello", "scale_free")
DSPRITES = (3, 6, 40, 32, 32)
NAMES = ("shape", "scale", "orientation", "pos_x", "pos_y")
SMALL = {"n_pairs": 8, "n_train": 400, "n_test": 400}


def drawn_factors(sizes, n, seed=0):
    return np.random.default_rng(seed).integers(0, sizes, (n, len(sizes)))


def standardized(factors, sizes):
    sizes = np.array(sizes)
    return (factors - (sizes - 1) / 2) / np.sqrt((sizes**2 - 1) / 12)


def rotation(n, seed):
    """A fixed orthogonal matrix."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


FACTORS = drawn_factors((4, 5, 6), 600)
# Three factors in two codes, so that some points cannot be told apart.
MIXTURE = np.array([[1.0, 0.2], [0.6, 0.9], [0.1, 0.5]])
MIXED = standardized(FACTORS, (4, 5, 6)) @ MIXTURE


@pytest.fixture
def quick_softmax(monkeypatch):
    """Fewer steps for the Adagrad classifier, where only its inputs matter."""
    monkeypatch.setattr(_linear, "MAX_STEPS", 400)
    monkeypatch.setattr(_linear, "CHECK_EVERY", 200)


# The ends of the scale.


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ground_truth_factors_score_one(protocol):
    factors = drawn_factors(DSPRITES, 5_000)
    codes = standardized(factors, DSPRITES)
    options = {"protocol": protocol, "factor_names": NAMES, "n_train": 1_000, "n_test": 500}
    assert beta_vae_score(factors, codes, **options) == 1.0
    # Latents that carry nothing beside them, and other units, change nothing.
    dead = np.concatenate([np.zeros((5_000, 2)), 3 * codes[:, ::-1] + 1], axis=1)
    assert beta_vae_score(factors, dead, **options) == 1.0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("codes", ["constant", "noise"])
def test_codes_that_ignore_the_images_score_at_chance(protocol, codes):
    factors = drawn_factors(DSPRITES, 2_000)
    codes = (
        np.ones((2_000, 4))
        if codes == "constant"
        else np.random.default_rng(1).normal(size=(2_000, 4))
    )
    score = beta_vae_score(
        factors, codes, protocol=protocol, factor_names=NAMES, n_train=1_000, n_test=4_000
    )
    chance = 1 / 4 if protocol == "higgins" else 1 / 5
    assert abs(score - chance) < 4 * np.sqrt(chance * (1 - chance) / 4_000)


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_scores_at_chance_with_few_images_too(seed):
    # An image paired with itself would give its factor away: of 1,000 images, only some 25
    # share an orientation.
    rng = np.random.default_rng(seed)
    factors, codes = rng.integers(0, DSPRITES, (1_000, 5)), rng.normal(size=(1_000, 10))
    score = beta_vae_score(factors, codes, protocol="scale_free", seed=seed)
    # Pairs that come up again in both halves of the points add a bias of up to 0.03.
    error = 4 * np.sqrt(1 / 5 * 4 / 5 / 5_000)
    assert 1 / 5 - error < score < 1 / 5 + error + 0.03 < 0.26


# Against independent implementations.


def fresh_points(draw, n_factors, n_points, n_pairs, rng, encode):
    """The definition, a point and a pair at a time: z_diff and the factor of each point."""
    z_diff, labels = [], []
    for _ in range(n_points):
        k = rng.integers(n_factors)
        differences = []
        for _ in range(n_pairs):
            first, second = draw(k)
            differences.append(abs(encode(first) - encode(second)))
        z_diff.append(np.mean(differences, axis=0))
        labels.append(k)
    return np.array(z_diff), np.array(labels)


def test_locatello_is_logistic_regression_on_pairs_drawn_one_by_one():
    factors = drawn_factors((3, 4, 5), 300, seed=3)
    codes = standardized(factors, (3, 4, 5)) @ MIXTURE
    rng = np.random.default_rng(10)

    def draw(k):
        first = rng.integers(300)
        sharers = np.flatnonzero(factors[:, k] == factors[first, k])
        others = sharers[sharers != first]
        return first, others[rng.integers(len(others))]

    n_train, n_test, n_pairs = 1_500, 2_000, 6
    x, y = fresh_points(draw, 3, n_train + n_test, n_pairs, rng, codes.__getitem__)
    expected = LogisticRegression().fit(x[:n_train], y[:n_train]).score(x[n_train:], y[n_train:])
    sizes = {"n_train": n_train, "n_test": n_test, "n_pairs": n_pairs}
    score = beta_vae_score(factors, codes, protocol="locatello", seed=1, **sizes)
    assert 0.5 < expected < 0.9
    # Both are draws, of their test points above all.
    assert abs(score - expected) < 3 * np.sqrt(2 * expected * (1 - expected) / n_test)


def fresh_pairs(represent, n_points, n_pairs, used, rng):
    """z_diff and factor of points whose images are all rendered for them."""
    labels = rng.integers(used, size=n_points)
    shape = (n_points, n_pairs, 5)
    first, second = rng.integers(0, DSPRITES, shape), rng.integers(0, DSPRITES, shape)
    columns = labels + (5 - used)
    for k in range(5):
        second[columns == k, :, k] = first[columns == k, :, k]
    return np.abs(represent(first) - represent(second)).mean(axis=1), labels


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_6000_images_score_as_fresh_images_do(protocol, monkeypatch):
    # A known representation of the full dSprites grid, well inside (0, 1).
    matrix = rotation(5, seed=2)[:, :3]

    def represent(factors):
        return standardized(factors, DSPRITES) @ matrix

    n_train, n_test, n_pairs, n_tables = 4_000, 4_000, 8, 6
    # The same steps for all, since where the training stops is a draw as well.
    monkeypatch.setattr(_linear, "MAX_STEPS", 2_000)
    monkeypatch.setattr(_linear, "CHECK_EVERY", 2_000)
    used = 4 if protocol == "higgins" else 5
    scores, expected = [], []
    for seed in range(n_tables):
        table = drawn_factors(DSPRITES, 6_000, seed=seed)
        options = {"n_pairs": n_pairs, "n_train": n_train, "n_test": n_test, "seed": seed}
        codes = represent(table)
        scores.append(
            beta_vae_score(table, codes, protocol=protocol, factor_names=NAMES, **options)
        )
        rng = np.random.default_rng(100 + seed)
        x, y = fresh_pairs(represent, n_train + n_test, n_pairs, used, rng)
        if protocol == "higgins":
            weights, bias = _linear.fit_softmax(x[:n_train], y[:n_train], rng)
            hits = (x[n_train:] @ weights + bias).argmax(axis=1) == y[n_train:]
            expected.append(hits.mean())
            continue
        if protocol == "scale_free":
            x = x / x[:n_train].std(axis=0)
        classifier = LogisticRegression(C=1.0 if protocol == "locatello" else np.inf)
        expected.append(classifier.fit(x[:n_train], y[:n_train]).score(x[n_train:], y[n_train:]))
    error = np.sqrt((np.var(scores, ddof=1) + np.var(expected, ddof=1)) / n_tables)
    assert 0.3 < np.mean(expected) < 0.95
    assert abs(np.mean(scores) - np.mean(expected)) < 2 * error
    assert error < 0.01


# The pairs.


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(7, 30), st.integers(1, 4))
def test_a_point_has_distinct_images_in_pairs_that_share_its_factor(seed, n_half, n_factors):
    rng = np.random.default_rng(seed)
    # Every value an even number of times, in columns that are shuffled on their own.
    half = rng.integers(0, 4, (n_half, n_factors))
    factors = rng.permuted(np.concatenate([half, half]), axis=0)
    labels = rng.integers(n_factors, size=20)
    first, second = intervention._draw_pairs(factors, labels, 7, rng)
    assert first.shape == second.shape == (20, 7)
    both = np.concatenate([first, second], axis=1)
    assert 0 <= both.min() <= both.max() < 2 * n_half
    np.testing.assert_array_equal(factors[first, labels[:, None]], factors[second, labels[:, None]])
    assert all(len(set(images)) == 14 for images in both.tolist())


def test_where_there_are_few_pairs_they_are_drawn_with_replacement():
    factors = np.array([[0], [0], [1], [1], [1]])
    first, second = intervention._draw_pairs(
        factors, np.zeros(400, int), 4, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(factors[first, 0], factors[second, 0])
    assert np.all(first != second)
    # Two disjoint pairs, each as likely: 0 or 1 of four has a binomial law.
    counts = np.bincount((factors[first, 0] == 0).sum(axis=1), minlength=5)
    assert stats.chisquare(counts, 400 * stats.binom.pmf(range(5), 4, 1 / 2)).pvalue > 1e-4


def test_all_pairs_that_share_a_value_come_up_alike():
    # Values of 8 and 4 images: 28 and 6 pairs, of which 4 and 2 are in a pairing.
    factors = np.repeat([[0], [1]], [8, 4], axis=0)
    counts = np.zeros((12, 12))
    for seed in range(200):
        rng = np.random.default_rng(seed)
        first, second = intervention._draw_pairs(factors, np.zeros(2, int), 3, rng)
        # Three of six disjoint pairs in one of two points, so that draws are independent.
        np.add.at(counts, (np.minimum(first, second)[0], np.maximum(first, second)[0]), 1)
    inside = [counts[:8, :8][np.triu_indices(8, 1)], counts[8:, 8:][np.triu_indices(4, 1)]]
    assert sum(part.sum() for part in inside) == counts.sum() == 600
    law = np.concatenate([np.full(28, 4 / 28), np.full(6, 2 / 6)]) / 6
    assert stats.chisquare(np.concatenate(inside), 600 * law).pvalue > 1e-4


def test_distinct_draws_are_all_subsets_alike():
    sizes = np.repeat([3, 5, 2], 3_000)
    drawn = intervention._draw_distinct(sizes, 3, np.random.default_rng(0))
    assert np.all((drawn >= 0) & (drawn < sizes))
    np.testing.assert_array_equal(
        np.sort(drawn[:, :3_000], axis=0), [[k] * 3_000 for k in range(3)]
    )
    subsets = Counter(map(frozenset, drawn[:, 3_000:6_000].T.tolist()))
    assert len(subsets) == 10
    assert stats.chisquare(list(subsets.values())).pvalue > 1e-4
    # Two are too few for three: with replacement, each of the eight outcomes alike.
    outcomes = Counter(map(tuple, drawn[:, 6_000:].T.tolist()))
    assert len(outcomes) == 8
    assert stats.chisquare(list(outcomes.values())).pvalue > 1e-4


@settings(deadline=None, max_examples=30)
@given(
    dtype=st.sampled_from(["float32", "float64", "float16", "uint8", "int64"]),
    block_values=st.sampled_from([1, 17, 64, 2**24]),
    seed=st.integers(0, 2**32),
)
def test_mean_differences_are_those_of_a_loop(dtype, block_values, seed):
    rng = np.random.default_rng(seed)
    codes = (rng.random((30, 4)) * 255).astype(dtype)
    before = codes.copy()
    first, second = rng.integers(30, size=(2, 11, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_differences, "_BLOCK_VALUES", block_values)
        z_diff = _differences.mean_differences(codes, first, second)
    expected = [
        np.mean(
            [
                abs(codes[i].astype(float) - codes[j].astype(float))
                for i, j in zip(a, b, strict=True)
            ],
            0,
        )
        for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(z_diff, expected, rtol=1e-5)
    np.testing.assert_array_equal(codes, before)


# What must not matter, and what does.


def test_small_codes_lose_under_the_penalty_alone():
    def score(protocol, scale):
        codes = scale * standardized(FACTORS, (4, 5, 6)) @ rotation(3, seed=1)
        sizes = {"n_pairs": 32, "n_train": 2_000, "n_test": 2_000}
        return beta_vae_score(FACTORS, codes, protocol=protocol, **sizes)

    assert score("locatello", 1e-3) < score("locatello", 1.0) - 0.1
    assert score("scale_free", 1e-3) == pytest.approx(score("scale_free", 1.0), abs=2e-3)
    # Codes that the penalty does not reach are told apart as well as without it.
    assert score("locatello", 1e2) == pytest.approx(score("scale_free", 1.0), abs=0.02)


@pytest.mark.usefixtures("quick_softmax")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_higgins_leaves_out_the_shape(protocol):
    names = ("shape", "a", "b")
    with_shape = beta_vae_score(
        FACTORS, MIXED, protocol=protocol, factor_names=names, seed=2, **SMALL
    )
    without = beta_vae_score(FACTORS[:, 1:], MIXED, protocol=protocol, seed=2, **SMALL)
    unnamed = beta_vae_score(FACTORS, MIXED, protocol=protocol, seed=2, **SMALL)
    assert without != unnamed
    assert with_shape == (without if protocol == "higgins" else unnamed)


# The user's own classifier.


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_users_classifier_takes_the_place_of_the_protocols(protocol):
    class Recorder(KNeighborsClassifier):
        def fit(self, x, y):
            fitted.append((x.shape, np.unique(y).tolist()))
            return super().fit(x, y)

        def score(self, x, y):
            fitted.append(x.shape)
            return 0.125

    fitted = []
    classifier = Recorder(n_neighbors=3)
    score = beta_vae_score(FACTORS, MIXED, protocol=protocol, classifier=classifier, **SMALL)
    assert score == 0.125
    assert fitted == [((400, 2), [0, 1, 2]), (400, 2)]
    assert not hasattr(classifier, "classes_")


def test_the_users_classifier_sees_raw_differences():
    logistic = LogisticRegression()
    expected = beta_vae_score(FACTORS, MIXED, protocol="locatello", **SMALL)
    for protocol in PROTOCOLS:
        options = {"protocol": protocol, "classifier": logistic, **SMALL}
        assert beta_vae_score(FACTORS, MIXED, **options) == expected


# The paper's classifier.


@pytest.mark.parametrize("is_short", [False, True])  # Of 16 bits, which are read as such.
def test_fit_softmax_takes_the_steps_of_keras_adagrad(is_short, monkeypatch):
    monkeypatch.setattr(_linear, "MAX_STEPS", 12)
    monkeypatch.setattr(_linear, "BATCH", 10)
    rng = np.random.default_rng(0)
    # The last of the four batches of a pass has three points.
    x, labels = rng.normal(size=(33, 4)).astype("float32"), np.arange(33) % 3
    x = (64 * x).round() / 64 if is_short else x
    weights, bias = _linear.fit_softmax(x, labels, np.random.default_rng(7))

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.layers[-1].set_weights([np.zeros((4, 3)), np.zeros(3)])
    adagrad = keras.optimizers.Adagrad(1e-2, initial_accumulator_value=1e-7, epsilon=0.0)
    model.compile(adagrad, "sparse_categorical_crossentropy", jit_compile=False)
    order = np.random.default_rng(7)
    for _ in range(3):
        shuffled = order.permutation(33)
        for start in range(0, 33, 10):
            batch = shuffled[start : start + 10]
            model.train_on_batch(x[batch], labels[batch])
    expected = model.layers[-1].get_weights()
    np.testing.assert_allclose(weights, expected[0], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(bias, expected[1], rtol=1e-3, atol=1e-5)


class Passes:
    """A generator that counts the passes asked of it."""

    def __init__(self):
        self.rng, self.passes = np.random.default_rng(0), 0

    def permutation(self, n):
        self.passes += 1
        return self.rng.permutation(n)


@pytest.mark.parametrize(
    ("separable", "min_gain", "max_steps", "passes"),
    [
        (True, 1e-3, 1_000, 20),
        (False, 1e-3, 1_000, 20),
        (True, -1.0, 1_000, 100),
        (True, 1e-3, 7, 1),
    ],
)
def test_fit_softmax_stops_when_the_accuracy_does_not_rise(
    monkeypatch, separable, min_gain, max_steps, passes
):
    # 10 batches a pass. Separable points are told apart at the first check, after which
    # the second brings no gain; a constant input never gains at all.
    monkeypatch.setattr(_linear, "CHECK_EVERY", 100)
    monkeypatch.setattr(_linear, "MIN_GAIN", min_gain)
    monkeypatch.setattr(_linear, "MAX_STEPS", max_steps)
    labels = np.arange(1_000) % 2
    x = np.where(labels, 1.0, -1.0)[:, None] * separable
    counter = Passes()
    _linear.fit_softmax(x, labels, counter)
    assert counter.passes == passes


# Bad input.

GOOD = np.arange(12.0).reshape(6, 2)
CLASSES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]])
ALONE = np.array([[0, 0], [0, 1], [1, 2], [1, 3], [2, 4], [2, 5]])  # One image of each [_, k].


@pytest.mark.parametrize(
    ("factors", "codes", "options", "words"),
    [
        (CLASSES * [0, 1], GOOD, {"factor_names": ("x", "y")}, "factor 'x' has one value"),
        (ALONE, GOOD, {}, "factor 1 has no two images of one value, which would make"),
        (ALONE, GOOD, {"factor_names": ("x", "y")}, "factor 'y' has no two images"),
        (ALONE[:, ::-1], GOOD, {"factor_names": ("x", "y")}, "factor 'x' has no two images"),
        (CLASSES[:, :1], GOOD, {}, "needs at least two, got 1"),
        (CLASSES, GOOD, {"factor_names": ("shape", "x")}, "needs at least two, got 1"),
        (CLASSES, GOOD, {"factor_names": ("x",)}, "1 names for 2 factors"),
        (CLASSES, GOOD, {"protocol": "kim"}, "higgins, locatello, scale_free, got 'kim'"),
        (CLASSES, GOOD, {"n_pairs": 0}, "n_pairs must be at least 1, got 0"),
        (CLASSES, GOOD, {"n_train": 0}, "n_train must be at least 1, got 0"),
        (CLASSES, GOOD, {"n_test": -1}, "n_test must be at least 1, got -1"),
    ],
)
def test_bad_input_is_refused(factors, codes, options, words):
    with pytest.raises(ValueError, match=words):
        beta_vae_score(factors, codes, **options)


@pytest.mark.usefixtures("quick_softmax")
def test_a_shape_with_one_value_is_no_matter_to_higgins():
    names = ("shape", "x", "y")
    factors = FACTORS * [0, 1, 1]
    score = beta_vae_score(factors, MIXED, factor_names=names, **SMALL)
    assert score == beta_vae_score(factors[:, 1:], MIXED, **SMALL)
    with pytest.raises(ValueError, match="factor 'shape' has one value"):
        beta_vae_score(factors, MIXED, protocol="locatello", factor_names=names, **SMALL)
    factors[:, 0] = np.arange(len(factors))
    assert score == beta_vae_score(factors, MIXED, factor_names=names, **SMALL)
    with pytest.raises(ValueError, match="factor 'shape' has no two images"):
        beta_vae_score(factors, MIXED, protocol="locatello", factor_names=names, **SMALL)
