"""TensorBoard's layout, hyperparameters and projector for a run."""

import contextlib
import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_betavae import visualization
from keras_betavae._utils.files import moved_into_place, written_files
from keras_betavae._utils.names import one_line
from keras_betavae.callbacks.curves import LossCurves, tag_of
from keras_betavae.datasets import ImageDataset
from keras_betavae.metrics import Score
from keras_betavae.objectives import Objective

_PROJECTOR_FILES = (
    "codes.tsv",
    "images.tsv",
    "images.png",
    "projector_config.pbtxt",
    "events.out.tfevents.*",
)
THUMBNAIL = 64
"""The longer side of a thumbnail in the projector, at most, in pixels."""


def write_layout(
    log_dir: str | os.PathLike, objective: Objective, scores: Mapping[str, Score]
) -> None:
    """Arranges the curves of the callbacks in the tab "Custom Scalars".

    Args:
        log_dir: TensorBoard's folder.
        objective: The model's objective; its `charts` get their own tab.
        scores: Names of the scores of `DisentanglementMetric`.
    """
    from tensorboard.plugins.custom_scalar import layout_pb2, summary

    def chart(title: str, *tags: str) -> layout_pb2.Chart:
        # The tags are regular expressions that a tag begins with.
        lines = layout_pb2.MultilineChartContent(tag=[f"{tag}$" for tag in tags])
        return layout_pb2.Chart(title=title, multiline=lines)

    tabs = {
        "loss": [
            chart("loss, nats", tag_of("loss")),
            chart("reconstruction, nats", tag_of("reconstruction_loss")),
            chart("KL, nats", tag_of("kl_loss")),
        ],
        "latents": [
            chart("KL of each latent, nats", r"kl/latent_\d+"),
            chart("active latents", "kl/active_latents"),
        ],
    }
    if objective.charts:
        tabs["objective"] = [
            chart(title, *map(tag_of, names)) for title, names in objective.charts.items()
        ]
    tabs["scores"] = []
    titles = {True: "higher is better", False: "lower is better", None: "neither is better"}
    for is_better, title in titles.items():
        names = [name for name, s in scores.items() if s.larger_is_better is is_better]
        if names:
            tabs["scores"].append(chart(title, *(f"disentanglement/{name}" for name in names)))
    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(title=tab, chart=charts) for tab, charts in tabs.items() if charts
        ]
    )
    with _writer(Path(log_dir) / LossCurves.folder):
        tf.summary.experimental.write_raw_pb(summary.pb(layout).SerializeToString(), step=0)


def write_hyperparameters(
    log_dir: str | os.PathLike,
    settings: Mapping[str, bool | float | str],
    scores: Mapping[str, float],
    step: int,
) -> None:
    """Adds a run to the tab "HParams", which compares the runs in a folder.

    Replaces an earlier entry of the run.

    Args:
        log_dir: The run's folder for TensorBoard.
        settings: The settings of the run.
        scores: The final scores; non-finite ones are left out.
        step: The training step of the scores.
    """
    from tensorboard.plugins.hparams import api

    folder = Path(log_dir) / "hparams"
    clear_events(folder)
    with _writer(folder):
        # Without an id, each run is its own group, even if others have the same settings.
        api.hparams(dict(settings), trial_id="")
        for name, value in scores.items():
            if math.isfinite(value):
                tf.summary.scalar(f"disentanglement/{name}", value, step)


def write_projector(
    log_dir: str | os.PathLike, model: Any, data: ImageDataset, *, n: int = 1_000, seed: int = 0
) -> None:
    """Adds codes to the tab "Projector", with their images and factors.

    Replaces earlier codes.

    Args:
        log_dir: TensorBoard's folder.
        model: Anything with a method `encode` that returns the posterior's mean first.
        data: Images with factors, or without.
        n: Number of images to draw, at most all.
        seed: Seed of the draw.
    """
    target = Path(log_dir) / "projector"
    target.parent.mkdir(parents=True, exist_ok=True)
    with moved_into_place(target, replaces=_PROJECTOR_FILES) as folder:
        folder.mkdir()
        _write_codes(folder, model, data, n, seed)


def _write_codes(folder: Path, model: Any, data: ImageDataset, n: int, seed: int) -> None:
    from tensorboard.plugins import projector

    indices = data.sample_indices(n, seed, distinct=True)
    images = data.images_at(indices)
    codes = np.asarray(model.encode(images)[0])
    np.savetxt(folder / "codes.tsv", codes, fmt="%.6g", delimiter="\t", encoding="utf-8")

    # TensorBoard expects no header in a file with one column.
    names = [one_line(name) for name in data.factor_names]
    header = "\t".join(["image", *names]) if names else ""
    rows = np.column_stack([indices, data.factors_at(indices)])
    np.savetxt(
        folder / "images.tsv", rows, "%d", "\t", header=header, comments="", encoding="utf-8"
    )

    images = visualization.View.of(data).cells(images)
    height, width = images.shape[1:3]
    scale = min(1.0, THUMBNAIL / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    side = math.ceil(math.sqrt(len(images)))
    thumbnails = np.zeros((side**2, *size, images.shape[-1]), np.float32)
    thumbnails[: len(images)] = tf.image.resize(images, size, method="area")
    grid = thumbnails.reshape(side, side, *thumbnails.shape[1:])
    visualization.write_png(folder / "images.png", visualization.image_grid(grid, padding=0))

    config = projector.ProjectorConfig()
    shown = config.embeddings.add(
        tensor_name="codes", tensor_path="codes.tsv", metadata_path="images.tsv"
    )
    shown.sprite.image_path = "images.png"
    shown.sprite.single_image_dim.extend(size[::-1])
    projector.visualize_embeddings(os.fspath(folder), config)
    with _writer(folder):
        pass  # TensorBoard reads only folders with events.


def clear_events(folder: Path) -> None:
    """Removes the event files in a folder and those below it; follows no links."""
    for path in written_files(folder, "*events.out.tfevents.*"):
        path.unlink()


def drop_events(log_dir: str | os.PathLike, step: int, but: Collection[str] = ()) -> None:
    """Drops events after the step from which a training resumes.

    Args:
        log_dir: TensorBoard's folder.
        step: The step.
        but: Folders in it that also lose the events of the step itself.
    """
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    for path in written_files(Path(log_dir), "*/events.out.tfevents.*"):
        last = step - (path.parent.name in but)
        with moved_into_place(path) as aside, tf.io.TFRecordWriter(os.fspath(aside)) as writer:
            # It stops at a partial event, left by a killed process.
            for event in RawEventFileLoader(os.fspath(path)).Load():
                if tf.compat.v1.Event.FromString(event).step <= last:
                    writer.write(event)


@contextlib.contextmanager
def _writer(folder: Path) -> Iterator[None]:
    writer = tf.summary.create_file_writer(os.fspath(folder))
    with writer.as_default(step=0):
        yield
    writer.close()
