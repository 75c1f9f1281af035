"""The files that serve a model: SavedModel, ONNX and LiteRT."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_betavae._utils.files import moved_into_place
from keras_betavae.export.warmup import write_warmup

FORMATS = ("tf_saved_model", "onnx", "litert")
SAVED_MODEL_FILES = (
    "saved_model.pb",
    "fingerprint.pb",
    "variables/variables.index",
    "variables/variables.data-*-of-*",
    "assets.extra/tf_serving_warmup_requests",
)
"""What the folder of an exported SavedModel holds; nothing else is ever replaced."""


def saved_model(vae: Any, path: str, options: tf.saved_model.SaveOptions | None = None) -> None:
    """Writes a model as a SavedModel, with requests that warm a server up.

    Raises:
        FileExistsError: If its folder is a link, or holds anything but an exported SavedModel.
    """
    x = tf.TensorSpec((None, *vae.image_shape), "float32", name="x")
    z = tf.TensorSpec((None, vae.latent_dim), "float32", name="z")
    n, seed = tf.TensorSpec((), "int32", name="n"), tf.TensorSpec((), "int32", name="seed")
    served = tf.Module()
    # Those of the optimiser and of the discriminator stay out.
    parts = (vae.encoder, vae.decoder)
    served.weights = [weight.value for part in parts for weight in part.variables]
    served.weights += [weight.value for weight in vae.likelihood.weights]
    signatures = {}
    for name, function, inputs in (
        ("encode", _named(vae.encode, "mean", "log_var"), [x]),
        ("decode", vae.decode, [z]),
        ("reconstruct", vae.reconstruct, [x]),
        ("sample", vae.sample, [n, seed]),
    ):
        endpoint = tf.function(function, input_signature=inputs)
        setattr(served, name, endpoint)
        # What a signature returns has a name; what the endpoint returns is as plain as the model's.
        named = endpoint if name == "encode" else _named(endpoint, "images")
        signatures[name] = tf.function(named, input_signature=inputs)
    served.serve = served.reconstruct
    signatures["serve"] = signatures["serving_default"] = signatures["reconstruct"]
    with _in_its_place(path) as aside:
        tf.saved_model.save(served, aside, signatures, options)
        write_warmup(
            aside,
            {
                "encode": {"x": tf.zeros((1, *vae.image_shape))},
                "decode": {"z": tf.zeros((1, vae.latent_dim))},
                "reconstruct": {"x": tf.zeros((1, *vae.image_shape))},
                "serving_default": {"x": tf.zeros((1, *vae.image_shape))},
                "sample": {"n": tf.constant(1), "seed": tf.constant(0)},
            },
        )


def networks(vae: Any, path: str, format: str, **options: Any) -> None:
    """Writes the encoder and the decoder of a model, each into a file of its own.

    Raises:
        ImportError: If a package that the format needs is missing.
        ValueError: If the networks compute in another precision than float32, or the format
            lacks an operation of theirs.
    """
    dtypes = {layer.compute_dtype for layer in (*vae.encoder.layers, *vae.decoder.layers)}
    if dtypes != {"float32"}:
        raise ValueError(
            f"format={format!r} needs networks that compute in float32, got {sorted(dtypes)}; make "
            "the model under the dtype policy float32 and load the weights of this one into it"
        )
    x = tf.TensorSpec((None, *vae.image_shape), "float32", name="x")
    z = tf.TensorSpec((None, vae.latent_dim), "float32", name="z")
    write = _write_onnx if format == "onnx" else _write_litert
    Path(path).mkdir(parents=True, exist_ok=True)
    for name, function, outputs, spec in (
        ("encoder", vae.encode, ("mean", "log_var"), x),
        ("decoder", vae.decode, ("images",), z),
    ):
        write(_Network(vae, _named(function, *outputs)), Path(path) / name, spec, options)


class _Network(keras.Model):
    """A function of a model as a network of its own, which is what Keras's exporters take."""

    def __init__(self, vae, function):
        # A half-precision policy would cast the images.
        super().__init__(name="network", dtype="float32")
        self.vae = vae
        self.function = function
        self.built = True

    def call(self, inputs):
        return self.function(inputs)


def _named(function, *names):
    def named(*inputs):
        outputs = function(*inputs)
        return dict(zip(names, outputs if len(names) > 1 else [outputs], strict=True))

    return named


def _write_onnx(network, path, spec, options):
    for package in ("onnx", "tf2onnx"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(
                f"format='onnx' needs the package {package}; "
                "install the extra: pip install 'keras-betavae[export]'"
            ) from error
    import onnx

    with moved_into_place(path.with_suffix(".onnx")) as aside:
        network.export(str(aside), format="onnx", input_signature=[spec], verbose=False, **options)
        model = onnx.load(aside)
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
        try:
            # What ONNX does not have, the converter writes as it is.
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            raise ValueError(f"the {path.name} cannot be written as ONNX: {error}") from error
        onnx.save(model, aside)


def _write_litert(network, path, spec, options):
    # Others than the runtime's own operations would need TensorFlow beside it.
    options = {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}, **options}
    with moved_into_place(path.with_suffix(".tflite")) as aside:
        try:
            network.export(aside, format="litert", input_signature=[spec], verbose=False, **options)
        except Exception as error:
            # The converter's own kind of error is not public, and tells pages after its first line.
            reason = str(error).partition("\n")[0]
            raise ValueError(f"the {path.name} cannot be written as LiteRT: {reason}") from error


@contextlib.contextmanager
def _in_its_place(path: str) -> Iterator[str]:
    """Yields a folder to write to, which is moved to `path` once it is complete.

    A server that polls for new versions never sees an incomplete one.
    """
    if "://" not in path:
        with moved_into_place(Path(path), replaces=SAVED_MODEL_FILES) as aside:
            yield os.fspath(aside)
        return
    # Elsewhere a folder cannot be renamed at once; TensorFlow writes saved_model.pb last.
    if tf.io.gfile.exists(path):
        raise FileExistsError(f"{path} already exists; export a new version to another folder")
    yield path
