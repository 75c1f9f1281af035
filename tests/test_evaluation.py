import csv
import io
import json
import math
import threading
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import keras_betavae as kbv
from keras_betavae import metrics
from keras_betavae.datasets import FactorDataset, ImageDataset, from_arrays
from keras_betavae.evaluation import (
    choice,
    evaluate,
    evaluate_codes,
    evaluate_with_controls,
    parallel,
    score_table,
)
from keras_betavae.evaluation.score_table import Row, ScoreTable, score_list, side_by_side
from keras_betavae.metrics import _linear
from tests.helpers import SHAPE, quick_scores, tiny_vae

NAMES = ("shape", "x", "y")
SIZES = (4, 16, 10)


def dataset(sizes=SIZES, names=NAMES):
    images = np.random.default_rng(0).integers(0, 2, (math.prod(sizes), *SHAPE), dtype="uint8")
    return FactorDataset(255 * images, names, sizes)


def brightness(images):
    """A representation that is a function: the light in four strips."""
    return images.reshape(len(images), 4, -1).mean(axis=2) / 255


def count(factors, codes):
    return float(len(codes))


# What is scored.


def test_a_model_a_function_and_their_codes_score_the_same():
    vae, data = tiny_vae(), dataset()
    names = ["mig_score", "active_units", "sap_score"]
    table = evaluate(vae, data, scores=names, n=200, seed=3)
    factors, codes = data.encode_with(vae, 200, 3)
    assert table == evaluate(vae.encode, data, scores=names, n=200, seed=3)
    assert table == evaluate_codes(factors, codes, scores=names, seed=3)
    assert table == {
        "mig_score": metrics.mig_score(factors, codes, seed=3),
        "active_units": metrics.active_units(codes),
        "sap_score": metrics.sap_score(factors, codes, seed=3),
    }


def test_the_images_are_encoded_once_for_all_scores():
    encoded = []

    def encode(images):
        encoded.append(len(images))
        return brightness(images)

    evaluate(encode, dataset(), scores={"one": count, "two": count, "three": count}, n=500)
    assert sum(encoded) == 500


def test_what_cannot_be_scored_is_refused():
    masked = np.ma.masked_array(np.ones((4, 2), int), mask=[[True, False]] * 4)
    for factors, codes in ((masked, np.ones((4, 2))), (np.ones((4, 2), int), masked)):
        with pytest.raises(ValueError, match="must not be masked, got 4 masked values"):
            evaluate_codes(factors, codes, scores=["mig_score"])
    with pytest.raises(ValueError, match=r"the model returned codes \(1, 3\) of 40 images"):
        evaluate(lambda images: np.zeros((1, 3)), dataset(), scores=["mig_score"], n=40)
    images = np.arange(200, dtype="uint8").reshape(200, 1, 1, 1)
    rare = from_arrays(images, [[k % 2, int(k == 0)] for k in range(200)], ["kind", "rare"])
    with pytest.raises(ValueError, match="all 10 images drawn have one value of rare; raise n"):
        evaluate(lambda x: x.reshape(-1, 1), rare, scores=["mig_score"], n=10)


def test_a_bare_network_is_refused_since_it_would_see_images_of_0_to_255():
    vae, data = tiny_vae(), dataset()
    words = r"got the network .*pass the BetaVAE, or a function such as lambda images: encoder"
    for encode in (vae.encoder, vae.encoder.predict, vae.encoder.__call__):
        with pytest.raises(TypeError, match=words):
            evaluate(encode, data)
    with pytest.raises(TypeError, match=words):
        evaluate_with_controls(vae, vae.encoder, data)
    scaled = evaluate(
        lambda images: vae.encoder(images / 255.0)[0], data, scores=["mig_score"], n=100
    )
    assert scaled == evaluate(vae, data, scores=["mig_score"], n=100)


def test_what_is_no_model_or_no_data_set_is_told_where_codes_go():
    factors, codes = dataset().encode_with(brightness, 100, 0)
    words = r"got ndarray; codes .*evaluation\.evaluate_codes\(factors, codes\)"
    with pytest.raises(TypeError, match=f"model must have a method encode .*{words}"):
        evaluate(codes, dataset())
    with pytest.raises(TypeError, match=f"model must have a method encode .*{words}"):
        evaluate(codes, factors)
    with pytest.raises(TypeError, match=f"data must be an ImageDataset .*{words}"):
        evaluate(brightness, factors)


def test_factors_of_one_value_are_left_out_of_a_data_set():
    data = dataset((1, 4, 6), ("shape", "x", "y"))
    factors, codes = data.encode_with(brightness, 300, 0)
    table = evaluate(brightness, data, scores=["mig_score"], n=300)
    assert table["mig_score"] == metrics.mig_score(factors[:, 1:], codes)
    tables = evaluate_with_controls(brightness, brightness, data, scores=["mig_score"], n=300)
    assert tables["trained"] == table
    part = dataset().only({"shape": 1})
    factors, codes = part.encode_with(brightness, 100, 0)
    expected = evaluate_codes(factors[:, 1:], codes, scores=["mig_score"])
    assert evaluate(brightness, part, scores=["mig_score"], n=100) == expected


def test_where_no_factor_varies_the_scores_of_codes_are_left():
    images = dataset().images_at(np.arange(30))
    same = FactorDataset(images, ("x",), (2,), factors=np.ones((30, 1), int))
    table = evaluate(brightness, same, scores="fast")
    assert table == evaluate_codes(None, brightness(images), scores="fast")


def test_the_shape_is_left_out_where_factors_are_named(monkeypatch):
    factors, codes = dataset().encode_with(brightness, 400, 0)
    beta = partial(metrics.beta_vae_score, n_pairs=4, n_train=100, n_test=100)
    monkeypatch.setattr(_linear, "MAX_STEPS", 200)
    quick = {"beta": replace(metrics.SCORES["beta_vae_score"], function=beta)}
    named = evaluate_codes(factors, codes, scores=quick, factor_names=NAMES)
    assert named["beta"] == beta(factors[:, 1:], codes)
    assert evaluate_codes(factors, codes, scores=quick)["beta"] == beta(factors, codes)
    assert evaluate(brightness, dataset(), scores=quick, n=400) == named


# Which scores.


def test_groups_hold_what_the_data_can_give(monkeypatch):
    monkeypatch.setattr(parallel, "_compute", lambda name, *_: [(name, 0.5)])
    factors, codes = dataset().encode_with(brightness, 100, 0)
    everything = {n for n, s in metrics.SCORES.items() if not s.several_models}
    fast = {n for n in everything if metrics.SCORES[n].group == "fast"}
    assert set(evaluate_codes(factors, codes)) == everything
    assert set(evaluate_codes(factors, codes, scores="fast")) == fast < everything
    of_codes = {n for n in everything if metrics.SCORES[n].n_factors == 0}
    assert set(evaluate_codes(None, codes)) == of_codes
    one_factor = {n for n in everything if metrics.SCORES[n].n_factors == 1} | of_codes
    assert set(evaluate_codes(factors[:, :1], codes)) == one_factor


@pytest.mark.slow
def test_all_scores_of_a_small_model_lie_in_their_ranges():
    vae, data = tiny_vae(), dataset()
    table = evaluate(vae, data, n=20_000, n_jobs=2)
    for row in table.rows:
        low, high = metrics.SCORES[row.score].range
        assert low <= row.value <= high
    assert {row.score for row in table.rows} == set(metrics.SCORES) - {"udr_scores"}


@pytest.mark.parametrize("scores", ["mig", ["mig_score", "mig"], ("fast", "mig")])
def test_an_unknown_score_is_refused_with_those_there_are(scores):
    with pytest.raises(ValueError, match=r"must be all, fast or of .*mig_sc.*, got 'mig'"):
        evaluate_codes(np.arange(5)[:, None], np.eye(5), scores=scores)


def test_groups_and_names_go_together_in_any_iterable():
    factors, codes = dataset().encode_with(brightness, 100, 0)
    names = (name for name in ("total_correlation", "active_units"))
    table = evaluate_codes(None, codes, scores=names, n_seeds=2)
    assert list(table) == ["total_correlation", "active_units"]
    expected = {name for name, s in metrics.SCORES.items() if not (s.n_factors or s.several_models)}
    assert evaluate_codes(None, codes, scores=["fast", "active_units"]).keys() == expected
    assert list(evaluate_codes(factors, codes, scores="mig_score")) == ["mig_score"]


def test_the_group_leaves_out_the_score_that_leaves_out_the_shape_of_two_factors():
    assert "beta_vae_score" not in choice.choose("fast", 2, ("shape", "x"))
    assert "beta_vae_score" in choice.choose("fast", 2, ("x", "y"))
    assert "beta_vae_score_locatello" in choice.choose("fast", 2, ("shape", "x"))


def test_composite_scores_have_a_row_for_each_number():
    factors, codes = dataset().encode_with(brightness, 600, 0)
    lasso = partial(metrics.dci_scores, estimator="lasso")
    downstream = partial(metrics.downstream_scores, sizes=(5, 50), estimator="logistic_regression")
    scores = {"dci_scores": lasso, "downstream_scores": downstream}
    table = evaluate_codes(factors, codes, scores=scores)
    dci, accuracy = lasso(factors, codes), downstream(factors, codes)
    assert table == {
        "dci_disentanglement": dci.disentanglement,
        "dci_completeness": dci.completeness,
        "dci_informativeness": dci.informativeness,
        "downstream_accuracy_5": accuracy.accuracy[5],
        "downstream_accuracy_50": accuracy.accuracy[50],
        "downstream_efficiency_5": accuracy.efficiency[5],
    }
    assert {row.score for row in table.rows} == {"dci_scores", "downstream_scores"}


@pytest.mark.parametrize("name", ["dci_scores", "infomec_scores", "downstream_scores"])
def test_the_registry_names_the_rows_of_composite_scores(name):
    result = {
        "dci_scores": metrics.DCIScores(0.1, 0.2, 0.3),
        "infomec_scores": metrics.InfoMECScores(0.1, 0.2, 0.3),
        "downstream_scores": metrics.DownstreamScores(
            dict.fromkeys((10, 100, 1_000, 10_000), 0.5), dict.fromkeys((10, 100, 1_000), 1.0)
        ),
    }[name]
    assert tuple(row for row, _ in parallel.flatten(name, result)) == metrics.SCORES[name].rows


def test_a_function_gets_factors_and_codes_and_what_its_score_says():
    def plain(factors, codes, *, seed=5, n_test=100, sizes=(1, 2)):
        return seed

    def named(factors, codes, factor_names=None, n_jobs=None):
        return {"first": len(factor_names[0]), "n": len(factor_names), "jobs": n_jobs}

    def of_codes(codes):
        return codes.size

    scores = {
        "count": count,
        "plain": plain,
        "seeded": metrics.Score(plain, options=("seed",), sample_sizes=lambda n: (n - 10, 10)),
        "names": metrics.Score(named, options=("factor_names", "n_jobs")),
        "codes": metrics.Score(of_codes, n_factors=0, larger_is_better=None),
    }
    table = evaluate(brightness, dataset(), scores=scores, n=70, seed=9, n_jobs=2)
    assert table == {
        "count": 70, "plain": 5, "seeded": 9,
        "names_first": len("shape"), "names_n": 3, "names_jobs": 2, "codes": 280,
    }  # fmt: skip
    sizes = {row.name: (row.n_images, row.n_train, row.n_test) for row in table.rows}
    assert sizes["plain"] == (70, 70, None)
    assert sizes["seeded"] == (70, 60, 10)
    assert {row.name: row.larger_is_better for row in table.rows}["codes"] is None
    assert all(row.seconds >= 0 for row in table.rows)


def test_entries_of_the_registry_are_taken_too():
    factors, codes = dataset().encode_with(brightness, 100, 0)
    some = {name: metrics.SCORES[name] for name in ("mig_score", "active_units")}
    expected = evaluate_codes(factors, codes, scores=list(some))
    assert evaluate_codes(factors, codes, scores=some) == expected


def test_what_fails_names_the_score():
    factors, codes = dataset().encode_with(brightness, 100, 0)
    with pytest.raises(ValueError, match="sap_score: n_train must be at least 1, got 0"):
        evaluate_codes(factors, codes, scores={"sap_score": partial(metrics.sap_score, n_train=0)})
    with pytest.raises(TypeError) as caught:
        evaluate_codes(factors, codes, scores={"mine": lambda factors: 1.0})
    assert caught.value.__notes__ == ["in the score mine"]
    lasso = partial(metrics.dci_scores, estimator="lasso")
    with pytest.raises(ValueError, match="two scores have a row 'dci_disentanglement'"):
        evaluate_codes(factors, codes, scores={"dci": lasso, "dci_scores": lasso})
    with pytest.raises(ValueError, match="udr_scores compares several models"):
        evaluate_codes(factors, codes, scores=["udr_scores"])
    with pytest.raises(ValueError, match="factor_names has 1 names for 3 factors"):
        evaluate_codes(factors, codes, factor_names=["x"])
    with pytest.raises(ValueError, match="factor_names name the columns of factors"):
        evaluate_codes(None, codes, factor_names=["x"])
    with pytest.raises(ValueError, match=r"factors must be integer classes, or floats .* of shape"):
        evaluate_codes(factors[:, 0], codes)
    with pytest.raises(ValueError, match="mig_score: factor 1 has one value"):
        evaluate_codes(factors * [1, 0, 1], codes, scores=["mig_score"])
    with pytest.raises(ValueError, match="mig_score needs factors, and there are none"):
        evaluate_codes(None, codes, scores=["mig_score"])
    with pytest.raises(ValueError, match="mig_score needs factors, and there are none"):
        evaluate(brightness, ImageDataset(dataset().images_at([0, 1, 2])), scores=["mig_score"])
    for call in (evaluate_codes, lambda factors, codes, **o: evaluate(brightness, dataset(), **o)):
        with pytest.raises(ValueError, match="n_seeds must be at least 1, got 0"):
            call(factors, codes, n_seeds=0)
    codes[3] = np.nan
    with pytest.raises(ValueError, match="codes are NaN or infinite in 1 rows"):
        evaluate_codes(factors, codes, scores=["mig_score"])


# Several seeds.


def test_the_value_is_the_mean_over_seeds_and_lies_in_its_interval():
    data = dataset()
    table = evaluate(brightness, data, scores=["mig_score"], n=150, seed=4, n_seeds=6)
    values = [
        metrics.mig_score(*data.encode_with(brightness, 150, seed), seed=seed)
        for seed in range(4, 10)
    ]
    (row,) = table.rows
    assert row.value == table["mig_score"] == pytest.approx(np.mean(values))
    # Resampled means are normal enough: within the data's extremes, and about as wide as
    # the normal interval of six values.
    assert min(values) <= row.low < row.value < row.high <= max(values)
    normal = 2 * 1.96 * np.std(values) / np.sqrt(6)
    assert (row.high - row.low) == pytest.approx(normal, rel=0.35)
    assert (row.seed, row.n_seeds) == (4, 6)


def test_equal_values_have_an_interval_of_no_width():
    factors, codes = dataset().encode_with(brightness, 100, 0)
    (row,) = evaluate_codes(factors, codes, scores=["active_units"], n_seeds=3).rows
    assert row.low == row.value == row.high


def test_one_seed_has_no_interval():
    (row,) = evaluate_codes(None, np.eye(5), scores=["active_units"]).rows
    assert (row.low, row.high) == (None, None)


# What a row tells.


ROWS = (
    Row("mig_score", "mig_score", 0.5, 0.25, 0.75, True, 0, 3, 20_000, 10_000, None, 0.125),
    Row(
        "total_correlation",
        "total_correlation",
        math.inf,
        1.0,
        math.inf,
        False,
        0,
        3,
        99,
        99,
        None,
        0,
    ),
    Row("dci_completeness", "dci_scores", 1.0, 1.0, 1.0, True, 0, 3, 99, 66, 33, 2.0),
    Row("mine", "mine", 12.0, 11.0, 13.5, None, 0, 3, 99, 99, None, 0.0),
)


def test_the_table_is_a_dict_that_prints_as_markdown():
    table = ScoreTable(ROWS)
    assert table == {
        "mig_score": 0.5, "total_correlation": math.inf, "dci_completeness": 1.0, "mine": 12.0
    }  # fmt: skip
    assert table.rows == ROWS
    lines = str(table).splitlines()
    assert repr(table) == str(table) == table.to_markdown()
    assert len({len(line) for line in lines}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells == [
        ["score", "", "value", "95 % interval", "images", "train", "test", "seconds"],
        [cells[1][0], "-", *cells[1][2:]],
        ["mig_score", "↑", "0.500", "0.250 to 0.750", "20,000", "10,000", "", "0.12"],
        ["total_correlation", "↓", "∞", "1.000 to ∞", "99", "99", "", "0.00"],
        ["dci_completeness", "↑", "1.000", "1.000 to 1.000", "99", "66", "33", "2.00"],
        ["mine", "", "12", "11 to 13.500", "99", "99", "", "0.00"],
    ]
    assert all(set(cell) <= set("-:") for cell in cells[1])


def test_without_intervals_their_column_is_left_out():
    factors, codes = dataset().encode_with(brightness, 100, 0)
    header = str(evaluate_codes(factors, codes, scores="mig_score")).splitlines()[0]
    assert "interval" not in header
    assert "seconds" in header


def test_csv_and_json_hold_every_row(tmp_path):
    table = ScoreTable(ROWS)
    for read in (table.to_csv(), saved(table, tmp_path / "a.csv")):
        rows = list(csv.DictReader(io.StringIO(read)))
        assert [row["name"] for row in rows] == [row.name for row in ROWS]
        assert float(rows[1]["value"]) == math.inf
        assert rows[0]["n_test"] == ""
        assert float(rows[0]["low"]) == 0.25
    for read in (table.to_json(), saved(table, tmp_path / "a.json")):
        # JSON knows no infinity.
        rows = json.loads(read, parse_constant=pytest.fail)
        assert rows[0] == {
            "name": "mig_score", "score": "mig_score", "value": 0.5, "low": 0.25, "high": 0.75,
            "larger_is_better": True, "seed": 0, "n_seeds": 3, "n_images": 20_000,
            "n_train": 10_000, "n_test": None, "seconds": 0.125, "factor_bins": None,
        }  # fmt: skip
        assert rows[1]["value"] is None
    assert saved(table, tmp_path / "a.md") == str(table) + "\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.json", "a.md"]


def saved(table, path):
    table.save(path)
    return path.read_text(encoding="utf-8")


def test_a_bar_in_a_name_and_a_table_without_arrows_are_markdown_too():
    rows = [Row("a|b", "a|b", 1e-5, None, None, None, 0, 1, 9, 9, None, 0.0)]
    _, rule, line = str(ScoreTable(rows)).splitlines()
    assert [set(cell.strip()) for cell in rule.strip("|").split("|")][1] == {"-"}
    assert line.startswith(r"| a\|b ")
    assert "1.0e-05" in line


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.csv, \.json or \.md, got 'scores\.xlsx'"):
        ScoreTable(ROWS).save(tmp_path / "scores.xlsx")
    with pytest.raises(FileNotFoundError, match=r"absent does not exist"):
        ScoreTable(ROWS).save(tmp_path / "absent" / "scores.csv")
    assert list(tmp_path.iterdir()) == []


# Tables beside each other.


def test_side_by_side_has_a_column_for_each_table():
    other = {"mig_score": 0.125, "beta_vae_score": 1.0}
    lines = side_by_side({"ours": ScoreTable(ROWS), "theirs": other}).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["score", "", "ours", "theirs"]
    assert cells[2:] == [
        ["mig_score", "↑", "0.500", "0.125"],
        ["total_correlation", "↓", "∞", ""],
        ["dci_completeness", "↑", "1.000", ""],
        ["mine", "", "12", ""],
        ["beta_vae_score", "↑", "", "1.000"],
    ]


def test_the_controls_are_scored_on_the_same_images():
    vae, untrained, data = tiny_vae(seed=1), tiny_vae(seed=2), dataset()
    with quick_scores():
        tables = evaluate_with_controls(vae, untrained, data, n=200, seed=3)
        factors, pixels = data.encode_with(metrics.pixel_codes, 200, 3)
        codes = {
            "trained": data.encode_with(vae, 200, 3)[1],
            "untrained": data.encode_with(untrained, 200, 3)[1],
            "PCA, 10 components": metrics.pca_codes(pixels, seed=3),
            "ICA, 10 components": metrics.ica_codes(pixels, seed=3),
            "raw pixels": pixels,
        }
        assert list(tables) == list(codes)
        for name, table in tables.items():
            scores = [n for n in tables["trained"] if n.startswith("beta_vae_score")]
            options = {"scores": scores if name == "raw pixels" else "fast", "seed": 3}
            assert table == evaluate_codes(factors, codes[name], factor_names=NAMES, **options)
    assert len({table["beta_vae_score"] for table in tables.values()}) > 1


def test_representations_do_not_depend_on_the_scores_that_are_computed_meanwhile():
    seen, started = [], threading.Event()

    def encoder(images):
        seen.append(started.is_set())
        return brightness(images)

    def score(factors, codes):
        started.set()
        return float(np.sum(codes))

    scores = {"a": score, "b": score}
    evaluate_with_controls(encoder, encoder, dataset(), scores=scores, n=200, n_jobs=2)
    assert seen
    assert not any(seen)


def test_a_failure_ends_what_waits():
    computed = []

    def fails(factors, codes):
        raise FloatingPointError("of no use")

    def waits(factors, codes):
        computed.append(time.sleep(0.02))
        return 0.0

    scores = {"fails": fails} | {f"waits {n}": waits for n in range(30)}
    factors, codes = dataset().encode_with(brightness, 100, 0)
    with pytest.raises(FloatingPointError, match="of no use"):
        evaluate_codes(factors, codes, scores=scores, n_jobs=2)
    assert len(computed) < 30


def test_given_codes_are_of_one_seed():
    codes = np.zeros((200, 2))
    with pytest.raises(ValueError, match="n_seeds must be 1 if codes are given, got 2"):
        evaluate_with_controls(brightness, brightness, dataset(), codes=codes, n_seeds=2)


def test_raw_pixels_are_left_out_where_no_score_can_take_so_many_codes():
    tables = evaluate_with_controls(brightness, brightness, dataset(), scores=["mig_score"], n=200)
    assert list(tables) == ["trained", "untrained", "PCA, 10 components", "ICA, 10 components"]
    assert all(list(table) == ["mig_score"] for table in tables.values())


# The registry.


def test_the_list_of_scores_has_a_line_for_each():
    header, _, *lines = score_list().splitlines()
    assert [line.split("`")[1] for line in lines] == list(metrics.SCORES)
    assert "range" in header
    (line,) = (line for line in lines if "`unfairness_score`" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "`unfairness_score`", "↓", "0 to 1", "two factors", "slow", "Locatello et al., NeurIPS 2019"
    ]  # fmt: skip


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        metrics.SCORES["mig_score"] = None


def test_evaluate_is_at_the_top_level():
    assert kbv.evaluate is evaluate
    assert score_table.ScoreTable is ScoreTable


# Without factors.


def test_images_without_factors_leave_the_scores_that_need_none():
    images = ImageDataset(dataset().images_at(np.arange(300)))
    table = evaluate(brightness, images, scores="fast")
    codes = brightness(images.images_at(np.arange(300)))
    assert dict(table) == dict(evaluate_codes(None, codes, scores="fast"))
    assert "active_units" in table
    assert "mig_score" not in table
    tables = evaluate_with_controls(brightness, brightness, images, scores="fast")
    assert all(set(each) == set(table) for each in tables.values())
    assert "raw pixels" not in tables


@pytest.mark.parametrize("n", [50, 90, 100, None])
def test_no_image_is_encoded_twice(n):
    data = FactorDataset(np.zeros((90, *SHAPE), "uint8"), ["number"], [90])
    factors, codes = data.encode_with(brightness, n, seed=1)
    assert len(factors) == len(codes) == min(n or 90, 90)
    assert len(np.unique(factors)) == len(factors)
    assert sorted(factors[:, 0].tolist()) != list(range(50))


def test_no_image_of_a_small_data_set_is_both_fitted_to_and_tested_on():
    """Noise tells nothing of a factor, however few images there are."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (90, *SHAPE), dtype="uint8")
    small = FactorDataset(images, ["noise"], [3], factors=rng.integers(0, 3, (90, 1)))
    table = evaluate(brightness, small, scores=["explicitness_score"])
    assert table["explicitness_score"] < 0.75
