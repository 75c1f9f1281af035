"""Draw a traversal of each latent, sorted by KL, as PNG, GIF or WebP."""

import argparse

from keras_betavae.cli._paths import local
from keras_betavae.cli._subjects import add_data, open_subject


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    from keras_betavae import visualization

    command.add_argument(
        "model", type=local, metavar="MODEL", help="a run, a .keras file or a SavedModel"
    )
    add_data(command)
    command.add_argument(
        "--out", type=local, required=True, metavar="FILE.png|.gif|.webp", help="file to write"
    )
    command.add_argument(
        "--image",
        type=int,
        default=0,
        metavar="N",
        help="index of the image to start from (default: 0)",
    )
    command.add_argument(
        "--limit",
        type=float,
        default=3.0,
        metavar="N",
        help="from -N to N standard deviations (default: 3)",
    )
    command.add_argument(
        "--span",
        choices=visualization.SPANS,
        default="limit",
        help="limit: -N to N (default); range: range of each latent; quantiles: those of the prior",
    )
    command.add_argument(
        "--frames", type=int, default=11, metavar="N", help="number of steps (default: 11)"
    )


def run(options: argparse.Namespace) -> None:
    """Draws a traversal."""
    import numpy as np

    from keras_betavae import visualization
    from keras_betavae._utils.files import check_can_be_written
    from keras_betavae.evaluation.inspection import inspect
    from keras_betavae.visualization.traversals import check_ending

    check_ending(options.out)
    check_can_be_written(options.out)
    subject = open_subject(options.model, options)
    vae, data = subject.model, subject.data
    if not 0 <= options.image < len(data):
        raise ValueError(f"--image must be from 0 to {len(data) - 1}, got {options.image}")
    code = np.asarray(vae.encode(data.images_at([options.image]))[0])[0]
    inspection = inspect(vae, data)
    values = visualization.traversal_values(
        options.span, options.frames, limit=options.limit, codes=inspection.codes
    )
    rows = visualization.traverse(vae, code, latents=inspection.by_kl, values=values)
    if options.out.suffix.lower() == ".png" and inspection.view.is_series:
        visualization.write_png(options.out, inspection.traversal_picture(rows, values))
    else:
        visualization.write_traversal(
            options.out, inspection.view.cells(rows), inspection.labels_of(inspection.by_kl)
        )
    print(options.out)
