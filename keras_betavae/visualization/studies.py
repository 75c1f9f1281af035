"""Figures of several runs, or of one run during training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_betavae._utils.names import figure_text
from keras_betavae.visualization.plots import SEQUENTIAL, line_style, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_heat_map(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    row_name: str = "",
    column_name: str = "",
    title: str = "",
) -> "Figure":
    """Returns a heat map annotated with its values.

    Args:
        values: (n_rows, n_columns); NaN is left blank.
        rows: A label for each row.
        columns: A label for each column.
        row_name: Label of the vertical axis.
        column_name: Label of the horizontal axis.
        title: The figure's title.
    """
    values = np.asarray(values, float)
    longest = max((len(row) for row in rows), default=0)
    figure = new_figure((2.0 + 0.07 * longest + 0.8 * len(columns), 1.3 + 0.45 * len(rows)))
    axes = figure.add_subplot()
    shown = axes.imshow(values, cmap=SEQUENTIAL, aspect="auto")
    axes.set_yticks(range(len(rows)), map(figure_text, rows))
    axes.set_xticks(range(len(columns)), map(figure_text, columns))
    axes.set_xlabel(column_name)
    axes.set_ylabel(row_name)
    axes.set_title(title)
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "black" if value > middle else "white"
            axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=color)
    figure.colorbar(shown, ax=axes)
    return figure


def plot_frontier(points: Mapping[str, Sequence[tuple[float, float]]], score: str) -> "Figure":
    """Returns a figure of a score against the reconstruction loss, a marker for each model.

    Args:
        points: Reconstruction loss in nats and score of each model, by the name of its recipe.
        score: Name of the score, the label of the vertical axis.
    """
    figure = new_figure((7.0, max(3.6, 0.4 + 0.17 * len(points))))
    axes = figure.add_subplot()
    for number, (name, found) in enumerate(points.items()):
        color, _ = line_style(number)
        axes.plot(
            *zip(*found, strict=True),
            _MARKERS[number % len(_MARKERS)],
            color=color,
            alpha=0.7,
            markersize=5,
            label=figure_text(name),
        )
    axes.set_xlabel("reconstruction loss, nats")
    axes.set_ylabel(score)
    axes.set_ylim(bottom=0.0)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def plot_capacity(
    capacity: np.ndarray,
    kl: np.ndarray,
    latents: Mapping[int, str],
    shares: np.ndarray,
    factor_names: Sequence[str],
) -> "Figure":
    """Returns a figure of each latent's KL, and the information on factors, against the capacity.

    Args:
        capacity: C in nats, (n,).
        kl: KL of each latent in nats, (n, latent_dim).
        latents: The latents to draw in color, with their labels; the others are gray.
        shares: Mutual information of each factor with its best latent, as a share of the factor's
            entropy, (n, n_factors).
        factor_names: A name for each factor.
    """
    figure = new_figure((9.0, 4.0))
    axes: Any = figure.subplots(1, 2)
    for number, (latent, label) in enumerate(latents.items()):
        color, style = line_style(number)
        axes[0].plot(
            capacity, kl[:, latent], color=color, linestyle=style, label=figure_text(label)
        )
    others = [latent for latent in range(kl.shape[1]) if latent not in latents]
    for number, latent in enumerate(others):
        label = "" if number else "others"
        axes[0].plot(capacity, kl[:, latent], color="lightgray", zorder=1, label=label)
    axes[0].plot(capacity, kl.sum(axis=1), color="black", label="all")
    axes[0].plot(capacity, capacity, color="gray", linestyle=":", label="C")
    axes[0].set_ylabel("KL, nats")
    for number, name in enumerate(factor_names):
        color, style = line_style(number)
        axes[1].plot(
            capacity, shares[:, number], color=color, linestyle=style, label=figure_text(name)
        )
    axes[1].set_ylabel("mutual information of the best latent / entropy")
    axes[1].set_ylim(0, 1)
    for panel in axes:
        panel.set_xlabel("C, nats")
        panel.legend(fontsize=7)
    return figure


_MARKERS = "osD^v"
