"""Write a model for serving."""

import argparse

from keras_betavae.cli._paths import local


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    command.add_argument("model", type=local, metavar="MODEL", help="a run or a .keras file")
    command.add_argument(
        "--out",
        required=True,
        metavar="PATH",
        help="a new folder for the files, also an address such as gs://",
    )
    command.add_argument(
        "--format",
        choices=("tf_saved_model", "onnx", "litert"),
        default="tf_saved_model",
        help="default: %(default)s; onnx needs the extra `export`",
    )


def run(options: argparse.Namespace) -> None:
    """Exports a model."""
    import tensorflow as tf

    from keras_betavae.experiments import runs

    if tf.io.gfile.exists(options.out):
        raise FileExistsError(f"{options.out} already exists; choose another name")
    vae = runs.open_model(options.model)
    if not hasattr(vae, "export"):
        raise ValueError(f"{options.model} is already a SavedModel; name a run or a .keras file")
    vae.export(options.out, format=options.format, verbose=False)
    print(options.out)
