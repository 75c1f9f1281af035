"""Train and score every combination of some settings.

Each combination of the values of --over is a run in runs/ in the sweep's folder, which also has
scores.csv. Several processes with the same command, also on several machines that share the
folder, share the runs.
"""

import argparse

from keras_betavae.cli._paths import local
from keras_betavae.cli._settings import add_settings, add_storage, chosen_settings


def _axis(text: str) -> tuple[str, list[str]]:
    name, is_given, values = text.partition("=")
    if not is_given or not all(values.split(",")):
        raise argparse.ArgumentTypeError(f"NAME=V,V,... is needed, got {text!r}")
    return name, values.split(",")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=local, metavar="SWEEP", help="a new folder for the sweep")
    where.add_argument("--resume", type=local, metavar="SWEEP", help="continue a sweep")
    command.add_argument(
        "--over",
        type=_axis,
        action="append",
        metavar="NAME=V,V,...",
        help="values of an option below (beta=1,4), or of a weight of the preset's objective or "
        "model (max_capacity=5,25; weight.beta=1,4 if both have the name); repeatable",
    )
    command.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="runs at a time (default: 1)"
    )
    add_storage(command)
    add_settings(command)


def run(options: argparse.Namespace) -> None:
    """Trains and scores all runs, and prints the table of their scores."""
    from keras_betavae.experiments import sweeps

    folder, chosen = options.resume, chosen_settings(options)
    if options.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {options.jobs}")
    if folder is None:
        if not options.over:
            raise ValueError("--over must name what to sweep over, such as --over beta=1,4,16")
        axes = {name: sweeps.axis(name, values) for name, values in options.over}
        if len(axes) < len(options.over):
            raise ValueError("--over must name each axis once")
        folder = sweeps.create(options.out, sweeps.Sweep(chosen, axes))
    elif options.over:
        raise ValueError("--resume keeps the sweep's own axes; leave out --over")
    sweeps.run(folder, jobs=options.jobs, storage=options.storage)
    print(f"\n{sweeps.scores(folder)}\n\ntensorboard --logdir {folder / 'runs'}")
