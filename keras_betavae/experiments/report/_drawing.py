"""Charts and images as text within a page."""

import base64
import hashlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from keras_betavae import visualization
from keras_betavae._utils.names import in_legend


def chart(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str, unit: str, section: str
) -> Markup:
    """Returns curves (steps, values) as SVG that takes the page's color, "" if none has two points.

    Args:
        curves: By name.
        title: Of the chart; no other in the section has it.
        unit: Of the values.
        section: The id of the section.
    """
    if all(len(steps) < 2 for steps, _ in curves.values()):
        return Markup("")
    import matplotlib
    from matplotlib.figure import Figure

    options: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": title,
        "font.family": "sans-serif",
        "text.parse_math": False,  # A run's name is no formula.
    }
    with matplotlib.rc_context(options):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        axes = figure.add_subplot()
        for number, (name, (steps, values)) in enumerate(curves.items()):
            color, style = visualization.line_style(number)
            axes.plot(steps, values, label=in_legend(name), color=color, linestyle=style)
        axes.set_title(title)
        axes.set_xlabel("training step")
        axes.set_ylabel(unit)
        if len(curves) > 5:
            figure.legend(loc="outside right upper", fontsize=7, framealpha=0.0)
        elif len(curves) > 1:
            axes.legend(fontsize=7, framealpha=0.0)
        for spine in ("top", "right"):
            axes.spines[spine].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
        )
    return _inline(buffer.getvalue(), title, f"c{slug(section + title)}-")


def data_uri(picture: np.ndarray) -> str:
    """Returns an image, uint8, as the data URI of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="png", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def slug(value: str) -> str:
    """Returns a few letters and digits that differ between texts."""
    return hashlib.sha256(value.encode()).hexdigest()[:8]


def _inline(svg: str, title: str, prefix: str) -> Markup:
    """Returns an SVG file's text as a part of a page, whose other ids it must not meet."""
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")
    # Text has no color of its own, and would be black.
    opening = f'<svg role="img" aria-label="{escape(title)}" fill="currentColor" '
    svg = svg.replace("<svg ", opening, 1)
    for reference in ('id="', 'xlink:href="#', "url(#"):
        svg = svg.replace(reference, reference + prefix)
    return Markup(svg)
