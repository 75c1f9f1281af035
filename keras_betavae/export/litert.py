"""A model's encoder and decoder as LiteRT (TensorFlow Lite)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_betavae.export._functions import all_or_none, encoder_and_decoder


def write_litert(
    vae: Any, path: Path, representative_dataset: Callable | None = None, **options: Any
) -> None:
    """Writes `encoder.tflite` and `decoder.tflite` into a folder.

    Args:
        vae: The model.
        path: The folder.
        representative_dataset: For quantization, a function that yields lists of one batch of
            images each, floats in the model's own range. The decoder is given their codes.
        **options: Attributes of `tf.lite.TFLiteConverter`, such as `optimizations`; `target_spec`
            is a `tf.lite.TargetSpec` or a dict of its attributes.

    Raises:
        ValueError: If the networks do not compute in float32, or LiteRT lacks an operation.
    """
    # Others than the runtime's own operations would need TensorFlow as well.
    own_operations = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    given = options.get("target_spec", {})
    given = given if isinstance(given, Mapping) else vars(given)
    options["target_spec"] = {**own_operations, **given}

    def codes():
        for (images,) in representative_dataset():
            yield [np.asarray(vae.encode(tf.cast(images, "float32"))[0])]

    examples = {"encoder": representative_dataset, "decoder": codes}
    networks = encoder_and_decoder(vae)
    with all_or_none(path, [f"{name}.tflite" for name in networks]) as files:
        for name, (network, spec) in networks.items():
            own = {}
            if representative_dataset is not None:
                own["representative_dataset"] = examples[name]
            try:
                network.export(
                    files[f"{name}.tflite"],
                    format="litert",
                    input_signature=[spec],
                    verbose=False,
                    **options,
                    **own,
                )
            except Exception as error:
                # The converter's own kind of error is not public, and its first line says enough.
                reason = str(error).partition("\n")[0]
                raise ValueError(f"the {name} cannot be written as LiteRT: {reason}") from error
