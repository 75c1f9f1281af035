"""Data sets with ground-truth factors."""

from keras_betavae.datasets.dsprites import load_dsprites
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.sprites import load_sprites

__all__ = ["FactorDataset", "load_dsprites", "load_sprites"]
