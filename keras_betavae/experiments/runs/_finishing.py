"""The results of a trained run: pictures, a SavedModel, scores."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from keras_betavae import datasets, presets, visualization
from keras_betavae._utils.files import moved_into_place
from keras_betavae._utils.locks import locked
from keras_betavae._utils.steps import training_step
from keras_betavae._utils.tables import finite_or_none, write_json, write_text
from keras_betavae.evaluation import choose, evaluate, evaluate_codes, evaluate_with_controls
from keras_betavae.evaluation.inspection import Inspection, inspect, showcase
from keras_betavae.evaluation.score_table import ScoreTable, side_by_side
from keras_betavae.experiments import tensorboard
from keras_betavae.experiments.runs._folder import check_places, load_settings
from keras_betavae.experiments.settings import FOLDER, Settings
from keras_betavae.models.beta_vae import BetaVAE

BRIEF_SCORES = ("mig_score", "active_units")
"""The scores of a brief run, except those that need more factors than the data have."""


def draw(
    folder: str | os.PathLike,
    vae: BetaVAE,
    data: datasets.ImageDataset,
    inspection: Inspection | None = None,
) -> Path:
    """Draws a run's `pictures/`: all pictures of `Inspection`, and the traversal as GIF.

    Args:
        folder: The run.
        vae: Its trained model.
        data: Its data.
        inspection: The inspection of the model, if available.

    Returns:
        The folder of the pictures.

    Raises:
        FileExistsError: If a folder of the run is a link.
    """
    check_places(Path(folder))
    pictures = Path(folder) / "pictures"
    pictures.mkdir(exist_ok=True)
    images = showcase(data)
    inspection = inspection or inspect(vae, data)
    for name, picture in inspection.pictures(vae, images).items():
        with moved_into_place(pictures / f"{name}.png") as aside:
            visualization.write_png(aside, picture)
    code = np.asarray(vae.encode(images[:1])[0])[0]
    rows = visualization.traverse(vae, code, latents=inspection.by_kl)
    with moved_into_place(pictures / "traversal.gif") as aside:
        visualization.write_traversal(aside, inspection.view.cells(rows))
    return pictures


def finish(
    folder: str | os.PathLike,
    vae: BetaVAE,
    data: datasets.ImageDataset,
    *,
    controls: bool = True,
    brief: bool = False,
    verbose: bool = False,
) -> dict[str, ScoreTable]:
    """Draws, exports and scores a trained run.

    Writes `pictures/`, `saved_model/1/`, the settings, scores and codes for TensorBoard to `logs/`,
    and last `scores.md` and `scores.json`.

    Args:
        folder: The run.
        vae: Its trained model.
        data: Its data.
        controls: Whether to score the controls too, which takes longer than the model.
        brief: Writes only `scores.json`, with `BRIEF_SCORES` of the model.
        verbose: Whether to show progress.

    Returns:
        The tables of `evaluate_with_controls` for the scores of the group "fast"; without controls,
        only the trained model's table.

    Raises:
        FileExistsError: If a folder of the run is a link, or `saved_model/1` has files that no
            export wrote.
        InUseError: If another process trains or scores the run.
    """
    with locked(folder):
        check_places(Path(folder))
        if brief:
            settings = load_settings(folder)
            varying = data.varying if isinstance(data, datasets.FactorDataset) else ()
            names = [data.factor_names[k] for k in varying]
            known = choose("fast", len(names), names)
            scores = [name for name in BRIEF_SCORES if name in known]
            options: dict[str, Any] = {"n": settings.n_images, "seed": settings.seed}
            tables = {"trained": evaluate(vae, data, scores=scores, **options)}
            _write_scores(Path(folder), tables)
            return tables
        return _finish(Path(folder), vae, data, controls, verbose)


def _finish(
    folder: Path, vae: BetaVAE, data: datasets.ImageDataset, controls: bool, verbose: bool
) -> dict[str, ScoreTable]:
    settings = load_settings(folder)
    say = print if verbose else _silently
    say("Drawing the pictures ...", flush=True)
    # One encoding for the pictures and the scores.
    inspection = inspect(vae, data, n=settings.n_images, seed=settings.seed)
    draw(folder, vae, data, inspection)
    say("Exporting the SavedModel ...", flush=True)
    (folder / "saved_model").mkdir(exist_ok=True)
    vae.export(folder / "saved_model" / "1", verbose=False)
    say(f"Scoring the model{' and its controls' if controls else ''} ...", flush=True)
    tables = _scored(settings, vae, data, inspection, controls, verbose)
    logs, step = folder / "logs", training_step(vae)
    tensorboard.write_projector(logs, vae, data)
    chosen = hyperparameters(settings, vae, data)
    tensorboard.write_hyperparameters(logs, chosen, tables["trained"], step)
    write_text(folder / "scores.md", side_by_side(tables))
    _write_scores(folder, tables)
    return tables


def _write_scores(folder: Path, tables: Mapping[str, ScoreTable]) -> None:
    values = {
        name: {score: finite_or_none(value) for score, value in table.items()}
        for name, table in tables.items()
    }
    write_json(folder / "scores.json", values)


def _scored(
    settings: Settings,
    vae: BetaVAE,
    data: datasets.ImageDataset,
    inspection: Inspection,
    controls: bool,
    verbose: bool,
) -> dict[str, ScoreTable]:
    """Returns the scores of the inspected model and, optionally, of its controls."""
    options: dict[str, Any] = {"scores": "fast", "seed": settings.seed, "n_jobs": -1}
    codes = inspection.codes.astype(np.float32)  # As returned by the model.
    if controls:
        untrained = settings.build_model(data)
        options |= {"n": settings.n_images, "codes": codes, "verbose": verbose}
        return evaluate_with_controls(vae, untrained, data, **options)
    factors = inspection.factors if inspection.factor_names else None
    names = inspection.factor_names or None
    return {"trained": evaluate_codes(factors, codes, factor_names=names, **options)}


def _silently(*words: object, **options: object) -> None:
    """Prints nothing."""


def hyperparameters(
    settings: Settings, vae: BetaVAE, data: datasets.ImageDataset
) -> dict[str, bool | float | str]:
    """Returns the hyperparameters for TensorBoard, with final values of schedules."""
    recipe, weights = presets.get(settings.preset), settings.weights or {}
    folder_name = Path(settings.data_path or "").name
    found: dict[str, Any] = {
        "preset": settings.preset,
        "batch_size": settings.batch_size,
        "steps": settings.steps,
        "seed": settings.seed,
        "data": folder_name if settings.data == FOLDER else settings.data,
        "data_size": len(data),
        "latent_dim": vae.latent_dim,
        "learning_rate": vae.optimizer.get_config()["learning_rate"],
        "model": type(vae).__name__,
        "objective": type(vae.objective).__name__,
        **{f"model/{name}": weights.get(name, v) for name, v in recipe.options.items()},
    }
    if settings.warm_up is not None:
        found["warm_up"] = settings.warm_up
    objective = keras.saving.deserialize_keras_object(vae.objective.get_config())
    for name, weight in objective.items():
        scheduled = isinstance(weight, LearningRateSchedule)
        found[f"objective/{name}"] = float(weight(settings.steps)) if scheduled else weight
    # A scheduled learning rate is a dictionary here.
    return {name: v for name, v in found.items() if isinstance(v, bool | int | float | str)}
