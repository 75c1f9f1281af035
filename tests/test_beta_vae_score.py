import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from keras_betavae.metrics import _linear, beta_vae_score, intervention

PROTOCOLS = ("higgins", "locatello", "scale_free")
DSPRITES = (3, 6, 40, 32, 32)
NAMES = ("shape", "scale", "orientation", "pos_x", "pos_y")
SMALL = {"n_pairs": 8, "n_train": 400, "n_test": 400}


def drawn_factors(sizes, n, seed=0):
    return np.random.default_rng(seed).integers(0, sizes, (n, len(sizes)))


def standardised(factors, sizes):
    sizes = np.array(sizes)
    return (factors - (sizes - 1) / 2) / np.sqrt((sizes**2 - 1) / 12)


def rotation(n, seed):
    """A fixed orthogonal matrix."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


FACTORS = drawn_factors((4, 5, 6), 600)
# Three factors in two codes, so that some points cannot be told apart.
MIXTURE = np.array([[1.0, 0.2], [0.6, 0.9], [0.1, 0.5]])
MIXED = standardised(FACTORS, (4, 5, 6)) @ MIXTURE


@pytest.fixture
def quick_softmax(monkeypatch):
    """Fewer steps for the Adagrad classifier, where only its inputs matter."""
    monkeypatch.setattr(_linear, "MAX_STEPS", 400)
    monkeypatch.setattr(_linear, "CHECK_EVERY", 200)


# The ends of the scale.


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ground_truth_factors_score_one(protocol):
    factors = drawn_factors(DSPRITES, 5_000)
    codes = standardised(factors, DSPRITES)
    options = {"protocol": protocol, "factor_names": NAMES, "n_train": 2_000, "n_test": 1_000}
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
@pytest.mark.parametrize("protocol", ["higgins", "scale_free"])
def test_noise_scores_at_chance_with_few_images_too(protocol, seed):
    # An image paired with itself would give its factor away: of 1,000 images, only some 25
    # share an orientation.
    rng = np.random.default_rng(seed)
    factors, codes = rng.integers(0, DSPRITES, (1_000, 5)), rng.normal(size=(1_000, 10))
    score = beta_vae_score(factors, codes, protocol=protocol, factor_names=NAMES, seed=seed)
    chance = 1 / 4 if protocol == "higgins" else 1 / 5
    # Pairs that come up again in both halves of the points add a bias of up to 0.02.
    error = 4 * np.sqrt(chance * (1 - chance) / 5_000)
    assert chance - error < score < chance + error + 0.02 < 0.30


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
    codes = standardised(factors, (3, 4, 5)) @ MIXTURE
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


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_table_of_20000_images_scores_as_fresh_pairs_do(protocol, monkeypatch):
    # A known representation of the full dSprites grid, well inside (0, 1).
    matrix = rotation(5, seed=2)[:, :3]

    def represent(factors):
        return standardised(factors, DSPRITES) @ matrix

    n_train, n_test, n_pairs = 5_000, 20_000, 8
    if protocol == "higgins":
        # The same steps for both, since where the training stops is a draw as well.
        monkeypatch.setattr(_linear, "MAX_STEPS", 4_000)
        monkeypatch.setattr(_linear, "CHECK_EVERY", 4_000)
    table = drawn_factors(DSPRITES, 20_000, seed=4)
    score = beta_vae_score(
        table,
        represent(table),
        protocol=protocol,
        factor_names=NAMES,
        n_pairs=n_pairs,
        n_train=n_train,
        n_test=n_test,
    )

    rng = np.random.default_rng(5)
    n_points = n_train + n_test
    used = 4 if protocol == "higgins" else 5
    labels = rng.integers(used, size=n_points)
    shape = (n_points, n_pairs, 5)
    first, second = rng.integers(0, DSPRITES, shape), rng.integers(0, DSPRITES, shape)
    columns = labels + (5 - used)
    for k in range(5):
        second[columns == k, :, k] = first[columns == k, :, k]
    x = np.abs(represent(first) - represent(second)).mean(axis=1)
    if protocol == "higgins":
        weights, bias = _linear.fit_softmax(x[:n_train], labels[:n_train], rng)
        expected = np.mean((x[n_train:] @ weights + bias).argmax(axis=1) == labels[n_train:])
    else:
        penalty = {"C": 1.0} if protocol == "locatello" else {"C": np.inf}
        if protocol == "scale_free":
            x = x / x[:n_train].std(axis=0)
        classifier = LogisticRegression(**penalty).fit(x[:n_train], labels[:n_train])
        expected = classifier.score(x[n_train:], labels[n_train:])
    assert 0.3 < expected < 0.95
    assert abs(score - expected) < 0.01


# The pairs.


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 4))
def test_pairs_are_of_two_images_that_share_their_factor(seed, n_half, n_factors):
    rng = np.random.default_rng(seed)
    # Every value twice or more, in columns that are shuffled on their own.
    half = rng.integers(0, 4, (n_half, n_factors))
    factors = rng.permuted(np.concatenate([half, half]), axis=0)
    n_samples = 2 * n_half
    labels = rng.integers(n_factors, size=20)
    first, second = intervention._draw_pairs(factors, labels, 7, rng)
    assert first.shape == second.shape == (20, 7)
    assert 0 <= min(first.min(), second.min()) <= max(first.max(), second.max()) < n_samples
    np.testing.assert_array_equal(factors[first, labels[:, None]], factors[second, labels[:, None]])
    assert np.all(first != second)


def test_the_second_of_a_pair_is_uniform_over_the_others_that_share():
    # The values 0, 1 and 2 of four, three and two images.
    factors = np.array([[0, 0], [1, 0], [0, 1], [2, 1], [0, 2], [1, 2], [0, 0], [2, 2], [1, 1]])
    labels = np.zeros(100, int)
    rng = np.random.default_rng(0)
    first, second = intervention._draw_pairs(factors, labels, 900, rng)
    assert stats.chisquare(np.bincount(first.ravel(), minlength=9)).pvalue > 1e-4
    for index in range(9):
        sharers = np.flatnonzero(factors[:, 0] == factors[index, 0])
        others = sharers[sharers != index]
        counts = np.bincount(second[first == index], minlength=9)
        assert counts.sum() == counts[others].sum() == (first == index).sum()
        if len(others) > 1:
            assert stats.chisquare(counts[others]).pvalue > 1e-4


def test_the_other_factors_of_a_pair_are_independent():
    factors = np.array(list(itertools.product(range(3), range(4), range(2))))
    rng = np.random.default_rng(0)
    first, second = intervention._draw_pairs(factors, np.zeros(100, int), 400, rng)
    for k, n_values in ((1, 4), (2, 2)):
        joint = np.zeros((n_values, n_values))
        np.add.at(joint, (factors[first, k], factors[second, k]), 1)
        # Of the eight images that share the first factor, 8 / n_values have each value of
        # this one. The second is any of the seven others: the first is missing from its own.
        per_value = 8 // n_values
        law = (per_value - np.eye(n_values)) / 7 / n_values
        assert law.sum() == pytest.approx(1.0)
        assert stats.chisquare(joint.ravel(), joint.sum() * law.ravel()).pvalue > 1e-4


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
        patch.setattr(intervention, "_BLOCK_VALUES", block_values)
        z_diff = intervention._mean_differences(codes, first, second)
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


@pytest.mark.usefixtures("quick_softmax")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bytes_score_as_the_same_numbers_in_floats(protocol):
    codes = np.random.default_rng(0).integers(0, 256, (600, 3), dtype="uint8")
    codes[:, 0] = 40 * FACTORS[:, 0]
    scores = [
        beta_vae_score(FACTORS, codes.astype(dtype), protocol=protocol, **SMALL)
        for dtype in ("uint8", "float32")
    ]
    assert scores[0] == scores[1]


# What must not matter, and what does.


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.floats(-6, 6), min_size=2, max_size=2),
    st.lists(st.booleans(), min_size=2, max_size=2),
    st.permutations(range(2)),
)
def test_scale_free_does_not_see_scale_sign_or_order(exponents, signs, order):
    scales = 10.0 ** np.array(exponents) * np.where(signs, -1, 1)
    sizes = {"n_pairs": 8, "n_train": 1_000, "n_test": 1_000}
    score = beta_vae_score(FACTORS, MIXED, protocol="scale_free", **sizes)
    changed = (MIXED * scales)[:, list(order)]
    assert beta_vae_score(FACTORS, changed, protocol="scale_free", **sizes) == pytest.approx(
        score, abs=2e-3
    )
    assert 0.5 < score < 1.0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_order_of_the_latents_does_not_matter(protocol):
    sizes = {"n_pairs": 8, "n_train": 1_000, "n_test": 1_000}
    scores = [
        beta_vae_score(FACTORS, codes, protocol=protocol, **sizes)
        for codes in (MIXED, MIXED[:, ::-1])
    ]
    assert scores[0] == pytest.approx(scores[1], abs=2e-3)


def test_small_codes_lose_under_the_penalty_alone():
    def score(protocol, scale):
        codes = scale * standardised(FACTORS, (4, 5, 6)) @ rotation(3, seed=1)
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


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_score_depends_on_its_seed_alone(protocol):
    def score(seed):
        return beta_vae_score(FACTORS, MIXED, protocol=protocol, seed=seed, **SMALL)

    np.random.seed(0)
    first = score(3)
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    assert score(3) == first
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert len({score(seed) for seed in range(4)}) > 1
    assert type(first) is float
    assert 0.0 <= first <= 1.0


def test_arguments_are_not_changed():
    factors, codes = FACTORS.copy(), MIXED.astype("float32")
    before = codes.copy()
    for protocol in PROTOCOLS:
        beta_vae_score(factors, codes, protocol=protocol, n_pairs=2, n_train=100, n_test=10)
    np.testing.assert_array_equal(factors, FACTORS)
    np.testing.assert_array_equal(codes, before)


def test_codes_may_be_lists_or_tensors():
    options = {"protocol": "locatello", **SMALL}
    expected = beta_vae_score(FACTORS, MIXED.astype("float32"), **options)
    tensor = keras.ops.convert_to_tensor(MIXED.astype("float32"))
    assert beta_vae_score(FACTORS.tolist(), tensor, **options) == expected


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


def test_fit_softmax_takes_the_steps_of_keras_adagrad(monkeypatch):
    monkeypatch.setattr(_linear, "MAX_STEPS", 12)
    monkeypatch.setattr(_linear, "BATCH", 10)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(30, 4)).astype("float32"), np.arange(30) % 3
    weights, bias = _linear.fit_softmax(x, labels, np.random.default_rng(7))

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.layers[-1].set_weights([np.zeros((4, 3)), np.zeros(3)])
    adagrad = keras.optimizers.Adagrad(1e-2, initial_accumulator_value=1e-7, epsilon=0.0)
    model.compile(adagrad, "sparse_categorical_crossentropy", jit_compile=False)
    order = np.random.default_rng(7)
    for _ in range(4):
        shuffled = order.permutation(30)
        for start in range(0, 30, 10):
            batch = shuffled[start : start + 10]
            model.train_on_batch(x[batch], labels[batch])
    expected = model.layers[-1].get_weights()
    np.testing.assert_allclose(weights, expected[0], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(bias, expected[1], rtol=1e-3, atol=1e-5)


def test_fit_softmax_descends_the_likelihood_as_a_plain_loop_does(monkeypatch):
    monkeypatch.setattr(_linear, "MAX_STEPS", 30)
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(100, 2)), np.arange(100) % 2
    weights, bias = _linear.fit_softmax(x, labels, rng)

    # One batch holds all the points, so their order does not matter.
    w, b = np.zeros((2, 2)), np.zeros(2)
    squares_w, squares_b = np.full((2, 2), 1e-7), np.full(2, 1e-7)
    for _ in range(30):
        slope_w, slope_b = np.zeros((2, 2)), np.zeros(2)
        for point, label in zip(x, labels, strict=True):
            odds = np.exp(point @ w + b)
            error = odds / odds.sum() - np.eye(2)[label]
            slope_w += np.outer(point, error) / 100
            slope_b += error / 100
        squares_w += slope_w**2
        squares_b += slope_b**2
        w -= 0.01 * slope_w / np.sqrt(squares_w)
        b -= 0.01 * slope_b / np.sqrt(squares_b)
    np.testing.assert_allclose(weights, w, rtol=1e-4, atol=1e-6)
    # The bias' gradient is nearly zero here: balanced classes.
    np.testing.assert_allclose(bias, b, rtol=1e-3, atol=1e-4)


class Counter:
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
    counter = Counter()
    _linear.fit_softmax(x, labels, counter)
    assert counter.passes == passes


# Bad input.

GOOD = np.arange(12.0).reshape(6, 2)
CLASSES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]])
ALONE = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 2]])  # One image of [_, 2].


def changed(array, value):
    array = array.copy()
    array[4, 1] = value
    return array


@pytest.mark.parametrize(
    ("factors", "codes", "options", "words"),
    [
        (CLASSES, changed(GOOD, np.nan), {}, "NaN or infinite in 1 rows, first in row 4"),
        (CLASSES, changed(GOOD, -np.inf), {}, "NaN or infinite in 1 rows, first in row 4"),
        (CLASSES[:5], GOOD, {}, "same samples, got 5 and 6"),
        (CLASSES[:1], GOOD[:1], {}, "at least 2 samples, got 1"),
        (CLASSES.astype(float), GOOD, {}, "integer classes .* float64"),
        (CLASSES[:, 0], GOOD, {}, r"factors .* got int64 \(6,\)"),
        (CLASSES, GOOD[:, 0], {}, r"codes .* got float64 \(6,\)"),
        (CLASSES, GOOD.astype(str), {}, "codes must be numbers"),
        (CLASSES, GOOD.astype(complex), {}, "codes must be numbers"),
        (CLASSES, GOOD[:, :0], {}, "codes"),
        (CLASSES * [1, 0], GOOD, {}, "factor 1 has one value"),
        (CLASSES * [0, 1], GOOD, {"factor_names": ("x", "y")}, "factor 'x' has one value"),
        (ALONE, GOOD, {}, "factor 1 has a value of one image, which makes no pair"),
        (ALONE, GOOD, {"factor_names": ("x", "y")}, "factor 'y' has a value of one image"),
        (ALONE[:, ::-1], GOOD, {"factor_names": ("x", "y")}, "factor 'x' has a value of one image"),
        (CLASSES[:, :1], GOOD, {}, "needs two, got 1"),
        (CLASSES, GOOD, {"factor_names": ("shape", "x")}, "needs two, got 1"),
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
    factors[7, 0] = 1
    assert score == beta_vae_score(factors, MIXED, factor_names=names, **SMALL)
    with pytest.raises(ValueError, match="factor 'shape' has a value of one image"):
        beta_vae_score(factors, MIXED, protocol="locatello", factor_names=names, **SMALL)
