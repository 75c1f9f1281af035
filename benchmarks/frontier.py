"""Draws MIG against the reconstruction loss of all runs of recipes.py and objectives.py.

    python benchmarks/frontier.py [TABLE.csv ...] [--out docs/images/frontier.png]

The tables are by default those of docs/results.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from keras_betavae import visualization
from keras_betavae.visualization.plots import new_figure
from recipes import rows

RESULTS = Path(__file__).parents[1] / "docs" / "results"
MARKERS = "osD^"


def main() -> None:
    """Draws the figure."""
    parser = argparse.ArgumentParser()
    tables = [RESULTS / "recipes.csv", RESULTS / "objectives.csv"]
    parser.add_argument("tables", nargs="*", type=Path, default=tables)
    parser.add_argument("--out", type=Path, default=RESULTS.parent / "images" / "frontier.png")
    options = parser.parse_args()
    points = defaultdict(list)
    for row in (row for table in options.tables for row in rows(table)):
        points[row["recipe"]].append((float(row["reconstruction"]), float(row["mig"])))
    figure = new_figure((7.0, 3.6))
    axes = figure.add_subplot()
    for number, (name, found) in enumerate(points.items()):
        color, _ = visualization.line_style(number)
        marker = MARKERS[number // 6]
        axes.plot(*zip(*found, strict=True), marker, color=color, alpha=0.7, ms=5, label=name)
    axes.set_xlabel("reconstruction loss, nats")
    axes.set_ylabel("MIG, five factors")
    axes.set_ylim(bottom=0.0)
    figure.legend(loc="outside right upper", fontsize=8)
    visualization.write_png(options.out, visualization.figure_image(figure))


if __name__ == "__main__":
    main()
