"""The papers' recipes by name: network, objective, likelihood, optimiser, batch, steps."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras

from keras_betavae import likelihoods, networks, objectives


@dataclasses.dataclass(frozen=True)
class Preset:
    """A recipe that `BetaVAE.from_preset` and the command line build from.

    Attributes:
        network: Family of `networks`: "dense", "conv", "burgess" or "locatello".
        latent_dim: Number of latents.
        objective: The objective.
        optimizer: Makes a new optimiser.
        batch_size: Images per step.
        steps: Training steps.
        source: The paper, and what of the recipe is not from it.
        input_shape: Shape of one image.
        likelihood: The likelihood.
        jit_compile: Whether XLA compiles the step; on a CPU it helps dense networks.
    """

    network: str
    latent_dim: int
    objective: objectives.Objective
    optimizer: Callable[[], keras.optimizers.Optimizer]
    batch_size: int
    steps: int
    source: str
    input_shape: Sequence[int] = (64, 64, 1)
    likelihood: likelihoods.Likelihood = dataclasses.field(default_factory=likelihoods.Bernoulli)
    jit_compile: bool | str = "auto"

    def model_arguments(self) -> dict[str, Any]:
        """Returns new networks and the parts that `BetaVAE` takes."""
        encoder = getattr(networks, f"{self.network}_encoder")
        decoder = getattr(networks, f"{self.network}_decoder")
        return {
            "encoder": encoder(self.input_shape, self.latent_dim),
            "decoder": decoder(self.latent_dim, self.input_shape),
            "objective": copy.copy(self.objective),
            "likelihood": copy.copy(self.likelihood),
        }


def _quick_adam() -> keras.optimizers.Optimizer:
    """Returns Adam whose rate rises once the positions are found, and then falls."""
    rate = keras.optimizers.schedules.CosineDecay(
        1e-3, decay_steps=2_100, warmup_target=3e-3, warmup_steps=400
    )
    return keras.optimizers.Adam(rate)


_HIGGINS = "Higgins et al. 2017, Table 1; batch and steps are not in the paper"
_BURGESS = "Burgess et al. 2017; steps after the capacity's rise are not in the paper"
_LOCATELLO = "Locatello et al. 2019, Tables 1 to 4; one point of the published grid"
_PRESETS = {
    "sprites_quick": Preset(
        network="dense",
        latent_dim=10,
        objective=objectives.Beta(16.0),
        optimizer=_quick_adam,
        batch_size=256,
        steps=2_500,
        jit_compile=True,
        source="the dense networks of Higgins et al. 2017; the rest is ours, for minutes on a CPU",
    ),
    "higgins_dsprites": Preset(
        network="dense",
        latent_dim=10,
        objective=objectives.Beta(4.0),
        optimizer=partial(keras.optimizers.Adagrad, 1e-2),
        batch_size=64,
        steps=300_000,
        jit_compile=True,
        source=_HIGGINS,
    ),
    "higgins_chairs": Preset(
        network="conv",
        latent_dim=32,
        objective=objectives.Beta(5.0),
        optimizer=partial(keras.optimizers.Adam, 1e-4),
        batch_size=64,
        steps=300_000,
        source=_HIGGINS,
    ),
    "higgins_faces": Preset(
        network="conv",
        latent_dim=32,
        objective=objectives.Beta(20.0),
        optimizer=partial(keras.optimizers.Adam, 1e-4),
        batch_size=64,
        steps=300_000,
        source=_HIGGINS,
    ),
    "higgins_celeba": Preset(
        network="conv",
        input_shape=(64, 64, 3),
        latent_dim=32,
        objective=objectives.Beta(250.0),
        likelihood=likelihoods.Gaussian(),
        optimizer=partial(keras.optimizers.Adam, 1e-4),
        batch_size=64,
        steps=300_000,
        source=_HIGGINS,
    ),
    "burgess_dsprites": Preset(
        network="burgess",
        latent_dim=10,
        objective=objectives.Capacity(gamma=1000.0, max_capacity=25.0, n_steps=100_000),
        optimizer=partial(keras.optimizers.Adam, 5e-4),
        batch_size=64,
        steps=150_000,
        source=_BURGESS,
    ),
    "burgess_celeba": Preset(
        network="burgess",
        input_shape=(64, 64, 3),
        latent_dim=32,
        objective=objectives.Capacity(gamma=1000.0, max_capacity=50.0, n_steps=100_000),
        optimizer=partial(keras.optimizers.Adam, 5e-4),
        batch_size=64,
        steps=150_000,
        source=_BURGESS,
    ),
    "locatello_beta": Preset(
        network="locatello",
        latent_dim=10,
        objective=objectives.Beta(4.0),
        optimizer=partial(keras.optimizers.Adam, 1e-4, epsilon=1e-8),
        batch_size=64,
        steps=300_000,
        source=_LOCATELLO,
    ),
    "locatello_capacity": Preset(
        network="locatello",
        latent_dim=10,
        objective=objectives.Capacity(gamma=1000.0, max_capacity=25.0, n_steps=100_000),
        optimizer=partial(keras.optimizers.Adam, 1e-4, epsilon=1e-8),
        batch_size=64,
        steps=300_000,
        source=_LOCATELLO,
    ),
}


def names() -> tuple[str, ...]:
    """Returns the presets' names.

    Example:
        >>> "higgins_dsprites" in names()
        True
    """
    return tuple(_PRESETS)


def get(name: str) -> Preset:
    """Returns a preset.

    Raises:
        ValueError: If there is no preset of that name.

    Example:
        >>> get("burgess_dsprites").objective.max_capacity
        25.0
    """
    if name not in _PRESETS:
        raise ValueError(f"there is no preset {name!r}; there are {', '.join(_PRESETS)}")
    return _PRESETS[name]
