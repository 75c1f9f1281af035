import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from keras_betavae import cli
from keras_betavae.evaluation.inspection import Inspection
from keras_betavae.experiments import report
from keras_betavae.experiments.report._drawing import chart
from keras_betavae.experiments.report._shown import read_curves

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

# In few steps the KL does not reach the capacity.
pytestmark = pytest.mark.filterwarnings("ignore:by step .* from the capacity")


@pytest.fixture(scope="module", autouse=True)
def draw_once():
    """All reports here are of one model; its pictures take most of their time."""
    pictures, drawn = Inspection.pictures, []

    def once(inspection, model, images):
        drawn[:] = drawn or [pictures(inspection, model, images)]
        return dict(drawn[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Inspection, "pictures", once)
        yield


@pytest.fixture(scope="module")
def folders(finished_run, tmp_path_factory):
    """Two finished runs that differ in their seeds; their names look like HTML and formulas."""
    parent = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        folder = shutil.copytree(finished_run, parent / f"seed <{seed}> & $_$")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "seed": seed}))
    return sorted(parent.iterdir())


@pytest.fixture(scope="module")
def page(folders, tmp_path_factory):
    return report.write_report(tmp_path_factory.mktemp("report") / "report.html", folders)


class Outline(HTMLParser):
    """What a page holds: tags with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data.strip())

    def of(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_page_holds_all_of_both_runs(page, folders):
    text = page.read_text("utf-8")
    outline = Outline(text)
    words = outline.words
    for number, folder in enumerate(folders):
        assert words.count(folder.name) > 1
        assert f"<{number}>" not in text
    for heading in ("Side by side", "Settings", "What each latent does", "Training", "Pictures"):
        assert heading in words
    # Two runs side by side; for each the model and its four controls, in the headlines and in all.
    assert sum(cell["scope"] == "col" for cell in outline.of("th")) == 3 + 2 * (6 + 6)
    differing = words[words.index("seed") :]
    assert differing[:3] == ["seed", "0", "1"]
    scores = json.loads((folders[0] / "scores.json").read_text())
    for name in scores["trained"]:
        assert any(word.startswith(name) for word in words)
    assert f"{scores['untrained']['mig_score']:.3f}" in words
    sliders = [each for each in outline.of("input") if each["type"] == "range"]
    labels = {each["for"] for each in outline.of("label")}
    assert len(sliders) >= 2
    assert {slider["id"] for slider in sliders} == labels
    assert all(image["alt"] for image in outline.of("img"))
    # Five charts side by side, and of each run three terms, the KL of the latents, scores, and the
    # two of its objective.
    assert len(outline.of("svg")) == 5 + 2 * 7
    assert words.count("KL and capacity, nats") == 2
    identities = [each["id"] for _, each in outline.tags if "id" in each]
    assert len(identities) == len(set(identities))


def test_the_page_asks_for_nothing_beyond_itself(page):
    text = page.read_text("utf-8")
    outline = Outline(text)
    for _, attributes in outline.tags:
        for name in ("src", "href", "xlink:href", "action"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/png;base64,", "#"))
    addresses = set(re.findall(r"https?://[^\"' <>)]+", text))
    # Names of the kinds of XML, which nothing fetches.
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in text


def test_runs_without_scores_or_logs_show_what_they_have(folders, tmp_path):
    shutil.copytree(folders[0], tmp_path / "bare")
    for name in ("scores.json", "metrics.csv"):
        (tmp_path / "bare" / name).unlink()
    shutil.rmtree(tmp_path / "bare" / "logs")
    words = Outline(report.write_report(tmp_path / "r.html", [tmp_path / "bare"]).read_text()).words
    assert "What each latent does" in words
    assert "Scores and their controls" not in words
    assert "Side by side" not in words


def test_the_command_line_writes_it(folders, tmp_path, capsys):
    target = tmp_path / "out.html"
    assert cli.main(["report", str(folders[1]), "--out", str(target)]) == 0
    assert str(target) in capsys.readouterr().out
    assert target.read_text("utf-8").startswith("<!doctype html>")
    twins = [shutil.copytree(folders[0], tmp_path / name / "run") for name in "ab"]
    assert cli.main(["report", *map(str, twins), "--out", str(target)]) == 0
    outline = Outline(target.read_text("utf-8"))
    assert {"a/run", "b/run"} <= set(outline.words)
    identities = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(set(identities)) == len(identities)
    assert cli.main(["report", str(tmp_path), "--out", str(tmp_path / "other.html")]) == 1
    assert "is not a run folder" in capsys.readouterr().err
    assert not (tmp_path / "other.html").exists()


def test_no_runs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one run"):
        report.write_report(tmp_path / "report.html", [])


MOVE = """
<script>
const results = [];
for (const slider of document.querySelectorAll(".latent input")) {
  const frame = slider.parentElement.querySelector(".frame");
  const before = frame.style.backgroundPositionX;
  slider.value = 20;
  slider.dispatchEvent(new Event("input"));
  results.push([before, frame.style.backgroundPositionX,
                slider.parentElement.querySelector("output").textContent]);
}
document.title = JSON.stringify(results);
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [1200, 390])
def test_sliders_move_the_pictures_in_a_browser(page, tmp_path, width):
    moved = tmp_path / "moved.html"
    moved.write_text(page.read_text("utf-8").replace("</body>", f"{MOVE}</body>"), "utf-8")
    browser = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},900",
            "--dump-dom",
            moved.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in browser.stderr
    results = json.loads(re.search(r"<title>(.*?)</title>", browser.stdout)[1])
    assert results
    for before, after, value in results:
        assert before != after
        assert after == "100%"
        assert float(value) == 3.0


def test_curves_are_those_of_the_run(folders):
    curves = read_curves(folders[0] / "metrics.csv")
    steps, values = curves["loss"]
    rows = np.genfromtxt(folders[0] / "metrics.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(steps, rows["step"])
    np.testing.assert_allclose(values, rows["loss"])


def test_a_curve_leaves_out_steps_without_a_number(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,loss,new\n0,10,3.0,NA\n1,20,nan,0.5\n2,30,1.0,0.25\n3,")
    curves = read_curves(path)
    assert {name: np.stack(curve).tolist() for name, curve in curves.items()} == {
        "loss": [[10.0, 30.0], [3.0, 1.0]],
        "new": [[20.0, 30.0], [0.5, 0.25]],
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scores.json", "[1, 2]"),
        ("scores.json", '{"trained": {"mig_score": "high"}}'),
        ("metrics.csv", "epoch;step;loss\n0;2;1.5\n"),
        ("metrics.csv", "epoch,step,loss\n0,2,low\n"),
        ("metrics.csv", "epoch,step\n0,2,1.5\n"),
    ],
)
def test_a_file_that_holds_something_else_is_named(folders, tmp_path, name, content):
    folder = shutil.copytree(folders[0], tmp_path / "run")
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{name} (does not hold|must)"):
        report.write_report(tmp_path / "report.html", [folder])
    assert not (tmp_path / "report.html").exists()


def test_a_chart_takes_names_as_they_are():
    curve = np.array([1.0, 2.0]), np.array([0.5, 0.25])
    svg = chart({"<b>": curve, "cost$1_vs_$2^{": curve}, "a & b", "nats", "here")
    assert "&lt;b&gt;" in svg
    assert "cost$1_vs_$2^{" in svg
    assert 'aria-label="a &amp; b"' in svg
    assert "<b>" not in svg
    assert chart({}, "nothing", "", "here") == ""
