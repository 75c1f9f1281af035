"""Training runs in folders, sweeps over their settings, reports, and the papers' experiments.

Its submodules are imported when they are first used.
"""

import importlib
import types

__all__ = ["report", "reproduction", "runs", "settings", "sweeps", "tensorboard"]


def __getattr__(name: str) -> types.ModuleType:
    """Imports a submodule."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
