"""The table that `evaluate` returns, and comparisons of several tables."""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from keras_betavae._utils.files import check_can_be_written, local_path
from keras_betavae._utils.tables import (
    csv_text,
    finite_or_none,
    markdown_table,
    number_text,
    write_text,
)
from keras_betavae.metrics import SCORES, Score

_ARROWS = {True: "↑", False: "↓", None: ""}


@dataclasses.dataclass(frozen=True)
class Row:
    """One score of a `ScoreTable`.

    Attributes:
        name: The row's name; a composite score has a row for each of its numbers.
        score: The score's name in `metrics.SCORES`, or the user's name for it.
        value: The mean over seeds.
        low: Lower end of the 95 % interval; None with one seed or a non-finite value.
        high: Upper end.
        larger_is_better: None if neither is better, or unknown.
        seed: The first seed.
        n_seeds: Number of consecutive seeds.
        n_images: Number of encoded images.
        n_train: Number of samples (points, votes) that the score used, or fitted to.
        n_test: Number of samples (points, votes) that it tested on; None without a test.
        seconds: Time of the score for all seeds, without the encoding.
        factor_bins: Number of quantile bins of continuous factors; None without continuous
            factors, or if the score regresses them.
    """

    name: str
    score: str
    value: float
    low: float | None
    high: float | None
    larger_is_better: bool | None
    seed: int
    n_seeds: int
    n_images: int
    n_train: int
    n_test: int | None
    seconds: float
    factor_bins: int | None = None


class ScoreTable(dict[str, float]):
    """Scores by name; `rows` says how each was computed.

    It is a dict of the values. It prints as a Markdown table, where ↑ means that larger is
    better and ↓ that smaller is better.

    Args:
        rows: In the order of the table.

    Raises:
        ValueError: If two rows have the same name.

    Example:
        >>> from keras_betavae.evaluation import evaluate_codes
        >>> codes = np.random.default_rng(0).normal(size=(1_000, 3))
        >>> table = evaluate_codes(None, codes, scores=["active_units", "total_correlation"])
        >>> table["active_units"]
        3.0
    """

    def __init__(self, rows: Iterable[Row]):
        self.rows = tuple(rows)
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two scores have a row {twice!r}; give them other names")
        super().__init__((row.name, row.value) for row in self.rows)

    def __str__(self) -> str:
        """Returns the table in Markdown."""
        return self.to_markdown()

    __repr__ = __str__

    def to_markdown(self) -> str:
        """Returns an aligned Markdown table."""
        header = ["score", "", "value", "95 % interval", "images", "train", "test", "seconds"]
        cells = [
            [
                row.name,
                _ARROWS[row.larger_is_better],
                number_text(row.value),
                _interval(row),
                f"{row.n_images:,}",
                f"{row.n_train:,}",
                "" if row.n_test is None else f"{row.n_test:,}",
                f"{row.seconds:.2f}",
            ]
            for row in self.rows
        ]
        if all(row.low is None for row in self.rows):
            header, cells = header[:3] + header[4:], [line[:3] + line[4:] for line in cells]
        return markdown_table(header, cells) + binning_note(self.rows)

    def to_csv(self) -> str:
        """Returns CSV text: a line for each row, with all attributes of `Row`."""
        names = [field.name for field in dataclasses.fields(Row)]
        return csv_text(names, [dataclasses.asdict(row) for row in self.rows])

    def to_json(self) -> str:
        """Returns JSON text: a list of rows, with null for infinity and NaN."""
        rows = [dataclasses.asdict(row) for row in self.rows]
        for row in rows:
            row |= {name: finite_or_none(row[name]) for name in ("value", "low", "high")}
        return json.dumps(rows, indent=2, ensure_ascii=False)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the table to a file ending in .csv, .json or .md.

        Raises:
            ValueError: If the name has another ending.
            FileNotFoundError: If the folder does not exist.
        """
        path = check_path(path)
        text = {".csv": self.to_csv, ".json": self.to_json, ".md": self.to_markdown}[
            path.suffix.lower()
        ]()
        write_text(path, text)


def check_path(path: str | os.PathLike) -> Path:
    """Returns the path if a table can be saved there.

    Raises:
        ValueError: If the name does not end in .csv, .json or .md.
        FileNotFoundError: If the folder does not exist.
        IsADirectoryError: If the path is a folder.
    """
    path = local_path(path)
    if path.suffix.lower() not in (".csv", ".json", ".md"):
        raise ValueError(f"the file must end in .csv, .json or .md, got {path.name!r}")
    check_can_be_written(path)
    return path


def side_by_side(tables: Mapping[str, Mapping[str, float]]) -> str:
    """Returns a Markdown table with a row for each score and a column for each table.

    Args:
        tables: A `ScoreTable` or dict of scores for each column name. Missing scores are left
            empty.

    Example:
        >>> print(side_by_side({"ours": {"mig_score": 0.5}, "PCA": {"mig_score": 0.25}}))
        | score     |   |  ours |   PCA |
        | --------- | - | ----: | ----: |
        | mig_score | ↑ | 0.500 | 0.250 |
    """
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    arrows = {
        row: _ARROWS[score.larger_is_better]
        for name, score in SCORES.items()
        for row in score.rows or (name,)
    }
    for table in tables.values():
        for row in getattr(table, "rows", ()):
            arrows[row.name] = _ARROWS[row.larger_is_better]
    lines = [
        [
            name,
            arrows.get(name, ""),
            *(number_text(table[name]) if name in table else "" for table in tables.values()),
        ]
        for name in names
    ]
    rows = [row for table in tables.values() for row in getattr(table, "rows", ())]
    return markdown_table(["score", "", *tables], lines) + binning_note(rows)


def score_list() -> str:
    """Returns `metrics.SCORES` as a Markdown table.

    Example:
        >>> print(score_list().splitlines()[2][:70])
        | `beta_vae_score`                     | ↑ | 0 to 1 | two factors    |
    """
    lines = [
        [
            f"`{name}`",
            _ARROWS[score.larger_is_better],
            "{} to {}".format(*("∞" if np.isinf(end) else f"{end:g}" for end in score.range)),
            _needs(score),
            score.group,
            score.paper,
        ]
        for name, score in SCORES.items()
    ]
    return markdown_table(["score", "", "range", "needs", "group", "paper"], lines, numbers=False)


def _needs(score: Score) -> str:
    if score.several_models:
        return "several models"
    return ("codes", "factors", "two factors")[score.n_factors]


def _interval(row: Row) -> str:
    if row.low is None or row.high is None:
        return ""
    return f"{number_text(row.low)} to {number_text(row.high)}"


def binning_note(rows: Iterable[Row]) -> str:
    """Returns a paragraph on how continuous factors were scored, "" without such factors."""
    rows = list(rows)
    bins = {row.factor_bins for row in rows if row.factor_bins}
    if not bins:
        return ""
    regressed = {name for score in SCORES.values() for name in score.regressed}
    named = [name for name in dict.fromkeys(row.name for row in rows) if name in regressed]
    verb = "regresses" if len(named) == 1 else "regress"
    but = f", except for {', '.join(named)}, which {verb} their values" if named else ""
    return f"\n\nContinuous factors are put into {max(bins)} quantile bins{but}."
