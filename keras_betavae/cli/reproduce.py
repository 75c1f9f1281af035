"""Reproduce a paper's table or figure.

Trains the runs and writes index.md, with tables as CSV and figures as PNG. If it is called again,
it continues where it stopped.
"""

import argparse
import os
from typing import Any

from keras_betavae.cli._paths import local

# Those of `experiments.reproduction`, known without importing TensorFlow.
NAMES = (
    "higgins-table",
    "higgins-table-dense",
    "higgins-sweep",
    "higgins-figure",
    "burgess-capacity",
    "burgess-claim",
    "burgess-blobs",
    "locatello",
)
BUDGETS = ("smoke", "hour", "day", "paper")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    command.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    command.add_argument(
        "--out",
        type=local,
        required=True,
        metavar="FOLDER",
        help="folder for the runs and the page",
    )
    command.add_argument(
        "--budget",
        choices=BUDGETS,
        default="hour",
        help="size of the runs: smoke (a minute), hour (default), day, or paper (as published)",
    )
    command.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="runs at a time (default: the number of cores)",
    )
    command.add_argument(
        "--seeds", type=int, metavar="N", help="seeds of each model, instead of the budget's"
    )
    command.add_argument(
        "--data", metavar="NAME", help="locatello only: data set (default: sprites)"
    )
    command.add_argument(
        "--objective",
        metavar="PRESET",
        help="locatello only: preset of the objective (default: locatello_beta)",
    )
    command.add_argument(
        "--all", action="store_true", help="locatello only: all cells, in a folder each"
    )


def run(options: argparse.Namespace) -> None:
    """Reproduces one table or figure, or all cells of locatello."""
    from keras_betavae.experiments import reproduction

    given: dict[str, str] = {
        name: getattr(options, name) for name in ("data", "objective") if getattr(options, name)
    }
    common: dict[str, Any] = {
        "budget": options.budget,
        "jobs": options.jobs,
        "n_seeds": options.seeds,
    }
    if not options.all:
        print(reproduction.reproduce(options.name, options.out, **{**common, **given}))
        return
    if options.name != "locatello" or given:
        raise ValueError(
            "--all trains all cells of locatello; use it with that name only, without --data and "
            "--objective"
        )
    for cell in reproduction.cells():
        folder = options.out / cell["data"] / cell["objective"]
        print(reproduction.reproduce(options.name, folder, **{**common, **cell}), flush=True)
