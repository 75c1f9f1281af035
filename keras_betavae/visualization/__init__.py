"""Pictures as arrays, files and matplotlib figures (`plot_*`)."""

from keras_betavae.visualization.images import (
    image_grid,
    labeled_grid,
    reconstructions,
    write_animation,
    write_png,
)
from keras_betavae.visualization.plots import (
    figure_image,
    line_style,
    plot_grid,
    plot_histograms,
    plot_information,
    plot_pairs,
    plot_response_curves,
    plot_response_maps,
)
from keras_betavae.visualization.responses import response_curves, response_map
from keras_betavae.visualization.series import View
from keras_betavae.visualization.sheets import contact_sheet, factor_sweep
from keras_betavae.visualization.studies import plot_capacity, plot_frontier, plot_heat_map
from keras_betavae.visualization.traversals import (
    SPANS,
    interpolate,
    latent_labels,
    traversal_values,
    traverse,
    write_traversal,
)

__all__ = [
    "SPANS",
    "View",
    "contact_sheet",
    "factor_sweep",
    "figure_image",
    "image_grid",
    "interpolate",
    "labeled_grid",
    "latent_labels",
    "line_style",
    "plot_capacity",
    "plot_frontier",
    "plot_grid",
    "plot_heat_map",
    "plot_histograms",
    "plot_information",
    "plot_pairs",
    "plot_response_curves",
    "plot_response_maps",
    "reconstructions",
    "response_curves",
    "response_map",
    "traversal_values",
    "traverse",
    "write_animation",
    "write_png",
    "write_traversal",
]
