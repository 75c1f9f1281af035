"""Continuous factors: recognized, binned by quantiles, regressed where a score does."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mutual_info_score, r2_score

from keras_betavae import metrics
from keras_betavae.datasets import from_arrays
from keras_betavae.evaluation import evaluate_codes, side_by_side
from keras_betavae.metrics._samples import are_continuous

N = 4_000
NAMES = ("angle", "mass", "kind")


@pytest.fixture(scope="module")
def factors():
    rng = np.random.default_rng(0)
    return np.stack([rng.uniform(0, 6.28, N), rng.lognormal(size=N), rng.integers(0, 3, N)], axis=1)


def deciles(values, n_bins=20):
    """Returns quantile bins by sorting, for values that all differ."""
    order = np.argsort(values)
    bins = np.empty(len(values), int)
    for number, part in enumerate(np.array_split(order, n_bins)):
        bins[part] = number
    return bins


@pytest.fixture(scope="module")
def mixed(factors):
    """Codes of the continuous factors through monotone functions, noise, and a mixture."""
    angle, mass, kind = factors.T
    rng = np.random.default_rng(1)
    return np.stack([-(angle**3), np.log(mass), kind + 0.1 * rng.normal(size=N), angle + mass], 1)


def test_information_is_that_of_scikit_learn_on_quantile_bins(factors, mixed):
    found = metrics.mutual_information(factors, mixed)
    for j, k in np.ndindex(4, 2):
        wanted = mutual_info_score(deciles(mixed[:, j]), deciles(factors[:, k]))
        assert found[j, k] == pytest.approx(wanted, abs=1e-9)
    kind = factors[:, 2].astype(int)
    width = np.digitize(mixed[:, 3], np.linspace(*np.quantile(mixed[:, 3], [0, 1]), 21)[1:-1])
    assert found[3, 2] == pytest.approx(mutual_info_score(width, kind), abs=1e-9)


def test_scores_of_information_are_those_of_their_equations(factors, mixed):
    information = np.array(
        [
            [mutual_info_score(deciles(z), deciles(y)) for y in factors[:, :2].T]
            for z in mixed[:, [0, 3]].T
        ]
    )
    normalized = np.sort(information / np.log(20), axis=0)
    found = metrics.mig_score(factors[:, :2], mixed[:, [0, 3]])
    assert found == pytest.approx(np.mean(normalized[1] - normalized[0]), abs=1e-6)
    ratio = (information.min(axis=1) / information.max(axis=1)) ** 2
    modularity = metrics.modularity_score(factors[:, :2], mixed[:, [0, 3]])
    assert modularity == pytest.approx(np.mean(1 - ratio), abs=1e-6)


def test_perfect_codes_are_perfect(factors):
    angle, mass, kind = factors.T
    codes = np.stack([-(angle**3), np.log(mass), kind], axis=1)
    # Independent factors share no more than the histogram's bias.
    bias = 19 * 19 / (2 * N) / np.log(20)
    for name in ("mig_score", "dcimig_score", "mig_sup_score", "modularity_score"):
        assert getattr(metrics, name)(factors, codes) > 1 - 1.5 * bias, name
    assert metrics.jemmig_score(factors, codes) > 0.97
    assert metrics.factor_vae_score(factors, codes, n_train=1_000, n_test=500) == 1.0
    assert metrics.irs_score(factors, codes) > 0.6
    noise = np.random.default_rng(2).normal(size=(N, 3))
    assert metrics.mig_score(factors, noise) < 1.5 * bias


def test_scores_that_predict_regress_values(factors, mixed):
    n = 1_000
    values, mixed = factors[:n, :2], mixed[:n]
    squared = np.corrcoef(mixed.T, values.T)[:4, 4:] ** 2
    top = np.sort(squared, axis=0)
    found = metrics.sap_score(values, mixed, n_train=n - 1, n_test=1)
    assert found == pytest.approx(np.mean(top[-1] - top[-2]), abs=2e-3)

    fitted = LinearRegression().fit(mixed, values)
    wanted = np.mean(r2_score(values, fitted.predict(mixed), multioutput="raw_values"))
    explicitness = metrics.infomec_scores(values, mixed).explicitness
    assert explicitness == pytest.approx(wanted, abs=1e-9)

    dci = metrics.dci_scores(values, mixed[:, :2], estimator="random_forest", n_test=300)
    assert min(dci) > 0.95


def test_from_arrays_recognizes_them():
    rng = np.random.default_rng(0)
    columns = {
        "position": rng.random(300),
        "steps": rng.integers(0, 5, 300) / 4,
        "age": rng.permutation(300),
    }
    images, factors = np.full((300, 8, 8, 1), 99, "uint8"), np.stack([*columns.values()], axis=1)
    data = from_arrays(images, factors, list(columns), continuous=["position", "age"])
    assert data.factor_sizes == (20, 5, 20)
    assert "position continuous, steps 5, age continuous" in repr(data)
    np.testing.assert_array_equal(np.bincount(data.factors_at(range(300))[:, 0]), np.full(20, 15))
    half = data.only({"steps": [0, 1]})
    np.testing.assert_array_equal(
        half.continuous["age"], columns["age"][columns["steps"] < 0.3].astype(float)
    )

    by_default = from_arrays(images, factors[:, :2])
    assert list(by_default.continuous) == ["factor_0"]
    assert not from_arrays(images, columns["position"], continuous=()).continuous
    with pytest.warns(UserWarning, match=r"age has 300 integers.*continuous=\['age'\]"):
        from_arrays(images, columns["age"], ["age"])
    with pytest.raises(ValueError, match="names of factors of numbers, got size"):
        from_arrays(images, factors, continuous=["size"])


def test_a_data_set_hands_its_values_to_the_scores():
    rng = np.random.default_rng(0)
    truth = rng.uniform(50, 200, (2_000, 2)).astype(int)
    images = np.repeat(truth.astype("uint8").reshape(-1, 1, 1, 2), 4, axis=1)
    data = from_arrays(images, truth, ["left", "right"], continuous=["left", "right"])
    factors, codes = data.encode_with(lambda x: x[:, 0, 0].astype(float))
    assert metrics.mig_score(factors, codes) > 0.95
    assert metrics.sap_score(factors, codes) > 0.98


def test_two_values_are_continuous_if_they_are_said_to_be():
    images = np.random.default_rng(0).integers(0, 255, (40, 4, 4, 1), dtype="uint8")
    data = from_arrays(images, [0, 10] * 20, ["dose"], continuous=["dose"])
    factors, _ = data.encode_with(lambda x: x.reshape(len(x), -1).astype(float))
    np.testing.assert_allclose(np.unique(factors), [-1.0, 1.0])
    assert are_continuous(factors).all()


def test_the_table_states_the_bins(factors, mixed):
    names = ["mig_score", "sap_score", "active_units"]
    table = evaluate_codes(factors, mixed, scores=names)
    assert [row.factor_bins for row in table.rows] == [20, None, None]
    sentence = "into 20 quantile bins, except for sap_score, which regresses"
    assert sentence in str(table)
    assert sentence in side_by_side({"ours": table})
    assert "bins" not in str(evaluate_codes(factors.astype(int), mixed, scores=names))
    chosen = {"my_sap": "sap_score", "mig": "mig_score", "dci": "dci_scores"}
    own = {name: metrics.SCORES[score] for name, score in chosen.items()}
    own["mean"] = lambda factors, codes: factors.mean()
    table = evaluate_codes(factors[:300], mixed[:300], scores=own)
    assert [row.factor_bins for row in table.rows] == [None, 20, None, None, None, None]


def test_classes_may_be_larger_than_integers():
    classes = np.random.default_rng(0).integers(0, 3, (500, 2))
    expected = metrics.mig_score(classes, classes)
    assert metrics.mig_score(1e19 * classes, classes) == expected
