"""Run folders: settings, logs, checkpoints, pictures, models and scores."""

import keras_betavae._library  # noqa: F401, TensorFlow first, and quietly
from keras_betavae.experiments.runs._finishing import BRIEF_SCORES, draw, finish
from keras_betavae.experiments.runs._folder import create, is_finished, load_scores, load_settings
from keras_betavae.experiments.runs._identity import check_data
from keras_betavae.experiments.runs._models import load_model, open_model
from keras_betavae.experiments.runs._training import train
from keras_betavae.experiments.settings import FOLDER as FOLDER
from keras_betavae.experiments.settings import Settings as Settings

__all__ = [
    "BRIEF_SCORES",
    "check_data",
    "create",
    "draw",
    "finish",
    "is_finished",
    "load_model",
    "load_scores",
    "load_settings",
    "open_model",
    "train",
]
