"""Where images come from, and parts of data sets."""

import contextlib
import itertools
import math
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from keras_betavae.datasets import FactorDataset, ImageDataset, _sources

SIZES = (3, 1, 4, 2, 5)
NAMES = ("shape", "fixed", "size", "side", "hue")


def numbered(n):
    """Images whose two pixels spell their own index."""
    index = np.arange(n)
    return np.stack([index // 256, index % 256], axis=-1).astype("uint8").reshape(n, 1, 2, 1)


def numbers(images):
    pixels = np.asarray(images).reshape(len(images), 2).astype(int)
    return (pixels[:, 0] * 256 + pixels[:, 1]).tolist()


def contents(data):
    return numbers(data.images_at(np.arange(len(data))))


def pass_of(data, batch_size=4, **options):
    return [number for batch in data.to_tf_data(batch_size, **options) for number in numbers(batch)]


def grid(*sizes):
    names = NAMES if sizes == SIZES else [f"f{k}" for k in range(len(sizes))]
    return FactorDataset(numbered(math.prod(sizes)), names, sizes)


def labeled(rows, sizes):
    return FactorDataset(numbered(len(rows)), "ab", sizes, factors=np.array(rows).reshape(-1, 2))


# HDF5, in blocks.


class Counted(_sources.Hdf5):
    """Blocks that write down what they read."""

    def __init__(self, dataset):
        super().__init__(dataset)
        self.reads, self.most = [], 0

    def _read(self, block):
        if block not in self._kept:
            self.reads.append(block)
        images = super()._read(block)
        self.most = max(self.most, sum(images.nbytes for images in self._kept.values()))
        assert len(self._kept) <= self.n_kept
        return images


@contextlib.contextmanager
def blocks_of(n, kept_bytes=160, images=None, **options):
    """Numbered images in an HDF5 file in memory; `chunks` and such are options."""
    if images is None:
        images = numbered(n)
    with (
        pytest.MonkeyPatch.context() as patch,
        h5py.File("memory.h5", "w", driver="core", backing_store=False) as file,
    ):
        patch.setattr(_sources, "KEPT_BYTES", kept_bytes)
        yield Counted(file.create_dataset("images", data=images, **options))


LAYOUTS = {
    "contiguous": {},
    "within images": {"chunks": (3, 1, 1, 1)},
    "compressed": {"chunks": (7, 1, 2, 1), "compression": "gzip", "shuffle": True},
}
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


@layouts
@settings(deadline=None, max_examples=10)
@given(st.integers(1, 120), st.integers(1, 1_000), st.lists(st.floats(0, 1, exclude_max=True)))
def test_images_in_hdf5_are_those_of_their_indices(layout, n, kept_bytes, places):
    indices = np.array([int(place * n) for place in places], int)
    layout = {**layout, "maxshape": (None, 1, 2, 1)} if layout else layout
    with blocks_of(n, kept_bytes, **layout) as source:
        data = ImageDataset(source)
        for part in (indices, indices[::-1], indices):
            images = data.images_at(part)
            assert images.dtype == np.uint8
            assert images.shape == (len(part), 1, 2, 1)
            assert numbers(images) == part.tolist()


@layouts
def test_a_shuffled_pass_reads_each_block_once(layout):
    with blocks_of(400, **layout) as source:
        n_blocks = math.ceil(400 / source.block)
        assert n_blocks > 2 * source.n_kept > 8
        data = ImageDataset(source)
        assert sorted(pass_of(data, 7, seed=0)) == list(range(400))
        assert sorted(source.reads) == list(range(n_blocks))
        assert source.reads != sorted(source.reads)
        assert source.most <= 160


@pytest.mark.parametrize("layout", [LAYOUTS["compressed"]])
@pytest.mark.parametrize("n", [None, 200])
def test_encoding_reads_each_block_once(layout, n):
    with blocks_of(400, **layout) as source:
        data = FactorDataset(source, "ab", (8, 50))
        factors, codes = data.encode_with(
            lambda images: np.array(numbers(images), float)[:, None], n=n, seed=1, batch_size=33
        )
        indices = np.arange(400) if n is None else data.sample_indices(n, 1, distinct=True)
        np.testing.assert_array_equal(codes[:, 0], indices)
        np.testing.assert_array_equal(factors @ [50, 1], indices)
        assert source.reads == sorted(set((indices // source.block).tolist()))


@given(st.integers(1, 40), st.integers(1, 4_000), st.lists(st.integers(0, 299), max_size=40))
@settings(deadline=None, max_examples=20)
def test_kept_blocks_stay_within_their_bytes(chunk, kept_bytes, indices):
    with blocks_of(300, kept_bytes, chunks=(chunk, 1, 2, 1)) as source:
        for start in range(0, len(indices), 3):
            source.take(np.array(indices[start : start + 3]))
        # Two blocks of a single chunk are the least that will do.
        assert source.most <= max(kept_bytes, 2 * 2 * chunk)
        assert source.block % chunk == 0


def windows_of(order, block):
    """Cuts an order wherever all images of the blocks that were begun have come."""
    n, begun, windows, start = len(order), set(), [], 0
    for place, index in enumerate(order):
        begun.add(index // block)
        if place + 1 - start == sum(min(block, n - number * block) for number in begun):
            windows.append(order[start : place + 1])
            begun, start = set(), place + 1
    return windows


@pytest.mark.parametrize("n", [40, 79, 81, 203])
def test_a_shuffled_pass_mixes_the_images_of_a_window(n):
    with blocks_of(n, chunks=(5, 1, 2, 1)) as source:
        assert (source.block, source.n_kept) == (5, 16)
        windows = windows_of(source.shuffled(np.random.default_rng(0)).tolist(), 5)
        assert len(windows) == math.ceil(math.ceil(n / 5) / 8)
        longest = max(map(len, windows))
        assert longest <= ImageDataset(source).shuffle_window <= min(n, longest + 4)


def test_within_a_window_every_order_is_as_likely():
    with blocks_of(80, chunks=(5, 1, 2, 1)) as source:
        quarters, first_blocks = np.zeros((5, 4)), np.zeros(16)
        for seed in range(300):
            order = source.shuffled(np.random.default_rng(seed))
            for place, index in enumerate(order[:40]):
                quarters[index % 5, place // 10] += 1
            first_blocks[np.unique(order[:40] // 5)] += 1
            halves = [np.unique(half // 5) for half in (order[:40], order[40:])]
            assert not set(halves[0]) & set(halves[1])
    assert stats.chisquare(quarters.ravel()).pvalue > 1e-4
    assert stats.chisquare(first_blocks).pvalue > 1e-4


def test_a_part_of_blocks_keeps_their_order_and_tells_what_is_mixed():
    with blocks_of(400, chunks=(5, 1, 2, 1)) as source:
        data = FactorDataset(source, "ab", (8, 50))
        for part in (data.split(0.25, seed=3)[0], data.only({"a": (1, 2)}).split(0.5)[0]):
            own = contents(part)
            source.reads.clear()
            source._kept.clear()
            order = pass_of(part, 7, seed=0)
            assert sorted(order) == own
            assert order != own
            assert sorted(source.reads) == sorted({number // 5 for number in own})
            share = data.shuffle_window * len(own) / 400
            assert share <= part.shuffle_window < share + 1


def add_index(images, indices):
    """Adds each image's own index to its last pixel."""
    changed = images.copy()
    changed[:, 0, 1, 0] += (indices % 256).astype("uint8")
    return changed


KINDS = {
    "array": lambda source: _sources.Array(numbered(100)),
    "blocks": lambda source: source,
    "chosen": lambda source: _sources.Chosen(source, np.arange(1, 100, 3)),
    "changed": lambda source: _sources.Changed(source, (1, 2, 1), add_index),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("start", [33])
def test_a_resumed_stream_goes_on_in_the_same_order(kind, start):
    options = {"seed": 7, "repeat": True}
    with blocks_of(100, chunks=(5, 1, 2, 1)) as source:
        data = ImageDataset(kind(source))
        whole = [numbers(batch) for batch in data.to_tf_data(3, **options).take(start + 9)]
        late = data.to_tf_data(3, start_step=start, **options)
        assert [numbers(batch) for batch in late.take(9)] == whole[start:]


def test_changed_images_change_with_their_index():
    with blocks_of(100, chunks=(5, 1, 2, 1)) as source:
        data = ImageDataset(KINDS["changed"](source))
        assert contents(data) == [2 * index for index in range(100)]
        assert numbers(data.images_at([60, 3, 60])) == [120, 6, 120]
        assert sorted(pass_of(data, seed=0)) == list(range(0, 200, 2))
        assert data.shuffle_window == ImageDataset(source).shuffle_window == 35
        source.reads.clear()
        source._kept.clear()
        pass_of(data, seed=1)
        assert sorted(source.reads) == list(range(20))


# Memory maps.


def test_let_go_pages_are_read_again(tmp_path, monkeypatch):
    np.save(tmp_path / "images.npy", numbered(300))
    for n_images in (1, 100):
        monkeypatch.setattr(_sources, "IMAGES_MAPPED", n_images)
        data = ImageDataset(np.load(tmp_path / "images.npy", mmap_mode="r"))
        assert contents(data) == list(range(300))
        assert sorted(pass_of(data, 64, seed=0)) == list(range(300))
        assert contents(data) == list(range(300))


@pytest.mark.parametrize("mode", ["c", "r+"])
@pytest.mark.parametrize("view", [False, True])
def test_what_is_written_to_a_map_stays(tmp_path, monkeypatch, mode, view):
    monkeypatch.setattr(_sources, "IMAGES_MAPPED", 1)
    np.save(tmp_path / "images.npy", numbered(300))
    mapped = np.load(tmp_path / "images.npy", mmap_mode=mode)
    mapped[100] = [[[200], [7]]]
    data = ImageDataset(mapped[50:] if view else mapped)
    for _ in range(2):
        assert numbers(data.images_at([100 - 50 * view, 3])) == [200 * 256 + 7, 3 + 50 * view]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells how much of a map is resident")
def test_reading_a_map_through_does_not_fill_the_memory(tmp_path):
    n = 12_800  # 50 MiB
    (tmp_path / "images.bin").write_bytes(bytes(n * 4_096))
    source = _sources.Array(np.memmap(tmp_path / "images.bin", np.uint8, "r", shape=(n, 64, 64, 1)))
    growth = {}
    for pages in ("let go", "kept"):
        if pages == "kept":
            source._map = None
        Path("/proc/self/clear_refs").write_text("5")  # The peak starts again from here.
        before = memory("VmRSS")
        for batch in np.array_split(np.random.default_rng(0).permutation(n), 25):
            assert source.take(batch).shape == (512, 64, 64, 1)
        growth[pages] = memory("VmHWM") - before
    # A batch, and up to a huge page for each image that was read before the pages were let go.
    assert growth["let go"] < 30 * 2**20
    assert growth["kept"] > 40 * 2**20  # What is measured is there to be seen.


def memory(kind):
    """Bytes of this process, of a kind that Linux counts."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = [row for row in status if row.startswith(kind)]
    return int(line.split()[1]) * 1_024


# Splits.


@given(n=st.integers(2, 200), test=st.floats(0, 1), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_a_split_shares_no_image_and_loses_none(n, test, seed):
    data = ImageDataset(numbered(n))
    if not 0 < test < 1 or not 0 < round(test * n) < n:
        with pytest.raises(ValueError, match=f"leaves both of {n} images some, got {test}"):
            data.split(test, seed)
        return
    parts = [contents(part) for part in data.split(test, seed)]
    assert [len(part) for part in parts] == [n - round(test * n), round(test * n)]
    assert sorted(parts[0] + parts[1]) == list(range(n))
    assert all(part == sorted(part) for part in parts)
    assert parts == [contents(part) for part in data.split(test, seed)]


@pytest.mark.parametrize("test", [0, 1.1, 0.01, math.nan])
def test_parts_that_leave_nothing_are_refused(test):
    with pytest.raises(ValueError, match="test must be a part above 0 and below 1"):
        ImageDataset(numbered(10)).split(test)


@pytest.mark.parametrize("kind", ["grid", "labeled"])
def test_parts_keep_their_factors_sizes_and_type(kind):
    class Own(FactorDataset):
        pass

    data, read = grid(6, 10), numbers
    if kind == "labeled":
        rows = np.random.default_rng(0).integers(0, (6, 10), (60, 2))
        data = Own(numbered(60), ("f0", "f1"), (6, 10), factors=rows)
    factors = data.factors_at(np.arange(60))
    for part in (*data.split(0.3), data.only({"f0": (1, 2)}), data.without({"f0": 0})):
        own = read(part.images_at(np.arange(len(part))))
        assert type(part) is type(data)
        assert part.image_shape == data.image_shape
        assert part.factor_names == data.factor_names
        assert part.factor_sizes == data.factor_sizes
        assert not part.is_grid
        np.testing.assert_array_equal(part.factors_at(np.arange(len(part))), factors[own])
        np.testing.assert_array_equal(
            read(part.images_at(part.index_of(factors[own]))),
            [next(i for i in own if (factors[i] == factors[j]).all()) for j in own],
        )
        drawn, codes = part.encode_with(lambda x: np.array(read(x))[:, None], n=50, seed=0)
        np.testing.assert_array_equal(drawn, factors[codes[:, 0]])
    assert type(ImageDataset(numbered(9)).split(0.5)[0]) is ImageDataset


# Combinations.

COMBINATIONS = st.fixed_dictionaries(
    {},
    optional={
        "a": st.one_of(st.integers(0, 2), st.lists(st.integers(0, 2), min_size=1, max_size=3)),
        "b": st.one_of(st.integers(0, 3), st.lists(st.integers(0, 3), min_size=1, max_size=3)),
    },
).filter(bool)
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=30)


@given(COMBINATIONS, st.none() | ROWS)
@settings(deadline=None, max_examples=40)
def test_only_and_without_part_the_images(combination, rows):
    data = FactorDataset(numbered(12), "ab", (3, 4)) if rows is None else labeled(rows, (3, 4))
    if rows is None:
        rows = list(itertools.product(range(3), range(4)))
    chosen = {name: np.ravel(classes).tolist() for name, classes in combination.items()}
    expected = {True: [], False: []}
    for number, row in enumerate(rows):
        fits = all(row["ab".index(name)] in classes for name, classes in chosen.items())
        expected[fits].append(number)
    for select, fits in ((data.only, True), (data.without, False)):
        if expected[fits]:
            part = select(combination)
            assert contents(part) == expected[fits]
            factors = part.factors_at(np.arange(len(part))).tolist()
            assert factors == [list(rows[number]) for number in expected[fits]]
        else:
            with pytest.raises(ValueError, match="no image would be left"):
                select(combination)


@pytest.mark.parametrize("make", [lambda: grid(2, 3), lambda: labeled([[0, 0], [1, 2]], (2, 3))])
@pytest.mark.parametrize(
    ("combination", "words"),
    [
        ({}, r"must name some of .*, got \[\]"),
        ({"color": 1}, r"must name some of .*, got \['color'\]"),
        ({0: 2}, "classes of .* must be integers from 0 to 1, got 2"),
        ({0: -1}, "got -1"),
        ({1: [0, 3]}, r"integers from 0 to 2, got \[0, 3\]"),
        ({1: []}, r"got \[\]"),
        ({1: 1.0}, "got 1.0"),
        ({1: {1, 2}}, "got {1, 2}"),
    ],
)
def test_combinations_that_are_none_are_refused(make, combination, words):
    data = make()
    combination = {
        data.factor_names[key] if isinstance(key, int) else key: classes
        for key, classes in combination.items()
    }
    for select in (data.only, data.without):
        with pytest.raises(ValueError, match=words):
            select(combination)


# Correlated factors.


def test_correlated_factors_have_the_stated_distribution_and_the_others_stay_independent():
    sizes, strength = (5, 40, 8), 5.0
    data = FactorDataset(numbered(1_600), "abc", sizes)
    kept = [data.correlated("a", "c", strength, seed) for seed in range(30)]
    rows = np.concatenate([part.factors_at(np.arange(len(part))) for part in kept])
    counts = np.zeros(sizes)
    np.add.at(counts, tuple(rows.T), 1)
    u, v = np.linspace(0, 1, 5)[:, None], np.linspace(0, 1, 8)
    chances = np.exp(-((u - v) ** 2) / (2 * 0.2**2))  # σ = 0.2, as Träuble et al. state it.
    tested = stats.chisquare(
        counts.sum(axis=1).ravel(), rows.shape[0] * (chances / chances.sum()).ravel()
    )
    assert tested.pvalue > 1e-3
    assert counts.sum() == pytest.approx(30 * 40 * chances.sum(), rel=0.02)
    assert stats.chisquare(counts.sum(axis=(0, 2))).pvalue > 1e-3
    assert contents(kept[0]) == sorted(set(contents(kept[0])))  # No image twice.
    assert contents(kept[0]) == contents(data.correlated("a", "c", strength))


def test_no_strength_keeps_all_images():
    assert len(grid(3, 4).correlated("f0", "f1", 0.0)) == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("f0", "f9", 1.0), "first and second must be two of f0, f1, got 'f0' and 'f9'"),
        (("f0", "f0", 1.0), "must be two of"),
        (("f0", "f2", 1.0), "must be two of f0, f1"),  # f2 has one value.
        (("f0", "f1", -1.0), "strength must be at least 0, got -1.0"),
        (("f0", "f1", math.nan), "strength must be at least 0"),
    ],
)
def test_correlated_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        grid(3, 4, 1).correlated(*arguments)


# Pairs among some factors.


def changed_factors(data, n, k, among, seed=0):
    first, second = data.sample_pairs(n, k, seed, among=among)
    factors = np.array(list(itertools.product(*map(range, data.factor_sizes))))
    return factors[first] != factors[second]


@pytest.mark.parametrize(
    ("among", "k", "ks"),
    [
        (("size", "hue"), 2, {2}),
        (["hue", "size", "hue"], None, {1, 2}),
        ({"hue"}, None, {1}),
        (("fixed", "side"), 1, {1}),
        (("shape", "size", "side"), None, {1, 2, 3}),
        (NAMES, 4, {4}),
    ],
)
def test_only_some_factors_change_and_all_of_them_equally_often(among, k, ks):
    n = 6_000
    changed = changed_factors(grid(*SIZES), n, k, among)
    may = [j for j, name in enumerate(NAMES) if name in (among or NAMES) and name != "fixed"]
    assert not np.delete(changed, may, axis=1).any()
    counts = changed.sum(axis=1)
    assert set(counts.tolist()) == ks
    for number in ks:
        assert (counts == number).mean() == pytest.approx(1 / len(ks), abs=0.03)
        of_these = changed[counts == number][:, may].mean(axis=0)
        error = 4 * math.sqrt(0.25 / (counts == number).sum())
        np.testing.assert_allclose(of_these, number / len(may), atol=error)


@pytest.mark.parametrize(
    ("among", "k", "words"),
    [
        (["color"], 1, "among must name some of shape, fixed, size, side, hue, got .'color'"),
        (["hue", "color"], None, "got .'hue', 'color'"),
        ("hue", None, "among must name some of"),
        ([], 1, r"among must name some of .*, got \[\]"),
        (["fixed"], 1, "k_changed must be from 1 to the 0 varying factors, got 1"),
        (["fixed"], None, "needs at least 2 varying factors, got 4, of which 0 may change"),
        (["hue", "fixed"], 2, "from 1 to the 1 varying factors, got 2"),
    ],
)
def test_factors_that_cannot_change_are_refused(among, k, words):
    data = grid(*SIZES)
    with pytest.raises(ValueError, match=words):
        data.sample_pairs(3, k, 0, among=among)
    with pytest.raises(ValueError, match=words):
        data.to_pairs(k, 3, among=among)
