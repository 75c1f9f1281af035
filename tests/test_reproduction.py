import csv
import dataclasses
import math
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_betavae import callbacks, cli, metrics, presets
from keras_betavae.datasets import load_blobs
from keras_betavae.evaluation import evaluate
from keras_betavae.experiments import reproduction, runs, sweeps
from keras_betavae.experiments.reproduction import blobs as blobs_figure
from keras_betavae.experiments.reproduction import burgess, claim, higgins, locatello
from keras_betavae.experiments.reproduction._page import mean_and_spread, write_csv
from keras_betavae.experiments.sweeps import Sweep
from keras_betavae.experiments.weights import changed
from keras_betavae.visualization import plot_capacity, plot_frontier, plot_heat_map
from tests.helpers import no_exports, no_graphs, quick_runs

# In few steps the KL does not reach the capacity.
pytestmark = pytest.mark.filterwarnings("ignore:by step .* from the capacity")


@pytest.fixture(scope="module", autouse=True)
def quick():
    with quick_runs(), no_exports(), no_graphs():
        yield


@pytest.fixture(scope="module")
def few_steps():
    """The smoke runs of the blobs with few steps and latents."""
    experiment = reproduction.EXPERIMENTS["burgess-blobs"]

    def shorter(budget):
        sweep = experiment.sweep(budget)
        if budget != "smoke":
            return sweep
        weights = {**sweep.axes["β"], "150": {"beta": 150.0, "warm_up": 2}}
        fewer = {"steps": 4, "every": 2, "latent_dim": 3}
        return Sweep({**sweep.base, **fewer}, {**sweep.axes, "β": weights})

    with pytest.MonkeyPatch.context() as patch:
        changed = dataclasses.replace(experiment, sweep=shorter)
        patch.setitem(reproduction.EXPERIMENTS, "burgess-blobs", changed)
        yield shorter


def smaller_side(path):
    with Image.open(path) as image:
        return min(image.size)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


FIGURES = ("response_maps", "curves_scale", "curves_orientation", "traversal")


# What the experiments are.


@pytest.mark.parametrize("name", reproduction.EXPERIMENTS)
def test_every_experiment_has_runs_for_every_budget(name):
    for budget in reproduction.BUDGETS:
        trials = reproduction.EXPERIMENTS[name].sweep(budget).trials()
        assert len(trials) == len(set(map(str, trials.values())))  # No run is made twice.


@pytest.mark.parametrize("name", reproduction.EXPERIMENTS)
def test_a_larger_budget_is_not_less(name):
    def cost(budget):
        trials = reproduction.EXPERIMENTS[name].sweep(budget).trials().values()
        return sum(settings.steps * settings.batch_size for settings in trials)

    costs = [cost(budget) for budget in reproduction.BUDGETS]
    assert costs == sorted(costs)


def test_the_papers_budget_is_the_papers_recipe():
    table = higgins.table_sweep("paper").trials().values()
    recipe = presets.get("higgins_dsprites")
    assert {settings.beta for settings in table} == {1.0, recipe.objective.beta}
    assert all(settings.preset == "higgins_dsprites" for settings in table)
    assert all(settings.learning_rate is None for settings in table)
    trials, data = burgess.capacity_sweep("paper").trials(), load_blobs(2, 2)
    for model, preset in (("capacity", "burgess_dsprites"), ("controlled", "burgess_controlled")):
        built = trials[f"model={model},seed=0"].build_model(data).objective
        assert built.get_config() == presets.get(preset).objective.get_config()


@pytest.mark.parametrize("objective", ["locatello_beta", "locatello_factor"])
def test_every_cell_is_a_grid_of_six_that_can_be_built(objective):
    trials, data = locatello.cell_sweep("hour", objective=objective).trials(), load_blobs(2, 2)
    assert len(trials) == 6
    for settings in trials.values():
        assert settings.batch_size == presets.get(objective).batch_size
    assert settings.build_model(data).latent_dim == 10


@pytest.mark.parametrize("budget", reproduction.BUDGETS)
def test_the_capacity_of_every_cell_reaches_its_end(budget):
    sweep = locatello.cell_sweep(budget, objective="locatello_capacity")
    for labels, settings in sweep.trials().items():
        objective = changed(presets.get(settings.preset).objective, settings.weights)
        assert f"C {float(objective.capacity(settings.steps)):g}" in labels


@pytest.mark.parametrize("data", locatello.DATA)
def test_every_cell_has_a_smoke_run(data):
    for objective in locatello.GRIDS:
        for settings in locatello.cell_sweep("smoke", data, objective).trials().values():
            assert settings.data == data
            assert (settings.grid is None) == (not data.startswith("sprites"))


def test_dip_i_has_ten_times_the_weight_on_the_diagonal():
    for name, times in (("locatello_dip_i", 10.0), ("locatello_dip_ii", 1.0)):
        for change in locatello.GRIDS[name].values():
            weights = change["weights"]
            assert weights["lambda_d"] == times * weights["lambda_od"]


def test_all_cells_are_those_of_the_study():
    cells = reproduction.cells()
    assert len(cells) == len(locatello.DATA) * 6 == 42
    assert len({tuple(cell.items()) for cell in cells}) == 42


# Pages.


@pytest.fixture(scope="module")
def blobs(few_steps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduction") / "blobs"
    given = ["--out", str(folder), "--budget", "smoke", "--jobs", "1", "--seeds", "1"]
    assert cli.main(["reproduce", "burgess-blobs", *given]) == 0
    return folder


def test_a_page_says_what_it_was_made_from(blobs):
    page = (blobs / "index.md").read_text("utf-8")
    assert "`keras-betavae reproduce burgess-blobs --budget smoke --seeds 1`" in page
    for package in ("tensorflow", "keras", "tensorflow-probability", "numpy", "optuna"):
        assert re.search(rf"{package} \d+\.\d+", page)
    assert "`preset` burgess_dsprites" in page
    assert "seconds of training" in page
    for picture in re.findall(r"!\[[^]]*\]\((.*?)\)", page):
        assert smaller_side(blobs / picture) > 100
    assert len(list(blobs.glob("*.png"))) == 2


def test_the_blobs_table_is_what_the_models_say(blobs):
    rows = rows_of(blobs / "latents.csv")
    assert len(rows) == 2 * 3
    for beta in ("1", "150"):
        run = blobs / "runs" / f"β={beta},seed=0"
        data = runs.load_settings(run).load_data()
        factors, codes = data.encode_with(runs.load_model(run), 10_000, seed=0)
        information = metrics.mutual_information(factors, codes, n_samples=10_000)
        mine = [row for row in rows if row["β"] == beta]
        assert [float(row["kl"]) for row in mine] == sorted(
            (float(row["kl"]) for row in mine), reverse=True
        )
        for row in mine:
            found = [float(row[f"information_pos_{axis}"]) for axis in "xy"]
            np.testing.assert_allclose(found, information[int(row["latent"])], rtol=1e-4, atol=1e-6)


def test_killed_in_between_it_resumes_and_gives_the_same_tables(blobs, few_steps, tmp_path):
    """One run is finished, the other has its first checkpoint, as a kill would leave them."""
    folder = tmp_path / "again"
    sweep = few_steps("smoke")
    sweeps.create(folder, sweep)
    (first, second), settings = zip(*sweep.trials().items(), strict=True)
    shutil.copytree(blobs / "runs" / first, folder / "runs" / first)
    runs.create(folder / "runs" / second, settings[1])
    data, half = settings[1].load_data(), settings[1].every

    class Killed(Exception):
        pass

    class KilledAfterTheFirstCheckpoint(callbacks.Checkpoint):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "Checkpoint", KilledAfterTheFirstCheckpoint)
        with pytest.raises(Killed):
            runs.train(folder / "runs" / second, data, verbose=0)
    (left,) = (folder / "runs" / second / "checkpoints").iterdir()
    assert left.name == f"step-{half:09d}.keras"
    reproduction.reproduce("burgess-blobs", folder, budget="smoke", verbose=False)
    assert (folder / "latents.csv").read_text() == (blobs / "latents.csv").read_text()
    for name in (first, second):
        mine, others = (each / "runs" / name / "scores.json" for each in (folder, blobs))
        assert mine.read_text() == others.read_text()


def test_a_folder_keeps_to_its_budget(blobs):
    with pytest.raises(FileExistsError, match="does not hold a sweep of these settings"):
        reproduction.reproduce("burgess-blobs", blobs, budget="hour")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "unknown experiment 'nothing'; choose one of higgins-table"),
        (("higgins-table", {"n_seeds": 0}), "n_seeds must be at least 1, got 0"),
        (("higgins-table", {"budget": "week"}), "budget must be one of smoke, hour, day, paper"),
        (("higgins-table", {"data": "sprites"}), "higgins-table takes no data"),
        (("locatello", {"objective": "locatello_vae"}), "objective must be of locatello_beta"),
        (("locatello", {"data": "blobs"}), "data must be of sprites, dsprites, .*, got 'blobs'"),
        (("locatello", {"steps": "9"}), "locatello takes no steps"),
    ],
)
def test_wrong_arguments_leave_no_folder(arguments, words, tmp_path):
    name, options = (*arguments, {})[:2]
    with pytest.raises(ValueError, match=words):
        reproduction.reproduce(name, tmp_path / "out", **{"budget": "smoke", **options})
    assert not (tmp_path / "out").exists()


def test_all_is_every_cell_in_a_folder_of_its_own(tmp_path, monkeypatch, capsys):
    made = []
    monkeypatch.setattr(
        reproduction, "reproduce", lambda name, folder, **options: made.append((folder, options))
    )
    command = ["reproduce", "locatello", "--out", str(tmp_path), "--all", "--budget", "smoke"]
    assert cli.main(command) == 0
    folders = [folder.relative_to(tmp_path).as_posix() for folder, _ in made]
    assert len(set(folders)) == 42
    assert "sprites_noise/locatello_tc" in folders
    assert all(options["budget"] == "smoke" for _, options in made)
    assert cli.main([*command, "--data", "sprites"]) == 1
    assert "without --data and --objective" in capsys.readouterr().err


# The numbers on the pages.


def untrained(tmp_path, monkeypatch, sweep):
    """Finished runs of models that were never trained."""
    found = []
    for labels in sweep.labels():
        folder = tmp_path / sweeps.run_name(labels)
        runs.create(folder, sweep.trials()[sweeps.run_name(labels)])
        rows = [[1, 1.5, 200.0], [2, 2.0, 190.0]]
        write_csv(folder / "metrics.csv", ["step", "seconds", "loss"], rows)
        found.append(reproduction.FinishedRun(labels, folder))
    monkeypatch.setattr(
        reproduction.FinishedRun, "model", lambda self: self.settings.build_model(self.data())
    )
    return found


def test_seconds_are_those_of_all_intervals(tmp_path, monkeypatch):
    (run,) = untrained(tmp_path, monkeypatch, higgins.figure_sweep("smoke"))
    assert run.seconds == 3.5


def test_a_table_of_something_else_is_named(tmp_path, monkeypatch):
    (run,) = untrained(tmp_path, monkeypatch, higgins.figure_sweep("smoke"))
    path = run.folder / "metrics.csv"
    path.write_text("step;seconds\n1;2.0\n")
    with pytest.raises(ValueError, match=rf"{path} must have the columns step"):
        _ = run.seconds


def test_the_table_drops_the_worse_half_and_keeps_its_order(tmp_path, monkeypatch):
    found = untrained(tmp_path, monkeypatch, higgins.table_sweep("smoke"))
    given = iter(np.linspace(0.3, 0.9, 63).tolist())
    monkeypatch.setattr(metrics, "beta_vae_score", lambda *_, **__: next(given))
    page = higgins.show_table(tmp_path, found)
    rows = rows_of(tmp_path / "scores.csv")
    # Ground truth, pixels, PCA, ICA, untrained, VAE, β-VAE: three evaluations of three protocols.
    assert len(rows) == 7 * 3
    for name in ("raw pixels", "β-VAE"):
        scores = sorted((float(r["higgins"]) for r in rows if r["row"] == name), reverse=True)
        line = next(line for line in page.splitlines() if line.startswith(f"| {name} "))
        kept = scores[:2]
        of_kept = f"{100 * np.mean(kept):.1f} ± {100 * np.std(kept, ddof=1):.1f}"
        of_all = f"{100 * np.mean(scores):.1f} ± {100 * np.std(scores, ddof=1):.1f}"
        assert f"| {of_kept} ({of_all}) |" in line
    assert re.search(r"InfoGAN +\| 73.5 ± 0.9 \(reported\) +\| not implemented", page)
    # The scores that were handed out rise from one model to the next.
    assert re.search(r"β-VAE above VAE +\| yes +\| yes +\| yes", page)
    assert "below the one before by: VAE 5.0% to 5.0%; β-VAE 5.0% to 5.0%" in page


def test_what_holds_to_the_end_is_read_off_the_steps():
    steps, capacity = np.array([0.0, 600.0, 1_200.0]), np.array([0.0, 12.5, 25.0])
    for holds, since in (
        ((True, False, True), ["1,200", "25.0"]),  # An untrained network is informative by chance.
        ((False, True, True), ["600", "12.5"]),
        ((True, True, True), ["0", "0.0"]),
        ((True, True, False), ["not at the end", ""]),
    ):
        assert burgess._since(np.array(holds), steps, capacity) == since


@pytest.mark.parametrize(
    ("others", "holds"),
    [
        ({"β 1": (105.0, 0.2), "β 4": (129.0, 0.4)}, True),  # β 1 is worse in both.
        ({"β 1": (95.0, 0.4), "β 4": (129.0, 0.2)}, False),  # β 1 is better in both.
        ({"β 1": (95.0, 0.29), "β 4": (129.0, 0.2)}, False),  # As disentangled, and better.
        ({"β 1": (95.0, 0.2), "β 4": (129.0, 0.4)}, False),  # None is worse in both.
    ],
)
def test_the_papers_claim_asks_for_both_error_and_score(others, holds):
    rows = [("capacity", "7", 100.0, 0.3), ("controlled", "7", 1e3, 0.0)]
    rows += [(name, "7", *values) for name, values in others.items()]
    rows.append(("β 1", "8", 0.0, 1.0))  # Another seed's.
    text = claim.verdict("capacity", rows)
    assert ("with 1 of 1 seeds (seeds 7)" if holds else "with 0 of 1 seeds.") in text


@pytest.mark.parametrize("degrees", [-80.0, -45.0, 0.0, 10.0, 45.0, 90.0])
def test_the_direction_of_a_plane_is_its_gradients(degrees):
    y, x = np.mgrid[:12, :20].astype(float)
    plane = x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))
    angle, coherence = blobs_figure.direction(plane)
    assert angle == pytest.approx(degrees)
    assert coherence == pytest.approx(1.0)
    assert blobs_figure.from_axis(angle) == pytest.approx(
        min(abs(degrees), abs(90.0 - abs(degrees)))
    )


def test_a_map_that_changes_in_all_directions_has_none():
    y, x = np.mgrid[-8:9, -8:9].astype(float)
    assert blobs_figure.direction(x**2 + y**2)[1] == pytest.approx(0.0, abs=1e-12)
    assert blobs_figure.direction(np.zeros((5, 5)))[1] == 0.0


@pytest.mark.parametrize(
    ("latents", "lies_along"),
    [
        ([(2.0, 3.0, 1.0), (2.0, -88.0, 0.9), (0.0, 45.0, 1.0)], True),
        ([(2.0, 3.0, 1.0), (2.0, 60.0, 0.9)], False),  # One is oblique,
        ([(2.0, 3.0, 1.0), (2.0, -4.0, 0.9)], False),  # both follow x,
        ([(2.0, 3.0, 1.0), (2.0, 88.0, 0.2)], False),  # one has no direction,
        ([(2.0, 3.0, 1.0), (2.0, 88.0, 0.9), (1.0, 0.0, 1.0)], False),  # or is left over.
    ],
)
def test_positions_lie_along_latents_one_each(latents, lies_along):
    rows = [("1", "0", j, kl, 0.0, 0.0, *rest) for j, (kl, *rest) in enumerate(latents)]
    text = blobs_figure._verdict("1", rows)
    assert f"with {int(lies_along)} of 1 seeds" in text


def test_a_mean_has_its_spread():
    assert mean_and_spread(np.array([0.5])) == "0.500"
    assert mean_and_spread(np.array([0.4, 0.6])) == f"0.500 ± {math.sqrt(0.02):.3f}"
    assert mean_and_spread(np.array([0.4, 0.6]), percent=True) == "50.0 ± 14.1"


def test_the_figures_table_is_what_the_model_says(tmp_path, monkeypatch):
    sweep = higgins.figure_sweep("smoke")
    sweep = Sweep({**sweep.base, "latent_dim": 3}, sweep.axes)
    found = untrained(tmp_path, monkeypatch, sweep)
    page = higgins.show_figure(tmp_path, found)
    rows = rows_of(tmp_path / "latents.csv")
    kl = [float(row["kl"]) for row in rows]
    assert kl == sorted(kl, reverse=True)
    data, model = found[0].data(), found[0].model()
    assert list(rows[0]) == ["latent", "kl", *data.factor_names]
    mean, log_var = (np.asarray(part, float) for part in model.encode(data.images_at(range(1_296))))
    expected = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).mean(axis=0)
    np.testing.assert_allclose(kl, [expected[int(row["latent"])] for row in rows], rtol=1e-3)
    shown = re.findall(r"!\[[^]]*\]\((.*?)\)", page)
    assert shown == [f"{n}.png" for n in FIGURES]
    assert all(smaller_side(tmp_path / name) > 100 for name in shown)
    monkeypatch.setattr(higgins, "_figure_of", lambda folder, run, ending: ending)
    twice = [dataclasses.replace(found[0], labels={"seed": seed}) for seed in "01"]
    pages = "## seed 0\n\n_seed_0\n\n## seed 1\n\n_seed_1"
    assert higgins.show_figure(tmp_path, twice) == pages


def test_a_cells_table_is_what_evaluate_says(tmp_path, monkeypatch):
    monkeypatch.setattr(locatello, "_SCORES", ("mig_score", "modularity_score"))
    monkeypatch.setattr(  # Processes of its own take longer to start than these scores.
        locatello, "evaluate", lambda *given, n_jobs, **options: evaluate(*given, **options)
    )
    found = untrained(tmp_path, monkeypatch, locatello.cell_sweep("smoke"))
    page = locatello.show_cell(tmp_path, found)
    rows = rows_of(tmp_path / "scores.csv")
    assert [(row["weight"], row["seed"]) for row in rows] == [("β 1", "0"), ("β 16", "0")]
    factors, codes = found[0].data().encode_with(found[0].model(), 400, seed=0)
    for row in rows:  # The two differ in their objectives only, which an untrained one never met.
        assert float(row["mig_score"]) == pytest.approx(metrics.mig_score(factors, codes), rel=1e-4)
    assert smaller_side(tmp_path / "scores.png") > 100
    assert re.search(r"^\| β 16 ", page, re.MULTILINE)


# Figures.


def test_a_heat_map_shows_each_value_in_its_place():
    figure = plot_heat_map(
        np.array([[0.1, 0.2, np.nan], [0.3, 0.4, 0.5]]), ["a", "b"], ["x", "y", "z"], title="t"
    )
    axes = figure.axes[0]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {
        (0, 0): "0.100",
        (1, 0): "0.200",
        (0, 1): "0.300",
        (1, 1): "0.400",
        (2, 1): "0.500",
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y", "z"]


def test_the_capacitys_figure_has_a_line_for_each_latent_and_factor():
    capacity = np.linspace(0, 25, 4)
    kl = np.array([[0.0, 0.0, 0.0], [1.0, 8.0, 0.0], [3.0, 13.0, 0.0], [6.0, 18.0, 0.0]])
    shares = np.linspace(0, 1, 12).reshape(4, 3)
    labels = {1: "z1, x", 0: "z0, y"}
    left, right = plot_capacity(capacity, kl, labels, shares, ["shape", "x", "y"]).axes
    lines = {line.get_label(): line.get_ydata() for line in left.lines}
    np.testing.assert_array_equal(lines["z1, x"], kl[:, 1])
    np.testing.assert_array_equal(lines["all"], kl.sum(axis=1))
    np.testing.assert_array_equal(lines["C"], capacity)
    np.testing.assert_array_equal(lines["others"], 0.0)
    assert list(lines) == ["z1, x", "z0, y", "others", "all", "C"]
    assert [line.get_label() for line in right.lines] == ["shape", "x", "y"]
    np.testing.assert_array_equal(right.lines[2].get_ydata(), shares[:, 2])


def test_the_frontiers_figure_has_a_marker_for_each_model():
    points = {f"β {k}": [(100.0 + k, 0.1), (90.0 + k, 0.2)] for k in range(7)}
    (axes,) = plot_frontier(points, "MIG").axes
    shown = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert shown == {name: list(map(list, each)) for name, each in points.items()}
    assert len({(line.get_marker(), line.get_color()) for line in axes.lines}) == 7
    assert axes.get_ylabel() == "MIG"


@pytest.mark.slow
@pytest.mark.parametrize("name", reproduction.EXPERIMENTS)
def test_every_page_is_made_from_a_smoke_run(name, tmp_path):
    page = reproduction.reproduce(name, tmp_path / name, budget="smoke", verbose=False)
    text = page.read_text("utf-8")
    pictures = re.findall(r"!\[[^]]*\]\((.*?)\)", text)
    assert all(smaller_side(page.parent / picture) > 100 for picture in pictures)
    assert pictures or name == "higgins-table"
    assert list(page.parent.glob("*.csv"))
