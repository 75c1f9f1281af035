"""Reports: one self-contained HTML file for runs, or for any model."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

import keras_betavae._library  # noqa: F401, TensorFlow first, and quietly
from keras_betavae._utils.files import local_path
from keras_betavae._utils.tables import write_text
from keras_betavae.evaluation.choice import Scores
from keras_betavae.evaluation.inspection import as_dataset
from keras_betavae.experiments.report._drawing import data_uri as data_uri
from keras_betavae.experiments.report._sections import comparison, run_section
from keras_betavae.experiments.report._shown import Shown, shown_model, shown_run


def report(
    model: Any,
    data: Any,
    path: str | os.PathLike,
    *,
    name: str | None = None,
    scores: Scores = "fast",
    n: int = 20_000,
    seed: int = 0,
) -> Path:
    """Writes a report of a model to an HTML file: scores, traversals, pictures, loss curves.

    The file is self-contained. Vectors and signals are drawn as bars and lines with the names of
    their columns.

    Args:
        model: A `BetaVAE`, a `ServedModel`, or anything with its methods. The loss curves are those
            of its last `fit`.
        data: A data set; or an array for `datasets.from_arrays`.
        path: The file, which should end in `.html`; an existing file is replaced.
        name: The report's title; the file's name by default.
        scores: As in `evaluate`; `()` for none.
        n: Number of images to draw and encode for the scores.
        seed: Seed of the draw and of the scores.

    Returns:
        The path.

    Raises:
        TypeError: If `data` is neither a data set nor an array.
        ValueError: As `evaluate`.
    """
    shown = shown_model(
        name or Path(path).stem, model, as_dataset(data), scores=scores, n=n, seed=seed
    )
    return write_page(path, [shown])


def write_report(path: str | os.PathLike, folders: Iterable[str | os.PathLike]) -> Path:
    """Writes a report of one or several runs to an HTML file.

    The file includes styles, pictures and the script of the sliders. Runs may be without scores or
    pictures.

    Args:
        path: The file, which should end in `.html`; an existing file is replaced.
        folders: The runs' folders.

    Returns:
        The path.

    Raises:
        FileNotFoundError: If a folder is not a run folder, or has no model.
        ValueError: If a run's files are damaged, or no folder is given.
    """
    given = {Path(folder).resolve(): Path(folder) for folder in folders}
    if not given:
        raise ValueError("folders must name at least one run, got none")
    names = distinct_names(list(given))
    return write_page(path, [shown_run(*pair) for pair in zip(given.values(), names, strict=True)])


def write_page(path: str | os.PathLike, shown: Sequence[Shown]) -> Path:
    """Writes a report of models or runs; returns the path."""
    path = local_path(path)
    pages = page_environment(__package__)
    page = pages.get_template("page.html").render(
        comparison=comparison(shown) if len(shown) > 1 else None,
        runs=[run_section(run) for run in shown],
    )
    write_text(path, page)
    return path


def page_environment(package: str) -> jinja2.Environment:
    """Returns the Jinja environment of a package's `page.html`, in the style of the reports."""
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, ""), jinja2.PackageLoader(__package__, "")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Returns the shortest ends of paths that are all different."""
    longest = max(len(path.parts) for path in paths)
    for n in range(1, longest + 1):
        names = [Path(*path.parts[-n:]).as_posix() for path in paths]
        if len(set(names)) == len(names):
            break
    return names
