"""The page of the tried settings and the choice."""

from pathlib import Path

import numpy as np

from keras_betavae import visualization
from keras_betavae._utils.tables import write_text
from keras_betavae.evaluation.inspection import inspect, showcase
from keras_betavae.experiments import runs
from keras_betavae.experiments.report import data_uri, page_environment
from keras_betavae.experiments.tuning._choice import Choice, Tried
from keras_betavae.visualization.plots import new_figure

_N_IMAGES = 2_000


def write_page(choice: Choice) -> None:
    """Writes the page; it needs no other file."""
    data = runs.load_settings(choice.folder).load_data()
    images = showcase(data)

    def traversal(folder: Path) -> np.ndarray:
        vae = runs.load_model(folder)
        inspection = inspect(vae, data, n=_N_IMAGES)
        code = np.asarray(vae.encode(images[:1])[0])[0]
        # Latents that encode nothing would take most of a picture.
        rows = visualization.traverse(vae, code, latents=inspection.active)
        return visualization.labeled_grid(rows, inspection.labels_of(inspection.active))

    vae = runs.load_model(choice.folder)
    full = {
        "Images and their reconstructions.": visualization.labeled_grid(
            visualization.reconstructions(vae, images), ["image", "reconstruction"]
        ),
        "The traversal of all active latents.": traversal(choice.folder),
    }
    rivals = {f"{choice.chosen.name} (chosen), {_told(choice.chosen)}": choice.chosen}
    rivals |= {f"{each.name}, {_told(each)}": each for each in choice.rivals}
    page = page_environment(__package__).get_template("page.html")
    text = page.render(
        choice=choice,
        has_mig=any(each.mig is not None for each in choice.tried),
        scatter=data_uri(_scatter(choice)),
        rivals={name: data_uri(traversal(each.folder)) for name, each in rivals.items()},
        full_run=choice.folder.relative_to(choice.page.parent).as_posix(),
        full={caption: data_uri(picture) for caption, picture in full.items()},
    )
    write_text(choice.page, text)


def _told(each: Tried) -> str:
    return f"UDR {each.udr:.3f}, reconstruction {each.reconstruction:.1f} nats"


def _scatter(choice: Choice) -> np.ndarray:
    figure = new_figure((7.0, 4.2))
    axes = figure.add_subplot()
    groups = {
        "sound": [each for each in choice.tried if not each.fault],
        "ruled out": [each for each in choice.tried if each.fault],
    }
    for number, (name, group) in enumerate(groups.items()):
        color, _ = visualization.line_style(number)
        ended = [each for each in group if each.udr is not None]
        if ended:
            x, y = [each.reconstruction for each in ended], [each.udr or 0.0 for each in ended]
            axes.scatter(x, y, label=name, color=color, s=25)
        given_up = [each.reconstruction for each in group if each.udr is None]
        if given_up:
            axes.plot(
                given_up, [0.0] * len(given_up), "|", color=color, ms=12, label="given up, no UDR"
            )
    axes.margins(x=0.15, y=0.1)
    middle = sum(axes.get_xlim()) / 2
    for number, each in enumerate((choice.chosen, *choice.rivals)):
        # Towards the middle, and the last below, as rivals may be close to each other.
        is_right, is_last = each.reconstruction > middle, number == 2
        axes.annotate(
            each.name,
            (each.reconstruction, each.udr or 0.0),
            xytext=(-6 if is_right else 6, -11 if is_last else 5),
            textcoords="offset points",
            ha="right" if is_right else "left",
            fontsize=7,
            fontweight="bold" if each is choice.chosen else "normal",
            parse_math=False,
        )
    around = [choice.chosen.reconstruction], [choice.chosen.udr or 0.0]
    axes.plot(*around, "o", ms=13, mfc="none", mec="black", label="chosen")
    axes.set_xlabel("reconstruction loss, nats per image (lower is better)")
    axes.set_ylabel("UDR (higher is better)")
    axes.legend(fontsize=8)
    return visualization.figure_image(figure)
