"""Scores of representations: pure functions of (factors, codes).

`registry` lists the scores.
"""

from keras_betavae.metrics import registry
from keras_betavae.metrics.controls import ica_codes, pca_codes, pixel_codes
from keras_betavae.metrics.estimation import mutual_information, posterior_information
from keras_betavae.metrics.registry import *  # noqa: F403

__all__ = ["ica_codes", "mutual_information", "pca_codes", "pixel_codes", "posterior_information"]
__all__ += registry.__all__
