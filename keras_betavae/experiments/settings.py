"""The settings of a run."""

from __future__ import annotations

import math
import os
import reprlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pydantic
from pydantic import Field

from keras_betavae import datasets, metrics
from keras_betavae.experiments._choices import PRESETS, fastest_precision
from keras_betavae.experiments._plain_words import first_fault
from keras_betavae.experiments.weights import names

if TYPE_CHECKING:
    from keras_betavae.models.beta_vae import BetaVAE

FOLDER = "folder"
"""The name of the data set that is a user's own pictures."""
MAX_IMAGES = 10_000_000
"""The largest grid to render, and the largest number of images to encode for the scores."""
MIN_EVERY = 400
"""The default minimum of steps between two scores."""
_CHOICES: dict[str, list[Any]] = {
    "preset": list(PRESETS),
    "data": [*datasets.catalog.names(), FOLDER],
    "channels": [1, 3],
    "precision": ["float32", "mixed_bfloat16"],
}
_MOST = 2**31 - 1  # TensorFlow holds shapes in 32 bits.


class Settings(pydantic.BaseModel):
    """The settings of a run, as in its `config.json`.

    The fields are the options of `keras-betavae train`, with `_` instead of `-`, and `weights` for
    all values of `--weight`. The options, their help and the table in `docs/command_line.md` are
    made from the fields.

    Raises:
        ValueError: If a setting is unknown, missing or out of range, has the wrong type, or
            contradicts another.

    Example:
        >>> Settings.from_preset("sprites_quick", beta=4.0).steps
        2000
        >>> Settings.from_preset("sprites_quick", steps=0)
        Traceback (most recent call last):
        ValueError: steps must be at least 1, got 0
    """

    model_config = pydantic.ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    preset: str = Field(json_schema_extra={"enum": _CHOICES["preset"]})
    """Recipe of networks, objective, optimizer, batch size and steps."""
    batch_size: int = Field(ge=1, le=_MOST)
    """Images per step, instead of the preset's."""
    steps: int = Field(ge=1, le=_MOST)
    """Training steps, instead of the preset's; a schedule of the learning rate is stretched."""
    every: int = Field(ge=1, le=_MOST)
    """Steps between checkpoints and scores, instead of a tenth of all steps (at least 400)."""
    data: str = Field("sprites", json_schema_extra={"enum": _CHOICES["data"]})
    """Data set: a name from `keras-betavae datasets list`, or `folder` for your own pictures."""
    data_path: str | None = Field(None, json_schema_extra={"format": "path"})
    """Released file, or folder of several, to use instead of a download; for `folder`, the folder
    with your pictures."""
    factors_path: str | None = Field(None, json_schema_extra={"format": "path"})
    """CSV file with the known factors of your pictures, one row per picture."""
    continuous: tuple[str, ...] | None = Field(None, json_schema_extra={"format": "names"})
    """Continuous factors in the CSV file; by default, the columns of decimal fractions with many
    different values."""
    class_folders: bool = False
    """Use the folder of each of your pictures as its class, instead of a CSV file."""
    image_size: int | tuple[int, int] = Field(64, json_schema_extra={"format": "size"})
    """Side in pixels, or height and width, to which your pictures are scaled."""
    stretch: bool = False
    """Stretch pictures with another aspect ratio, instead of cropping them evenly."""
    channels: int = Field(3, json_schema_extra={"enum": _CHOICES["channels"]})
    """Channels of your pictures: 1 is gray, 3 is RGB."""
    data_size: int | None = Field(None, ge=1, le=_MOST, json_schema_extra={"readOnly": True})
    """Number of images when the run was made; it resumes only with the same number."""
    grid: tuple[int, ...] | None = None
    """Sizes of a smaller grid of rendered data, each at least 2; for sprites the numbers of
    shapes, scales, orientations, x and y positions."""
    latent_dim: int | None = Field(None, ge=1, le=_MOST)
    """Number of latents, instead of the preset's."""
    beta: float | None = Field(None, ge=0)
    """Weight β of the KL; replaces the preset's objective by `Beta`."""
    beta_norm: float | None = Field(None, ge=0)
    """Normalized β of Higgins et al.: β M / N for M latents and N values per image."""
    warm_up: int | None = Field(None, ge=1, le=_MOST)
    """Steps over which `beta` or `beta_norm` rises from 0, instead of a constant β."""
    weights: dict[str, float] | None = None
    """Argument of the preset's objective or model, such as `max_capacity=50`, or of a schedule in
    it, such as `capacity.n_steps=5000`."""
    learning_rate: float | None = Field(None, gt=0)
    """Constant learning rate, instead of the preset's."""
    n_images: int = Field(20_000, ge=100, le=MAX_IMAGES)
    """Number of images to encode for the scores."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of the weights, the order of the images and the codes."""
    precision: str = Field("float32", json_schema_extra={"enum": [*_CHOICES["precision"], "auto"]})
    """Dtype policy of the networks; `auto` is mixed_bfloat16 on processors that support it
    (AVX512_BF16 or AMX), otherwise float32."""
    deterministic: bool = False
    """Use only deterministic operations, in the whole process; dense networks train more slowly."""

    def __init__(self, /, **values: Any):
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise ValueError(first_fault(error, type(self).model_fields)) from None

    @pydantic.field_validator("data_path", "factors_path", mode="before")
    @classmethod
    def _make_absolute(cls, path: Any) -> Any:
        """Makes a run independent of the working folder."""
        if path == "":
            raise ValueError("data_path and factors_path must not be empty")
        return os.path.abspath(path) if isinstance(path, str | os.PathLike) else path

    @pydantic.field_validator("grid", "continuous", mode="before")
    @classmethod
    def _make_tuple(cls, sizes: Any) -> Any:
        """Accepts lists, since JSON has no tuples."""
        return tuple(sizes) if isinstance(sizes, list) else sizes

    @pydantic.field_validator("image_size", mode="before")
    @classmethod
    def _check_size(cls, size: Any) -> Any:
        """Accepts lists; both forms are checked here, because pydantic's messages name neither."""
        sides = list(size) if isinstance(size, list | tuple) else [size, size]
        if len(sides) != 2 or not all(type(side) is int and 1 <= side <= _MOST for side in sides):
            raise ValueError(f"image_size must be one or two integers, at least 1, got {size!r}")
        return tuple(size) if isinstance(size, list) else size

    @pydantic.field_validator("precision", mode="before")
    @classmethod
    def _choose_precision(cls, precision: Any) -> Any:
        return fastest_precision() if precision == "auto" else precision

    @pydantic.field_validator(*_CHOICES)
    @classmethod
    def _check_choice(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        choices = _CHOICES[info.field_name or ""]
        if value not in choices:
            raise ValueError(
                f"{info.field_name} must be one of {', '.join(map(str, choices))}, got {value!r}"
            )
        return value

    @pydantic.model_validator(mode="after")
    def _check_own_pictures(self) -> Self:
        if self.data == FOLDER:
            if self.data_path is None:
                raise ValueError("data_path must be the folder with your pictures, got None")
            if self.continuous and self.factors_path is None:
                raise ValueError(f"continuous needs factors_path, got only {self.continuous}")
            return self
        for name in (
            "factors_path",
            "continuous",
            "class_folders",
            "image_size",
            "stretch",
            "channels",
        ):
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} must be left out unless data is {FOLDER}, got {value!r} for "
                    f"{self.data}"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _check_grid(self) -> Self:
        if self.grid is None:
            return self
        entry = None if self.data == FOLDER else datasets.catalog.get(self.data)
        if entry is None or entry.files:
            raise ValueError(
                f"grid must be left out unless data is rendered, got {self.grid} for {self.data}"
            )
        n_sizes, product = len(entry.factors), math.prod(self.grid)
        if len(self.grid) != n_sizes or min(self.grid) < 2 or product > MAX_IMAGES:
            raise ValueError(
                f"grid must be {n_sizes} sizes for {self.data}, each at least 2, with a product "
                f"of at most {MAX_IMAGES:,}, got {reprlib.repr(self.grid)}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _check_objective(self) -> Self:
        given = [n for n in ("beta", "beta_norm", "weights") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(
                f"beta, beta_norm and weights exclude each other, got {' and '.join(given)}"
            )
        if not self.weights:
            return self
        from keras_betavae import presets

        recipe = presets.get(self.preset)
        known = [*recipe.options, *names(recipe.objective.get_config())]
        unknown = [name for name in self.weights if name not in known]
        if unknown:
            raise ValueError(
                f"weights of {self.preset} must be of {', '.join(known)}, got {', '.join(unknown)}"
            )
        for name in self.weights:
            inner = [other for other in self.weights if other.startswith(f"{name}.")]
            if inner:
                raise ValueError(f"weights must not name both {name} and {inner[0]}, its part")
        return self

    @pydantic.model_validator(mode="after")
    def _check_warm_up(self) -> Self:
        if self.warm_up is None:
            return self
        if self.beta is None and self.beta_norm is None:
            raise ValueError(f"warm_up needs beta or beta_norm, got only warm_up {self.warm_up}")
        if self.warm_up > self.steps:
            raise ValueError(f"warm_up must be at most the {self.steps} steps, got {self.warm_up}")
        return self

    @classmethod
    def from_preset(cls, preset: str, **chosen: Any) -> Self:
        """Returns settings with the preset's batch size and steps where none are chosen.

        Raises:
            ValueError: As the constructor.
        """
        # Most faults show without the recipe, whose import takes seconds.
        cls(preset=preset, **{"batch_size": 1, "steps": _MOST, "every": 1, **chosen})
        from keras_betavae import presets

        recipe = presets.get(preset)
        settings = {"batch_size": recipe.batch_size, "steps": recipe.steps, **chosen}
        if isinstance(settings["steps"], int):
            tenth = max(settings["steps"] // 10, MIN_EVERY)
            settings.setdefault("every", max(min(tenth, settings["steps"]), 1))
        return cls(preset=preset, **settings)

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
                crop=not self.stretch,
                factors=self.factors_path,
                continuous=self.continuous,
                class_folders=self.class_folders,
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

    def build_model(self, data: datasets.ImageDataset, *, verbose: bool = False) -> BetaVAE:
        """Returns the untrained model; seeds Keras's global generators to do so.

        Args:
            data: The data, to which the preset is fitted.
            verbose: Whether to print in a line what that changes.
        """
        from keras_betavae.experiments._building import build_model

        return build_model(self, data, verbose)

    def check(self, data: datasets.ImageDataset, *, verbose: bool = False) -> None:
        """Raises now what else would fail only after some training.

        Args:
            data: The data.
            verbose: As in `build_model`.

        Raises:
            ValueError: If the settings give no model, or too few images to score.
        """
        self.build_model(data, verbose=verbose)
        factors = data.factors_at(data.sample_indices(self.n_images, self.seed, distinct=True))
        varying = np.flatnonzero(np.ptp(factors, axis=0))
        if len(varying) > 1:  # With fewer, no score that needs two is computed.
            metrics.beta_vae_score(
                factors[:, varying],
                factors[:, varying],
                protocol="locatello",
                n_train=100,
                factor_names=[data.factor_names[k] for k in varying],
                seed=self.seed,
            )
