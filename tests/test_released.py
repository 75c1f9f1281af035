import hashlib
import itertools
import os
import signal
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_betavae.datasets import _sources, catalog, load_mpi3d, load_shapes3d, load_small_norb
from tests.released_files import (
    FORMATS,
    NORB_FILES,
    SMALL,
    exit_code,
    files_in,
    forked,
    hdf5,
    patterns,
    shapes3d_labels,
    small,
)


def assert_right(data, kind):
    everything = np.arange(len(kind.images))
    np.testing.assert_array_equal(data.images_at(everything), kind.images)
    np.testing.assert_array_equal(
        data.factors_at(everything), list(itertools.product(*map(range, kind.sizes)))
    )
    assert data.factor_sizes == kind.sizes
    assert data.factor_names == tuple(kind.release.factors)
    assert data.is_grid


@pytest.fixture(params=FORMATS)
def kind(request, monkeypatch):
    """A small data set of each format, which its loader expects."""
    kind = small(request.param)
    kind.expect(monkeypatch)
    return kind


# The files as they are released.


@pytest.mark.parametrize("name", SMALL)
def test_images_and_factors_are_those_of_each_index(tmp_path, monkeypatch, name):
    kind = small(name)
    kind.expect(monkeypatch)
    data = kind.load(kind.write(tmp_path / "released"), cache_dir=tmp_path / "cache")
    assert_right(data, kind)
    assert files_in(tmp_path / "cache") == ["images.npy"]
    assert sorted(kind.files) == files_in(tmp_path / "released")


def test_the_training_set_of_small_norb_is_what_its_instances_pick(tmp_path, monkeypatch):
    kind = small("small_norb")
    kind.expect(monkeypatch)
    training = load_small_norb(kind.write(tmp_path), cache_dir=tmp_path).only({"instance": 1})
    grid = np.array(list(itertools.product(*map(range, kind.sizes))))
    np.testing.assert_array_equal(training.images_at(np.arange(24)), kind.images[grid[:, 1] == 1])


def test_files_and_factors_are_those_published():
    published = {
        "cars3d": "elevation azimuth object",
        "shapes3d": "floor_hue wall_hue object_hue scale shape orientation",
        "small_norb": "category instance elevation azimuth lighting",
        "mpi3d_real": "object_color object_shape object_size camera_height background_color "
        "horizontal_axis vertical_axis",
    }
    for name, factors in published.items():
        assert " ".join(catalog.get(name).factors) == factors
    assert catalog.get("shapes3d").factors["orientation"] == 15
    assert tuple(catalog.get("mpi3d_real").factors.values()) == (6, 6, 2, 3, 3, 40, 40)
    assert [file.name for file in catalog.get("small_norb").files] == NORB_FILES
    for name in (*published, "mpi3d_toy", "mpi3d_realistic"):
        assert all(len(bytes.fromhex(file.md5)) == 16 for file in catalog.get(name).files)
        if name.startswith("mpi3d"):
            assert [file.name for file in catalog.get(name).files] == [f"{name}.npz"]


@pytest.mark.parametrize("chunks", [(1, 64, 64, 3), (100, 64, 64, 3)])
def test_hdf5_images_are_read_in_blocks(tmp_path, monkeypatch, chunks):
    kind = small("shapes3d")
    images, sizes = patterns(108, 64, 64, 3), (3, 3, 2, 3, 2, 1)
    files = {"3dshapes.h5": hdf5(chunks, images=images, labels=shapes3d_labels(sizes))}
    kind.expect(monkeypatch, files, factor_sizes=sizes)
    # Blocks of 8 images, or of a chunk.
    monkeypatch.setattr(_sources, "KEPT_BYTES", 16 * 8 * images[0].nbytes)
    data = load_shapes3d(kind.write(tmp_path, files), cache_dir=tmp_path)
    np.testing.assert_array_equal(data.images_at(np.arange(108)), images)


def test_an_unknown_variant_is_refused(tmp_path):
    with pytest.raises(ValueError, match="toy, realistic, real, got 'fake'"):
        load_mpi3d("fake", tmp_path)


def test_a_path_may_be_text_and_lead_to_the_folder(tmp_path, kind):
    kind.write(tmp_path / "released")
    assert_right(kind.load(str(tmp_path / "released"), cache_dir=str(tmp_path / "cache")), kind)


# The cache.


def test_the_second_load_maps_the_cache_and_reads_no_released_file(tmp_path, monkeypatch, kind):
    path = kind.write(tmp_path / "released")
    array = kind.load(path, cache_dir=tmp_path / "cache")._images.array
    unpacked = kind.unpacked(tmp_path / "cache")
    assert isinstance(array, np.memmap)
    assert (array.mode, Path(array.filename)) == ("r", unpacked)
    before = unpacked.stat()

    def forbidden(*args, **kwargs):
        raise AssertionError("it was read again")

    for name in kind.files:
        (tmp_path / "released" / name).write_bytes(b"something else")
    kind.expect(monkeypatch, read=forbidden)
    monkeypatch.setattr(hashlib, "file_digest", forbidden)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # A read-only cache is enough.
    for given in (path, None):
        assert_right(kind.load(given, cache_dir=tmp_path / "cache"), kind)
    assert unpacked.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("home", ["mine", ""])
def test_the_cache_is_that_of_keras(tmp_path, monkeypatch, home):
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("KERAS_HOME", home and str(tmp_path / home))
    for variant in ("toy", "real"):  # Each has a folder of its own.
        kind = small(f"mpi3d_{variant}")
        kind.expect(monkeypatch)
        assert_right(kind.load(kind.write(tmp_path / "released")), kind)
        cache = tmp_path / (home or "user/.keras") / "datasets"
        assert kind.unpacked(cache).is_file()


def test_what_was_left_aside_a_day_ago_is_cleared(tmp_path, monkeypatch):
    kind = small("mpi3d_toy")
    kind.expect(monkeypatch)
    unpacked = kind.unpacked(tmp_path / "cache")
    old, fresh = (unpacked.with_name(f"saving-{8 * letter}-images.npy") for letter in "ab")
    other = unpacked.with_name("saving-mine.npy")
    unpacked.parent.mkdir(parents=True)
    for path in (old, fresh, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (time.time() - 90_000,) * 2)
    os.utime(fresh, (time.time() - 80_000,) * 2)
    assert_right(kind.load(kind.write(tmp_path / "released"), cache_dir=tmp_path / "cache"), kind)
    assert set(unpacked.parent.iterdir()) == {unpacked, fresh, other}


# Fetching.


def test_keras_fetches_and_checks_the_files(tmp_path, monkeypatch, kind):
    kind.write(tmp_path / "site")
    kind.expect(monkeypatch, site=tmp_path / "site")
    assert_right(kind.load(cache_dir=tmp_path / "cache"), kind)
    assert files_in(tmp_path / "cache") == sorted([*kind.files, "images.npy"])
    for name in kind.files:
        (tmp_path / "site" / name).unlink()
    kind.unpacked(tmp_path / "cache").unlink()
    assert_right(kind.load(cache_dir=tmp_path / "cache"), kind)  # What is fetched is kept.


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_a_file_that_cannot_be_fetched_leaves_nothing(tmp_path, monkeypatch, kind, damage):
    kind.write(tmp_path / "site")
    kind.expect(monkeypatch, site=tmp_path / "site")
    last = tmp_path / "site" / kind.release.files[-1].name
    if damage == "missing":
        last.unlink()
    else:
        whole = last.read_bytes()
        last.write_bytes(whole[:-1] if damage == "truncated" else b"<html>404</html>")
    with pytest.raises(FileNotFoundError, match="could not be fetched") as caught:
        kind.load(cache_dir=tmp_path / "cache")
    assert last.as_uri() in str(caught.value)
    assert "pass its path" in str(caught.value)
    # Those before it need not be fetched again.
    assert files_in(tmp_path / "cache") == sorted(set(kind.files) - {last.name})


@pytest.mark.parametrize("error", [Exception, TimeoutError])
def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch, kind, error):
    def unreachable(fname, *args, cache_dir, **kwargs):
        Path(cache_dir, fname).write_bytes(b"half")
        raise error("URL fetch failure: name or service not known")

    monkeypatch.setattr(keras.utils, "get_file", unreachable)
    with pytest.raises(FileNotFoundError, match="service not known") as caught:
        kind.load(cache_dir=tmp_path)
    for file in kind.release.files:
        assert file.url in str(caught.value)
    assert "pass its path" in str(caught.value)
    assert files_in(tmp_path) == []


# Several processes.


def unpack(kind, path, cache, wait):
    """Unpacks images, and waits when half of them are written."""
    read = kind.release.read

    def slowly(release, files):
        [block] = read(release, files)
        for number, image in enumerate(block):
            if number == 16:
                wait()
            yield image[np.newaxis]

    with pytest.MonkeyPatch.context() as patch:
        kind.expect(patch, read=slowly)
        data = kind.load(path, cache_dir=cache)
    np.testing.assert_array_equal(data.images_at(np.arange(32)), kind.images)


def test_a_process_killed_while_it_unpacks_leaves_no_images(tmp_path, monkeypatch):
    kind = small("mpi3d_toy")
    path = kind.write(tmp_path / "released")

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    assert exit_code(forked(unpack, kind, path, tmp_path / "cache", die)) == -signal.SIGKILL
    unpacked = kind.unpacked(tmp_path / "cache")
    [left] = unpacked.parent.iterdir()
    assert left.match("saving-*-images.npy")
    assert left.stat().st_size < kind.images.nbytes
    kind.expect(monkeypatch)
    assert_right(kind.load(path, cache_dir=tmp_path / "cache"), kind)
    assert set(unpacked.parent.iterdir()) == {unpacked, left}


def test_two_processes_that_unpack_at_once_both_have_the_images(tmp_path, monkeypatch):
    kind = small("mpi3d_toy")
    path, meeting = kind.write(tmp_path / "released"), tmp_path / "meeting"
    meeting.mkdir()

    def meet():
        (meeting / str(os.getpid())).touch()
        while len(list(meeting.iterdir())) < 2:
            time.sleep(0.01)

    both = [forked(unpack, kind, path, tmp_path / "cache", meet) for _ in range(2)]
    assert [exit_code(child) for child in both] == [0, 0]
    assert files_in(tmp_path / "cache") == ["images.npy"]
    kind.expect(monkeypatch)
    assert_right(kind.load(cache_dir=tmp_path / "cache"), kind)
