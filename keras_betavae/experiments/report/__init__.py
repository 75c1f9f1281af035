"""One self-contained HTML file that shows what is in run folders."""

import os
from collections.abc import Iterable
from pathlib import Path

import jinja2

import keras_betavae._library  # noqa: F401, TensorFlow first, and quietly
from keras_betavae._utils.tables import write_text
from keras_betavae.experiments.report._drawing import data_uri as data_uri
from keras_betavae.experiments.report._sections import comparison, run_section
from keras_betavae.experiments.report._shown_run import ShownRun


def write_report(path: str | os.PathLike, folders: Iterable[str | os.PathLike]) -> Path:
    """Writes a report of one or several runs to an HTML file.

    The file needs no other file: styles, pictures and the script that moves the traversals are
    in it. A run that has no scores or pictures yet shows what it has.

    Args:
        path: The file, which should end in `.html`; an existing file is replaced.
        folders: The runs' folders.

    Returns:
        The path.

    Raises:
        FileNotFoundError: If a folder is not a run folder, or has no model.
        ValueError: If a run's files are damaged, or no folder is given.
    """
    shown = [ShownRun(Path(folder)) for folder in folders]
    if not shown:
        raise ValueError("folders must name at least one run, got none")
    pages = page_environment(__package__)
    page = pages.get_template("page.html").render(
        comparison=comparison(shown) if len(shown) > 1 else None,
        runs=[run_section(run) for run in shown],
    )
    path = Path(path)
    write_text(path, page)
    return path


def page_environment(package: str) -> jinja2.Environment:
    """Returns what renders the `page.html` of a package, in the style of the reports."""
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, ""), jinja2.PackageLoader(__package__, "")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
