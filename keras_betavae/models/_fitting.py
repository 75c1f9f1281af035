"""Checks of a model's parts against each other, and of a preset against a data set."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from keras_betavae import presets
from keras_betavae.likelihoods import Gaussian, Likelihood
from keras_betavae.networks.fitting import last_activation
from keras_betavae.objectives import Objective

# None of them is ever negative: as logits they would give no pixel below 0.5.
_NEVER_NEGATIVE = {"sigmoid", "hard_sigmoid", "hardsigmoid", "softmax", "relu", "relu6", "softplus"}


def check_parts(vae: Any) -> None:
    """Checks the parts of a `BetaVAE` against each other.

    Raises:
        ValueError: If a part has the wrong type, the objective needs more latents, a decoder of
            logits ends in a non-negative activation such as a sigmoid, or `log_var_limit` is
            not above 0.
    """
    likelihood = vae.likelihood
    for part, kind in ((vae.objective, Objective), (likelihood, Likelihood)):
        if not isinstance(part, kind):
            raise ValueError(f"{kind.__name__.lower()} must be a {kind.__name__}, got {part!r}")
    if vae.log_var_limit is not None and not 0.0 < vae.log_var_limit < math.inf:
        raise ValueError(f"log_var_limit must be above 0 or None, got {vae.log_var_limit}")
    vae.objective.open_latents(0, vae.latent_dim)  # Raises if there are too few.
    activation = last_activation(vae.decoder) if likelihood.takes_logits else None
    if activation in _NEVER_NEGATIVE:
        raise ValueError(
            f"decoder ends in {activation}, but {type(likelihood).__name__} takes logits and "
            "applies the sigmoid itself, so no pixel could be below 0.5; remove the last "
            "activation, or use the likelihood Gaussian, which takes pixels"
        )


def fitted_to_data(
    preset: str, data: Any, overrides: Mapping[str, Any], verbose: bool
) -> dict[str, Any]:
    """Returns the preset's arguments that a data set replaces.

    Args:
        preset: One of `presets.names()`.
        data: An `ImageDataset`; None changes nothing.
        overrides: Arguments that are given explicitly and are not replaced.
        verbose: Whether to print one line with the changes.

    Raises:
        ValueError: If the preset is unknown.
    """
    if data is None:
        return dict(overrides)
    recipe, n_images = presets.get(preset), len(data)
    found: dict[str, Any] = {
        "input_shape": tuple(data.image_shape),
        "objective": recipe.objective.for_data(n_images),
    }
    changes = []
    if "input_shape" not in overrides and found["input_shape"] != tuple(recipe.input_shape):
        changes.append(f"input_shape {found['input_shape']} instead of {tuple(recipe.input_shape)}")
    if "objective" not in overrides:
        before, after = (
            _numbers(part.get_config()) for part in (recipe.objective, found["objective"])
        )
        changes += [
            f"{name} {after[name]:,} instead of {value:,}"
            for name, value in before.items()
            if after[name] != value
        ]
    if data.dtype != "uint8":
        if "likelihood" not in overrides and recipe.likelihood.support:
            found["likelihood"] = Gaussian(learned=True)
            own = type(recipe.likelihood).__name__
            changes.append(f"likelihood Gaussian of a learned scale instead of {own}")
        if isinstance({**found, **overrides}.get("likelihood", recipe.likelihood), Gaussian):
            found["standardization"] = data.mean_and_std()
            changes.append("standardized by the data's mean and deviation")
    if verbose and changes:
        print(f"{preset} for this data: {', '.join(changes)}")
    return {**found, **overrides}


def _numbers(config: Mapping[str, Any]) -> dict[str, float]:
    """Returns the numbers in a configuration by name, including those of nested parts."""

    def pairs(part: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        for name, value in part.items():
            if isinstance(value, Mapping):
                yield from pairs(value)
            elif isinstance(value, int | float):
                yield name, value

    return dict(pairs(config))
