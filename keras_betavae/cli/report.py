"""Write runs or models into one HTML file that opens anywhere."""

import argparse
from pathlib import Path

from keras_betavae.cli._paths import local
from keras_betavae.cli._subjects import add_data, check_no_data, open_subject


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    command.add_argument(
        "models", type=local, nargs="+", metavar="MODEL", help="runs, .keras files, SavedModels"
    )
    add_data(command)
    command.add_argument(
        "--out",
        type=local,
        default=Path("report.html"),
        metavar="FILE.html",
        help="default: %(default)s",
    )


def run(options: argparse.Namespace) -> None:
    """Writes a report."""
    from keras_betavae._utils.files import check_can_be_written
    from keras_betavae.experiments import report

    check_can_be_written(options.out)
    given = {path.resolve(): path for path in options.models}
    shown = []
    if all((path / "config.json").is_file() for path in given.values()):
        check_no_data(options)
    for path, name in zip(given.values(), report.distinct_names(list(given)), strict=True):
        is_model = path.is_file() or (path / "saved_model.pb").is_file()
        if (path / "config.json").is_file() or not (options.data or is_model):
            shown.append(report.shown_run(path, name))
        else:
            subject = open_subject(path, options)
            shown.append(report.shown_model(name, subject.model, subject.data))
    print(report.write_page(options.out, shown))
