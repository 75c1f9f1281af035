import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from keras_betavae import visualization
from keras_betavae.visualization import plots

NUMBERS = [1, 6]
FIT = ConstrainedLayoutEngine.execute


@pytest.fixture(scope="module", autouse=True)
def fitted_parts():
    """Figures as users see them; elsewhere tests/conftest.py saves the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConstrainedLayoutEngine, "execute", FIT)
        yield


def named(n):
    return [f"z{j}  1.0 nats" for j in range(n)]


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


def maps_of(n):
    maps = normal(n, 4, 5)
    maps[:, 1, 2] = np.nan
    return maps


FIGURES = {
    "grid": lambda n: visualization.plot_grid(normal(n, 3, 8, 8, 1), named(n), "title"),
    "histograms": lambda n: visualization.plot_histograms(normal(50, n)),
    "information": lambda n: visualization.plot_information(abs(normal(n, 3)), list("abc")),
    "pairs": lambda n: visualization.plot_pairs(normal(50, n)[:, :3], named(n)),
    "response_curves": lambda n: visualization.plot_response_curves(
        maps_of(n), named(n), along="scale", by=list("abcd")
    ),
    "response_maps": lambda n: visualization.plot_response_maps(maps_of(n), named(n)),
}


def panels(figure):
    """The axes that show something, without the scale of colors."""
    return [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]


def titles(figure):
    return [axes.get_title() for axes in panels(figure)]


def scale_of(figure):
    [axes] = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    return axes.get_ylabel()


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_and_pyplot_knows_none(name, n):
    figure = FIGURES[name](n)
    assert isinstance(figure, Figure)
    image = visualization.figure_image(figure, dpi=50)
    assert image.dtype == np.uint8
    width, height = figure.get_size_inches() * 50
    assert image.shape[2] == 3
    np.testing.assert_allclose(image.shape[:2], (height, width), atol=1)
    # White around, and not blank.
    assert (image[0] == 255).all()
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 10
    assert pyplot.get_fignums() == []


def test_figures_of_the_same_data_are_the_same_to_the_pixel():
    first, again = (visualization.figure_image(FIGURES["response_maps"](2)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    large = visualization.figure_image(FIGURES["response_maps"](2), dpi=200)
    np.testing.assert_array_equal(large.shape, (2 * len(first), 2 * first.shape[1], 3))


def test_color_maps_are_perceptually_uniform():
    assert (plots.SEQUENTIAL, plots.DIVERGING) == ("viridis", "managua")


# Grids.


def test_a_grid_shows_its_images_and_their_labels():
    images = np.random.default_rng(0).random((3, 4, 8, 8, 1))
    figure = visualization.plot_grid(images, ["a", "b", "c"], "traversal")
    [axes] = figure.axes
    np.testing.assert_array_equal(axes.images[0].get_array(), visualization.image_grid(images))
    assert axes.get_title() == "traversal"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    # Rows of 8 pixels, between lines of 2.
    np.testing.assert_allclose(axes.get_yticks(), [5.5, 15.5, 25.5], atol=0.6)
    assert list(axes.get_xticks()) == []


def test_a_grid_needs_no_labels():
    [axes] = visualization.plot_grid(np.zeros((2, 3, 8, 8, 3))).axes
    assert list(axes.get_yticks()) == []
    assert axes.get_title() == ""


# Responses.


@pytest.mark.parametrize("n", NUMBERS)
def test_maps_share_one_scale_about_zero(n):
    maps = maps_of(n)
    figure = visualization.plot_response_maps(maps, named(n), rows="row", columns="column")
    assert titles(figure) == named(n)
    assert scale_of(figure) == "mean of the latent"
    limit = np.nanmax(abs(maps))
    for axes, each in zip(panels(figure), maps, strict=True):
        [image] = axes.images
        shown = image.get_array()
        np.testing.assert_array_equal(np.ma.filled(shown, np.nan), each)
        assert image.get_cmap().name == "managua"
        assert image.get_clim() == (-limit, limit)
        # The first row, pos_y's lowest, is above, as in the images.
        assert image.origin == "upper"
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("column", "row")


def test_maps_are_by_default_those_of_the_positions():
    [axes] = panels(visualization.plot_response_maps(np.zeros((1, 2, 2)), ["z0"]))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("pos_x", "pos_y")


@pytest.mark.parametrize("n", NUMBERS)
def test_curves_are_the_rows_of_each_latent(n):
    curves, by = maps_of(n), ["square", "ellipse", "heart", "\u200b_star"]
    names = [name.strip("\u200b") for name in by]  # Matplotlib leaves out those that begin with _.
    figure = visualization.plot_response_curves(curves, named(n), along="scale", by=names)
    assert titles(figure) == named(n)
    for axes, each in zip(panels(figure), curves, strict=True):
        assert [line.get_label() for line in axes.lines] == by
        for line, curve in zip(axes.lines, each, strict=True):
            known = np.isfinite(curve)
            np.testing.assert_array_equal(line.get_ydata(), curve[known])
            np.testing.assert_array_equal(line.get_xdata(), np.arange(5)[known])
        assert axes.get_xlabel() == "scale (class)"
        assert axes.get_ylim() == figure.axes[0].get_ylim()
    assert figure.axes[0].get_ylabel() == "mean of the latent"
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == by


def test_a_class_between_two_without_images_is_drawn():
    curves = np.array([[[0.0, np.nan, 1.0, np.nan], [np.nan, 2.0, np.nan, np.nan]]])
    figure = visualization.plot_response_curves(curves, ["z0"], along="scale", by=["a", "b"])
    first, second, point = panels(figure)[0].lines
    assert (list(first.get_xdata()), first.get_linestyle()) == ([0, 2], "-")
    assert (list(second.get_xdata()), list(point.get_xdata())) == ([1], [1])
    assert point.get_marker() == "."


def test_one_curve_needs_no_name():
    figure = visualization.plot_response_curves(normal(2, 1, 3), named(2), along="scale")
    assert [len(axes.lines) for axes in panels(figure)] == [1, 1]
    assert figure.axes[0].get_legend() is None


def test_no_two_of_many_curves_look_alike():
    names = [f"shape {k}" for k in range(20)]
    figure = visualization.plot_response_curves(normal(1, 20, 3), ["z0"], along="scale", by=names)
    [axes] = panels(figure)
    looks = {(to_hex(line.get_color()), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == len(axes.lines) == 20


# Information.


@pytest.mark.parametrize("n", NUMBERS)
def test_information_is_a_map_of_factors_by_latents_in_nats(n):
    information = abs(normal(n, 3))
    figure = visualization.plot_information(information, ["shape", "scale", "pos_x"])
    [axes] = panels(figure)
    [image] = axes.images
    np.testing.assert_array_equal(image.get_array(), information.T)
    assert image.get_cmap().name == "viridis"
    assert image.get_clim() == (0, information.max())
    assert scale_of(figure) == "nats"
    assert axes.get_title() == "mutual information"
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["shape", "scale", "pos_x"]
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"z{j}" for j in range(n)]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {
        (j, k): f"{information[j, k]:.1f}" for j in range(n) for k in range(len(names))
    }


def test_numbers_stand_out_from_their_cells():
    [axes] = panels(visualization.plot_information([[2.0, 0.0, 1.0, 1.5]], list("abcd")))
    image = axes.images[0]
    for text in axes.texts:
        luminance = image.cmap(image.norm(image.get_array()[text.get_position()[::-1]]))[:3]
        assert text.get_color() == ("black" if np.mean(luminance) > 0.5 else "white")


def test_no_information_at_all_is_drawn():
    figure = visualization.plot_information(np.full((2, 3), -1e-17), list("abc"))
    assert {text.get_text() for text in panels(figure)[0].texts} == {"0.0"}
    assert visualization.figure_image(figure).min() < 100


# Codes.


@pytest.mark.parametrize("n", NUMBERS)
def test_histograms_stand_beside_the_priors_density(n):
    codes = normal(300, n) * np.linspace(0.1, 3, n)
    figure = visualization.plot_histograms(codes, named(n))
    assert titles(figure) == named(n)
    assert figure.axes[0].get_ylabel() == "density (dashed: prior)"
    for axes, code in zip(panels(figure), codes.T, strict=True):
        heights = [bar.get_height() for bar in axes.patches]
        expected, _ = np.histogram(np.clip(code, -4, 4), 41, (-4, 4), density=True)
        np.testing.assert_allclose(heights, expected)
        assert sum(heights) * 8 / 41 == pytest.approx(1)
        [prior] = axes.lines
        assert prior.get_linestyle() == "--"
        x = prior.get_xdata()
        assert (x[0], x[-1]) == (-4, 4)
        density = [np.exp(-each * each / 2) / (2 * np.pi) ** 0.5 for each in x]
        np.testing.assert_allclose(prior.get_ydata(), density)


def test_histograms_are_by_default_named_by_number():
    assert titles(visualization.plot_histograms(normal(20, 3))) == ["z0", "z1", "z2"]


@pytest.mark.parametrize("k", [1, 3])
def test_pairs_are_points_of_two_latents_each(k):
    codes, labels = normal(30, k), [f"z{j}" for j in range(k)]
    figure = visualization.plot_pairs(codes, labels, n=20)
    shown = np.random.default_rng(0).permutation(codes)[:20]
    axes = np.reshape(figure.axes, (k, k))
    for row, column in np.ndindex(k, k):
        panel = axes[row, column]
        assert panel.get_xlabel() == (labels[column] if row == k - 1 else "")
        assert panel.get_ylabel() == (labels[row] if column == 0 else "")
        if row == column:
            heights = [bar.get_height() for bar in panel.patches]
            np.testing.assert_array_equal(heights, np.histogram(shown[:, row], 31)[0])
            assert not panel.collections
        else:
            [points] = panel.collections
            np.testing.assert_array_equal(points.get_offsets(), shown[:, [column, row]])
            assert not panel.patches


@pytest.mark.parametrize(
    "plot",
    [
        lambda: visualization.plot_response_maps(normal(3, 2, 2), ["a", "b"]),
        lambda: visualization.plot_response_curves(normal(3, 1, 2), ["a", "b"], along="scale"),
        lambda: visualization.plot_response_curves(normal(1, 3, 2), ["a"], along="scale", by="ab"),
        lambda: visualization.plot_histograms(normal(9, 3), ["a", "b"]),
        lambda: visualization.plot_grid(np.zeros((3, 2, 8, 8, 1)), ["a", "b"]),
    ],
)
def test_nothing_goes_unnamed(plot):
    with pytest.raises(ValueError, match=r"zip\(\)|number of FixedLocator locations"):
        plot()
