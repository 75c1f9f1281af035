"""The data of a model or a run for a report."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_betavae._utils.steps import optimizer_steps, training_step
from keras_betavae._utils.tables import read_columns
from keras_betavae.datasets import ImageDataset
from keras_betavae.evaluation import evaluate
from keras_betavae.evaluation.choice import Scores
from keras_betavae.evaluation.score_table import binning_note
from keras_betavae.experiments import runs
from keras_betavae.experiments.report._drawing import slug

Curve = tuple[np.ndarray, np.ndarray]
"""Training steps, and the value at each."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """A model with its data, and what is known of how it was trained.

    Attributes:
        name: What it is called.
        anchor: Where it is in the page.
        summary: What was trained, in a sentence.
        model: The model.
        data: Its data.
        chosen: What it was made from, by name.
        scores: Scores by name, for the model and each control.
        note: What is to be said of the scores.
        curves: The columns of its metrics by name.
        latent_kl: The KL of each latent by name.
        charts: Names of the curves in each further chart, by its title.
    """

    name: str
    anchor: str
    summary: str
    model: Any
    data: ImageDataset
    chosen: dict[str, str]
    scores: Mapping[str, Mapping[str, float | None]]
    note: str
    curves: Mapping[str, Curve]
    latent_kl: Mapping[str, Curve]
    charts: Mapping[str, Sequence[str]]


def shown_run(folder: Path, name: str) -> Shown:
    """Returns what a run's folder holds, under a name.

    Raises:
        FileNotFoundError: If it is not a run folder, or has no model.
        ValueError: If a file in it is damaged.
    """
    settings = runs.load_settings(folder)
    model = runs.load_model(folder)
    fields, always = runs.Settings.model_fields, ("data", "n_images", "seed")
    chosen = {
        name: str(value)
        for name, value in settings.model_dump().items()
        if value != fields[name].default or name in always
    }
    data = settings.load_data()
    return Shown(
        name=name,
        anchor=f"run-{slug(name)}",
        summary=(
            f"{settings.preset} on {settings.data} ({len(data):,} images), "
            f"{settings.steps:,} steps of {settings.batch_size} images, seed {settings.seed}"
        ),
        model=model,
        data=data,
        chosen=chosen | _described(model),
        scores=runs.load_scores(folder) if runs.is_finished(folder) else {},
        note="",
        curves=read_curves(folder / "metrics.csv"),
        latent_kl=read_latent_kl(folder / "logs" / "latents"),
        charts=model.objective.charts,
    )


def shown_model(
    name: str,
    model: Any,
    data: ImageDataset,
    *,
    scores: Scores = "fast",
    n: int = 20_000,
    seed: int = 0,
) -> Shown:
    """Scores any model, and returns what is known of it."""
    table = evaluate(model, data, scores=scores, n=n, seed=seed) if scores else {}
    history = getattr(getattr(model, "history", None), "history", {})
    return Shown(
        name=name,
        anchor=f"run-{slug(name)}",
        summary=f"{type(model).__name__} on {data!r}",
        model=model,
        data=data,
        chosen={"data": repr(data)} | _described(model),
        scores={"model": table} if table else {},
        note=binning_note(getattr(table, "rows", ())).strip(),
        curves=_curves_of(model, history),
        latent_kl={},
        charts=getattr(getattr(model, "objective", None), "charts", {}),
    )


def _described(model: Any) -> dict[str, str]:
    described = {"model": type(model).__name__}
    if hasattr(model, "objective"):
        weights = ", ".join(f"{k}={v}" for k, v in model.objective.get_config().items())
        described["objective"] = f"{type(model.objective).__name__}({weights})"
        described["likelihood"] = type(model.likelihood).__name__
        described["latents"] = str(model.latent_dim)
    return described


def _curves_of(model: Any, history: Mapping[str, Sequence[float]]) -> dict[str, Curve]:
    """Returns the curves of the last `fit`, whose epochs end at the model's last step."""
    curves: dict[str, Curve] = {}
    for name, given in history.items():
        values = np.asarray(given)
        if values.dtype.kind not in "biuf":
            continue
        # Weights of an earlier epoch that were restored brought back its step.
        last = max(training_step(model), optimizer_steps(model))
        per_epoch = model.history.params.get("steps") or last / len(values)
        steps = last - per_epoch * np.arange(len(values))[::-1]
        known = np.isfinite(values)
        if known.sum() > 1:
            curves[name] = steps[known], values[known].astype(np.float64)
    return curves


def read_curves(path: Path) -> dict[str, Curve]:
    """Returns the columns of a run's metrics over its training steps."""
    if not path.is_file():
        return {}
    columns = read_columns(path, ["epoch", "step"])
    steps, curves = columns["step"], {}
    for name, values in columns.items():
        known = np.isfinite(steps + values)
        if known.any() and name not in ("epoch", "step"):
            curves[name] = steps[known], values[known]
    return curves


def read_latent_kl(logs: Path) -> dict[str, Curve]:
    """Returns the KL of each latent over the training steps, from TensorBoard's events."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves: dict[str, Curve] = {}
    if not logs.is_dir():
        return curves
    for file in logs.iterdir():
        if "tfevents" in file.name and not file.is_file():
            raise ValueError(f"{file} must be a regular file; move it away")
    events = EventAccumulator(str(logs), size_guidance={"tensors": 0})
    events.Reload()
    latent = 0
    while (tag := f"kl/latent_{latent}") in events.Tags()["tensors"]:
        found = [(e.step, tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
        if any(value.shape or value.dtype.kind != "f" for _, value in found):
            raise ValueError(f"{logs} must hold numbers as {tag}")
        points = [(step, float(value)) for step, value in found]
        steps, values = np.array(points).T
        curves[f"z{latent}"] = (steps, values)
        latent += 1
    return curves
