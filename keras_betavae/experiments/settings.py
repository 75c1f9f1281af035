"""What a run is made from."""

import dataclasses
import math
import numbers
import os
from collections.abc import Mapping
from typing import Any

import keras

from keras_betavae import datasets, metrics, presets
from keras_betavae.models.beta_vae import BetaVAE
from keras_betavae.objectives import Beta, BetaTC
from keras_betavae.objectives.schedules import Linear

FOLDER = "folder"
"""The name of the data that are a user's own pictures."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is made from; `config.json` in its folder.

    Attributes:
        preset: One of `presets.names()`.
        batch_size: Images per step.
        steps: Training steps.
        every: Steps between checkpoints, scores and TensorBoard's pictures.
        data: One of `datasets.catalog.names()`, or "folder": pictures of your own.
        data_path: The released file, or the folder that holds several; None fetches it. For
            "folder" that of the pictures.
        factors_path: Of "folder" the CSV file of factors; None if nothing is known.
        image_size: Of "folder" the side of the images.
        channels: Of "folder" 1 for grey, 3 for RGB.
        data_size: The number of images, so that a run does not go on with others.
        grid: Sizes of a smaller grid of rendered data, as `load_sprites` and its kin take them.
        latent_dim: Replaces the preset's number of latents.
        beta: Replaces the preset's objective by `Beta(beta)`.
        beta_norm: Replaces it by `Beta.from_normalized(beta_norm, ...)`.
        warm_up: Training steps in which the chosen β rises from 0; None has it from the start.
        weights: Replaces arguments of the preset's objective, or of its model, by name: the
            `max_capacity` of `Capacity`, the `gamma` of `FactorVAE`.
        learning_rate: Replaces the preset's learning rate.
        n_images: Images that are encoded for the scores.
        seed: Seed of the weights, the order of the images and the codes.
        deterministic: Whether TensorFlow keeps to operations that give the same bits each time,
            for the whole process. It costs time, see `docs/command_line.md`.
    """

    preset: str
    batch_size: int
    steps: int
    every: int
    data: str = "sprites"
    data_path: str | None = None
    factors_path: str | None = None
    image_size: int = 64
    channels: int = 3
    data_size: int | None = None
    grid: tuple[int, ...] | None = None
    latent_dim: int | None = None
    beta: float | None = None
    beta_norm: float | None = None
    warm_up: int | None = None
    weights: Mapping[str, float] | None = None
    learning_rate: float | None = None
    n_images: int = 20_000
    seed: int = 0
    deterministic: bool = False

    def __post_init__(self):
        recipe = presets.get(self.preset)
        known = None if self.data == FOLDER else datasets.catalog.get(self.data)
        if self.data == FOLDER and self.data_path is None:
            raise ValueError("the data folder needs data_path, the pictures' folder")
        own = (self.factors_path, self.image_size, self.channels)
        if self.data != FOLDER and own != (None, 64, 3):
            raise ValueError(
                f"factors_path, image_size and channels are those of the data folder, and "
                f"{self.data} has its own"
            )
        if self.grid is not None:
            # JSON gives a list back.
            object.__setattr__(self, "grid", tuple(self.grid))
            sizes = len(known.factors) if known and not known.files else 0
            if len(self.grid) != sizes or min(self.grid) < 2:
                raise ValueError(
                    "grid must be the sizes of rendered data, five of sprites, each above 1, as no "
                    f"score can tell a factor of one value, got {self.grid} of {self.data}"
                )
        if sum(w is not None for w in (self.beta, self.beta_norm, self.weights)) > 1:
            raise ValueError("beta, beta_norm and weights exclude each other; choose one")
        if self.weights is not None:
            if not isinstance(self.weights, Mapping) or not all(
                isinstance(weight, numbers.Real) for weight in self.weights.values()
            ):
                raise ValueError(f"weights must be numbers by name, got {self.weights!r}")
            known_weights = {**recipe.options, **recipe.objective.get_config()}
            unknown = [name for name in self.weights if name not in known_weights]
            if unknown:
                raise ValueError(
                    f"weights of {self.preset} must be of {', '.join(known_weights)}, "
                    f"got {', '.join(unknown)}"
                )
        if self.beta is not None:
            Beta(self.beta)
        if self.beta_norm is not None:
            Beta.from_normalized(self.beta_norm, 1, 1)
        if self.warm_up is not None and self.beta is None and self.beta_norm is None:
            raise ValueError("warm_up is that of beta or beta_norm; choose one of them too")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not isinstance(self.n_images, int) or self.n_images < 100:
            raise ValueError(f"n_images must be at least 100, got {self.n_images}")
        for name in ("batch_size", "steps", "every", "latent_dim", "warm_up"):
            value = getattr(self, name)
            if name in ("latent_dim", "warm_up") and value is None:
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.warm_up is not None and self.warm_up > self.steps:
            raise ValueError(f"warm_up must be at most the {self.steps} steps, got {self.warm_up}")

    @classmethod
    def from_preset(cls, preset: str, **chosen: Any) -> "Settings":
        """Returns settings with the preset's batch and steps where none were chosen.

        Raises:
            ValueError: If there is no such preset, or a number is out of range.
        """
        recipe = presets.get(preset)
        for name in ("data_path", "factors_path"):
            if chosen.get(name) is not None:
                # A run may be looked at from anywhere.
                chosen[name] = os.path.abspath(chosen[name])
        settings = {"batch_size": recipe.batch_size, "steps": recipe.steps, **chosen}
        settings.setdefault("every", max(settings["steps"] // 10, 1))
        return cls(preset, **settings)

    def load_data(self) -> datasets.ImageDataset:
        """Returns the data set.

        Raises:
            ValueError: If it has another number of images than `data_size`; further errors as
                its own loader.
        """
        if self.data == FOLDER:
            data = datasets.from_folder(
                self.data_path or "",
                self.image_size,
                self.channels,
                factors=self.factors_path,
                cache_dir=datasets.catalog.cache_folder() / FOLDER,
            )
        else:
            data = datasets.load(self.data, self.data_path, grid=self.grid)
        if self.data_size not in (None, len(data)):
            raise ValueError(
                f"{self.data_path or self.data} has {len(data)} images, but had {self.data_size} "
                "when the run was made"
            )
        return data

    def build_model(self, data: datasets.ImageDataset) -> BetaVAE:
        """Returns the untrained model; seeds Keras's global generators to do so."""
        keras.utils.set_random_seed(self.seed)
        overrides: dict[str, Any] = {"input_shape": data.image_shape, "seed": self.seed}
        if self.latent_dim is not None:
            overrides["latent_dim"] = self.latent_dim
        overrides |= self._chosen_weights(data)
        if self.learning_rate is not None:
            # A preset's schedule cannot be set to a number afterwards.
            optimizer = presets.get(self.preset).optimizer()
            config = {**optimizer.get_config(), "learning_rate": self.learning_rate}
            overrides["optimizer"] = type(optimizer).from_config(config)
        return BetaVAE.from_preset(self.preset, **overrides)

    def _chosen_weights(self, data: datasets.ImageDataset) -> dict[str, Any]:
        """Returns the arguments of the model that are not the preset's."""
        recipe = presets.get(self.preset)
        if self.beta is not None or self.beta_norm is not None:
            return {"objective": self._chosen_beta(data)}
        config = recipe.objective.get_config()
        if isinstance(recipe.objective, BetaTC):
            config["n_data"] = len(data)
        weights = dict(self.weights or {})
        chosen = {name: weights.pop(name) for name in recipe.options if name in weights}
        objective = type(recipe.objective).from_config({**config, **weights})
        return {"objective": objective, **chosen}

    def _chosen_beta(self, data: datasets.ImageDataset) -> Beta:
        """Returns the objective that `beta` or `beta_norm` names."""
        if self.beta_norm is not None:
            latent_dim = self.latent_dim or presets.get(self.preset).latent_dim
            chosen = Beta.from_normalized(self.beta_norm, math.prod(data.image_shape), latent_dim)
        else:
            chosen = Beta(self.beta)
        if self.warm_up is None:
            return chosen
        return Beta(Linear(0.0, chosen.beta, self.warm_up))

    def check(self, data: datasets.ImageDataset) -> None:
        """Raises now what else would fail only after some training.

        Raises:
            ValueError: If the settings give no model, or too few images to score.
        """
        self.build_model(data)
        if not data.factor_names:
            return
        factors = data.factors_at(data.sample_indices(self.n_images, self.seed))
        metrics.beta_vae_score(factors, factors, protocol="locatello", n_train=100, seed=self.seed)
