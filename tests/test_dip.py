import itertools

import numpy as np
import pytest
from tensorflow_probability import distributions as tfd

from keras_betavae.objectives import DIP, mean_kl
from tests.helpers import cost, gaussians
from tests.test_objectives import closed_form_kl, paid


def covariance_of(kind, mean, std):
    covariance = np.cov(mean.T, bias=True)  # Under NumPy 2.0, rowvar=False mistakes one row.
    return covariance if kind == "i" else covariance + np.diag((std**2).mean(axis=0))


@pytest.mark.parametrize("kind", ["i", "ii"])
@pytest.mark.parametrize("batch", [1, 2, 16])
def test_covariance_is_numpys(kind, batch):
    mean, std, posterior, _ = gaussians(batch)
    np.testing.assert_allclose(
        DIP(kind).covariance(posterior), covariance_of(kind, mean, std), rtol=1e-5, atol=1e-6
    )


def test_second_kind_has_the_covariance_of_the_codes():
    n = 5_000
    mean, _, posterior, _ = gaussians(6)
    centered = np.array(posterior.sample(n, seed=[0, 1]), "float64") - mean.mean(axis=0)
    # One estimate for each draw of the whole batch.
    estimates = (centered[..., :, None] * centered[..., None, :]).mean(axis=1)
    standard_error = estimates.std(axis=0) / np.sqrt(n)
    error = np.abs(estimates.mean(axis=0) - DIP("ii").covariance(posterior))
    assert np.all(error < 4.5 * standard_error)


@pytest.mark.parametrize("kind", ["i", "ii"])
@pytest.mark.parametrize(("lambda_od", "lambda_d"), [(0.0, 0.0), (10.0, 0.0), (3.0, 7.0)])
def test_value_is_the_papers_formula(kind, lambda_od, lambda_d):
    mean, std, posterior, prior = gaussians(7)
    objective = DIP(kind, lambda_od, lambda_d)
    covariance = covariance_of(kind, mean, std)
    off_diagonal = sum(
        covariance[i, j] ** 2 for i, j in itertools.permutations(range(len(covariance)), 2)
    )
    diagonal = sum((variance - 1.0) ** 2 for variance in np.diag(covariance))
    kl = closed_form_kl(mean, std).sum(axis=1).mean()
    assert paid(objective, posterior, prior) == pytest.approx(
        kl + lambda_od * off_diagonal + lambda_d * diagonal, rel=1e-5
    )
    logs = cost(objective, posterior, prior).logs
    assert {name: float(value) for name, value in logs.items()} == pytest.approx(
        {"covariance_off_diagonal": off_diagonal, "covariance_diagonal": diagonal}, rel=1e-5
    )


@pytest.mark.parametrize(("kind", "scale", "std"), [("i", 1.0, 0.5), ("ii", 0.6, 0.8)])
def test_nothing_is_paid_beside_the_kl_for_the_identity(kind, scale, std):
    corners = np.array(list(itertools.product([-scale, scale], repeat=3)), "float32")
    posterior = tfd.Independent(tfd.Normal(corners + np.float32([0.0, 3.0, -1.0]), std), 1)
    prior = gaussians()[-1]
    assert paid(DIP(kind), posterior, prior) == pytest.approx(
        float(mean_kl(posterior, prior)), rel=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "iii"}, "kind must be 'i' or 'ii', got 'iii'"),
        ({"lambda_od": -1.0}, "lambda_od must be .* got -1.0"),
        ({"lambda_d": float("nan")}, "lambda_d must be a finite number"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DIP(**arguments)
