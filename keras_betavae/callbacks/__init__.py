"""Keras callbacks that score, monitor and save a β-VAE during training."""

from keras_betavae.callbacks.checkpoint import Checkpoint
from keras_betavae.callbacks.curves import LatentActivity, LossCurves
from keras_betavae.callbacks.metric import DisentanglementMetric
from keras_betavae.callbacks.pictures import LatentPictures, LatentTraversal
from keras_betavae.callbacks.table import LatentTable

__all__ = [
    "Checkpoint",
    "DisentanglementMetric",
    "LatentActivity",
    "LatentPictures",
    "LatentTable",
    "LatentTraversal",
    "LossCurves",
]
