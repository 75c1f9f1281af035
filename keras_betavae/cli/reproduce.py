"""Reproduce a paper's table or figure.

Trains the runs that it needs and writes index.md, with tables as CSV and figures as PNG. Called
again, it continues where it stopped.
"""

import argparse
import os
from pathlib import Path
from typing import Any

# Those of `experiments.reproduction`, known without importing TensorFlow.
NAMES = (
    "higgins-table",
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
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    command.add_argument(
        "--budget",
        choices=BUDGETS,
        default="hour",
        help="steps and seeds: smoke, a minute; hour (default); day; paper, the paper's own",
    )
    command.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="runs at a time (the number of cores)",
    )
    command.add_argument(
        "--seeds", type=int, metavar="N", help="seeds of each model, instead of the budget's"
    )
    command.add_argument("--data", metavar="NAME", help="of locatello: the data set (sprites)")
    command.add_argument(
        "--objective", metavar="PRESET", help="of locatello: the objective (locatello_beta)"
    )
    command.add_argument(
        "--all", action="store_true", help="of locatello: every cell, one folder each"
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
        raise ValueError("--all is every cell of locatello; leave out --data and --objective")
    for cell in reproduction.cells():
        folder = options.out / cell["data"] / cell["objective"]
        print(reproduction.reproduce(options.name, folder, **{**common, **cell}), flush=True)
