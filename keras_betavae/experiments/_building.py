"""The untrained model of a run."""

import math
from typing import Any

import keras

from keras_betavae import datasets, presets
from keras_betavae.experiments.weights import changed
from keras_betavae.models.beta_vae import BetaVAE
from keras_betavae.objectives import Beta
from keras_betavae.objectives.schedules import Linear


def build_model(settings: Any, data: datasets.ImageDataset, verbose: bool) -> BetaVAE:
    """Returns the untrained model of a run's `Settings`, see `Settings.build_model`."""
    keras.utils.set_random_seed(settings.seed)
    overrides: dict[str, Any] = {"seed": settings.seed, "steps": settings.steps}
    overrides |= _chosen_weights(settings, data)
    if settings.latent_dim is not None:
        overrides["latent_dim"] = settings.latent_dim
    if settings.learning_rate is not None:
        # A number cannot be assigned to a schedule, which some presets have.
        optimizer = presets.get(settings.preset).optimizer()
        config = {**optimizer.get_config(), "learning_rate": settings.learning_rate}
        overrides["optimizer"] = type(optimizer).from_config(config)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.precision)
    try:
        return BetaVAE.from_preset(settings.preset, data, verbose=verbose, **overrides)
    finally:
        keras.config.set_dtype_policy(policy)


def _chosen_weights(settings: Any, data: datasets.ImageDataset) -> dict[str, Any]:
    """Returns the model's arguments that replace the preset's."""
    if settings.beta is not None or settings.beta_norm is not None:
        return {"objective": _chosen_beta(settings, data)}
    if settings.weights is None:
        return {}
    recipe, weights = presets.get(settings.preset), dict(settings.weights)
    chosen = {name: weights.pop(name) for name in recipe.options if name in weights}
    return {"objective": changed(recipe.objective.for_data(len(data)), weights), **chosen}


def _chosen_beta(settings: Any, data: datasets.ImageDataset) -> Beta:
    """Returns the objective given by `beta` or `beta_norm`."""
    if settings.beta_norm is not None:
        latent_dim = settings.latent_dim or presets.get(settings.preset).latent_dim
        chosen = Beta.from_normalized(settings.beta_norm, math.prod(data.image_shape), latent_dim)
    else:
        chosen = Beta(settings.beta)
    if settings.warm_up is None:
        return chosen
    return Beta(Linear(0.0, chosen.beta, settings.warm_up))
