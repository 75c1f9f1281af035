"""Export for serving: SavedModel, ONNX and LiteRT."""

import contextlib
import os
from pathlib import Path
from typing import Any

from keras_betavae._utils.locks import locked
from keras_betavae.export.litert import write_litert
from keras_betavae.export.onnx import write_onnx
from keras_betavae.export.saved_model import SAVED_MODEL_FILES, write_saved_model
from keras_betavae.export.served_model import ServedModel

__all__ = ["FORMATS", "SAVED_MODEL_FILES", "ServedModel", "write"]

FORMATS = ("tf_saved_model", "onnx", "litert")


def write(
    model: Any, filepath: str | os.PathLike, format: str = "tf_saved_model", **options: Any
) -> None:
    """Writes a model for serving; `BetaVAE.export` calls this.

    All formats take batches of any size of images, as floats in the data's own range (divide uint8
    images by 255 first), and need neither Keras nor this package.

    "tf_saved_model" is the folder of one version, in the layout of TensorFlow Serving.
    `tf.saved_model.load(filepath)` has the methods `encode(x)` → `mean`, `log_var`;
    `decode(z)`; `reconstruct(x)`, also under the name `serve`; and `sample(n, seed)`; and
    signatures of the same names and inputs, whose outputs are `mean` and `log_var`, or
    `images`. `serving_default` reconstructs. `assets.extra` has a warm-up request for each. The
    folder is written under a temporary name and moved into place. It replaces only an exported
    SavedModel.

    "onnx" and "litert" are folders with `encoder.onnx` and `decoder.onnx`, or
    `encoder.tflite` and `decoder.tflite`: x → `mean`, `log_var` and z → `images`.

    Args:
        model: A `BetaVAE`.
        filepath: The folder.
        format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
        **options: `options`, a `tf.saved_model.SaveOptions`; `opset_version` of ONNX;
            attributes of `tf.lite.TFLiteConverter`, such as `optimizations`. A
            `representative_dataset` yields images; the decoder gets their codes.

    Raises:
        FileExistsError: If the folder of a SavedModel is a link or has other contents.
        ImportError: If a package that the format needs is missing.
        InUseError: If another process exports to the same folder.
        ValueError: If the format is unknown or does not support an operation of the networks, or if
            the networks do not compute in float32 (ONNX and LiteRT).
    """
    path = os.fspath(filepath)
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    if "://" in path and format != "tf_saved_model":
        raise ValueError(f"{format} is written to a local folder, got {path}")
    with _held(path):
        if format == "tf_saved_model":
            write_saved_model(model, path, **options)
        elif format == "onnx":
            write_onnx(model, Path(path), **options)
        else:
            write_litert(model, Path(path), **options)


def _held(path: str) -> contextlib.AbstractContextManager[None]:
    if "://" in path:
        return contextlib.nullcontext()  # Such storage has no locks.
    folder, name = Path(path).absolute().parent, Path(path).name
    folder.mkdir(parents=True, exist_ok=True)
    return locked(folder, name)
