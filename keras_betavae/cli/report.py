"""Write the content of runs into one HTML file that opens anywhere."""

import argparse
from pathlib import Path


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    command.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE.html", help="(%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Writes a report."""
    from keras_betavae.experiments.report import write_report

    print(write_report(options.out, options.runs))
