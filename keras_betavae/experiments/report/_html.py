"""The pieces of a page: tables, charts and pictures as HTML."""

import base64
import hashlib
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_betavae import visualization


def chart(curves: Mapping[str, Any], title: str, unit: str) -> str:
    """Returns curves (steps, values) as SVG that takes the page's colour, "" if there are none."""
    curves = {name: curve for name, curve in curves.items() if curve is not None and len(curve[0])}
    if not curves:
        return ""
    import matplotlib
    from matplotlib.figure import Figure

    options: Any = {"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif"}
    with matplotlib.rc_context(options):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        axes = figure.add_subplot()
        for number, (name, (steps, values)) in enumerate(curves.items()):
            colour, style = visualization.line_style(number)
            axes.plot(steps, values, label=name, color=colour, linestyle=style)
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
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")
    # Text has no colour of its own, and would be black.
    svg = svg.replace(
        "<svg ", f'<svg role="img" aria-label="{text(title)}" fill="currentColor" ', 1
    )
    # The ids of one chart must not meet those of another in the same page.
    prefix = f"c{slug(svg)}-"
    for reference in ('id="', 'xlink:href="#', "url(#"):
        svg = svg.replace(reference, reference + prefix)
    return svg


def figures(charts: Iterable[str]) -> str:
    inner = "".join(f"<figure>{chart}</figure>" for chart in charts if chart)
    return f'<div class="charts">{inner}</div>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{text(first)}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def section(identity: str, title: str, content: str) -> str:
    return f'<section id="{identity}"><h2>{text(title)}</h2>\n{content}\n</section>'


def data_uri(picture: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def slug(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:8]


def text(value: str) -> str:
    return html.escape(str(value), quote=True)
