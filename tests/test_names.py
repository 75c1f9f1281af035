import unicodedata

import numpy as np
import pytest

from keras_betavae import visualization
from keras_betavae._utils.names import file_names, one_line

HOSTILE = [
    "cost$1_vs_$2^{",
    "x" * 250,
    "x" * 249 + "y",
    "日本" * 100,
    "a/b",
    "a:b",
    "a_b-c14cddc0",
    "../up",
    "..",
    "",
    " ",
    "CON",
    "nul.txt",
    "trailing.",
    "Shape",
    "shape",
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
    "tab\tand\nline",
    "\ud800",
    "\u202egnp",
]


def test_file_names_are_safe_and_differ_on_every_system():
    found = file_names(HOSTILE)
    as_seen = [unicodedata.normalize("NFKC", name).casefold() for name in found.values()]
    assert list(found) == HOSTILE
    assert len(set(as_seen)) == len(HOSTILE)
    for name in found.values():
        assert 0 < len(name.encode()) <= 100
        assert not set(name) & set('/\\:*?"<>|$\n\t\0')
        assert name[0] not in " .-"
        assert name[-1] not in " ."
        assert name.partition(".")[0].casefold() not in ("con", "nul")


def test_plain_names_stay_whatever_else_is_there():
    assert file_names(["pos_x", "β=4,seed=0", "a/b"])["pos_x"] == "pos_x"
    assert file_names(["β=4,seed=0"]) == {"β=4,seed=0": "β=4,seed=0"}
    assert file_names(["a/b"])["a/b"] == file_names(["a/b", "a:b"])["a/b"]


@pytest.mark.parametrize("name", HOSTILE)
def test_labels_are_one_short_line(name):
    label = one_line(name)
    assert len(label) <= 40
    assert label.isprintable()


@pytest.mark.filterwarnings("ignore:Glyph .* missing from")
def test_figures_show_any_name_as_it_is():
    information = np.ones((2, len(HOSTILE)))
    figure = visualization.plot_information(information, HOSTILE)
    assert visualization.figure_image(figure, dpi=20).shape[-1] == 3
    view = visualization.View("vectors", HOSTILE[:2], np.zeros(2), np.ones(2))
    traversal = view.plot_traversal(np.zeros((1, 3, 2)), np.arange(3.0), HOSTILE[:1])
    assert visualization.figure_image(traversal, dpi=20).shape[-1] == 3
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown[0] == r"cost\$1_vs_\$2^{"
