"""Draws MIG against the reconstruction loss of all runs of recipes.py and objectives.py.

    python benchmarks/frontier.py [TABLE.csv ...] [--out docs/images/frontier.png]

The tables are by default those of docs/results.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from keras_betavae import visualization
from recipes import rows

RESULTS = Path(__file__).parents[1] / "docs" / "results"


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
    figure = visualization.plot_frontier(points, "MIG, five factors")
    visualization.write_png(options.out, visualization.figure_image(figure))


if __name__ == "__main__":
    main()
