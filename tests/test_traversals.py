import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from keras_betavae import visualization
from tests.helpers import patterns, tiny_vae


class CodeAsImage:
    """Shows each code as an image of one row, a latent a pixel."""

    def __init__(self):
        self.calls = []

    def decode(self, codes):
        self.calls.append(np.asarray(codes))
        return np.asarray(codes)[:, None, :, None]


# What latents run through.


@given(st.floats(0.1, 10), st.integers(2, 20))
def test_by_default_values_run_evenly_from_limit_to_limit(limit, n_steps):
    values = visualization.traversal_values(n_steps=n_steps, limit=limit)
    assert values.shape == (n_steps,)
    assert (values[0], values[-1]) == (-limit, limit)
    np.testing.assert_allclose(np.diff(values), 2 * limit / (n_steps - 1))
    np.testing.assert_allclose(values, -values[::-1], atol=1e-12)


@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 5), st.integers(2, 9))
def test_a_range_runs_evenly_from_the_smallest_code_to_the_largest(seed, n, latent_dim, n_steps):
    codes = np.random.default_rng(seed).normal(size=(n, latent_dim)).astype("float32")
    values = visualization.traversal_values("range", n_steps, codes=codes)
    assert values.shape == (latent_dim, n_steps)
    for row, code in zip(values, codes.T, strict=True):
        assert (row[0], row[-1]) == (min(code), max(code))
        np.testing.assert_allclose(np.diff(row), np.ptp(code) / (n_steps - 1), atol=1e-6)


@given(st.integers(2, 50))
def test_quantiles_stand_amid_parts_of_equal_probability(n_steps):
    values = visualization.traversal_values("quantiles", n_steps)
    assert values.shape == (n_steps,)
    np.testing.assert_allclose(norm.cdf(values), (np.arange(n_steps) + 0.5) / n_steps)
    # The mass from the prior's tail to the first, between neighbors, and to the other tail.
    masses = np.diff([0, *norm.cdf(values), 1]) * n_steps
    np.testing.assert_allclose(masses, [0.5] + [1] * (n_steps - 1) + [0.5])


def test_quantiles_are_scipys():
    values = visualization.traversal_values("quantiles", 4)
    np.testing.assert_allclose(values, norm.ppf([0.125, 0.375, 0.625, 0.875]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("range",), "the span 'range' needs codes"),
        (("deciles",), "span must be one of limit, range, quantiles, got 'deciles'"),
        *(((span, 1), "n_steps must be at least 2, got 1") for span in visualization.SPANS),
    ],
)
def test_values_that_cannot_be_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        visualization.traversal_values(*arguments)


# Traversals.


def test_a_row_varies_its_latent_and_no_other():
    model, code = CodeAsImage(), np.array([0.5, -1.0, 2.0])
    rows = visualization.traverse(model, code)
    assert rows.shape == (3, 11, 1, 3, 1)
    assert rows.dtype == np.float32
    for latent in range(3):
        expected = np.tile(code, (11, 1))
        expected[:, latent] = np.linspace(-3, 3, 11)
        np.testing.assert_allclose(rows[latent, :, 0, :, 0], expected, rtol=1e-6)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.floats(0.1, 10),
    st.integers(2, 9),
)
def test_rows_are_the_latents_asked_for_from_limit_to_limit(latents, limit, n_steps):
    code = np.arange(5.0)
    rows = visualization.traverse(
        CodeAsImage(), code, latents=latents, limit=limit, n_steps=n_steps
    )
    assert rows.shape == (len(latents), n_steps, 1, 5, 1)
    for row, latent in zip(rows[:, :, 0, :, 0], latents, strict=True):
        np.testing.assert_allclose(row[:, latent], np.linspace(-limit, limit, n_steps), rtol=1e-5)
        others = np.delete(row, latent, axis=1)
        np.testing.assert_array_equal(others, [np.delete(code, latent)] * n_steps)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=5),
    st.integers(2, 6),
    st.booleans(),
    st.integers(0, 99),
)
def test_values_given_are_run_through_by_all_or_by_each(latents, n_steps, own, seed):
    rng = np.random.default_rng(seed)
    code = rng.normal(size=4).astype("float32")
    values = rng.normal(size=(4, n_steps) if own else n_steps).astype("float32")
    rows = visualization.traverse(CodeAsImage(), code, latents=latents, values=values)
    assert rows.shape == (len(latents), n_steps, 1, 4, 1)
    for row, latent in zip(rows[:, :, 0, :, 0], latents, strict=True):
        expected = np.tile(code, (n_steps, 1))
        expected[:, latent] = values[latent] if own else values
        np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("values", [None, np.zeros((10, 11))])
def test_ten_latents_of_eleven_steps_are_decoded_at_once(values):
    model = CodeAsImage()
    rows = visualization.traverse(model, np.zeros(10), values=values)
    assert rows.shape[:2] == (10, 11)
    assert [codes.shape for codes in model.calls] == [(110, 10)]
    assert model.calls[0].dtype == np.float32


def test_the_arguments_are_not_changed():
    code, values = np.ones(3, "float32"), np.zeros((3, 4), "float32")
    visualization.traverse(CodeAsImage(), code, values=values)
    np.testing.assert_array_equal(code, np.ones(3))
    np.testing.assert_array_equal(values, np.zeros((3, 4)))


def test_a_vae_is_traversed():
    vae, images = tiny_vae(), patterns(4, dtype="uint8")
    code = np.asarray(vae.encode(images[:1])[0])[0]
    rows = visualization.traverse(vae, code, n_steps=3)
    assert rows.shape == (3, 3, *images.shape[1:])
    np.testing.assert_allclose(
        rows[1, 0], vae.decode(np.array([[code[0], -3.0, code[2]]], "float32"))[0], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("code", "options", "words"),
    [
        (np.zeros((1, 3)), {}, r"\(latent_dim,\), got \(1, 3\)"),
        (np.float32(0), {}, r"got \(\)"),
        (np.zeros(3), {"n_steps": 1}, "n_steps must be at least 2, got 1"),
        (np.zeros(3), {"values": 1.0}, r"\(n_steps,\) or \(3, n_steps\), got \(\)"),
        (np.zeros(3), {"values": np.zeros((2, 5))}, r"or \(3, n_steps\), got \(2, 5\)"),
        (np.zeros(3), {"values": np.zeros((3, 5, 1))}, r"got \(3, 5, 1\)"),
        # One row each is that of the latent of the same number, not of the rows asked for.
        (np.zeros(3), {"values": np.zeros((1, 5)), "latents": [2]}, r"got \(1, 5\)"),
    ],
)
def test_what_cannot_be_traversed_is_refused(code, options, words):
    model = CodeAsImage()
    with pytest.raises(ValueError, match=words):
        visualization.traverse(model, code, **options)
    assert model.calls == []


# Interpolations.


@given(st.integers(1, 4), st.integers(2, 8), st.integers(0, 99))
def test_an_interpolation_is_a_straight_line_of_even_steps(n, n_steps, seed):
    first, second = np.random.default_rng(seed).normal(size=(2, n, 3)).astype("float32")
    model = CodeAsImage()
    rows = visualization.interpolate(model, first, second, n_steps=n_steps)
    assert rows.shape == (n, n_steps, 1, 3, 1)
    assert rows.dtype == np.float32
    assert [codes.shape for codes in model.calls] == [(n * n_steps, 3)]
    codes = rows[:, :, 0, :, 0]
    np.testing.assert_array_equal(codes[:, 0], first)
    np.testing.assert_array_equal(codes[:, -1], second)
    for step in range(n_steps):
        share = step / (n_steps - 1)
        expected = (1 - share) * first + share * second
        np.testing.assert_allclose(codes[:, step], expected, atol=1e-6)


def test_a_vaes_interpolation_ends_at_the_decoded_codes():
    vae = tiny_vae()
    codes = np.asarray(vae.encode(patterns(4))[0])
    rows = visualization.interpolate(vae, codes[:2], codes[2:])
    assert rows.shape == (2, 11, 8, 8, 1)
    np.testing.assert_allclose(rows[:, 0], vae.decode(codes[:2]), rtol=1e-5)
    np.testing.assert_allclose(rows[:, -1], vae.decode(codes[2:]), rtol=1e-5)


@pytest.mark.parametrize(
    ("first", "second", "n_steps", "words"),
    [
        ((2, 3), (2, 4), 5, r"same shape \(n, latent_dim\), got \(2, 3\) and \(2, 4\)"),
        ((2, 3), (1, 3), 5, r"got \(2, 3\) and \(1, 3\)"),
        ((3,), (3,), 5, r"got \(3,\) and \(3,\)"),
        ((2, 3), (2, 3), 1, "n_steps must be at least 2, got 1"),
    ],
)
def test_what_cannot_be_interpolated_is_refused(first, second, n_steps, words):
    model = CodeAsImage()
    with pytest.raises(ValueError, match=words):
        visualization.interpolate(model, np.zeros(first), np.zeros(second), n_steps=n_steps)
    assert model.calls == []


# Labels.


def test_a_label_names_the_factor_that_the_latent_tells_most_of():
    information = np.array([[0.1, 1.2, 0.3], [0.9, 0.0, 0.2], [0.4, 0.1, 0.5]])
    labels = visualization.latent_labels([2.54, 0.22, 0.01], information, ("a", "b", "c"))
    assert labels == ["z0  2.5 nats  b", "z1  0.2 nats  a", "z2  0.0 nats  no factor"]


def test_a_latent_whose_kl_is_too_small_to_tell_of_a_factor_follows_none():
    # The means of z1 tell 0.9 nats of a, but the decoder receives at most 0.02 of them.
    labels = visualization.latent_labels([2.5, 0.02], [[0.0, 1.2], [0.9, 0.0]], ("a", "b"))
    assert labels == ["z0  2.5 nats  b", "z1  0.0 nats  no factor"]


def test_the_threshold_is_ones_own():
    # z1 shares 0.15 nats with a, less than a fifth of what z0 does.
    labels = visualization.latent_labels([2.5, 0.5], [[1.0, 0.1], [0.15, 0.1]], ("a", "b"))
    assert [label.split("  ")[-1] for label in labels] == ["a", "no factor"]
    labels = visualization.latent_labels([2.5, 0.5], np.eye(2), ("a", "b"), threshold=1)
    assert labels == ["z0  2.5 nats  a", "z1  0.5 nats  no factor"]


def test_without_factors_a_label_is_number_and_kl():
    assert visualization.latent_labels(np.float32([10.06, 0])) == ["z0  10.1 nats", "z1  0.0 nats"]


def test_no_kl_is_less_than_nothing():
    assert visualization.latent_labels([-1e-17]) == ["z0  0.0 nats"]
