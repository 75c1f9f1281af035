"""Presets: recipes by name, of networks, objective, likelihood, optimizer, batch and steps."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras

from keras_betavae import likelihoods, networks, objectives
from keras_betavae._utils.checks import whole
from keras_betavae.objectives import ControlledCapacity, schedules


@dataclasses.dataclass(frozen=True)
class Preset:
    """A recipe for `BetaVAE.from_preset` and the command line.

    Attributes:
        encoder: Makes the encoder from (input_shape, latent_dim).
        decoder: Makes the decoder from (latent_dim, input_shape).
        latent_dim: Number of latents.
        objective: The objective.
        optimizer: Makes a new optimizer.
        batch_size: Images per step.
        steps: Training steps.
        source: The paper, and the parts of the recipe that are not from it.
        input_shape: Shape of one image.
        likelihood: The likelihood.
        model: Name of the model's class.
        options: Further arguments of the class.
    """

    encoder: Callable[[Sequence[int], int], keras.Model]
    decoder: Callable[[int, Sequence[int]], keras.Model]
    latent_dim: int
    objective: objectives.Objective
    optimizer: Callable[[], keras.optimizers.Optimizer]
    batch_size: int
    steps: int
    source: str
    input_shape: Sequence[int] = (64, 64, 1)
    likelihood: likelihoods.Likelihood = dataclasses.field(default_factory=likelihoods.Bernoulli)
    model: str = "BetaVAE"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def model_arguments(self) -> dict[str, Any]:
        """Returns new networks and the other arguments of the model."""
        return {
            "encoder": self.encoder(self.input_shape, self.latent_dim),
            "decoder": self.decoder(self.latent_dim, self.input_shape),
            **{
                name: type(part).from_config(part.get_config())
                for name, part in (("objective", self.objective), ("likelihood", self.likelihood))
            },
            **self.options,
        }


def _decaying_adam(decay: int, warm_up: int, highest: float = 1e-3) -> keras.optimizers.Optimizer:
    """Returns Adam with a rate that goes from 1e-3 to the highest, and falls along a cosine."""
    rate = keras.optimizers.schedules.CosineDecay(
        1e-3, decay, warmup_target=highest, warmup_steps=warm_up
    )
    return keras.optimizers.Adam(rate)


def _stretched(optimizer: keras.optimizers.Optimizer, share: float) -> keras.optimizers.Optimizer:
    """Returns the optimizer, with a schedule of the rate that is `share` times as long."""
    config = optimizer.get_config()
    if isinstance(rate := config["learning_rate"], dict):
        for name in ("decay_steps", "warmup_steps"):
            rate["config"][name] = max(1, round(share * rate["config"][name]))
    return type(optimizer).from_config(config)


_HIGGINS = "Higgins et al. 2017, Table 1; batch and steps are not in the paper"
_BURGESS = "Burgess et al. 2017; steps after the capacity's rise are not in the paper"
_LOCATELLO = "Locatello et al. 2019, Tables 1 to 4; one point of the published grid"
_DSPRITES_SIZE = 737_280


def _locatello(objective: objectives.Objective, source: str = _LOCATELLO, **others: Any) -> Preset:
    arguments: dict[str, Any] = {
        "encoder": networks.locatello_encoder,
        "decoder": networks.conv_decoder,
        "latent_dim": 10,
        "objective": objective,
        "optimizer": partial(keras.optimizers.Adam, 1e-4, epsilon=1e-8),
        "batch_size": 64,
        "steps": 300_000,
        "source": source,
    }
    return Preset(**{**arguments, **others})


def _of_real_values(**arguments: Any) -> Preset:
    return Preset(
        latent_dim=10,
        objective=objectives.Beta(1.0),
        likelihood=likelihoods.Gaussian(learned=True),
        optimizer=partial(keras.optimizers.Adam, 1e-3),
        batch_size=64,
        steps=5_000,
        **arguments,
    )


_PRESETS = {
    "sprites_quick": Preset(
        encoder=networks.patch_encoder,
        decoder=networks.patch_decoder,
        latent_dim=10,
        objective=objectives.BetaTC(beta=8.0, n_data=_DSPRITES_SIZE),
        optimizer=partial(_decaying_adam, 750, 1_250),
        batch_size=32,
        steps=2_000,
        source="ours, for minutes on a CPU: the objective of Chen et al. 2018 on networks that "
        "take images as patches; n_data is that of dSprites, and `for_data` fits it to others",
    ),
    "sprites_full": Preset(
        encoder=networks.patch_encoder,
        decoder=networks.patch_decoder,
        latent_dim=16,
        objective=objectives.Cascade(
            objectives.BetaTC(
                beta=schedules.Linear(8.0, 1.0, n_steps=500, delay=1_500), n_data=_DSPRITES_SIZE
            ),
            opening=[(2_000, 6)],
            beta=schedules.Linear(0.0, 1.0, n_steps=1_000, delay=1_500),
        ),
        optimizer=partial(_decaying_adam, 4_500, 5_500),
        batch_size=32,
        steps=10_000,
        source="ours, for a quarter of an hour on a CPU: ten latents under the objective of Chen "
        "et al. 2018 find positions and area; six that open later find shape and orientation",
    ),
    "higgins_quick": Preset(
        encoder=networks.dense_encoder,
        decoder=networks.dense_decoder,
        latent_dim=10,
        objective=objectives.Beta(16.0),
        optimizer=partial(_decaying_adam, 2_100, 400, 3e-3),
        batch_size=256,
        steps=2_500,
        source="the dense networks of Higgins et al. 2017; the rest is ours, for minutes on a CPU",
    ),
    "capacity_quick": Preset(
        encoder=networks.patch_encoder,
        decoder=networks.patch_decoder,
        latent_dim=10,
        objective=ControlledCapacity(schedules.Linear(0.5, 18.0, 8_000), initial_beta=100.0),
        optimizer=partial(_decaying_adam, 2_000, 8_000),
        batch_size=32,
        steps=10_000,
        source="ours, for a quarter of an hour on a CPU: the capacity of Burgess et al. 2017, held "
        "by a controller of β (after Shao et al., ControlVAE, ICML 2020)",
    ),
    "vectors": _of_real_values(
        encoder=partial(networks.dense_encoder, units=(256, 256)),
        decoder=partial(networks.dense_decoder, units=(256, 256)),
        input_shape=(30,),
        source="ours, for tables: dense networks and a learned scale; pass `standardization`",
    ),
    "signals": _of_real_values(
        encoder=networks.conv1d_encoder,
        decoder=networks.conv1d_decoder,
        input_shape=(256, 1),
        source="ours: convolutions along one axis and a learned scale; pass `standardization`",
    ),
    "higgins_dsprites": Preset(
        encoder=networks.dense_encoder,
        decoder=networks.dense_decoder,
        latent_dim=10,
        objective=objectives.Beta(4.0),
        optimizer=partial(keras.optimizers.Adagrad, 1e-2),
        batch_size=64,
        steps=300_000,
        source=_HIGGINS,
    ),
    "higgins_chairs": Preset(
        encoder=networks.conv_encoder,
        decoder=networks.conv_decoder,
        latent_dim=32,
        objective=objectives.Beta(5.0),
        optimizer=partial(keras.optimizers.Adam, 1e-4),
        batch_size=64,
        steps=300_000,
        source=_HIGGINS,
    ),
    "higgins_faces": Preset(
        encoder=networks.conv_encoder,
        decoder=networks.conv_decoder,
        latent_dim=32,
        objective=objectives.Beta(20.0),
        optimizer=partial(keras.optimizers.Adam, 1e-4),
        batch_size=64,
        steps=300_000,
        source=_HIGGINS,
    ),
    "higgins_celeba": Preset(
        encoder=networks.conv_encoder,
        decoder=networks.conv_decoder,
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
        encoder=networks.burgess_encoder,
        decoder=networks.burgess_decoder,
        latent_dim=10,
        objective=objectives.Capacity(gamma=1000.0, max_capacity=25.0, n_steps=100_000),
        optimizer=partial(keras.optimizers.Adam, 5e-4),
        batch_size=64,
        steps=150_000,
        source=_BURGESS,
    ),
    "burgess_controlled": Preset(
        encoder=networks.burgess_encoder,
        decoder=networks.burgess_decoder,
        latent_dim=10,
        objective=ControlledCapacity(schedules.Linear(0.0, 25.0, 100_000), initial_beta=100.0),
        optimizer=partial(keras.optimizers.Adam, 5e-4),
        batch_size=64,
        steps=150_000,
        source="the networks, capacity and optimizer of Burgess et al. 2017; the capacity is held "
        "by a controller of β (after Shao et al., ControlVAE, ICML 2020)",
    ),
    "burgess_celeba": Preset(
        encoder=networks.burgess_encoder,
        decoder=networks.burgess_decoder,
        input_shape=(64, 64, 3),
        latent_dim=32,
        objective=objectives.Capacity(gamma=1000.0, max_capacity=50.0, n_steps=100_000),
        optimizer=partial(keras.optimizers.Adam, 5e-4),
        batch_size=64,
        steps=150_000,
        source=_BURGESS,
    ),
    "locatello_beta": _locatello(objectives.Beta(4.0)),
    "locatello_capacity": _locatello(objectives.Capacity(1000.0, 25.0, n_steps=100_000)),
    "locatello_tc": _locatello(
        objectives.BetaTC(beta=6.0, n_data=_DSPRITES_SIZE),
        source=f"{_LOCATELLO}; n_data is that of dSprites, and `for_data` fits it to others",
    ),
    "locatello_factor": _locatello(
        objectives.Beta(1.0),
        model="FactorVAE",
        options={"gamma": 30.0},
        batch_size=128,
        source=f"{_LOCATELLO}; the batch is two times 64, half for each network",
    ),
    "locatello_dip_i": _locatello(objectives.DIP("i", lambda_od=10.0, lambda_d=100.0)),
    "locatello_dip_ii": _locatello(objectives.DIP("ii", lambda_od=10.0, lambda_d=10.0)),
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
        ValueError: If the preset is unknown.

    Example:
        >>> get("burgess_dsprites").objective.max_capacity
        25.0
    """
    if name not in _PRESETS:
        raise ValueError(f"unknown preset {name!r}; the presets are {', '.join(_PRESETS)}")
    return _PRESETS[name]


def model_of(
    preset: str, kind: type, overrides: Mapping[str, Any]
) -> tuple[type, dict[str, Any], keras.optimizers.Optimizer]:
    """Returns the class, the arguments and the optimizer of a preset's model.

    Args:
        preset: One of `names()`.
        kind: The requested class. If the recipe's class is not derived from it, it is used without
            the recipe's `options`.
        overrides: Replacements for parts of the recipe, see `BetaVAE.from_preset`.

    Raises:
        ValueError: If the preset is unknown.
    """
    recipe, given = get(preset), dict(overrides)
    standardization = given.pop("standardization", None)
    replaced = {name: given.pop(name) for name in ("input_shape", "latent_dim") if name in given}
    recipe = dataclasses.replace(recipe, **replaced)
    share = whole("steps", given.pop("steps", recipe.steps)) / recipe.steps
    optimizer = given.pop("optimizer", None) or _stretched(recipe.optimizer(), share)
    model = keras.saving.get_registered_object(f"keras_betavae>{recipe.model}")
    if not issubclass(model, kind):
        model, recipe = kind, dataclasses.replace(recipe, options={})
    arguments = {**recipe.model_arguments(), **given}
    if standardization is not None:
        pair = arguments["encoder"], arguments["decoder"]
        arguments["encoder"], arguments["decoder"] = networks.standardized(*pair, *standardization)
        arguments["likelihood"] = arguments["likelihood"].in_units(standardization[1])
    return model, arguments, optimizer
