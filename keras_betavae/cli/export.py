"""Write a run's model for serving."""

import argparse
from pathlib import Path


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    command.add_argument("run", type=Path, metavar="RUN")
    command.add_argument("--out", type=Path, required=True, metavar="PATH")
    command.add_argument(
        "--format",
        choices=("tf_saved_model", "onnx", "litert"),
        default="tf_saved_model",
        help="default: %(default)s; onnx needs the extra export",
    )


def run(options: argparse.Namespace) -> None:
    """Exports a run's model."""
    from keras_betavae.experiments import runs

    if options.out.exists():
        raise FileExistsError(f"{options.out} already exists; choose another name")
    vae = runs.load_model(options.run)
    vae.export(options.out, format=options.format, verbose=False)
    print(options.out)
