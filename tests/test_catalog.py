import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_betavae.datasets import FactorDataset, ImageDataset, catalog, load, load_sprites
from keras_betavae.visualization import contact_sheet, factor_sweep

RELEASED = {
    # From the papers: number of images and shape.
    "dsprites": (737_280, (64, 64, 1)),
    "shapes3d": (480_000, (64, 64, 3)),
    "cars3d": (17_568, (64, 64, 3)),
    "small_norb": (48_600, (64, 64, 1)),
    "mpi3d_toy": (1_036_800, (64, 64, 3)),
    "mpi3d_realistic": (1_036_800, (64, 64, 3)),
    "mpi3d_real": (1_036_800, (64, 64, 3)),
}
RENDERED = ("sprites", "sprites_colors", "sprites_noise", "sprites_pictures")
GRID = (3, 2, 2, 2, 2)


# The catalog.


def test_released_data_sets_have_the_sizes_of_the_papers():
    assert set(catalog.names()) == {*RENDERED, *RELEASED, "blobs"}
    for name in catalog.names():
        entry = catalog.get(name)
        assert entry.name == name
        assert entry.summary
        assert "\n" not in entry.summary
        if name in RELEASED:
            assert (len(entry), entry.image_shape) == RELEASED[name]


def test_unknown_names_and_no_steps_are_refused():
    for call in (catalog.get, load):
        with pytest.raises(
            ValueError, match="unknown data set 'dsprite'; the data sets are blobs, "
        ):
            call("dsprite")
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        factor_sweep(FactorDataset(numbered(6), "ab", (2, 3)), 0)


@pytest.mark.parametrize("name", RENDERED)
def test_rendered_data_sets_are_as_their_entries_say(name):
    entry, data = catalog.get(name), load(name, grid=GRID)
    assert isinstance(data, FactorDataset)
    assert data.factor_sizes == GRID
    assert data.factor_names == tuple(entry.factors)
    assert data.image_shape == entry.image_shape
    assert len(entry) == 737_280
    images = data.images_at(np.arange(len(data)))
    plain = load_sprites(*GRID).images_at(np.arange(len(data)))
    if name == "sprites":
        np.testing.assert_array_equal(images, plain)
    else:
        # The sprites are still to be seen.
        lit = plain[..., 0] > 0
        assert (images[lit].mean(axis=0) != images[~lit].mean(axis=0)).all()


def test_paths_and_grids_are_refused_where_they_mean_nothing(tmp_path):
    for name in RENDERED:
        with pytest.raises(ValueError, match=f"{name} is rendered and takes no path, got /some"):
            load(name, "/some")
    for name in RELEASED:
        with pytest.raises(ValueError, match=rf"{name} .*takes no grid, got \(1, 2\)"):
            load(name, grid=(1, 2), cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", RELEASED)
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="missing"):
        load(name, tmp_path / "missing", cache_dir=tmp_path / "cache")


def test_status_tells_what_is_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    for name in RENDERED:
        assert catalog.get(name).status(tmp_path) == "rendered"
    for name in RELEASED:
        entry = catalog.get(name)
        assert entry.status() == entry.status(tmp_path) == "not fetched"
        for cache in (tmp_path, tmp_path / "home" / "datasets"):
            (cache / name).mkdir(parents=True)
            for file in entry.files:
                assert entry.status(None if "home" in cache.parts else cache) == "not fetched"
                (cache / name / file.name).touch()
        assert entry.status() == entry.status(tmp_path) == "fetched"
        if entry.unpacked is not None:
            (tmp_path / name / entry.unpacked).touch()
            assert entry.status(tmp_path) == "unpacked"
            assert entry.status() == "fetched"


# One factor at a time.


def numbered(n, shape=(1, 2, 1)):
    """Images whose two pixels spell their own index."""
    index = np.arange(n)
    return np.stack([index // 256, index % 256], axis=-1).astype("uint8").reshape(n, *shape)


def numbers(images):
    pixels = np.asarray(images).reshape(-1, 2).astype(int)
    return (pixels[:, 0] * 256 + pixels[:, 1]).reshape(images.shape[:2])


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 8))
def test_a_row_varies_its_factor_and_no_other(sizes, n_steps):
    n = math.prod(sizes)
    data = FactorDataset(numbered(n), [f"f{k}" for k in range(len(sizes))], sizes)
    images = factor_sweep(data, n_steps)
    assert images.shape == (len(sizes), n_steps, 1, 2, 1)
    assert images.dtype == np.uint8
    rows = list(itertools.product(*map(range, sizes)))
    for k, row in enumerate(numbers(images).tolist()):
        factors = np.array([rows[number] for number in row])
        middle = [size // 2 for size in sizes]
        assert (np.delete(factors, k, axis=1) == np.delete(middle, k)).all()
        values = factors[:, k].tolist()
        assert values == sorted(values)
        assert values[0] == 0
        if n_steps > 1:
            assert values[-1] == sizes[k] - 1
        if n_steps >= sizes[k]:
            assert set(values) == set(range(sizes[k])) or n_steps == 1
        steps = np.diff(values)
        assert not len(steps) or np.ptp(steps) <= 1


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=25
    ),
    st.integers(1, 7),
)
def test_where_combinations_are_missing_the_row_still_varies_its_factor(rows, n_steps):
    data = FactorDataset(numbered(len(rows)), "abc", (4, 3, 5), factors=np.array(rows))
    found = numbers(factor_sweep(data, n_steps))
    for k, size in enumerate((4, 3, 5)):
        for step in range(n_steps):
            wanted = [2, 1, 2]
            wanted[k] = round(step * (size - 1) / max(1, n_steps - 1))
            shown = rows[found[k, step]]
            have = [row for row in rows if row[k] == wanted[k]]
            if have:
                assert shown[k] == wanted[k]
            # Of those, none shares more of the others.
            shared = [sum(a == b for a, b in zip(row, wanted, strict=True)) for row in have or rows]
            assert sum(a == b for a, b in zip(shown, wanted, strict=True)) == max(shared)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["grid", "labeled"])
def test_a_sheet_has_a_row_for_each_factor_and_its_name(channels, kind):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 20, 16, channels), dtype="uint8")
    rows = np.array(list(itertools.product(range(3), range(4))))
    factors = None if kind == "grid" else rows
    names = ("shape", "size")
    data = FactorDataset(images, names, (3, 4), factors=factors)
    sheet = contact_sheet(data, 4)
    assert sheet.dtype == np.uint8
    # Lines of two pixels between and around the images.
    assert sheet.shape[0] == 2 * (20 + 2) + 2
    assert sheet.shape[2] == 3
    middle = ([(0, 2), (1, 2), (1, 2), (2, 2)], [(1, 0), (1, 1), (1, 2), (1, 3)])
    margin = sheet.shape[1] - (4 * (16 + 2) + 2)
    for k, step in itertools.product(range(2), range(4)):
        if k == 0 and step in (1, 2):
            continue  # Three values in four steps: the middle two are either.
        image = images[4 * middle[k][step][0] + middle[k][step][1]]
        top, left = 2 + 22 * k, margin + 2 + 18 * step
        shown = sheet[top : top + 20, left : left + 16]
        np.testing.assert_array_equal(shown, np.broadcast_to(image, (20, 16, 3)))
    for k in range(2):
        label = sheet[2 + 22 * k : 22 + 22 * k, :margin]
        assert (label == 255).all(axis=-1).mean() > 0.5
        assert label.min() < 64
    renamed = contact_sheet(FactorDataset(images, ("shape", "sizf"), (3, 4), factors=factors), 4)
    assert (renamed[:22] == sheet[:22]).all()
    assert (renamed[22:, :margin] != sheet[22:, :margin]).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_without_factors_a_sheet_shows_drawn_images(channels):
    levels = np.arange(200, dtype="uint8")
    images = np.broadcast_to(levels[:, None, None, None], (200, 6, 5, channels))
    data = ImageDataset(images)
    sheets = [contact_sheet(data, 7, seed=seed) for seed in (0, 0, 1)]
    for sheet in sheets:
        assert sheet.dtype == np.uint8
        assert sheet.shape == (5 * 8 + 2, 7 * 7 + 2, 3)
        shown = sheet[2::8, 2::7][:5, :7]
        assert len(np.unique(shown)) > 20
        tiles = [sheet[2 + y : -2 : 8, 2 + x : -2 : 7] for y in range(6) for x in range(5)]
        for tile in tiles:
            np.testing.assert_array_equal(tile, shown)
        assert (sheet[:2] == 128).all()
    np.testing.assert_array_equal(sheets[0], sheets[1])
    assert (sheets[0] != sheets[2]).any()


def test_rooms_do_not_reach_into_each_other_nor_upward():
    folder = Path(catalog.__file__).parent
    rooms = ("rendered", "released", "user")
    for path in folder.rglob("*.py"):
        room, text = path.parent.name, path.read_text("utf-8")
        others = [
            each for each in rooms if each != room and f"keras_betavae.datasets.{each}" in text
        ]
        assert not others or path == folder / "__init__.py", (path, others)
        for package in re.findall(r"(?:from|import) keras_betavae\.(\w+)", text):
            assert package in ("datasets", "_utils"), path
