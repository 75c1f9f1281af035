"""Keras callbacks that score, watch and save a β-VAE while it trains."""

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
