"""β-VAE for Keras: train, score, watch and ship disentangled representations."""

import importlib
import os
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from keras_betavae._utils.version import VERSION

__version__ = VERSION


def _is_the_command() -> bool:
    """Whether this process is `keras-betavae`, whose short answers need no TensorFlow."""
    script = os.path.splitext(os.path.basename(sys.argv[0]))[0] if sys.argv else ""
    return script == "keras-betavae" or ("-m", "keras_betavae") in pairwise(sys.orig_argv)


if TYPE_CHECKING or not _is_the_command():
    # isort: off
    from keras_betavae._library import (
        AdaGVAE,
        BetaVAE,
        FactorVAE,
        GroupVAE,
        estimate_capacity,
        evaluate,
    )
    from keras_betavae import (
        callbacks,
        datasets,
        evaluation,
        export,
        likelihoods,
        metrics,
        models,
        networks,
        objectives,
        presets,
        visualization,
    )

    # isort: on

__all__ = [
    "AdaGVAE",
    "BetaVAE",
    "FactorVAE",
    "GroupVAE",
    "callbacks",
    "datasets",
    "estimate_capacity",
    "evaluate",
    "evaluation",
    "experiments",
    "export",
    "likelihoods",
    "metrics",
    "models",
    "networks",
    "objectives",
    "presets",
    "report",
    "visualization",
]

_WITHOUT_TENSORFLOW = ("datasets", "evaluation", "experiments", "metrics", "visualization")


def __getattr__(name: str) -> Any:
    """Imports `experiments` and `report` late, and in the command's process all else."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "report":
        return importlib.import_module("keras_betavae.experiments.report").report
    if name not in _WITHOUT_TENSORFLOW:
        return getattr(importlib.import_module("keras_betavae._library"), name)
    return importlib.import_module(f"keras_betavae.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
