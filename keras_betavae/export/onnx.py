"""A model's encoder and decoder as ONNX."""

import importlib
from pathlib import Path
from typing import Any

from keras_betavae.export._functions import all_or_none, encoder_and_decoder


def write_onnx(vae: Any, path: Path, **options: Any) -> None:
    """Writes `encoder.onnx` and `decoder.onnx` into a folder.

    Args:
        vae: The model.
        path: The folder.
        **options: Of Keras's exporter, such as `opset_version`.

    Raises:
        ImportError: If onnx or tf2onnx is missing.
        ValueError: If the networks do not compute in float32, or ONNX lacks an operation.
    """
    for package in ("onnx", "tf2onnx"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(
                f"format='onnx' needs the package {package}; "
                "install the extra: pip install '.[export]' in a checkout"
            ) from error
    import onnx

    networks = encoder_and_decoder(vae)
    with all_or_none(path, [f"{name}.onnx" for name in networks]) as files:
        for name, (network, spec) in networks.items():
            aside = files[f"{name}.onnx"]
            network.export(
                str(aside), format="onnx", input_signature=[spec], verbose=False, **options
            )
            model = onnx.load(aside)
            # The converter sorts the names; readers by position want the mean first.
            outputs = sorted(model.graph.output, key=lambda value: value.name == "log_var")
            del model.graph.output[:]
            model.graph.output.extend(outputs)
            for value in (*model.graph.input, *model.graph.output):
                value.type.tensor_type.shape.dim[0].dim_param = "batch"
            try:
                # The converter writes operations that ONNX lacks as they are.
                onnx.checker.check_model(model)
            except onnx.checker.ValidationError as error:
                raise ValueError(f"the {name} cannot be written as ONNX: {error}") from error
            onnx.save(model, aside)
