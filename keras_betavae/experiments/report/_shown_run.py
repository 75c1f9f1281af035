"""What a run's folder holds, read for its report."""

from pathlib import Path

import numpy as np

from keras_betavae._utils.tables import read_columns
from keras_betavae.experiments import runs
from keras_betavae.experiments.report._drawing import slug

Curve = tuple[np.ndarray, np.ndarray]
"""Training steps, and the value at each."""


class ShownRun:
    """A run.

    Args:
        folder: Its folder.

    Raises:
        FileNotFoundError: If it is not a run folder, or has no model.
        ValueError: If a file in it is damaged.
    """

    def __init__(self, folder: Path):
        self.name = folder.resolve().name
        self.anchor = f"run-{slug(str(folder.resolve()))}"
        self.settings = runs.load_settings(folder)
        self.curves = read_curves(folder / "metrics.csv")
        self.latent_kl = read_latent_kl(folder / "logs" / "latents")
        self.scores = runs.load_scores(folder) if runs.is_finished(folder) else {}
        self.model = runs.load_model(folder)
        self.data = self.settings.load_data()

    @property
    def chosen(self) -> dict[str, str]:
        """The settings that are not the defaults, and what they made."""
        fields, always = runs.Settings.model_fields, ("data", "n_images", "seed")
        settings = {
            name: value
            for name, value in self.settings.model_dump().items()
            if value != fields[name].default or name in always
        }
        objective = self.model.objective
        weights = ", ".join(f"{k}={v}" for k, v in objective.get_config().items())
        settings["model"] = type(self.model).__name__
        settings["objective"] = f"{type(objective).__name__}({weights})"
        settings["latents"] = self.model.latent_dim
        return {name: str(value) for name, value in settings.items()}


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
    events = EventAccumulator(str(logs), size_guidance={"tensors": 0})
    events.Reload()
    latent = 0
    while (tag := f"kl/latent_{latent}") in events.Tags()["tensors"]:
        points = [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]
        steps, values = np.array(points).T
        curves[f"z{latent}"] = (steps, values)
        latent += 1
    return curves
