import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from keras_betavae.visualization import response_curves, response_map


@st.composite
def samples(draw):
    n = draw(st.integers(2, 30))
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    columns = [draw(npst.arrays(np.int64, n, elements=st.integers(0, k - 1))) for k in sizes]
    codes = draw(npst.arrays(np.float64, (n, draw(st.integers(1, 3))), elements=st.floats(-5, 5)))
    numbers = st.integers(0, len(sizes) - 1)
    return np.stack(columns, axis=1), codes, draw(numbers), draw(numbers)


def by_loop(factors, codes, rows, columns):
    sizes = [max(factors[:, k]) + 1 for k in (rows, columns)]
    expected = np.full((codes.shape[1], *sizes), np.nan)
    for j in range(codes.shape[1]):
        for a in range(sizes[0]):
            for b in range(sizes[1]):
                found = [
                    code[j]
                    for y, code in zip(factors, codes, strict=True)
                    if y[rows] == a and y[columns] == b
                ]
                if found:
                    expected[j, a, b] = sum(found) / len(found)
    return expected


@given(samples())
def test_a_map_is_the_mean_of_each_cell(sample):
    expected = by_loop(*sample)
    found = response_map(*sample)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(samples())
def test_curves_are_the_mean_of_each_value_by_another(sample):
    factors, codes, along, by = sample
    expected = by_loop(factors, codes, by, along)
    np.testing.assert_allclose(response_curves(*sample), expected, atol=1e-12)


@given(samples())
def test_one_curve_is_the_mean_of_each_value(sample):
    factors, codes, along, _ = sample
    before = factors.copy()
    curves = response_curves(factors, codes, along)
    assert curves.shape == (codes.shape[1], 1, factors[:, along].max() + 1)
    for value in range(curves.shape[2]):
        cell = codes[factors[:, along] == value]
        expected = cell.mean(axis=0) if len(cell) else np.nan
        np.testing.assert_allclose(curves[:, 0, value], expected, atol=1e-12)
    np.testing.assert_array_equal(factors, before)


def test_where_no_image_has_both_values_there_is_no_mean():
    factors, codes = np.array([[0, 2], [1, 0], [1, 0]]), np.array([[1.0], [2.0], [4.0]])
    nan = np.nan
    np.testing.assert_array_equal(
        response_map(factors, codes, 0, 1), [[[nan, nan, 1.0], [3.0, nan, nan]]]
    )
    np.testing.assert_array_equal(response_curves(factors, codes, 1), [[[3.0, nan, 1.0]]])
    np.testing.assert_array_equal(
        response_curves(factors, codes, 1, by=0), [[[nan, nan, 1.0], [3.0, nan, nan]]]
    )


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "uint64"])
def test_classes_of_any_integer_type_have_their_own_cells(dtype):
    grid = np.stack(np.meshgrid(range(20), range(30), indexing="ij"), -1).reshape(-1, 2)
    codes = np.arange(600.0)[:, None]
    found = response_map(grid.astype(dtype), codes, rows=0, columns=1)
    np.testing.assert_array_equal(found, codes.reshape(1, 20, 30))


FACTORS, CODES = np.array([[0, 1], [1, 0], [1, 1]]), np.zeros((3, 2))


@pytest.mark.parametrize("respond", [response_map, response_curves])
@pytest.mark.parametrize(
    ("factors", "codes", "numbers", "words"),
    [
        (FACTORS, CODES, (2, 0), "a factor's number must be from 0 to 1, got 2"),
        (FACTORS, CODES, (0, -1), "a factor's number must be from 0 to 1, got -1"),
        (FACTORS, CODES[:2], (0, 1), "must hold the same samples, got 3 and 2"),
        (FACTORS.astype(str), CODES, (0, 1), "factors must be integer classes"),
        (FACTORS[:, 0], CODES, (0, 0), "factors must be integer classes"),
        (FACTORS, CODES * np.nan, (0, 1), "codes are NaN or infinite in 3 rows"),
        (FACTORS - [0, 1], CODES, (0, 1), "factors must be classes from 0, got -1"),
    ],
)
def test_what_has_no_response_is_refused(respond, factors, codes, numbers, words):
    with pytest.raises(ValueError, match=words):
        respond(factors, codes, *numbers)


@pytest.mark.parametrize("along", [-1, 2])
def test_one_curve_of_no_factor_is_refused(along):
    with pytest.raises(ValueError, match=f"from 0 to 1, got {along}"):
        response_curves(FACTORS, CODES, along)
