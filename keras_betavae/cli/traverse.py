"""Draw what each latent does, rows sorted by KL, as PNG, GIF or WebP."""

import argparse
from pathlib import Path
from typing import Any


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    from keras_betavae import visualization
    from keras_betavae.datasets import catalog

    command.add_argument(
        "model", type=Path, metavar="MODEL", help="a run, a .keras file or a SavedModel"
    )
    command.add_argument(
        "--data",
        choices=catalog.names(),
        metavar="NAME",
        help="the data set of the images, unless the model is a run",
    )
    command.add_argument("--data-path", type=Path, metavar="PATH", help="its released file")
    command.add_argument("--out", type=Path, required=True, metavar="FILE.png|.gif|.webp")
    command.add_argument(
        "--image", type=int, default=0, metavar="N", help="index of the image to start from (0)"
    )
    command.add_argument(
        "--limit", type=float, default=3.0, metavar="N", help="from -N to N (3 standard deviations)"
    )
    command.add_argument(
        "--span",
        choices=visualization.SPANS,
        default="limit",
        help="limit: -N to N (default); range: each latent's own; quantiles: the prior's",
    )
    command.add_argument("--frames", type=int, default=11, metavar="N", help="steps (11)")


def run(options: argparse.Namespace) -> None:
    """Draws a traversal."""
    import numpy as np

    from keras_betavae import visualization
    from keras_betavae.evaluation.inspection import inspect
    from keras_betavae.experiments import runs

    vae = runs.open_model(options.model)
    data = _data(options)
    if not 0 <= options.image < len(data):
        raise ValueError(f"--image must be from 0 to {len(data) - 1}, got {options.image}")
    code = np.asarray(vae.encode(data.images_at([options.image]))[0])[0]
    inspection = inspect(vae, data)
    values = visualization.traversal_values(
        options.span, options.frames, limit=options.limit, codes=inspection.codes
    )
    rows = visualization.traverse(vae, code, latents=inspection.by_kl, values=values)
    visualization.write_traversal(options.out, rows, inspection.labels_of(inspection.by_kl))
    print(options.out)


def _data(options: argparse.Namespace) -> Any:
    """Returns the data set of a run, or the one that was named."""
    from keras_betavae.datasets import catalog
    from keras_betavae.experiments import runs

    if (options.model / "config.json").is_file():
        if options.data or options.data_path:
            raise ValueError("a run has its own data; leave out --data and --data-path")
        return runs.load_settings(options.model).load_data()
    if not options.data:
        raise ValueError(
            f"{options.model} is not a run folder; name the data set of its images by --data"
        )
    return catalog.load(options.data, options.data_path)
