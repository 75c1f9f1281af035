"""The contents of a report's sections; `page.html` has the layout."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from keras_betavae import visualization
from keras_betavae._utils.tables import number_text
from keras_betavae.evaluation.inspection import Inspection, inspect, showcase
from keras_betavae.experiments.report._drawing import chart, data_uri
from keras_betavae.experiments.report._shown import Shown
from keras_betavae.metrics import SCORES

_CAPTIONS = {
    "reconstructions": "Images and their reconstructions.",
    "traversal": "One latent varies from -3 to 3, the others are fixed; sorted by KL.",
    "samples": "Images of codes drawn from the prior.",
    "interpolation": "Straight lines between the codes of two images each.",
    "mutual_information": "Mutual information of each latent with each factor, in nats.",
    "response_maps": "The mean of each active latent over the positions of the sprite.",
    "histograms": "The codes of each active latent, and the prior.",
    "posterior_pairs": "The aggregated posterior: the codes of two latents each.",
}
_TERMS = {"loss": "loss", "reconstruction_loss": "reconstruction", "kl_loss": "KL"}
_COMPARED = ("beta_vae_score", "mig_score")
_WATCHED = ("beta_vae_score", "beta_vae_score_locatello", "factor_vae_score", "mig_score")
_HEADLINES = ("beta_vae_score", "mig_score", "active_units")
_N_FRAMES = 21


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of text; the first cell of a row is its name."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image as a data URI, with its caption."""

    image: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Slider:
    """The frames of a latent's traversal in one strip, and the frame where the image itself is.

    Width and height are those of a frame in pixels.
    """

    identity: str
    label: str
    strip: str
    start: int
    last: int
    low: float
    high: float
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What differs between runs."""

    table: Table
    charts: Sequence[Markup]


@dataclasses.dataclass(frozen=True)
class RunSection:
    """All that is shown of one run."""

    name: str
    anchor: str
    summary: str
    headlines: Table | None
    settings: dict[str, str]
    sliders: Sequence[Slider]
    traversal: Picture
    is_series: bool
    scores: Table | None
    note: str
    charts: Sequence[Markup]
    pictures: Sequence[Picture]


def comparison(shown: Sequence[Shown]) -> Comparison:
    """Returns the settings that differ, the scores, and the curves in common charts."""
    settings = [run.chosen for run in shown]
    rows = []
    for name in dict.fromkeys(name for each in settings for name in each):
        values = [each.get(name, "") for each in settings]
        if len(set(values)) > 1:
            rows.append([name, *values])
    rows += _score_rows([next(iter(run.scores.values()), {}) for run in shown])

    def together(column: str, title: str, unit: str) -> Markup:
        curves = {run.name: run.curves[column] for run in shown if column in run.curves}
        return chart(curves, title, unit, "comparison")

    charts = [together(column, label, "nats per image") for column, label in _TERMS.items()]
    charts += [together(name, _score_name(name), "") for name in _COMPARED]
    return Comparison(Table(["", *(run.name for run in shown)], rows), list(filter(None, charts)))


def run_section(run: Shown) -> RunSection:
    """Returns what is shown of a run."""
    inspection, images = inspect(run.model, run.data), showcase(run.data)
    pictures = {
        name: Picture(data_uri(image), _caption(name))
        for name, image in inspection.pictures(run.model, images).items()
    }
    scores = Table(["score", *run.scores], _score_rows(list(run.scores.values())))
    charts = [
        chart({label: run.curves[column]}, label, "nats per image", run.anchor)
        for column, label in _TERMS.items()
        if column in run.curves
    ]
    watched = {name: run.curves[name] for name in _WATCHED if name in run.curves}
    for title, names in run.charts.items():
        found = {name: run.curves[name] for name in names if name in run.curves}
        charts.append(chart(found, title, "", run.anchor))
    charts += [
        chart(run.latent_kl, "KL of each latent", "nats", run.anchor),
        chart(watched, "scores during training", "score", run.anchor),
    ]
    return RunSection(
        name=run.name,
        anchor=run.anchor,
        summary=run.summary,
        headlines=Table(["score", *run.scores], _headlines(run)) if run.scores else None,
        settings=run.chosen,
        sliders=_sliders(run, inspection, images[:1]),
        traversal=pictures.pop("traversal"),
        is_series=inspection.view.is_series,
        scores=scores if run.scores else None,
        note=run.note,
        charts=list(filter(None, charts)),
        pictures=list(pictures.values()),
    )


def _headlines(run: Shown) -> list[list[str]]:
    """Returns the rows of the scores to look at first, with their controls."""
    first = next(iter(run.scores.values()))
    names = [name for name in _HEADLINES if name in first]
    return _score_rows([{name: t.get(name) for name in names} for t in run.scores.values()])


def _sliders(run: Shown, inspection: Inspection, image: np.ndarray) -> list[Slider]:
    """Returns a slider for each active latent."""
    code = np.asarray(run.model.encode(image)[0])[0]
    latents = inspection.active
    values = visualization.traversal_values("limit", _N_FRAMES)
    rows = visualization.traverse(run.model, code, latents=latents, values=values)
    cells = inspection.view.cells(rows, wide=True)
    return [
        Slider(
            identity=f"{run.anchor}-z{latent}",
            label=label,
            strip=data_uri(visualization.image_grid(row[np.newaxis], padding=0)),
            start=int(np.argmin(np.abs(values - code[latent]))),
            last=_N_FRAMES - 1,
            low=float(values[0]),
            high=float(values[-1]),
            width=row.shape[2],
            height=row.shape[1],
        )
        for row, latent, label in zip(cells, latents, inspection.labels_of(latents), strict=True)
    ]


def _caption(name: str) -> str:
    return _CAPTIONS.get(name, f"{name.replace('_', ' ')}: the mean of each active latent.")


def _score_rows(tables: Sequence[Mapping[str, float | None]]) -> list[list[str]]:
    names: Iterable[str] = dict.fromkeys(name for table in tables for name in table)
    return [[_score_name(name), *(_number(table.get(name)) for table in tables)] for name in names]


def _score_name(name: str) -> str:
    better = SCORES[name].larger_is_better if name in SCORES else None
    return name + {True: " ↑", False: " ↓", None: ""}[better]


def _number(value: float | None) -> str:
    return "" if value is None else number_text(value)
