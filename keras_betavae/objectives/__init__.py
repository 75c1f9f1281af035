"""What is paid for the information in the code: the terms beside the reconstruction."""

from keras_betavae.objectives._base import Objective, batch_mean, kl_per_latent, mean_kl
from keras_betavae.objectives.beta import Beta, Capacity
from keras_betavae.objectives.beta_tc import BetaTC
from keras_betavae.objectives.dip import DIP
from keras_betavae.objectives.labels import SemiSupervised

__all__ = [
    "DIP",
    "Beta",
    "BetaTC",
    "Capacity",
    "Objective",
    "SemiSupervised",
    "batch_mean",
    "kl_per_latent",
    "mean_kl",
]
