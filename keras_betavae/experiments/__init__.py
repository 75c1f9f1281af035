"""Run folders, sweeps, tuning, reports, and reproductions of papers.

The submodules are imported when they are first used.
"""

import importlib
from typing import Any

__all__ = ["report", "reproduction", "runs", "settings", "sweeps", "tensorboard", "tune", "tuning"]


def __getattr__(name: str) -> Any:
    """Imports a submodule."""
    if name == "tune":
        return importlib.import_module(f"{__name__}.tuning").tune
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
