"""Print versions, processor features and optional packages, for a bug report."""

import argparse
import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path

REQUIRED = (
    "tensorflow",
    "keras",
    "tensorflow-probability",
    "tf-keras",
    "numpy",
    "scikit-learn",
    "h5py",
    "matplotlib",
    "tensorboard",
)
# What each optional package is for.
OPTIONAL = {
    "optuna": "sweep and tune",
    "onnx": "export to ONNX",
    "tf2onnx": "export to ONNX",
    "onnxruntime": "running ONNX",
    "ai-edge-litert": "running LiteRT",
    "tensorflow-datasets": "from_tfds",
    "pandas": "from_table",
}
_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds nothing: the command takes no arguments."""


def run(options: argparse.Namespace) -> None:
    """Prints the lines."""
    del options
    from keras_betavae import __version__
    from keras_betavae.datasets.catalog import cache_folder
    from keras_betavae.experiments._choices import PROCESSOR, fastest_precision

    words = PROCESSOR.read_text().split() if PROCESSOR.is_file() else []
    flags = [flag for flag in _FLAGS if flag in words]
    precision = fastest_precision()
    gain = "" if precision == "float32" else " (--precision auto uses it)"
    lines = {
        "keras_betavae": __version__,
        "Python": f"{platform.python_version()} on {platform.platform()}",
        **{name: _version(name) or "MISSING" for name in REQUIRED},
        "Keras backend": _backend(),
        "processor": f"{os.cpu_count()} cores; {' '.join(flags) or 'no features found'}",
        "GPU": _gpu(),
        "oneDNN": _onednn(),
        "precision": f"{precision}{gain}",
        "data cache": _access(cache_folder()),
    }
    for name, purpose in OPTIONAL.items():
        lines[f"{name}"] = _version(name) or f"not installed (for {purpose})"
    width = max(map(len, lines))
    for name, text in lines.items():
        print(f"{name:<{width}}  {text}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _backend() -> str:
    """Returns the backend that Keras will take, without importing Keras."""
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen in (None, "tensorflow"):
        return "tensorflow"
    return f"{chosen} (keras_betavae needs tensorflow: unset KERAS_BACKEND)"


def _gpu() -> str:
    """Returns the graphics cards that the driver shows."""
    cards = list(Path("/proc/driver/nvidia/gpus").glob("*"))
    return f"{len(cards)} NVIDIA" if cards else "none"


def _onednn() -> str:
    chosen = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    if chosen is not None:
        return f"TF_ENABLE_ONEDNN_OPTS={chosen}"
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    return "on, unless TensorFlow is imported before keras_betavae" if is_x86 else "TensorFlow's"


def _access(folder: Path) -> str:
    """Returns a folder and whether it, or the nearest that exists above it, can be written to."""
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    return f"{folder}, {'writable' if os.access(nearest, os.W_OK) else 'NOT WRITABLE'}"
