"""Objectives: the regularizers that are added to the reconstruction loss."""

from keras_betavae.objectives.base import (
    Cost,
    Objective,
    Sample,
    batch_mean,
    kl_per_latent,
    mean_kl,
)
from keras_betavae.objectives.beta import Beta
from keras_betavae.objectives.beta_tc import BetaTC
from keras_betavae.objectives.capacity import Capacity
from keras_betavae.objectives.cascade import Cascade
from keras_betavae.objectives.control import ControlledCapacity
from keras_betavae.objectives.dip import DIP
from keras_betavae.objectives.labels import SemiSupervised
from keras_betavae.objectives.schedules import (
    Cosine,
    Cyclical,
    Linear,
    Staircase,
    Weight,
    checked_weight,
    scheduled,
    scheduled_names,
    weight_at,
)
from keras_betavae.objectives.target import TargetReconstruction

__all__ = [
    "DIP",
    "Beta",
    "BetaTC",
    "Capacity",
    "Cascade",
    "ControlledCapacity",
    "Cosine",
    "Cost",
    "Cyclical",
    "Linear",
    "Objective",
    "Sample",
    "SemiSupervised",
    "Staircase",
    "TargetReconstruction",
    "Weight",
    "batch_mean",
    "checked_weight",
    "kl_per_latent",
    "mean_kl",
    "scheduled",
    "scheduled_names",
    "weight_at",
]
