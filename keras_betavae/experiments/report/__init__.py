"""One self-contained HTML file that shows what is in run folders."""

import csv
import json
import os
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from keras_betavae import visualization
from keras_betavae._utils.files import moved_into_place
from keras_betavae._utils.tables import number_text
from keras_betavae.evaluation.inspection import inspect, showcase
from keras_betavae.experiments import runs
from keras_betavae.experiments.report._html import (
    chart,
    data_uri,
    figures,
    section,
    slug,
    table,
    text,
)
from keras_betavae.metrics import SCORES

_CAPTIONS = {
    "reconstructions": "Images, and what the model makes of them.",
    "traversal": "Each row varies one latent from -3 to 3, by falling KL; the others stay.",
    "samples": "Images of codes drawn from the prior.",
    "interpolation": "Straight lines between the codes of two images each.",
    "mutual_information": "What each latent tells of each factor, in nats.",
    "response_maps": "The mean of each active latent over the positions of the sprite.",
    "histograms": "The codes of each active latent, beside the prior.",
    "posterior_pairs": "The aggregated posterior: the codes of two latents each.",
}
_TERMS = {"loss": "loss", "reconstruction_loss": "reconstruction", "kl_loss": "KL"}
_N_FRAMES = 21


def write_report(path: str | os.PathLike, folders: Iterable[str | os.PathLike]) -> Path:
    """Writes a report of one or several runs to an HTML file.

    The file needs nothing beside itself: styles, pictures and the script that moves the
    traversals are in it. A run that has no scores or pictures yet shows what it has.

    Args:
        path: The file, which should end in `.html`; what is there is replaced.
        folders: The runs' folders.

    Returns:
        The path.

    Raises:
        FileNotFoundError: If a folder holds no run, or no model.
        ValueError: If a run's files are damaged, or no folder is given.
    """
    shown = [_Run(Path(folder)) for folder in folders]
    if not shown:
        raise ValueError("folders must name at least one run, got none")
    here = resources.files(__package__)
    body = [_comparison(shown)] if len(shown) > 1 else []
    body += [_run(run) for run in shown]
    links = "".join(f'<a href="#{run.anchor}">{text(run.name)}</a>' for run in shown)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(', '.join(run.name for run in shown))} · keras_betavae</title>\n"
        f"<style>\n{here.joinpath('page.css').read_text('utf-8')}</style>\n</head>\n<body>\n"
        f"<header><h1>Runs of β-VAEs</h1><nav>{links}</nav></header>\n<main>\n"
        + "\n".join(body)
        + f"\n</main>\n<script>\n{here.joinpath('page.js').read_text('utf-8')}</script>\n"
        "</body>\n</html>\n"
    )
    path = Path(path)
    with moved_into_place(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


class _Run:
    """What a run's folder holds, read."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.name = folder.resolve().name
        self.anchor = f"run-{slug(str(folder.resolve()))}"
        self.settings = runs.load_settings(folder)
        self.model = runs.load_model(folder)
        self.data = self.settings.load_data()
        self.curves = _read_curves(folder / "metrics.csv")
        self.latent_kl = _read_latent_kl(folder / "logs")
        self.scores: dict[str, dict[str, float | None]] = {}
        if (folder / "scores.json").is_file():
            self.scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))

    @property
    def chosen(self) -> dict[str, str]:
        """The settings that say something."""
        unset = {name: field.default for name, field in runs.Settings.model_fields.items()}
        settings = {
            name: value
            for name, value in vars(self.settings).items()
            if value != unset[name] or name in ("data", "n_images", "seed")
        }
        objective = self.model.objective
        weights = ", ".join(f"{k}={v}" for k, v in objective.get_config().items())
        settings["model"] = type(self.model).__name__
        settings["objective"] = f"{type(objective).__name__}({weights})"
        settings["latents"] = self.model.latent_dim
        return {name: str(value) for name, value in settings.items()}


def _comparison(shown: Sequence[_Run]) -> str:
    settings = {run.anchor: run.chosen for run in shown}
    names = list(dict.fromkeys(name for each in settings.values() for name in each))
    rows = []
    for name in names:
        values = [settings[run.anchor].get(name, "") for run in shown]
        if len(set(values)) > 1:
            rows.append([name, *values])
    trained = [run.scores.get("trained", {}) for run in shown]
    for name in dict.fromkeys(name for each in trained for name in each):
        rows.append([_score_name(name), *(_number(each.get(name)) for each in trained)])
    charts = [
        chart({run.name: run.curves.get(column) for run in shown}, label, "nats per image")
        for column, label in _TERMS.items()
    ]
    chosen = ("beta_vae_score", "mig_score")
    charts += [
        chart({run.name: run.curves.get(name) for run in shown}, _score_name(name), "")
        for name in chosen
    ]
    return section(
        "comparison",
        "Side by side",
        table(["", *(run.name for run in shown)], rows) + figures(charts),
    )


def _run(run: _Run) -> str:
    inspection = inspect(run.model, run.data)
    images = showcase(run.data)
    pictures = inspection.pictures(run.model, images)
    parts = [
        "<h3>Settings</h3>",
        "<dl>"
        + "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in run.chosen.items())
        + "</dl>",
        "<h3>What each latent does</h3>",
        _sliders(run, inspection, images[:1]),
        _picture("traversal", pictures.pop("traversal"), "print"),
    ]
    if run.scores:
        header = ["score", *run.scores]
        names = dict.fromkeys(name for each in run.scores.values() for name in each)
        rows = [
            [_score_name(name), *(_number(each.get(name)) for each in run.scores.values())]
            for name in names
        ]
        parts += ["<h3>Scores, beside their controls</h3>", table(header, rows)]
    terms = {label: run.curves[c] for c, label in _TERMS.items() if c in run.curves}
    charts = [chart({label: terms[label]}, label, "nats per image") for label in terms]
    scored = {
        name: curve
        for name, curve in run.curves.items()
        if name in ("beta_vae_score", "beta_vae_score_locatello", "factor_vae_score", "mig_score")
    }
    charts += [
        chart(run.latent_kl, "KL of each latent", "nats"),
        chart(scored, "scores while it trained", "score"),
    ]
    parts += ["<h3>Training</h3>", figures(charts), "<h3>Pictures</h3>"]
    parts += [_picture(name, picture) for name, picture in pictures.items()]
    return section(run.anchor, run.name, "\n".join(parts))


def _sliders(run: _Run, inspection: Any, image: np.ndarray) -> str:
    """Returns a slider for each active latent, and its frames side by side in one picture."""
    code = np.asarray(run.model.encode(image)[0])[0]
    latents = inspection.active
    values = visualization.traversal_values("limit", _N_FRAMES)
    rows = visualization.traverse(run.model, code, latents=latents, values=values)
    items = []
    for row, latent, label in zip(rows, latents, inspection.labels_of(latents), strict=True):
        strip = visualization.image_grid(row[np.newaxis], padding=0)
        # The slider begins where the image itself is.
        start = int(np.argmin(np.abs(values - code[latent])))
        identity = f"{run.anchor}-z{latent}"
        items.append(
            f'<div class="latent"><div class="frame" role="img" aria-label="{text(label)}" '
            f'style="background-image:url({data_uri(strip)})"></div>'
            f'<label for="{identity}">{text(label)}</label>'
            f'<input id="{identity}" type="range" min="0" max="{_N_FRAMES - 1}" value="{start}" '
            f'data-low="{values[0]:g}" data-high="{values[-1]:g}">'
            f'<output for="{identity}"></output></div>'
        )
    return '<div class="latents">' + "".join(items) + "</div>"


def _read_curves(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the columns of a run's metrics over its training steps."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curves = {}
    for name in rows[0] if rows else ():
        points = [(_float(row.get("step")), _float(row.get(name))) for row in rows]
        kept = [(step, value) for step, value in points if np.isfinite(step + value)]
        if kept and name not in ("epoch", "step"):
            steps, values = np.array(kept).T
            curves[name] = (steps, values)
    return curves


def _read_latent_kl(logs: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the KL of each latent over the training steps, from TensorBoard's events."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if not (logs / "latents").is_dir():
        return curves
    events = EventAccumulator(str(logs / "latents"), size_guidance={"tensors": 0})
    events.Reload()
    latent = 0
    while (tag := f"kl/latent_{latent}") in events.Tags()["tensors"]:
        points = [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]
        steps, values = np.array(points).T
        curves[f"z{latent}"] = (steps, values)
        latent += 1
    return curves


def _picture(name: str, picture: np.ndarray, kind: str = "") -> str:
    caption = _CAPTIONS.get(name, f"{name.replace('_', ' ')}: the mean of each active latent.")
    return (
        f'<figure class="picture {kind}"><img alt="{text(caption)}" '
        f'src="{data_uri(picture)}"><figcaption>{text(caption)}</figcaption></figure>'
    )


def _score_name(name: str) -> str:
    better = SCORES[name].larger_is_better if name in SCORES else None
    return name + {True: " ↑", False: " ↓", None: ""}[better]


def _number(value: float | None) -> str:
    return "" if value is None else number_text(value)


def _float(value: str | None) -> float:
    try:
        return float(value or "nan")
    except ValueError:
        return float("nan")
