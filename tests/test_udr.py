import itertools
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import Lasso
from sklearn.preprocessing import StandardScaler

from keras_betavae.metrics import udr_scores

METHODS = ("lasso", "spearman")


def grid(*sizes):
    """Every combination of values once: uncorrelated columns, all of a variance above 0.01."""
    return np.array(list(itertools.product(*map(range, sizes)))).astype(float)


def mixed(seed, latent_dims, n=60):
    """The codes of models that each mix the same sources, with noise."""
    rng = np.random.default_rng(seed)
    sources = rng.normal(size=(n, 3))
    return [
        sources @ rng.normal(size=(3, latent_dim)) + rng.normal(size=(n, latent_dim))
        for latent_dim in latent_dims
    ]


draws = {
    "seed": st.integers(0, 2**32),
    "latent_dims": st.lists(st.integers(1, 4), min_size=2, max_size=3),
}

# Uncorrelated latents X of mean 0 and variance 1. Then X'X / n = I, and the lasso's minimum
# of |y - Xw|² / 2n + 0.1 |w| is X'y / n, drawn towards 0 by 0.1: of a latent that is a column
# of X up to its sign, 0.9 there and 0 elsewhere. All of R's largest entries are 0.9, which are
# alone in their row and column: 0.9² / 0.9.
FULL = {"lasso": 0.9, "spearman": 1.0}

# Of (x ± y) / sqrt(2), X'y / n is 1 / sqrt(2) twice, and so are both of each row and column:
# r² / 2r.
ROTATION = np.array([[1, 1], [1, -1]]) / sqrt(2)
ROTATED = (1 / sqrt(2) - 0.1) / 2


# Closed forms.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: x, id="identical"),
        pytest.param(lambda x: x[:, [2, 0, 1]], id="permuted"),
        pytest.param(lambda x: x * [1, -1, -1], id="sign-flipped"),
        pytest.param(lambda x: 3 - x[:, [1, 2, 0]] * [1, 20, 0.2], id="all, in other units"),
    ],
)
def test_models_that_find_the_same_latents_agree_wholly(method, change):
    codes = grid(3, 4, 5)
    scores = udr_scores([codes, change(codes)], method=method)
    assert scores == pytest.approx([FULL[method]] * 2, abs=1e-9)
    assert {type(score) for score in scores} == {float}


def test_a_rotated_model_scores_lower():
    codes = grid(4, 4)
    rotated = (codes - 1.5) @ ROTATION
    assert udr_scores([codes, rotated]) == pytest.approx([ROTATED] * 2, abs=1e-9)
    assert ROTATED < 0.9 / 2
    # Both ranks of x + y correlate alike with x and with y: half of that correlation.
    rho = stats.spearmanr(codes[:, 0], rotated[:, 0]).statistic
    assert udr_scores([codes, rotated], method="spearman") == pytest.approx([rho / 2] * 2)


@pytest.mark.parametrize("method", METHODS)
def test_models_without_a_latent_in_common_score_0(method):
    x = grid(3, 4, 2, 5)
    assert udr_scores([x[:, :2], x[:, 2:]], method=method) == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_models_may_have_other_numbers_of_latents(method):
    # One of three latents is known to the other model: its column holds one entry, and so does
    # one of the three rows. The others add 0.
    codes = grid(3, 4, 5)
    scores = udr_scores([codes, -codes[:, 1:2]], method=method)
    assert scores == pytest.approx([FULL[method] * (1 + 1 / 3) / 2] * 2, abs=1e-9)


# Several models.


def test_the_median_over_four_models_is_the_middle_one_of_three_pairs():
    codes = grid(4, 4)
    models = [codes, -codes[:, ::-1], (codes - 1.5) @ ROTATION, codes[:, :1]]
    # Half of the first two models' latents are the last one's; it has one r and one of 2r.
    half = 0.9 * (1 + 1 / 2) / 2
    # Of the rotated two, each is r: R is (r, r), so r² / 2r from one side and r from the other.
    both = (ROTATED + 2 * ROTATED) / 2
    assert 2 * ROTATED < half < 0.9
    expected = [half, half, ROTATED, half]
    assert sorted([0.9, ROTATED, half])[1] == expected[0]
    assert sorted([ROTATED, ROTATED, both])[1] == expected[2]
    assert sorted([half, half, both])[1] == expected[3]
    assert udr_scores(models) == pytest.approx(expected, abs=1e-9)


# Informative latents.


@pytest.mark.parametrize("method", METHODS)
def test_latents_of_little_kl_are_left_out(method):
    x = grid(3, 4, 5, 2)
    first, second = x[:, [0, 3, 1]], x[:, [1, 0, 2]]
    low, above = 0.01, 0.011
    scores = udr_scores(
        [first, second], latent_kl=[[above, low, 1.0], np.array([1.0, above, low])], method=method
    )
    assert scores == pytest.approx([FULL[method]] * 2, abs=1e-9)
    # With them, one latent in three of each model is unknown to the other.
    for options in ({"latent_kl": [[above] * 3] * 2}, {"latent_kl": None}, {"threshold": 0.0}):
        scores = udr_scores([first, second], method=method, **options)
        assert scores == pytest.approx([FULL[method] * 2 / 3] * 2, abs=1e-9)
    scores = udr_scores([first, second], latent_kl=[[3, 1, 3], [3, 3, 1]], threshold=1)
    assert scores == pytest.approx([0.9] * 2, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_latents_of_little_variance_are_left_out_without_kl(method):
    # Halves of a unit apart, two values have a variance of 1/16.
    x = grid(3, 4, 2)
    codes = x * [1, 1, 0.5]
    assert codes[:, 2].var() == 1 / 16
    others = x[:, :2]
    for threshold, n_left in [(0.01, 3), (1 / 17, 3), (1 / 16, 2), (0.5, 2)]:
        scores = udr_scores([codes, others], method=method, threshold=threshold)
        expected = FULL[method] * (1 + 2 / n_left) / 2
        assert scores == pytest.approx([expected] * 2, abs=1e-9)
    scores = udr_scores([codes * [1, 1, 0.3], others], method=method)
    # 0.09 / 16 is below 0.01.
    assert scores == pytest.approx([FULL[method]] * 2, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_without_informative_latents_scores_0(method):
    codes = grid(3, 4, 5)
    dead = [codes * 0, codes * 0 + 0.1, codes * 0.001]
    for model in dead:
        assert udr_scores([codes, model], method=method) == [0, 0]
        scores = udr_scores([codes, model, -codes], method=method)
        # It counts as a model that agrees in nothing.
        expected = [FULL[method] / 2, 0, FULL[method] / 2]
        assert scores == pytest.approx(expected, abs=1e-9)
    assert udr_scores(dead, method=method) == [0, 0, 0]


@pytest.mark.parametrize("method", METHODS)
def test_constant_latents_said_to_be_informative_agree_with_none(method):
    codes = grid(3, 4, 5)
    others = codes * [1, 0, 1] + 0.1
    scores = udr_scores([codes, others], latent_kl=[np.ones(3)] * 2, method=method)
    assert scores == pytest.approx([FULL[method] * 2 / 3] * 2, abs=1e-9)


# Against the definition, a latent at a time.


def similarity(source, target, method):
    """A list per latent of the source, of that of each latent of the target."""
    x = StandardScaler().fit_transform(source)
    rows = [[0.0] * target.shape[1] for _ in range(source.shape[1])]
    for b in range(target.shape[1]):
        y = (target[:, b] - target[:, b].mean()) / target[:, b].std()
        weights = Lasso(alpha=0.1).fit(x, y).coef_
        for a in range(source.shape[1]):
            if method == "lasso":
                rows[a][b] = abs(float(weights[a]))
            else:
                rows[a][b] = abs(float(stats.spearmanr(source[:, a], target[:, b]).statistic))
    return rows


def strength(rows, weights):
    shares = [max(row) ** 2 / sum(row) if sum(row) > 0 else 0.0 for row in rows]
    return sum(w * share for w, share in zip(weights, shares, strict=True)) / sum(weights)


def expected_scores(models, method, power=0.0):
    weights = [[value**power for value in model.var(axis=0)] for model in models]
    scores = []
    for j, target in enumerate(models):
        pairs = []
        for i, source in enumerate(models):
            if i != j:
                rows = similarity(source, target, method)
                columns = list(zip(*rows, strict=True))
                pairs.append((strength(rows, weights[i]) + strength(columns, weights[j])) / 2)
        pairs.sort()
        middle = len(pairs) // 2
        scores.append(pairs[middle] if len(pairs) % 2 else (pairs[middle - 1] + pairs[middle]) / 2)
    return scores


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=6)
@given(power=st.sampled_from([0.0, 1.0, 2.0]), **draws)
def test_scores_are_as_defined(method, power, seed, latent_dims):
    models = mixed(seed, latent_dims)
    assert min(model.var(axis=0).min() for model in models) > 0.01
    expected = expected_scores(models, method, power)
    assert udr_scores(models, method=method, kl_power=power) == pytest.approx(expected, abs=1e-9)


def test_ties_have_the_mean_of_their_ranks():
    rng = np.random.default_rng(0)
    models = [rng.integers(0, 4, (60, 2)) for _ in range(2)]
    models.append(models[0] // 2 + models[1])
    expected = expected_scores([model.astype(float) for model in models], "spearman")
    assert udr_scores(models, method="spearman") == pytest.approx(expected, abs=1e-9)


def test_the_regression_predicts_the_latents_of_the_model_that_is_scored():
    # Two latents that are one but for noise explain the sum of both in part each, or together;
    # from the sum, each is explained alone. So the two directions differ.
    rng = np.random.default_rng(0)
    common = rng.normal(size=(100, 1))
    pair = common + 0.5 * rng.normal(size=(100, 2))
    total = pair.sum(axis=1, keepdims=True)
    r = {
        direction: Lasso(alpha=0.1)
        .fit(StandardScaler().fit_transform(x), StandardScaler().fit_transform(y))
        .coef_.ravel()
        for direction, x, y in [("to the sum", pair, total), ("from the sum", total, pair)]
    }
    # (max r)² / (r + r) from the side of the sum, the mean r from the other.
    expected = [(c.max() ** 2 / c.sum() + c.mean()) / 2 for c in r.values()]
    assert abs(expected[0] - expected[1]) > 0.1
    assert udr_scores([total, pair]) == pytest.approx(expected, abs=1e-9)


# Bad input.


GOOD = grid(3, 4)


@pytest.mark.parametrize(
    ("codes", "options", "words"),
    [
        ([], {}, "at least 2 models, got 0"),
        ([GOOD], {}, "at least 2 models, got 1"),
        ([GOOD, GOOD[:11]], {}, r"same images, got \[12, 11\]"),
        ([GOOD, GOOD], {"latent_kl": [[1, 1]]}, r"latent_kl .* got shapes \[\(2,\)\]"),
        ([GOOD, GOOD], {"latent_kl": [[1, 1]] * 3}, "latent_kl must have a value for each"),
        ([GOOD, GOOD], {"latent_kl": [[1, 1], [1]]}, "latent_kl must have a value for each"),
        ([GOOD, GOOD], {"latent_kl": [1, 1]}, "latent_kl must have a value for each"),
        ([GOOD, GOOD], {"latent_kl": [GOOD, GOOD]}, "latent_kl must have a value for each"),
    ],
)
def test_bad_input_is_refused(codes, options, words):
    with pytest.raises(ValueError, match=words):
        udr_scores(codes, **options)


@pytest.mark.parametrize("method", METHODS)
def test_a_latent_of_little_kl_weighs_little(method):
    # Two latents are found again, a third of a hundredth of the KL is not.
    codes, noise = grid(3, 3, 3), np.random.default_rng(0).normal(size=(27, 1))
    models = [codes, np.hstack([codes[:, :2], noise])]
    kl = [np.array([2.0, 2.0, 0.02])] * 2
    plain, weighted = (udr_scores(models, latent_kl=kl, method=method, kl_power=p) for p in (0, 2))
    assert max(plain) < 0.9 * FULL[method]
    assert min(weighted) > 0.95 * FULL[method]
    with pytest.raises(ValueError, match="kl_power must be at least 0 and finite, got -1"):
        udr_scores(models, kl_power=-1)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method must be lasso or spearman, got 'pearson'"):
        udr_scores([GOOD, GOOD], method="pearson")
