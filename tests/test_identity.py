import json

import numpy as np
import pytest

from keras_betavae.datasets import from_arrays
from keras_betavae.experiments.report import distinct_names
from keras_betavae.experiments.runs._identity import check_data


def pictures(seed=0, names=("a", "b"), shift=0):
    images = np.random.default_rng(seed).integers(0, 255, (12, 8, 8, 1)).astype("uint8")
    factors = np.stack([np.arange(12) % 3, (np.arange(12) + shift) // 6 % 2], axis=1)
    return from_arrays(images, factors, names)


def noted(tmp_path):
    check_data(tmp_path / "data.json", pictures())
    return tmp_path / "data.json"


def test_the_same_data_pass_and_so_do_pictures_of_another_decoder(tmp_path):
    path = noted(tmp_path)
    check_data(path, pictures())
    note = json.loads(path.read_text())
    note["mean_levels"] = [level + 0.5 for level in note["mean_levels"]]
    path.write_text(json.dumps(note))
    check_data(path, pictures())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 1}, "the images have changed since the run was started"),
        ({"names": ("a", "c")}, "the data's factors are a, c, but were a, b"),
        ({"names": ("b", "a")}, "the data's factors are b, a, but were a, b"),
        ({"shift": 3}, "the factors' values have changed"),
    ],
)
def test_other_data_are_refused(tmp_path, changed, words):
    path = noted(tmp_path)
    with pytest.raises(ValueError, match=words) as caught:
        check_data(path, pictures(**changed))
    assert f"delete {path}" in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"mean_levels": ["a"]}', "[" * 100_000])
def test_a_damaged_note_is_named(tmp_path, content):
    path = noted(tmp_path)
    path.write_text(content)
    with pytest.raises(ValueError, match=f"{path} does not describe a run's data"):
        check_data(path, pictures())


def test_runs_of_one_name_are_told_apart_in_a_report(tmp_path):
    paths = [tmp_path / name for name in ("x/run", "y/run", "other")]
    assert distinct_names(paths[1:]) == ["run", "other"]
    assert distinct_names(paths)[:2] == ["x/run", "y/run"]
