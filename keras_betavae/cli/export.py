"""Write a model for serving."""

import argparse
from pathlib import Path


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    command.add_argument("model", type=Path, metavar="MODEL", help="a run or a .keras file")
    command.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="a new folder for the files"
    )
    command.add_argument(
        "--format",
        choices=("tf_saved_model", "onnx", "litert"),
        default="tf_saved_model",
        help="default: %(default)s; onnx needs the extra `export`",
    )


def run(options: argparse.Namespace) -> None:
    """Exports a model."""
    from keras_betavae.experiments import runs

    if options.out.exists():
        raise FileExistsError(f"{options.out} already exists; choose another name")
    vae = runs.open_model(options.model)
    if not hasattr(vae, "export"):
        raise ValueError(f"{options.model} is already a SavedModel; name a run or a .keras file")
    vae.export(options.out, format=options.format, verbose=False)
    print(options.out)
