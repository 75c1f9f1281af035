import io
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
import warnings

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.projector import ProjectorConfig

from keras_betavae import metrics
from keras_betavae.callbacks import Checkpoint
from keras_betavae.datasets import FactorDataset, ImageDataset
from keras_betavae.experiments import runs, tensorboard
from keras_betavae.experiments.runs._finishing import hyperparameters
from keras_betavae.objectives import Beta, BetaTC
from tests.helpers import SHAPE, narrow_networks, no_graphs, quick_runs, quick_scores, tiny_vae

# In few steps the KL does not reach the capacity.
pytestmark = pytest.mark.filterwarnings("ignore:by step .* from the capacity")

LOOPBACK = ["--host=127.0.0.1", "--port=0"]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module", autouse=True)
def quick():
    with quick_scores(), no_graphs():
        yield


@pytest.fixture(scope="module")
def run(finished_run, tmp_path_factory):
    """A finished run, in a folder of runs."""
    return shutil.copytree(finished_run, tmp_path_factory.mktemp("runs") / "one")


def events_of(folder):
    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def points_of(logs):
    """Returns what each folder of a run holds: folder and tag → [(step, value), ...]."""
    found = {}
    for folder in sorted(path for path in logs.iterdir() if any(path.glob("*tfevents*"))):
        events = events_of(folder)
        for tag in events.Tags()["tensors"]:
            found[folder.name, tag] = [
                (event.step, tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)
            ]
    return found


def tags_of(logs):
    return {tag for _, tag in points_of(logs)}


def layout_of(logs):
    ((_, layout),) = points_of(logs)["loss", "custom_scalars__config__"]
    return layout_pb2.Layout.FromString(layout.item())


def charts_of(layout):
    return {
        tab.title: {chart.title: list(chart.multiline.tag) for chart in tab.chart}
        for tab in layout.category
    }


# The layout.


def test_every_chart_shows_curves_that_are_there(run):
    layout, tags = charts_of(layout_of(run / "logs")), tags_of(run / "logs")
    assert list(layout) == ["loss", "latents", "objective", "scores"]
    shown = set()
    for charts in layout.values():
        for patterns in charts.values():
            for pattern in patterns:
                matching = {tag for tag in tags if re.match(pattern, tag)}
                assert matching, pattern
                shown |= matching
    wanted = ("loss/", "kl/", "objective/", "disentanglement/")
    assert shown == {tag for tag in tags if tag.startswith(wanted)} - {"kl/latents"}
    assert layout["objective"]["KL and capacity, nats"] == ["loss/kl$", "objective/capacity$"]


def test_every_objective_has_its_own_charts(tmp_path):
    tensorboard.write_layout(tmp_path, BetaTC(n_data=9), {})
    assert charts_of(layout_of(tmp_path))["objective"] == {
        "parts of the KL, nats": [
            "objective/mutual_information_loss$",
            "objective/total_correlation_loss$",
            "objective/dimension_wise_kl_loss$",
        ]
    }


def test_scores_stand_beside_those_of_their_kind(tmp_path):
    tensorboard.write_layout(tmp_path, Beta(4.0), metrics.SCORES)
    layout = charts_of(layout_of(tmp_path))
    assert list(layout) == ["loss", "latents", "scores"]
    scores = layout["scores"]
    assert list(scores) == ["higher is better", "lower is better", "neither is better"]
    assert "disentanglement/mig_score$" in scores["higher is better"]
    assert "disentanglement/total_correlation$" in scores["lower is better"]
    assert scores["neither is better"] == ["disentanglement/active_units$"]


def test_kinds_without_a_score_have_no_chart(tmp_path):
    tensorboard.write_layout(tmp_path, Beta(4.0), {"active_units": metrics.SCORES["active_units"]})
    assert list(charts_of(layout_of(tmp_path))["scores"]) == ["neither is better"]


# The steps.


def test_all_curves_share_the_axis_of_the_training_steps(run):
    points = points_of(run / "logs")
    folders = {folder for folder, _ in points}
    assert folders == {"disentanglement", "hparams", "latents", "loss", "pictures"}
    for (folder, tag), values in points.items():
        steps = [step for step, _ in values]
        if folder == "hparams":
            assert steps == ([5] if tag.startswith("disentanglement/") else [0]), tag
        elif tag == "custom_scalars__config__":
            assert steps == [0]
        elif folder in ("disentanglement", "pictures"):
            # An odd number of intervals has no half, where pictures are drawn too.
            all_steps = [0, 2, 4, 5] if folder == "disentanglement" else [0, 5]
            # A latent's histogram is there while it is active.
            assert steps == all_steps or tag.startswith("posterior/"), tag
            assert set(steps) <= set(all_steps)
        else:
            assert steps == [2, 4, 5], tag


def test_curves_are_those_of_the_metrics_file(run):
    rows = np.genfromtxt(run / "metrics.csv", delimiter=",", names=True)
    points = points_of(run / "logs")
    for folder, tag, column in (
        ("loss", "loss/loss", "loss"),
        ("loss", "loss/kl", "kl_loss"),
        ("loss", "objective/capacity", "capacity"),
        ("latents", "kl/active_latents", "active_latents"),
        ("disentanglement", "disentanglement/mig_score", "mig_score"),
    ):
        values = [float(value) for _, value in points[folder, tag]][-3:]
        np.testing.assert_allclose(values, rows[column], rtol=1e-5)


def same_points(one, other):
    assert one.keys() == other.keys()
    for key, values in one.items():
        assert [step for step, _ in values] == [step for step, _ in other[key]], key
        for (_, value), (_, same) in zip(values, other[key], strict=True):
            if value.dtype.kind == "f" and value.ndim == 0:
                assert value == pytest.approx(same, rel=1e-3, abs=1e-6), key


def killed_after(run, step, folder):
    """A copy of a run as if it had been killed when it had logged all but saved only `step`."""
    shutil.copytree(run, folder)
    for name in ("hparams", "projector"):
        shutil.rmtree(folder / "logs" / name)
    (folder / "model.keras").unlink()
    for path in (folder / "checkpoints").iterdir():
        if int(path.stem.split("-")[1]) > step:
            path.unlink()
    for path in (folder / "logs").glob("*/events*"):
        with open(path, "ab") as file:
            file.write(b"half an event")
    return folder


@pytest.mark.parametrize("step", [4, pytest.param(0, marks=pytest.mark.slow)])
def test_a_killed_run_resumes_without_a_trace_in_the_curves(run, tmp_path, step):
    folder = killed_after(run, step, tmp_path / "killed")
    latest = Checkpoint.latest(folder / "checkpoints")
    assert (latest is not None) == (step > 0)
    with narrow_networks():
        runs.train(folder, runs.load_settings(folder).load_data(), verbose=0)
    expected = points_of(run / "logs")
    same_points(
        points_of(folder / "logs"),
        {key: values for key, values in expected.items() if key[0] != "hparams"},
    )


def test_a_finished_run_that_is_trained_and_finished_again_stays_as_it_is(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "again")
    data = runs.load_settings(folder).load_data()
    with quick_runs():
        runs.finish(folder, runs.train(folder, data, verbose=0), data, controls=False)
    same_points(points_of(folder / "logs"), points_of(run / "logs"))
    assert len(list((folder / "logs" / "projector").iterdir())) == 5
    assert not list(folder.rglob("saving-*"))


def test_events_after_a_step_are_dropped(tmp_path):
    for name in ("loss", "pictures"):
        with tf.summary.create_file_writer(str(tmp_path / name)).as_default():
            for step in (1, 2, 3, 4):
                tf.summary.scalar("value", 10.0 * step, step)
    tensorboard.drop_events(tmp_path, 3, but=["pictures"])
    points = points_of(tmp_path)
    assert points["loss", "value"] == [(1, 10.0), (2, 20.0), (3, 30.0)]
    assert points["pictures", "value"] == [(1, 10.0), (2, 20.0)]
    tensorboard.drop_events(tmp_path / "absent", 3)


# HParams.


def session_of(logs):
    events = events_of(logs / "hparams")
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    return hparams_metadata.parse_session_start_info_plugin_data(content)


def settings_of(logs):
    kinds = {"number_value": float, "string_value": str, "bool_value": bool}
    return {
        name: kinds[value.WhichOneof("kind")](getattr(value, value.WhichOneof("kind")))
        for name, value in session_of(logs).hparams.items()
    }


def test_a_run_is_compared_by_its_settings_and_its_scores(run):
    assert settings_of(run / "logs") == {
        "preset": "burgess_dsprites",
        "data": "sprites",
        "data_size": 192,
        "batch_size": 16,
        "steps": 5,
        "seed": 0,
        "latent_dim": 2,
        "learning_rate": pytest.approx(5e-4),
        "model": "BetaVAE",
        "objective": "Capacity",
        "objective/gamma": 1000,
        "objective/max_capacity": 25,
        "objective/min_capacity": 0,
        "objective/n_steps": 100_000,
    }
    scores = json.loads((run / "scores.json").read_text())["trained"]
    written = {
        tag.removeprefix("disentanglement/"): float(values[-1][1])
        for (folder, tag), values in points_of(run / "logs").items()
        if folder == "hparams" and tag.startswith("disentanglement/")
    }
    assert written == {name: pytest.approx(value, rel=1e-6) for name, value in scores.items()}


@pytest.mark.parametrize(
    ("preset", "options", "expected"),
    [
        ("higgins_quick", {}, {"objective": "Beta", "objective/beta": 16.0}),
        (
            "higgins_quick",
            {"beta": 2.0, "learning_rate": 1e-3, "latent_dim": 3},
            {"objective/beta": 2.0, "learning_rate": pytest.approx(1e-3), "latent_dim": 3},
        ),
        ("higgins_quick", {"beta": 2.0, "warm_up": 9}, {"objective/beta": 2.0, "warm_up": 9}),
        ("capacity_quick", {}, {"objective": "ControlledCapacity", "objective/capacity": 18.0}),
        (
            "locatello_factor",
            {"weights": {"gamma": 7.0}},
            {"model": "FactorVAE", "model/gamma": 7.0},
        ),
        ("locatello_tc", {}, {"objective/n_data": 384}),
        ("locatello_dip_ii", {}, {"objective/kind": "ii", "objective/lambda_od": 10.0}),
    ],
)
def test_settings_are_those_of_the_model_that_they_build(preset, options, expected):
    settings = runs.Settings.from_preset(preset, grid=(3, 2, 4, 4, 4), **options)
    data = settings.load_data()
    found = hyperparameters(settings, settings.build_model(data), data)
    assert found | expected == found
    # The rates of the quick recipes are schedules.
    is_scheduled = preset.endswith("_quick") and "learning_rate" not in options
    assert ("learning_rate" in found) != is_scheduled


def test_pictures_of_ones_own_go_by_the_name_of_their_folder(tmp_path):
    settings = runs.Settings.from_preset("higgins_quick", data="folder", data_path=tmp_path / "me")
    data = ImageDataset(np.zeros((6, 64, 64, 1), "uint8"))
    assert hyperparameters(settings, settings.build_model(data), data)["data"] == "me"


def test_scores_that_are_not_finite_are_left_out(tmp_path):
    scores = {"one": 0.5, "two": float("nan"), "three": float("inf")}
    for _ in range(2):
        tensorboard.write_hyperparameters(tmp_path, {"beta": 4.0, "deep": True}, scores, 7)
    points = points_of(tmp_path)
    assert points.pop(("hparams", "disentanglement/one")) == [(7, 0.5)]
    assert list(points) == [("hparams", "_hparams_/session_start_info")]
    assert settings_of(tmp_path) == {"beta": 4.0, "deep": True}


# The projector.


def projector_of(logs):
    folder = logs / "projector"
    config = ProjectorConfig()
    text_format.Parse((folder / "projector_config.pbtxt").read_text(), config)
    (embedding,) = config.embeddings
    codes = np.loadtxt(folder / embedding.tensor_path, delimiter="\t", ndmin=2)
    rows = (folder / embedding.metadata_path).read_text().splitlines()
    with Image.open(folder / embedding.sprite.image_path) as image:
        sprite = np.asarray(image)
    return codes, rows, sprite, tuple(embedding.sprite.single_image_dim)


def thumbnail(sprite, size, number):
    width, height = size
    row, column = divmod(number, sprite.shape[1] // width)
    return sprite[row * height : (row + 1) * height, column * width : (column + 1) * width]


def numbered(n, shape=SHAPE):
    """Each image has a pixel of its own shade."""
    images = np.zeros((n, *shape), "uint8")
    images[:, 0, 0, :] = np.arange(n)[:, None]
    return images


@pytest.mark.parametrize("n", [5, 12, 100])
def test_codes_images_and_factors_of_the_projector_fit_each_other(tmp_path, n):
    vae, images = tiny_vae(), numbered(12)
    data = FactorDataset(images, ("x", "y"), (3, 4))
    for _ in range(2):  # The second takes the place of the first.
        tensorboard.write_projector(tmp_path, vae, data, n=n)
    codes, (header, *rows), sprite, size = projector_of(tmp_path)
    assert header.split("\t") == ["image", "x", "y"]
    indices, *factors = np.array([row.split("\t") for row in rows], int).T
    assert len(indices) == min(n, 12)
    if n >= 12:
        np.testing.assert_array_equal(indices, np.arange(12))
    np.testing.assert_array_equal(np.stack(factors, -1), data.factors_at(indices))
    expected = vae.encode(data.images_at(indices))[0]
    np.testing.assert_allclose(codes, expected, rtol=1e-4, atol=1e-6)
    assert size == (8, 8)
    for number, index in enumerate(indices):
        picture = thumbnail(sprite, size, number)
        np.testing.assert_array_equal(picture, images[index].repeat(3, axis=-1))


def test_without_factors_the_metadata_is_a_column_without_a_header(tmp_path):
    tensorboard.write_projector(tmp_path, tiny_vae(), ImageDataset(numbered(5)))
    codes, rows, _, _ = projector_of(tmp_path)
    assert rows == ["0", "1", "2", "3", "4"]
    assert codes.shape == (5, 3)


@pytest.mark.parametrize(
    ("shape", "size"), [((128, 96, 3), (48, 64)), ((64, 64, 1), (64, 64)), ((512, 2, 1), (1, 64))]
)
def test_large_images_become_thumbnails(tmp_path, shape, size):
    images = np.full((3, *shape), 90, "uint8")
    images[1] = 200

    def encode(images):
        return images.reshape(len(images), -1)[:, :2].astype("float32"), None

    model = type("Model", (), {"encode": staticmethod(encode)})
    tensorboard.write_projector(tmp_path, model, ImageDataset(images))
    _, _, sprite, found = projector_of(tmp_path)
    assert found == size
    assert sprite.shape == (2 * size[1], 2 * size[0], 3)
    assert [int(thumbnail(sprite, size, k).mean()) for k in range(4)] == [90, 200, 90, 0]


def test_a_runs_projector_has_its_codes(run):
    codes, (header, *rows), sprite, size = projector_of(run / "logs")
    assert header.split("\t") == ["image", "shape", "scale", "orientation", "pos_x", "pos_y"]
    assert codes.shape == (len(rows), 2) == (192, 2)
    assert size == (64, 64)
    assert sprite.shape == (14 * 64, 14 * 64, 3)


# TensorBoard itself.


TEXT = """(function text(node) {
  if (["STYLE", "SCRIPT"].includes(node.tagName)) return "";
  const below = [...(node.shadowRoot?.childNodes ?? []), ...node.childNodes];
  const document = node.tagName === "IFRAME" ? [node.contentDocument] : [];
  const own = node.nodeType === 3 ? node.nodeValue : node.tagName === "INPUT" ? node.value : "";
  return own + " " + [...below, ...document].filter(Boolean).map(text).join(" ");
})(document)"""


class Browser:
    """Headless Chromium, spoken to through its pipe: JSON, each message ended by a zero byte."""

    def __init__(self, profile):
        read, self._commands = os.pipe()
        self._answers, write = os.pipe()
        command = f'exec "$@" 3<&{read} 4>&{write}'  # Where it listens and speaks.
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        # A name that is asked for is not found.
        options += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        options += [f"--user-data-dir={profile}", "--window-size=1400,1000", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", CHROMIUM, *options],
            pass_fds=(read, write),
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._rest, self._number, self._session, self.events = b"", 0, {}, []
        (page,) = (
            each for each in self("Target.getTargets")["targetInfos"] if each["type"] == "page"
        )
        session = self("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = {"sessionId": session["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                block = os.read(self._answers, 1 << 20)
                assert block, "the browser is gone"
                self._rest += block
            answer, self._rest = self._rest.split(b"\0", 1)
            answer = json.loads(answer)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def text(self):
        """Returns all that the page says, within its components and frames, too."""
        return self("Runtime.evaluate", expression=TEXT)["result"]["value"]

    def of(self, method):
        return [event["params"] for event in self.events if event["method"] == method]

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)


def served(folder):
    """Starts TensorBoard on a folder, in a thread of this process; returns its address."""
    arguments = [f"--logdir={folder}", "--load_fast=false", *LOOPBACK]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Its plugins import deprecated packages.
        from tensorboard import program

        server = program.TensorBoard()
        server.configure(argv=["tensorboard", *arguments])
    return server.launch().rstrip("/")


@pytest.fixture(scope="module")
def board(run):
    other = {"preset": "burgess_dsprites", "objective": "Beta", "objective/beta": 4.0}
    tensorboard.write_hyperparameters(
        run.parent / "two" / "logs", other, {"mig_score": 0.25}, step=9
    )
    ask = Board(served(run.parent))
    ask.wait_for(lambda: len(ask("projector/runs")) == 1 and len(ask("scalars/tags")) == 5)
    return ask


class Board:
    """Asks TensorBoard's own routes."""

    def __init__(self, address):
        self.address = address

    def raw(self, route, **query):
        query = f"?{urllib.parse.urlencode(query)}" if query else ""
        url = f"{self.address}/data/plugin/{route}{query}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.read()

    def __call__(self, route, **query):
        return json.loads(self.raw(route, **query))

    def post(self, route, **body):
        request = urllib.request.Request(
            f"{self.address}/data/plugin/{route}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def wait_for(self, is_true):
        deadline = time.monotonic() + 30
        while not is_true():
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_tensorboard_shows_the_curves(board, run):
    tags = board("scalars/tags")
    points = {
        (folder, tag): values
        for (folder, tag), values in points_of(run / "logs").items()
        if tag.split("/")[0] not in ("pictures", "posterior") and values[0][1].dtype.kind == "f"
    }
    scalars = {key for key, values in points.items() if values[0][1].ndim == 0}
    mine = {run: found for run, found in tags.items() if run.startswith("one/")}
    shown = {(run.split("/")[-1], tag) for run, found in mine.items() for tag in found}
    assert shown == {key for key in scalars if not key[1].startswith("_")}
    for folder, tag in sorted(shown):
        events = board("scalars/scalars", run=f"one/logs/{folder}", tag=tag)
        assert [step for _, step, _ in events] == [step for step, _ in points[folder, tag]]
        np.testing.assert_allclose(
            [value for *_, value in events], [value for _, value in points[folder, tag]], rtol=1e-6
        )


def test_tensorboard_shows_the_layout(board):
    tabs = board("custom_scalars/layout")["category"]
    assert [tab["title"] for tab in tabs] == ["loss", "latents", "objective", "scores"]
    (pattern,) = tabs[1]["chart"][0]["multiline"]["tag"]
    found = board("custom_scalars/scalars", run="one/logs/latents", tag=pattern)
    assert found["regex_valid"]
    assert set(found["tag_to_events"]) == {f"kl/latent_{latent}" for latent in range(2)}


def test_tensorboard_shows_the_pictures_and_histograms(board, run):
    tags = board("images/tags")
    assert list(tags) == ["one/logs/pictures"]
    names = {"traversal", "samples", "response_maps", "mutual_information", "curves_scale"}
    assert {f"pictures/{name}" for name in names} < set(tags["one/logs/pictures"])
    place = {"run": "one/logs/pictures", "tag": "pictures/traversal"}
    drawn = board("images/images", sample=0, **place)
    assert [each["step"] for each in drawn] == [0, 5]
    query = dict(urllib.parse.parse_qsl(drawn[-1]["query"]))
    with Image.open(io.BytesIO(board.raw("images/individualImage", **query))) as image:
        shown = np.asarray(image.convert("RGB"))
    with Image.open(run / "pictures" / "traversal.png") as image:
        np.testing.assert_array_equal(shown, np.asarray(image.convert("RGB")))
    histograms = board("histograms/tags")
    assert list(histograms["one/logs/latents"]) == ["kl/latents"]
    assert any(tag.startswith("posterior/") for tag in histograms["one/logs/pictures"])


def test_tensorboard_compares_the_runs(board, run):
    experiment = board.post("hparams/experiment", experimentName="", includeMetrics=True)
    differing = {info["name"] for info in experiment["hparamInfos"] if info["differs"]}
    assert differing == {"objective"}
    columns = [info["name"] for info in experiment["metricInfos"]]
    groups = board.post(
        "hparams/session_groups",
        experimentName="",
        allowedStatuses=[
            f"STATUS_{status}" for status in ("UNKNOWN", "SUCCESS", "FAILURE", "RUNNING")
        ],
        colParams=[{"metric": metric} for metric in columns],
        startIndex=0,
        sliceSize=10,
    )["sessionGroups"]
    scores = json.loads((run / "scores.json").read_text())["trained"]
    found = {group["name"]: group for group in groups}
    assert set(found) == {"one/logs/hparams", "two/logs/hparams"}
    assert found["one/logs/hparams"]["hparams"]["objective"] == "Capacity"
    assert found["two/logs/hparams"]["hparams"]["objective/beta"] == 4.0
    for name, expected in (("one", scores), ("two", {"mig_score": 0.25})):
        values = {
            each["name"]["tag"].removeprefix("disentanglement/"): each["value"]
            for each in found[f"{name}/logs/hparams"]["metricValues"]
        }
        assert values == {tag: pytest.approx(value, rel=1e-5) for tag, value in expected.items()}


def test_tensorboard_shows_the_projector(board, run):
    assert board("projector/runs") == ["one/logs/projector"]
    place = {"run": "one/logs/projector"}
    (embedding,) = board("projector/info", **place)["embeddings"]
    assert embedding["tensorShape"] == [192, 2]
    place["name"] = embedding["tensorName"]
    codes, rows, sprite, _ = projector_of(run / "logs")
    tensor = np.frombuffer(board.raw("projector/tensor", **place), "float32").reshape(192, 2)
    np.testing.assert_allclose(tensor, codes, rtol=1e-5)
    assert board.raw("projector/metadata", **place).decode().splitlines() == rows
    with Image.open(io.BytesIO(board.raw("projector/sprite_image", **place))) as image:
        np.testing.assert_array_equal(np.asarray(image), sprite)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser") / "profile")
    yield browser
    browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(
    ("tab", "words"),
    [
        # What the others show, the tests above ask for.
        *(
            pytest.param(tab, words, marks=pytest.mark.slow)
            for tab, words in (
                ("timeseries", ["disentanglement /active_units", "one/logs/loss"]),
                ("scalars", ["disentanglement/beta_vae_score"]),
                ("images", ["pictures/traversal", "pictures/response_maps", "step 5"]),
                ("histograms", ["kl/latents", "posterior/latent_"]),
                ("hparams", ["one/logs/hparams", "two/logs/hparams", "Capacity", "mig_score"]),
                ("projector", ["Points: 192", "Dimension: 2", "images.tsv", "pos_x"]),
            )
        ),
        ("custom_scalars", ["KL of each latent, nats", "KL and capacity, nats"]),
    ],
)
def test_every_tab_shows_the_run_in_a_browser(board, browser, tab, words):
    browser.events.clear()
    browser("Page.navigate", url="about:blank")
    browser("Page.navigate", url=f"{board.address}/#{tab}")

    def text():
        return " ".join(browser.text().split())

    board.wait_for(lambda: all(word in text() for word in words))
    said = [
        (call["type"], [argument.get("value") for argument in call["args"]])
        for call in browser.of("Runtime.consoleAPICalled")
        if call["type"] in ("error", "assert")
    ]
    assert said == []
    assert browser.of("Runtime.exceptionThrown") == []
    entries = [each["entry"] for each in browser.of("Log.entryAdded")]
    assert [each for each in entries if each["level"] == "error"] == []
    asked = [each["request"]["url"] for each in browser.of("Network.requestWillBeSent")]
    assert asked
    local = (board.address, "data:", "blob:", "about:")
    assert [url for url in asked if not url.startswith(local)] == []
