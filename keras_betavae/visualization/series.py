"""Drawings of data: images, vectors as bars, and signals as lines."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_betavae._utils.names import figure_text, one_line
from keras_betavae.visualization.plots import SEQUENTIAL, line_style, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LIMIT = 3.5
"""Bars and lines are drawn within this many standard deviations."""
_SMALL, _WIDE = (64, 96), (110, 240)
_MOST_NAMES = 48
"""Vectors with more columns are drawn without names."""
_BAR = 13
"""Height of a bar with its name, in pixels."""


@dataclasses.dataclass(frozen=True)
class View:
    """How the images, vectors or signals of a data set are drawn.

    Attributes:
        kind: `"images"`, `"vectors"` or `"signals"`.
        columns: Names of columns or channels.
        mean: The mean of each column or channel; for images of real values, the value of black;
            None for images from 0 to 1.
        std: The standard deviation of each column or channel; for images of real values, the
            distance of white from black; or None.

    Example:
        >>> from keras_betavae.datasets import from_arrays
        >>> view = View.of(from_arrays([[1.0, 20.0], [3.0, 40.0]], columns=["a", "b"]))
        >>> view.cells(np.zeros((5, 2))).shape
        (5, 64, 96, 3)
    """

    kind: str = "images"
    columns: tuple[str, ...] = ()
    mean: np.ndarray | None = None
    std: np.ndarray | None = None

    @classmethod
    def of(cls, data: Any) -> "View":
        """Returns the view of a data set."""
        if data.dtype == "uint8":
            return cls()
        n = 200 if data.kind == "images" else 2_000
        few = data if len(data) <= n else data.split(n / len(data))[1]
        if data.kind != "images":
            return cls(data.kind, data.columns, *few.mean_and_std())
        images = few.images_at(np.arange(len(few)))
        low, high = float(images.min()), float(images.max())
        return cls(mean=np.array(low), std=np.array(high - low or 1.0))

    @property
    def is_series(self) -> bool:
        """Whether these are vectors or signals."""
        return self.kind != "images"

    def standardized(self, values: np.ndarray) -> np.ndarray:
        """Returns values minus their mean, in standard deviations."""
        return (np.asarray(values) - self.mean) / self.std

    def cells(self, values: np.ndarray, *, wide: bool = False) -> np.ndarray:
        """Returns a small picture of each image, vector or signal.

        Args:
            values: `(..., *image_shape)`: uint8, or in the units of the data.
            wide: Whether pictures of vectors and signals are large, and vectors have names.

        Returns:
            Floats (..., height, width, channels), 0 to 1.
        """
        values = np.asarray(values)
        if not self.is_series:
            if self.mean is not None:
                return self.standardized(values)
            return values / np.float32(255) if values.dtype.kind in "iu" else values
        n_axes = 1 if self.kind == "vectors" else 2
        shape = values.shape[values.ndim - n_axes :]
        flat = self.standardized(values).reshape(-1, *shape).clip(-_LIMIT, _LIMIT) / _LIMIT
        if self.kind == "signals":
            drawn = [_lines(signal, _WIDE if wide else _SMALL) for signal in flat]
        elif wide and len(self.columns) <= _MOST_NAMES:
            drawn = [_named_bars(vector, self.columns) for vector in flat]
        else:
            drawn = [_bars(vector, _WIDE if wide else _SMALL) for vector in flat]
        cells = np.stack(drawn).astype(np.float32) / 255
        return cells.reshape(*values.shape[: values.ndim - n_axes], *cells.shape[1:])

    def plot_traversal(
        self, rows: np.ndarray, values: np.ndarray, labels: Sequence[str]
    ) -> "Figure":
        """Returns a figure of a traversal of vectors or signals, a panel for each latent.

        Args:
            rows: Result of `traverse`, (rows, n_steps, columns) or (rows, n_steps, length,
                channels).
            values: The values of the latents, (n_steps,) or (rows, n_steps).
            labels: A title for each panel.
        """
        return _plot_traversal(self, np.asarray(rows), np.asarray(values), labels)


def _canvas(size: tuple[int, int]) -> tuple[Any, Any]:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (2 * size[1], 2 * size[0]), "white")
    return picture, ImageDraw.Draw(picture)


def _finished(picture: Any) -> np.ndarray:
    """Returns a picture at half its size, which smooths its lines."""
    return np.array(picture.reduce(2))


def _lines(signal: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draws a signal (length, channels) from -1 to 1."""
    picture, draw = _canvas(size)
    height, width = 2 * size[0] - 1, 2 * size[1] - 1
    draw.line([(0, height / 2), (width, height / 2)], fill="#dddddd")
    x = np.linspace(0, width, len(signal))
    for number, channel in enumerate(signal.T):
        points = np.stack([x, (1 - channel) / 2 * height], axis=1)
        draw.line([tuple(point) for point in points], fill=line_style(number)[0], width=2)
    return _finished(picture)


def _bars(vector: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draws a vector, values from -1 to 1, as vertical bars."""
    picture, draw = _canvas(size)
    height, width = 2 * size[0], 2 * size[1]
    edges = np.linspace(0, width, len(vector) + 1)
    gap = 2 if width > 6 * len(vector) else 0
    for left, right, value in zip(edges[:-1], edges[1:], vector, strict=True):
        ends = sorted([height / 2, (1 - value) / 2 * height])
        draw.rectangle([left, ends[0], max(left, right - gap), ends[1]], fill=_sign(value))
    draw.line([(0, height / 2), (width, height / 2)], fill="#888888")
    return _finished(picture)


def _named_bars(vector: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Draws a vector, values from -1 to 1, as horizontal bars with names."""
    import os
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    names = [one_line(name) for name in names]
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = ImageFont.truetype(os.fspath(path), 2 * (_BAR - 4))
    margin = min(300, 16 + max(int(font.getlength(name)) for name in names))
    picture, draw = _canvas((_BAR * len(names), margin // 2 + 120))
    middle = margin + 120
    for number, (name, value) in enumerate(zip(names, vector, strict=True)):
        top = 2 * _BAR * number
        while len(name) > 1 and font.getlength(name) > margin - 12:
            name = name.rstrip("…")[:-1] + "…"
        draw.text((margin - 8, top + _BAR), name, fill="black", font=font, anchor="rm")
        ends = sorted([middle, middle + 116 * value])
        draw.rectangle([ends[0], top + 4, ends[1], top + 2 * _BAR - 4], fill=_sign(value))
    draw.line([(middle, 0), (middle, picture.height)], fill="#888888")
    return _finished(picture)


def _sign(value: float) -> str:
    return line_style(0 if value >= 0 else 1)[0]


def _plot_traversal(
    view: View, rows: np.ndarray, values: np.ndarray, labels: Sequence[str]
) -> "Figure":
    import matplotlib

    is_vector = view.kind == "vectors"
    has_own_units = not is_vector and rows.shape[-1] == 1
    shown = rows if has_own_units else view.standardized(rows)
    shown = shown if is_vector else np.moveaxis(shown, -1, 1).reshape(-1, *rows.shape[1:3])
    n_panels = len(shown)
    columns = [figure_text(name) for name in view.columns]
    named = is_vector and len(columns) <= _MOST_NAMES
    n_columns = min(n_panels, 2 if is_vector else 3)
    n_rows = -(-n_panels // n_columns)
    height = (3.0 if named else 2.0) if n_rows == 1 else (1.8 if named else 1.6)
    figure = new_figure((4.6 * n_columns + 1.0, height * n_rows + (1.6 if named else 0.6)))
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    for panel in axes.flat[n_panels:]:
        panel.set_axis_off()
    n_channels = 1 if is_vector else rows.shape[-1]
    steps = np.broadcast_to(values, (len(rows), rows.shape[1]))
    span = matplotlib.colors.Normalize(float(steps.min()), float(steps.max()))
    colors = matplotlib.cm.ScalarMappable(span, SEQUENTIAL)
    for number, (panel, each) in enumerate(zip(axes.flat, shown, strict=False)):
        latent, channel = divmod(number, n_channels)
        for step, line in zip(steps[latent], each, strict=True):
            style = "o-" if is_vector else "-"
            panel.plot(line, style, color=colors.to_rgba(step), linewidth=1, markersize=2.5)
        title = labels[latent] if n_channels == 1 else f"{labels[latent]}, {view.columns[channel]}"
        panel.set_title(figure_text(title), fontsize=9)
        panel.tick_params(labelsize=7)
        if named:
            panel.set_xticks(range(len(columns)), columns, rotation=90, fontsize=7)
    for panel in axes[:, 0]:
        panel.set_ylabel(columns[0] if has_own_units else "std. deviations", fontsize=8)
    figure.colorbar(colors, ax=axes, label="value of the latent", shrink=0.8)
    return figure
