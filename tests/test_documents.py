"""What README, docs and examples say must run."""

import functools
import re
from pathlib import Path

import keras
import pytest
from sklearn import ensemble
from sklearn.ensemble import GradientBoostingClassifier

import keras_betavae as kbv
from keras_betavae.evaluation.score_table import score_list
from keras_betavae.metrics import _linear
from tests.helpers import narrow_networks, no_graphs

pytestmark = [
    # Keras 3.15 says so of every tf.data input.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed"),
    # The documents train on dSprites's number of images, the tests on few.
    pytest.mark.filterwarnings("ignore:BetaTC was made for another number of images:UserWarning"),
]

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def few_steps_of_the_scores(monkeypatch):
    """What a score comes to does not matter here."""
    fewer = functools.partial(GradientBoostingClassifier, n_estimators=5)
    monkeypatch.setattr(ensemble, "GradientBoostingClassifier", fewer)
    monkeypatch.setattr(_linear, "MAX_STEPS", 200)
    monkeypatch.setattr(_linear, "CHECK_EVERY", 100)


@pytest.fixture(autouse=True)
def small_networks():
    with narrow_networks(), no_graphs():
        yield


SMALLER = {
    r"batch_size=64, seed=0\), epochs=EPOCHS": "batch_size=180, seed=0), epochs=1",
    r"batch_size=(20|50)\)": "batch_size=200)",
    r"epochs=2\b": "epochs=1",
    r"load_sprites\(\)": "load_sprites(scale=2, orientation=4, pos_x=4, pos_y=4)",
    r"epochs=10\b": "epochs=1",
    r"epochs=EPOCHS\b": "epochs=1",
    r"n=20_000": "n=300",
    r"N_IMAGES = [12]0_000": "N_IMAGES = 300",
    r"steps_per_epoch=recipe\.steps": "steps_per_epoch=2",
    r"FEW = 1_000": "FEW = 200",
    r"SIZES = \(3, 6, 40, 32, 32\)": "SIZES = (3, 2, 4, 4, 4)",
    r"SEEDS = \(0, 1, 2\)": "SEEDS = (0, 1)",
    r"STEPS_PER_EPOCH = 200": "STEPS_PER_EPOCH = 2",
    r"every_n_steps=500": "every_n_steps=1",
    r'scores="fast"\)': 'scores="fast", n=300)',
    r"n_seeds=5": "n_seeds=2, n=300",
    r"n_jobs=-1": "n_jobs=1",
    r"steps=2_000": "steps=10",
    r"steps_per_epoch=500\b": "steps_per_epoch=2",
    r"epochs=4\b": "epochs=1",
    r"steps_per_epoch=10\b": "steps_per_epoch=2",
    r"batch_size=64\b": "batch_size=8",
    r"n_labeled=100": "n_labeled=10",
    r'estimate_capacity\("burgess_dsprites"': 'estimate_capacity("sprites_quick"',
    r"\bSTEPS = 3_000": "STEPS = 10",
    r"\bSTEPS = \d_\d+": "STEPS = 2",
    r"BATCH = 128": "BATCH = 8",
    r"range\(16, 32\)": "range(2, 4)",
    r"N_TILES = 2_000": "N_TILES = 40",
    r"batch_size=256": "batch_size=64",
    r"N_LABELED = 1_000": "N_LABELED = 20",
    r"networks\.(?:locatello|broadcast|patch)_(\w+)\((.+)\)": r"networks.dense_\1(\2, (8,))",
    r"N_TRAIN, N_TEST = 10_000, 5_000": "N_TRAIN, N_TEST = 200, 100",
    r"N_MORE = 20_000": "N_MORE = 50",
    r"N_RUNS = 5": "N_RUNS = 1",
    r"TRAINING_STEPS = 800": "TRAINING_STEPS = 2",
    r"EPOCHS_BETWEEN_CHECKS = 100": "EPOCHS_BETWEEN_CHECKS = 1",
    r"N_SIGNALS = 10_000": "N_SIGNALS = 300",
    r"latent_dim=[68]\b": "latent_dim=2",
    r"latent_dim=10, optimizer": "latent_dim=2, optimizer",
    r'"sprites_quick",\n    data,': '"sprites_quick", data, latent_dim=2,',
    r"load_digits\(\)": "load_digits(n_class=2)",
    # Four measurements and the target.
    r"\(as_frame=True\)\.frame": "(as_frame=True).frame.iloc[:, -5:]",
    r"n_samples=(50|100)\b": "n_samples=5",
    r"N_SAMPLES = 10_000": "N_SAMPLES = 300",
    r"BUDGET = \"hour\"": 'BUDGET = "smoke"',
}


def smaller(code: str) -> str:
    for pattern, replacement in SMALLER.items():
        code = re.sub(pattern, replacement, code)
    return code


def python_blocks(document: Path) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", document.read_text("utf-8"), re.DOTALL))


@pytest.mark.parametrize("name", ["README.md", "docs/guide.md"])
def test_python_blocks_run_in_order(name, tmp_path, monkeypatch):
    code = smaller(python_blocks(ROOT / name))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, name, "exec"), names)
    assert names["vae"].latent_dim == 10
    assert (tmp_path / "vae.keras").is_file()
    assert (tmp_path / "saved_model" / "1" / "saved_model.pb").is_file()


def test_python_blocks_of_the_scores_run_in_order(tmp_path, monkeypatch):
    code = smaller(python_blocks(ROOT / "docs" / "scores.md"))
    monkeypatch.chdir(tmp_path)
    data = kbv.datasets.load_sprites(scale=2, orientation=4, pos_x=4, pos_y=4)
    names = {"kbv": kbv, "data": data, "vae": kbv.BetaVAE.from_preset("sprites_quick")}
    exec(compile(code, "docs/scores.md", "exec"), names)
    assert 0 <= names["table"]["mig_score"] <= 1
    assert (tmp_path / "scores.csv").is_file()


def test_python_blocks_of_the_objectives_run_in_order():
    code = smaller(python_blocks(ROOT / "docs" / "objectives.md"))
    data = kbv.datasets.load_sprites(scale=2, orientation=4, pos_x=4, pos_y=4)
    names = {"kbv": kbv, "data": data}
    exec(compile(code, "docs/objectives.md", "exec"), names)
    assert names["max_capacity"] > 0
    assert int(names["labeled"].optimizer.iterations) == 2


def test_python_blocks_of_the_data_run_in_order():
    names = {"kbv": kbv, "keras": keras}
    code = smaller(python_blocks(ROOT / "docs" / "data.md"))
    exec(compile(code, "docs/data.md", "exec"), names)
    assert len(names["rest"]) + len(names["held_out"]) == len(names["data"])
    assert names["mine"].factor_sizes == (3,)


def test_python_blocks_of_your_data_run_in_order():
    names = {}
    code = smaller(python_blocks(ROOT / "docs" / "your_data.md"))
    exec(compile(code, "docs/your_data.md", "exec"), names)
    assert names["elbo"].shape == (200,)
    assert names["vae"].image_shape == (3,)


def test_python_blocks_of_the_pictures_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = kbv.datasets.load_sprites(scale=2, orientation=4, pos_x=4, pos_y=4)
    vae = kbv.BetaVAE.from_preset("sprites_quick", latent_dim=3)
    code = smaller(python_blocks(ROOT / "docs" / "pictures.md"))
    exec(compile(code, "docs/pictures.md", "exec"), {"kbv": kbv, "data": data, "vae": vae})
    assert {"traversal.png", "response_maps.png", "maps.png"} <= {
        p.name for p in tmp_path.iterdir()
    }


def test_the_docs_list_every_data_set():
    text = (ROOT / "docs" / "data.md").read_text("utf-8")
    functions = [
        name for name in kbv.datasets.__all__ if name.startswith(("load_", "from_", "with_"))
    ]
    assert not [name for name in functions if f"`{name}(" not in text]


def test_the_docs_list_every_objective_and_model():
    text = (ROOT / "docs" / "objectives.md").read_text("utf-8")
    models = ["FactorVAE", "AdaGVAE", "GroupVAE"]
    public = [name for name in kbv.objectives.__all__ if name[0].isupper()]
    expected = {*public, *models} - {"Cost", "Objective", "Sample", "Weight"}
    assert not [name for name in sorted(expected) if f"`{name}(" not in text]


@pytest.mark.slow
def test_the_benchmark_of_the_scores_runs(capsys):
    path = ROOT / "benchmarks" / "scores.py"
    exec(compile(smaller(path.read_text("utf-8")), str(path), "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    rows = [line.split("|") for line in printed.splitlines() if line.startswith("| ")][2:]
    assert [row[1].strip() for row in rows] == [
        name
        for name, score in kbv.metrics.SCORES.items()
        if score.group == "fast" and not score.several_models
    ]
    # What the library and the plain loops compute from the same images is the same.
    exact = [row for row in rows if "±" not in row[-2] and "sap" not in row[1]]
    assert len(exact) > 10
    assert all(float(row[-2]) < 1e-6 for row in exact)


# What these do, other tests and the blocks of docs/your_data.md do with less.
SLOW = (
    "a_table",
    "choose_without_factors",
    "compare_objectives",
    "digits",
    "known_codes",
    "mig_variants",
    "reproduce_blobs",
    "score_protocols",
    "sine_waves",
    "train_and_score",
)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] if path.stem in SLOW else [], id=path.stem)
        for path in sorted((ROOT / "examples").glob("*.py"))
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")  # No latent is active yet.
def test_example_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(smaller(path.read_text("utf-8")), str(path), "exec"), {"__name__": "example"})
    assert capsys.readouterr().out


def test_readme_has_two_shell_commands():
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines() if line.startswith("make")]
    assert commands == ["make demo", "make test"]


def test_readme_lists_every_preset_and_score():
    text = (ROOT / "README.md").read_text("utf-8")
    assert not [name for name in kbv.presets.names() if f"`{name}`" not in text]
    scores = {getattr(s.function, "func", s.function) for s in kbv.metrics.SCORES.values()}
    assert not [score for score in scores if f"`{score.__name__}`" not in text]


def test_the_docs_table_of_scores_is_made_from_the_registry():
    assert score_list() in (ROOT / "docs" / "scores.md").read_text("utf-8")
