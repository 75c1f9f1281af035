"""Scores of representations: pure functions of (factors, codes)."""

from keras_betavae.metrics.controls import ica_codes, pca_codes, pixel_codes
from keras_betavae.metrics.intervention import beta_vae_score

__all__ = ["beta_vae_score", "ica_codes", "pca_codes", "pixel_codes"]
