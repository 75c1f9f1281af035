import numpy as np
import pytest

from keras_betavae.metrics import _differences
from keras_betavae.metrics._differences import mean_differences


def by_subtraction(codes, first, second):
    return np.abs(codes[first].astype(float) - codes[second].astype(float)).mean(axis=1)


@pytest.mark.parametrize("n_pairs", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("n_codes", [5, 64, 129])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_packed_bits_differ_as_often_as_numbers(n_pairs, n_codes, dtype, monkeypatch):
    monkeypatch.setattr(_differences, "_BLOCK_VALUES", 500)
    rng = np.random.default_rng(0)
    codes = (rng.random((50, n_codes)) < 0.3).astype(dtype)
    first, second = rng.integers(50, size=(2, 20, n_pairs))
    found = mean_differences(codes, first, second)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_subtraction(codes, first, second), rtol=1e-6)


def test_bits_are_packed_in_any_memory_order_and_number():
    codes = np.random.default_rng(0).random((4, 64)) < 0.5
    first, second = np.array([[0] * 2**15]), np.array([[1] * 2**15])
    found = mean_differences(np.asfortranarray(codes), first, second)
    np.testing.assert_array_equal(found[0], codes[0] != codes[1])


def test_one_code_that_is_not_binary_makes_all_numbers():
    rng = np.random.default_rng(0)
    codes = (rng.random((50, 80)) < 0.3).astype(np.float32)
    codes[3, 7] = 0.5
    first, second = rng.integers(50, size=(2, 20, 6))
    found = mean_differences(codes, first, second)
    np.testing.assert_allclose(found, by_subtraction(codes, first, second), rtol=1e-5)
