"""β-VAE and the models derived from it."""

from keras_betavae.models.beta_vae import BetaVAE
from keras_betavae.models.estimate_capacity import estimate_capacity
from keras_betavae.models.factor_vae import FactorVAE
from keras_betavae.models.pair_vae import AdaGVAE, GroupVAE, PairVAE

__all__ = ["AdaGVAE", "BetaVAE", "FactorVAE", "GroupVAE", "PairVAE", "estimate_capacity"]
