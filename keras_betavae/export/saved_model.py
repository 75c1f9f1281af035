"""Export as a SavedModel, with signatures and warm-up requests."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_betavae._utils.files import moved_into_place
from keras_betavae._utils.steps import training_step
from keras_betavae._utils.version import VERSION
from keras_betavae.export._functions import named
from keras_betavae.export.warmup import write_warmup

SAVED_MODEL_FILES = (
    "saved_model.pb",
    "fingerprint.pb",
    "variables/variables.index",
    "variables/variables.data-*-of-*",
    "assets/model.json",
    "assets.extra/tf_serving_warmup_requests",
)
"""The contents of an exported SavedModel; nothing else is ever replaced."""
SIGN = "assets/model.json"
"""The file by which an exported SavedModel differs from any other."""


def write_saved_model(
    vae: Any, path: str, options: tf.saved_model.SaveOptions | None = None
) -> None:
    """Writes a model as a SavedModel with warm-up requests.

    Raises:
        FileExistsError: If the folder is a link, or has other contents than an exported
            SavedModel.
    """
    x = tf.TensorSpec((None, *vae.image_shape), "float32", name="x")
    z = tf.TensorSpec((None, vae.latent_dim), "float32", name="z")
    n, seed = tf.TensorSpec((), "int32", name="n"), tf.TensorSpec((), "int32", name="seed")
    served = tf.Module()
    # Without those of the optimizer and the discriminator.
    parts = (vae.encoder, vae.decoder)
    served.weights = [weight.value for part in parts for weight in part.variables]
    served.weights += [weight.value for weight in vae.likelihood.weights]
    served.step = vae.step_counter.value  # It says which latents are open.
    signatures = {}
    for name, function, inputs in (
        ("encode", named(vae.encode, "mean", "log_var"), [x]),
        ("decode", vae.decode, [z]),
        ("reconstruct", vae.reconstruct, [x]),
        ("sample", vae.sample, [n, seed]),
    ):
        endpoint = tf.function(function, input_signature=inputs, autograph=False)
        setattr(served, name, endpoint)
        # What a signature returns has a name; what the endpoint returns is as plain as the model's.
        outputs = endpoint if name == "encode" else named(endpoint, "images")
        signatures[name] = tf.function(outputs, input_signature=inputs, autograph=False)
    served.serve = served.reconstruct
    signatures["serve"] = signatures["serving_default"] = signatures["reconstruct"]
    with _in_its_place(path) as aside, tempfile.TemporaryDirectory() as folder:
        description = Path(folder, "model.json")
        description.write_text(json.dumps(describe(vae), indent=2), encoding="utf-8")
        served.description = tf.saved_model.Asset(os.fspath(description))
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


def describe(vae: Any) -> dict[str, Any]:
    """Returns the description of a model for clients, as in `assets/model.json`."""
    parts = {name: getattr(vae, name) for name in ("objective", "likelihood")}
    return {
        "keras_betavae": VERSION,
        "tensorflow": tf.__version__,
        "model": type(vae).__name__,
        "image_shape": list(vae.image_shape),
        "latent_dim": vae.latent_dim,
        "input": "float32 in the likelihood's range: uint8 images divided by 255",
        "outputs": "by name only: a signature's outputs have no order",
        "training_steps": training_step(vae),
        **{name: _described(part) for name, part in parts.items()},
    }


def _described(part: Any) -> dict[str, Any]:
    return {"class": type(part).__name__, **keras.saving.serialize_keras_object(part)["config"]}


@contextlib.contextmanager
def _in_its_place(path: str) -> Iterator[str]:
    """Yields a folder to write to, which is moved to `path` once it is complete.

    A server that polls for new versions never sees an incomplete one.
    """
    if "://" not in path:
        with moved_into_place(Path(path), replaces=SAVED_MODEL_FILES, sign=SIGN) as aside:
            yield os.fspath(aside)
        return
    # Elsewhere a folder cannot be renamed at once; TensorFlow writes saved_model.pb last.
    if tf.io.gfile.exists(path):
        raise FileExistsError(f"{path} already exists; export a new version to another folder")
    yield path
