"""Matplotlib figures of the other functions' results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_betavae._utils.names import figure_text
from keras_betavae.visualization.images import image_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEQUENTIAL, DIVERGING = "viridis", "managua"
"""Color maps: perceptually uniform and safe for color-blind readers."""


def plot_grid(images: np.ndarray, labels: Sequence[str] = (), title: str = "") -> "Figure":
    """Returns a figure of rows of images, with a label for each row.

    Args:
        images: (rows, columns, height, width, channels), floats from 0 to 1, such as a
            traversal, an interpolation or reconstructions.
        labels: A label for each row, or none.
        title: The figure's title.
    """
    rows, columns = images.shape[:2]
    figure = new_figure((1.5 + 0.7 * columns, 0.5 + 0.7 * rows))
    axes = figure.add_subplot()
    grid = image_grid(images)
    axes.imshow(grid, interpolation="nearest")
    height = (len(grid) - 2) / rows
    axes.set_yticks(
        (np.arange(rows) + 0.5) * height if len(labels) else [], map(figure_text, labels)
    )
    axes.set_xticks([])
    axes.set_frame_on(False)
    axes.tick_params(length=0)
    axes.set_title(figure_text(title) if title else "")
    return figure


def plot_response_maps(
    maps: np.ndarray,
    labels: Sequence[str],
    *,
    rows: str = "pos_y",
    columns: str = "pos_x",
) -> "Figure":
    """Returns a figure of response maps, one for each latent, with a common color scale.

    Args:
        maps: Result of `response_map`, (n_latents, n_rows, n_columns).
        labels: A title for each map, from `latent_labels`.
        rows: Name of the factor of the rows.
        columns: Name of the factor of the columns.
    """
    n = len(maps)
    n_columns = min(n, 5)
    n_rows = -(-n // n_columns)
    figure = new_figure((2.1 * n_columns + 1.0, 2.3 * n_rows + 0.3))
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    limit = max(float(np.nanmax(np.abs(maps))), 1e-6)
    for panel in axes.flat[n:]:
        panel.set_axis_off()
    for panel, each, label in zip(axes.flat[:n], maps, labels, strict=True):
        shown = panel.imshow(each, cmap=DIVERGING, vmin=-limit, vmax=limit)
        panel.set_title(figure_text(label), fontsize=9)
        panel.set_xlabel(figure_text(columns, 32), fontsize=8)
        panel.set_ylabel(figure_text(rows, 32), fontsize=8)
        panel.set_xticks([])
        panel.set_yticks([])
    figure.colorbar(shown, ax=axes, label="mean of the latent", shrink=0.8)
    return figure


def plot_response_curves(
    curves: np.ndarray,
    labels: Sequence[str],
    *,
    along: str,
    by: Sequence[str] = ("",),
    values: np.ndarray | None = None,
) -> "Figure":
    """Returns a figure of response curves, a panel for each latent.

    Args:
        curves: Result of `response_curves`, (n_latents, n_curves, n_values).
        labels: A title for each panel.
        along: Name of the factor along the curves.
        by: A name for each curve.
        values: The factor's values along the curves, (n_values,); by default its classes.
    """
    n = len(curves)
    n_columns = min(n, 5)
    n_rows = -(-n // n_columns)
    figure = new_figure((2.3 * n_columns + 0.5, 2.0 * n_rows + 0.5))
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    for panel in axes.flat[n:]:
        panel.set_axis_off()
    for panel, each, label in zip(axes.flat[:n], curves, labels, strict=True):
        for number, (curve, name) in enumerate(zip(each, by, strict=True)):
            color, style = line_style(number)
            x = np.arange(len(curve)) if values is None else np.asarray(values)
            known = np.isfinite(x) & np.isfinite(curve)  # A class without images has no mean.
            panel.plot(x[known], curve[known], style, color=color, label=figure_text(name))
            if known.sum() == 1:
                panel.plot(x[known], curve[known], ".", color=color)
        panel.set_title(figure_text(label), fontsize=9)
        shown = figure_text(along, 24)
        panel.set_xlabel(f"{shown} (class)" if values is None else shown, fontsize=8)
    axes[0, 0].set_ylabel("mean of the latent", fontsize=8)
    if any(by):
        axes[0, 0].legend(fontsize=7)
    return figure


def plot_information(information: np.ndarray, factor_names: Sequence[str]) -> "Figure":
    """Returns a heat map of the mutual information of factors and latents.

    Args:
        information: Nats, (latent_dim, n_factors), from `metrics.mutual_information`.
        factor_names: A name for each factor.
    """
    information = np.asarray(information)
    names = [figure_text(name, 32) for name in factor_names]
    width = 1.6 + 0.07 * max(map(len, names), default=0) + 0.5 * len(information)
    figure = new_figure((width, 1.2 + 0.45 * len(names)))
    axes = figure.add_subplot()
    shown = axes.imshow(information.T, cmap=SEQUENTIAL, vmin=0.0, aspect="auto")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(information)), [f"z{j}" for j in range(len(information))])
    bright = 0.6 * max(float(information.max()), 1e-9) < information.T
    for (row, column), value in np.ndenumerate(information.T):
        color = "black" if bright[row, column] else "white"
        axes.text(column, row, f"{value:z.1f}", ha="center", va="center", color=color, fontsize=8)
    axes.set_title("mutual information")
    figure.colorbar(shown, ax=axes, label="nats")
    return figure


def plot_histograms(codes: np.ndarray, labels: Sequence[str] | None = None) -> "Figure":
    """Returns a histogram of each latent's codes with the density of the prior.

    Codes beyond ±4 are counted in the outermost bars.

    Args:
        codes: Codes (n, latent_dim), posterior samples or means.
        labels: A title for each panel; "z0" and so on by default.
    """
    n = codes.shape[1]
    labels = [f"z{j}" for j in range(n)] if labels is None else labels
    n_columns = min(n, 5)
    n_rows = -(-n // n_columns)
    figure = new_figure((2.0 * n_columns + 0.5, 1.8 * n_rows + 0.5))
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True)
    x = np.linspace(-4.0, 4.0, 201)
    for panel in axes.flat[n:]:
        panel.set_axis_off()
    for panel, code, label in zip(axes.flat[:n], codes.T, labels, strict=True):
        panel.hist(np.clip(code, -4.0, 4.0), bins=41, range=(-4.0, 4.0), density=True)
        panel.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), "k--", linewidth=1)
        panel.set_title(figure_text(label), fontsize=9)
    axes[0, 0].set_ylabel("density (dashed: prior)", fontsize=8)
    return figure


def plot_pairs(codes: np.ndarray, labels: Sequence[str], *, n: int = 2_000) -> "Figure":
    """Returns a pair plot of the aggregated posterior: histograms, and scatter plots of pairs.

    Args:
        codes: Codes (n, n_latents) of a few latents.
        labels: A name for each latent.
        n: Number of points to show, drawn at random.
    """
    codes = np.random.default_rng(0).permutation(codes)[:n]
    k = codes.shape[1]
    figure = new_figure((1.6 * k + 0.6, 1.6 * k + 0.6))
    axes = figure.subplots(k, k, squeeze=False)
    for row, column in np.ndindex(k, k):
        panel: Any = axes[row, column]
        if row == column:
            panel.hist(codes[:, row], bins=31, color=_COLORS[0])
        else:
            panel.scatter(codes[:, column], codes[:, row], s=2, alpha=0.4, linewidths=0)
        panel.tick_params(labelsize=6)
        if row == k - 1:
            panel.set_xlabel(figure_text(labels[column]), fontsize=8)
        if column == 0:
            panel.set_ylabel(figure_text(labels[row]), fontsize=8)
    return figure


def figure_image(figure: "Figure", *, dpi: int = 100) -> np.ndarray:
    """Returns a figure as a uint8 image (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def line_style(number: int) -> tuple[str, str]:
    """Returns a line's color and style; the first six are safe for color-blind readers."""
    return _COLORS[number % len(_COLORS)], _STYLES[number // len(_COLORS) % len(_STYLES)]


def new_figure(size: tuple[float, float]) -> "Figure":
    """Returns an empty figure of a size in inches."""
    # pyplot would keep every figure in memory, and open windows.
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


# Okabe and Ito's colors, which are safe for color-blind readers.
_COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_STYLES = ["-", "--", "-.", ":"]
