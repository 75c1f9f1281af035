"""Train a preset into a run folder, then score, draw and export it.

The run folder has config.json, data.json, metrics.csv, latents.csv, logs/ (TensorBoard),
checkpoints/, pictures/, model.keras, saved_model/1/, scores.json and scores.md.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from keras_betavae.cli._paths import local
from keras_betavae.cli._settings import add_settings, chosen_settings
from keras_betavae.cli.evaluate import print_scores

if TYPE_CHECKING:
    from keras_betavae.experiments.settings import Settings


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=local, metavar="RUN", help="a new folder for the run")
    where.add_argument(
        "--resume",
        type=local,
        metavar="RUN",
        help="resume a run from its latest checkpoint, with its own settings",
    )
    add_settings(command)
    command.add_argument(
        "--no-controls",
        dest="controls",
        action="store_false",
        help="score only the trained model",
    )
    command.add_argument(
        "--verbose",
        type=int,
        choices=(0, 1, 2),
        default=1,
        help="0: no progress; 1: progress bar (default); 2: one line per interval",
    )


def run(options: argparse.Namespace) -> None:
    """Trains, scores, draws and exports."""
    from keras_betavae._utils.locks import locked
    from keras_betavae.experiments.settings import Settings

    folder, chosen, data = options.resume, chosen_settings(options), None
    # Wrong settings are rejected before the next line imports TensorFlow.
    settings = Settings.from_preset(**chosen) if folder is None else None
    from keras_betavae.experiments import runs

    if settings is not None:
        data = settings.load_data()
        settings.check(
            data, verbose=True
        )  # Settings that cannot be trained must leave no folder behind.
        _say_what_is_cropped(settings)
        folder = runs.create(options.out, settings.model_copy(update={"data_size": len(data)}))
    settings = runs.load_settings(folder)
    with locked(folder):
        if data is None:
            data = settings.load_data()
            print(f"Resuming {folder}", flush=True)
        vae = runs.train(folder, data, verbose=options.verbose)
        verbose = options.verbose > 0
        tables = runs.finish(folder, vae, data, controls=options.controls, verbose=verbose)
        print_scores(tables, data, "fast")
    for what, where in (
        ("TensorBoard", f"tensorboard --logdir {folder / 'logs'}"),
        ("metrics", folder / "metrics.csv"),
        ("pictures", folder / "pictures"),
        ("model", folder / "model.keras"),
        ("SavedModel", folder / "saved_model" / "1"),
        ("scores", folder / "scores.json"),
    ):
        print(f"{what:<12} {where}")


def _say_what_is_cropped(settings: Settings) -> None:
    """Prints a line if the user's pictures are cropped."""
    from keras_betavae.datasets.user.folder import count_other_proportions
    from keras_betavae.experiments.settings import FOLDER

    if settings.data != FOLDER or settings.stretch:
        return
    n_cropped, n = count_other_proportions(
        settings.data_path or "", settings.image_size, factors=settings.factors_path
    )
    if n_cropped:
        size = settings.image_size
        height, width = (size, size) if isinstance(size, int) else size
        print(
            f"{n_cropped} of {n} pictures checked have another aspect ratio than "
            f"{height}×{width} and are cropped evenly; --stretch stretches them instead",
            flush=True,
        )
