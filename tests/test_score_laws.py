"""What holds for every score of the registry; a score that is not listed here fails."""

import dataclasses
import functools
import inspect
import math
import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from keras_betavae import metrics
from keras_betavae.evaluation.parallel import flatten
from keras_betavae.metrics import SCORES, _linear
from keras_betavae.metrics._samples import split_sizes

SIZES = (4, 5, 6)
FOREST = RandomForestClassifier(5)
POINTS = {"n_train": 200, "n_test": 200}


@dataclasses.dataclass(frozen=True)
class Law:
    """What a score's docstring claims.

    `perfect` is the value of the factors themselves as codes, `noise` the largest value of
    codes that ignore the images, where they score low. `scale` says which
    rescalings change nothing: of "each" code, of all in "common", or "none". With
    `ignores_constant` a constant code more changes nothing. `tolerance` is for fits that
    end a little elsewhere when columns change places.
    """

    options: dict = dataclasses.field(default_factory=dict)
    perfect: float | None = 1.0
    noise: float | None = None
    scale: str = "each"
    ignores_constant: bool = True
    tolerance: float = 1e-9


PAIRS = {"n_pairs": 8, **POINTS}
LAWS = {
    "beta_vae_score": Law(PAIRS, noise=0.45, scale="none", tolerance=0.02),
    "beta_vae_score_locatello": Law(PAIRS, noise=0.45, scale="none", tolerance=0.02),
    "beta_vae_score_scale_free": Law(PAIRS, noise=0.45, tolerance=0.02),
    "factor_vae_score": Law({"n_per_vote": 16, **POINTS}, noise=0.45),
    "mig_score": Law(noise=0.05),
    "mig_sup_score": Law(noise=0.05, ignores_constant=False),
    "dcimig_score": Law(noise=0.05),
    "jemmig_score": Law(noise=0.2),
    "modularity_score": Law(ignores_constant=False),
    "explicitness_score": Law(perfect=None, noise=0.6, tolerance=1e-3),
    "sap_score": Law(perfect=None, noise=0.1, scale="none", tolerance=0.02),
    "irs_score": Law(noise=0.6, scale="common"),
    "infomec_scores": Law(perfect=None, scale="common", tolerance=1e-4),
    "dci_scores": Law({"estimator": FOREST}, perfect=None, ignores_constant=False, tolerance=0.1),
    "downstream_scores": Law(
        {"estimator": FOREST, "sizes": (10, 200)}, perfect=None, ignores_constant=False,
        tolerance=0.1,
    ),
    "unfairness_score": Law(
        {"estimator": FOREST}, perfect=None, ignores_constant=False, tolerance=0.1
    ),
    "total_correlation": Law(perfect=0.0),
    "wasserstein_correlation": Law(perfect=0.0, scale="none"),
    "wasserstein_correlation_normalized": Law(perfect=0.0, scale="common"),
    "pairwise_mutual_information": Law(perfect=0.0, ignores_constant=False),
    "active_units": Law(perfect=3, scale="none"),
    "udr_scores": Law(perfect=0.9, tolerance=1e-6),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def quick_softmax():
    """Fewer steps for the Adagrad classifier: the laws hold after any number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_linear, "MAX_STEPS", 1_000)
        patch.setattr(_linear, "CHECK_EVERY", 500)
        yield


EVERY = pytest.mark.parametrize("name", LAWS)
OF_FACTORS = [name for name in LAWS if SCORES[name].n_factors]


def with_law(**claims):
    return [n for n, law in LAWS.items() if all(getattr(law, k) == v for k, v in claims.items())]


def score(name, factors, codes, **options):
    """All numbers of a score, whatever it is a function of."""
    function, options = SCORES[name].function, {**LAWS[name].options, **options}
    if "seed" not in SCORES[name].options:
        options.pop("seed", None)
    if SCORES[name].several_models:
        # Another seed of the model: the same latents in another order and sign.
        other = -codes[:, ::-1] if codes.ndim == 2 and codes.dtype.kind == "f" else codes
        values = function([codes, other], **options)
        return np.array(values)
    arrays = (factors, codes) if SCORES[name].n_factors else (codes,)
    return np.array([value for _, value in flatten(name, function(*arrays, **options))], float)


def grid(copies=3):
    factors = np.stack(np.meshgrid(*map(range, SIZES), indexing="ij"), -1).reshape(-1, 3)
    return np.repeat(factors, copies, axis=0)


def entangled(seed=0, latent_dim=4):
    """Factors, and codes that mix them and have some noise."""
    rng = np.random.default_rng(seed)
    factors = grid()
    mixing = rng.normal(size=(3, latent_dim))
    noise = rng.normal(size=(len(factors), latent_dim))
    return factors, (factors / np.array(SIZES) - 0.4) @ mixing + 0.3 * noise


@functools.cache
def entangled_score(name):
    """The score of `entangled`, with which several laws compare another."""
    return score(name, *entangled())


def test_every_score_is_listed():
    assert set(LAWS) == set(SCORES)


def test_every_public_score_is_in_the_registry():
    listed = {getattr(s.function, "func", s.function) for s in SCORES.values()}
    public = {
        getattr(metrics, name)
        for name in metrics.__all__
        if inspect.isfunction(getattr(metrics, name))
    }
    no_scores = {
        metrics.mutual_information, metrics.posterior_information,
        metrics.pixel_codes, metrics.pca_codes, metrics.ica_codes,
    }  # fmt: skip
    assert listed == public - no_scores


@EVERY
def test_the_registry_tells_the_options_and_the_sample_sizes(name):
    """What it says is what stands in the function's signature."""
    entry = SCORES[name]
    parameters = inspect.signature(entry.function).parameters
    assert set(entry.options) == {"seed", "factor_names", "n_jobs"} & set(parameters)
    first = [None, "factors", "factors"][entry.n_factors]
    assert list(parameters)[:2] == ([first, "codes"] if first else list(parameters)[:2])
    defaults = {key: value.default for key, value in parameters.items()}
    for n in (60, 9_000, 20_000):
        n_train, n_test = entry.sample_sizes(n)
        if "sizes" in defaults:
            expected = max(k for k in defaults["sizes"] if k <= n - n_test), min(5_000, n // 3)
        elif {"n_pairs", "n_per_vote"} & set(defaults):
            expected = defaults["n_train"], defaults["n_test"]
        elif "n_train" in defaults:
            expected = split_sizes(n, defaults["n_train"], defaults["n_test"])
        else:
            expected = min(n, defaults.get("n_samples", n)), None
        assert (n_train, n_test) == expected


@EVERY
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), latent_dim=st.integers(1, 4), kind=st.integers(0, 3))
def test_it_lies_in_its_range(name, seed, latent_dim, kind):
    rng = np.random.default_rng(seed)
    factors = grid(2)
    codes = [
        rng.normal(size=(len(factors), latent_dim)),
        rng.integers(-2, 3, (len(factors), latent_dim)),
        factors @ rng.normal(size=(3, latent_dim)),
        np.exp(3 * rng.normal(size=(len(factors), latent_dim))) * rng.integers(2, size=latent_dim),
    ][kind]
    options = {} if name != "downstream_scores" else {"sizes": (5, 100)}
    values = score(name, factors, codes, **options)
    low, high = SCORES[name].range
    assert np.all((values >= low) & (values <= high))


@pytest.mark.parametrize("name", [name for name, law in LAWS.items() if law.perfect is not None])
def test_the_factors_themselves_score_what_is_claimed(name):
    factors = grid()
    codes = (factors - np.mean(factors, axis=0)) / np.std(factors, axis=0)
    np.testing.assert_allclose(score(name, factors, codes), LAWS[name].perfect, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, law in LAWS.items() if law.noise is not None])
def test_noise_scores_low(name):
    rng = np.random.default_rng(0)
    factors = rng.integers(0, SIZES, (6_000, 3))
    assert score(name, factors, rng.normal(size=(6_000, 4))) <= LAWS[name].noise


@EVERY
def test_the_order_and_the_sign_of_codes_change_nothing(name):
    factors, codes = entangled()
    changed = (codes * [1, -1, -1, 1])[:, [2, 0, 3, 1]]
    value, tolerance = entangled_score(name), LAWS[name].tolerance
    np.testing.assert_allclose(score(name, factors, changed), value, atol=tolerance)


@pytest.mark.parametrize("name", with_law(scale="each") + with_law(scale="common"))
def test_where_claimed_the_scale_of_codes_changes_nothing(name):
    factors, codes = entangled()
    scales = np.array([1, 100, 8, 3]) if LAWS[name].scale == "each" else 100
    value = entangled_score(name)
    np.testing.assert_allclose(
        score(name, factors, codes * scales + 7), value, atol=LAWS[name].tolerance
    )


def test_by_ranks_a_monotone_map_of_each_code_changes_nothing():
    codes = entangled()[1]
    others = [codes @ np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0], codes]
    udr = functools.partial(metrics.udr_scores, method="spearman", threshold=0)
    mapped = [np.exp(codes), *others]
    np.testing.assert_allclose(udr([codes, *others]), udr(mapped), rtol=1e-9)


@pytest.mark.parametrize("name", with_law(ignores_constant=True))
def test_where_claimed_a_constant_code_more_changes_nothing(name):
    factors, codes = entangled()
    more = np.concatenate([codes, np.full((len(codes), 1), 0.1)], axis=1)
    value = entangled_score(name)
    np.testing.assert_allclose(score(name, factors, more), value, atol=LAWS[name].tolerance)


@EVERY
def test_the_same_seed_gives_the_same_bits_whatever_the_global_state(name):
    factors, codes = entangled()
    before = factors.copy(), codes.copy()
    np.random.seed(1)
    first = score(name, factors, codes, seed=3)
    np.random.seed(2)
    np.random.rand(5)
    state = np.random.get_state()[1].copy()
    again = score(name, factors, codes, seed=3)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    np.testing.assert_array_equal(factors, before[0])
    np.testing.assert_array_equal(codes, before[1])


@pytest.mark.parametrize("name", OF_FACTORS)
def test_the_names_of_values_change_nothing(name):
    factors, codes = entangled()
    value = entangled_score(name)
    np.testing.assert_array_equal(score(name, 7 * factors - 3, codes), value)


@EVERY
def test_codes_of_any_number_type_are_those_numbers(name):
    factors, codes = entangled()
    codes = (20 * codes + 100).clip(0, 127).astype("uint8")
    expected = score(name, factors, codes.astype("float64"))
    # What adds up float32 rounds elsewhere.
    tolerance = {"atol": max(LAWS[name].tolerance, 1e-5), "rtol": 1e-5}
    for dtype in ("float16", "float32", "int8", "uint8"):
        np.testing.assert_allclose(score(name, factors, codes.astype(dtype)), expected, **tolerance)


@EVERY
def test_lists_and_tensors_are_arrays(name):
    factors, codes = entangled()
    codes = tf.constant(codes)
    if SCORES[name].several_models:
        codes = codes.numpy()
    np.testing.assert_array_equal(score(name, factors.tolist(), codes), entangled_score(name))


def changed(array, index, value):
    array = array.astype(float) if isinstance(value, float) else array.copy()
    array[index] = value
    return array


@EVERY
def test_codes_that_are_no_numbers_are_refused(name):
    factors, codes = entangled()
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="codes are NaN or infinite in 1 rows, first in row 7"):
            score(name, factors, changed(codes, (7, 1), bad))
    for dtype in (str, complex):
        with pytest.raises(ValueError, match="codes must be numbers"):
            score(name, factors, codes.astype(dtype))


@EVERY
def test_codes_of_another_shape_are_refused(name):
    for shape in [(360,), (360, 4, 1), (360, 0)]:
        words = r"codes must be numbers of shape \(n_samples, latent_dim"
        with pytest.raises(ValueError, match=words):
            score(name, grid(), np.zeros(shape))


@pytest.mark.parametrize("name", OF_FACTORS)
def test_what_does_not_fit_is_refused(name):
    factors, codes = entangled()
    with pytest.raises(ValueError, match="must hold the same samples, got 359 and 360"):
        score(name, factors[1:], codes)
    for bad in (factors.astype(complex), factors[:, 0]):
        with pytest.raises(
            ValueError, match=r"factors must be integer classes, or floats .* of shape"
        ):
            score(name, bad, codes)
    with pytest.raises(ValueError, match="factor 1 has one value"):
        score(name, changed(factors, (slice(None), 1), 2), codes)


@EVERY
def test_a_constant_code_is_no_trouble(name):
    factors, codes = entangled()
    low, high = SCORES[name].range
    for dead in (changed(codes, (slice(None), 1), 0.1), np.full_like(codes, 0.1)):
        values = score(name, factors, dead)
        assert np.all((values >= low) & (values <= high))


@pytest.mark.parametrize("name", OF_FACTORS)
def test_a_single_factor_is_refused_where_factors_are_compared(name):
    factors, codes = entangled()
    if SCORES[name].n_factors == 2:
        with pytest.raises(ValueError, match="compares factors and needs at least two, got 1"):
            score(name, factors[:, :1], codes)
    else:
        low, high = SCORES[name].range
        values = score(name, factors[:, :1], codes)
        assert np.all((values >= low) & (values <= high))


@EVERY
def test_a_single_code_has_a_score(name):
    factors, codes = entangled(latent_dim=1)
    low, high = SCORES[name].range
    values = score(name, factors, codes)
    assert np.all((values >= low) & (values <= high))


@EVERY
def test_too_few_samples_are_refused(name):
    factors, codes = entangled()
    for n in (0, 1):
        with pytest.raises(ValueError, match=f"codes must hold at least 2 samples, got {n}"):
            score(name, factors[:n], codes[:n])


@pytest.mark.parametrize("name", OF_FACTORS)
@pytest.mark.parametrize("n", [2, 5, 20])
def test_few_samples_give_a_score_or_a_reason(name, n):
    factors, codes = entangled()
    rows = np.random.default_rng(n).permutation(len(codes))[:n]
    low, high = SCORES[name].range
    try:
        values = score(name, factors[rows], codes[rows])
    except ValueError as error:
        values, reason = low, str(error)
    else:
        reason = "encode more images"
    assert np.all((values >= low) & (values <= high))
    assert re.search("encode more images|needs samples|has one value|sizes must be", reason)
