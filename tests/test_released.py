import hashlib
import itertools
import os
import secrets
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_betavae.datasets import _sources, load_mpi3d, load_shapes3d, load_small_norb
from keras_betavae.datasets.released import cars3d, mpi3d, shapes3d, small_norb
from keras_betavae.datasets.released import release as _released
from tests.helpers import run_python
from tests.released_files import (
    FORMATS,
    NORB_FILES,
    SMALL,
    hdf5,
    npz,
    patterns,
    shapes3d_labels,
    small,
)

MPI3D_FACTORS = {
    "object_color": 6,
    "object_shape": 6,
    "object_size": 2,
    "camera_height": 3,
    "background_color": 3,
    "horizontal_axis": 40,
    "vertical_axis": 40,
}


def assert_right(data, kind):
    everything = np.arange(len(kind.images))
    np.testing.assert_array_equal(data.images_at(everything), kind.images)
    np.testing.assert_array_equal(
        data.factors_at(everything), list(itertools.product(*map(range, kind.sizes)))
    )
    assert data.factor_sizes == kind.sizes
    assert data.factor_names == kind.release.factor_names
    assert data.is_grid


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


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


@pytest.mark.parametrize(
    ("release", "factors", "channels", "files"),
    [
        (
            shapes3d.SHAPES3D,
            {
                "floor_hue": 10,
                "wall_hue": 10,
                "object_hue": 10,
                "scale": 8,
                "shape": 4,
                "orientation": 15,
            },
            3,
            ["3dshapes.h5"],
        ),
        (
            cars3d.CARS3D,
            {"elevation": 4, "azimuth": 24, "object": 183},
            3,
            ["nips2015-analogy-data.tar.gz"],
        ),
        (
            small_norb.SMALL_NORB,
            {"category": 5, "instance": 10, "elevation": 9, "azimuth": 18, "lighting": 6},
            1,
            NORB_FILES,
        ),
        (mpi3d.MPI3D["toy"], MPI3D_FACTORS, 3, ["mpi3d_toy.npz"]),
        (mpi3d.MPI3D["realistic"], MPI3D_FACTORS, 3, ["mpi3d_realistic.npz"]),
        (mpi3d.MPI3D["real"], MPI3D_FACTORS, 3, ["mpi3d_real.npz"]),
    ],
    ids=lambda value: value.name if isinstance(value, _released.Release) else None,
)
def test_names_and_sizes_are_those_published(release, factors, channels, files):
    assert dict(zip(release.factor_names, release.factor_sizes, strict=True)) == factors
    assert release.image_shape == (64, 64, channels)
    assert release.shape == (np.prod(list(factors.values())), 64, 64, channels)
    assert [file.name for file in release.files] == files
    assert all(len(bytes.fromhex(file.md5)) == 16 for file in release.files)


def test_factors_of_3d_shapes_stand_for_the_released_labels(tmp_path, monkeypatch):
    kind = small("shapes3d")
    kind.expect(monkeypatch)
    data = load_shapes3d(kind.write(tmp_path), cache_dir=tmp_path)
    labels = shapes3d_labels(kind.sizes)
    for column, classes in zip(labels.T, data.factors_at(np.arange(36)).T, strict=True):
        np.testing.assert_array_equal(np.unique(column)[classes], column)


def test_the_training_set_of_small_norb_is_what_its_instances_pick(tmp_path, monkeypatch):
    kind = small("small_norb")
    kind.expect(monkeypatch)
    training = load_small_norb(kind.write(tmp_path), cache_dir=tmp_path).only({"instance": 1})
    grid = np.array(list(itertools.product(*map(range, kind.sizes))))
    np.testing.assert_array_equal(training.images_at(np.arange(24)), kind.images[grid[:, 1] == 1])


@pytest.mark.parametrize("chunks", [(8, 16, 16, 1), (1, 64, 64, 3), (100, 64, 64, 3), None])
def test_hdf5_images_are_read_in_blocks(tmp_path, monkeypatch, chunks):
    kind = small("shapes3d")
    images, sizes = patterns(108, 64, 64, 3), (3, 3, 2, 3, 2, 1)
    files = {"3dshapes.h5": hdf5(chunks, images=images, labels=shapes3d_labels(sizes))}
    kind.expect(monkeypatch, files, factor_sizes=sizes)
    # Blocks of 8 images, or of a chunk.
    monkeypatch.setattr(_sources, "KEPT_BYTES", 16 * 8 * images[0].nbytes)
    data = load_shapes3d(kind.write(tmp_path, files), cache_dir=tmp_path)
    np.testing.assert_array_equal(data.images_at(np.arange(108)), images)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_zipped_images_are_read_in_blocks(tmp_path, monkeypatch, save):
    kind = small("mpi3d_toy")
    images = patterns(9_000, 2, 2, 3, scale=1)
    files = {"mpi3d_toy.npz": npz(save, images=images)}
    sizes = (5, 5, 2, 3, 3, 4, 5)
    kind.expect(monkeypatch, files, factor_sizes=sizes, image_shape=(2, 2, 3))
    data = load_mpi3d("toy", kind.write(tmp_path, files), cache_dir=tmp_path)
    np.testing.assert_array_equal(data.images_at(np.arange(9_000)), images)


def test_an_unknown_variant_is_refused(tmp_path):
    with pytest.raises(ValueError, match="toy, realistic, real, got 'fake'"):
        load_mpi3d("fake", tmp_path)


@pytest.mark.parametrize("as_path", [str, Path])
@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_a_path_is_a_str_or_a_path_to_the_file_or_its_folder(tmp_path, kind, as_path, folder):
    path = kind.write(tmp_path / "released")
    path = as_path(tmp_path / "released" if folder else path)
    assert_right(kind.load(path, cache_dir=as_path(tmp_path / "cache")), kind)


# The cache.


def test_images_are_a_memory_map_of_the_cache(tmp_path, kind):
    data = kind.load(kind.write(tmp_path / "released"), cache_dir=tmp_path / "cache")
    array = data._images.array
    assert isinstance(array, np.memmap)
    assert array.mode == "r"
    assert Path(array.filename) == kind.unpacked(tmp_path / "cache")
    assert not array.flags.owndata


def test_the_second_load_does_not_read_the_released_file(tmp_path, monkeypatch, kind):
    path = kind.write(tmp_path / "released")
    kind.load(path, cache_dir=tmp_path / "cache")
    unpacked = kind.unpacked(tmp_path / "cache")
    before = unpacked.stat()

    def forbidden(*args, **kwargs):
        raise AssertionError("it was read again")

    for name in kind.files:
        (tmp_path / "released" / name).write_bytes(b"something else")
    kind.expect(monkeypatch, read=forbidden)
    monkeypatch.setattr(hashlib, "file_digest", forbidden)
    assert_right(kind.load(path, cache_dir=tmp_path / "cache"), kind)
    assert unpacked.stat().st_mtime_ns == before.st_mtime_ns


def test_images_that_are_unpacked_need_no_path(tmp_path, kind):
    path = kind.write(tmp_path / "released")
    kind.load(path, cache_dir=tmp_path / "cache")
    for name in kind.files:
        (tmp_path / "released" / name).unlink()
    for given in (None, path):
        assert_right(kind.load(given, cache_dir=tmp_path / "cache"), kind)


def test_a_read_only_cache_with_the_images_is_enough(tmp_path, monkeypatch, kind):
    kind.load(kind.write(tmp_path / "released"), cache_dir=tmp_path / "cache")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert_right(kind.load(cache_dir=tmp_path / "cache"), kind)


@pytest.mark.parametrize("home", ["mine", ""])
def test_the_cache_is_that_of_keras(tmp_path, monkeypatch, kind, home):
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("KERAS_HOME", home and str(tmp_path / home))
    kind.load(kind.write(tmp_path / "released"))
    cache = tmp_path / (home or "user/.keras") / "datasets"
    assert kind.unpacked(cache).is_file()


def test_variants_of_mpi3d_have_caches_of_their_own(tmp_path, monkeypatch):
    kinds = [small(f"mpi3d_{variant}") for variant in ("toy", "realistic", "real")]
    for kind in kinds:
        kind.expect(monkeypatch)
        kind.load(kind.write(tmp_path / "released"), cache_dir=tmp_path)
    for kind in kinds:
        assert_right(kind.load(cache_dir=tmp_path), kind)


def test_what_was_left_aside_a_day_ago_is_cleared(tmp_path, kind):
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


def test_what_another_process_finishes_meanwhile_is_no_error(tmp_path, monkeypatch, kind):
    unpacked = kind.unpacked(tmp_path / "cache")
    gone = unpacked.with_name("saving-aaaaaaaa-images.npy")
    monkeypatch.setattr(_released, "left_aside", lambda folder, pattern: [gone])
    assert_right(kind.load(kind.write(tmp_path / "released"), cache_dir=tmp_path / "cache"), kind)


# Fetching.


def test_without_a_path_the_files_are_fetched_once_to_the_cache(tmp_path, monkeypatch, kind):
    asked = []

    def get_file(fname, origin, file_hash, hash_algorithm, cache_dir, cache_subdir):
        folder = Path(cache_dir) / cache_subdir
        assert folder == tmp_path / kind.release.name
        name = origin.rsplit("/", 1)[-1]
        assert hash_algorithm == "md5"
        assert file_hash == hashlib.md5(kind.files[name]).hexdigest()
        asked.append(origin)
        (folder / fname).write_bytes(kind.files[name])

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    assert_right(kind.load(cache_dir=tmp_path), kind)
    assert asked == [file.url for file in kind.release.files]
    assert_right(kind.load(cache_dir=tmp_path), kind)
    kind.unpacked(tmp_path).unlink()
    assert_right(kind.load(cache_dir=tmp_path), kind)
    assert len(asked) == len(kind.files)
    assert files_in(tmp_path) == sorted([*kind.files, "images.npy"])


def test_keras_fetches_and_checks_the_files(tmp_path, monkeypatch, kind):
    kind.write(tmp_path / "site")
    kind.expect(monkeypatch, site=tmp_path / "site")
    assert_right(kind.load(cache_dir=tmp_path / "cache"), kind)
    assert files_in(tmp_path / "cache") == sorted([*kind.files, "images.npy"])


def test_a_cache_below_a_folder_called_tilde_is_fetched_to(tmp_path, monkeypatch):
    kind = small("mpi3d_toy")
    kind.write(tmp_path / "site")
    kind.expect(monkeypatch, site=tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert_right(kind.load(cache_dir="~"), kind)
    assert kind.unpacked(tmp_path / "~").is_file()


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


@pytest.mark.parametrize("error", [Exception, OSError, ValueError, TimeoutError])
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


def test_an_interrupted_fetch_leaves_nothing(tmp_path, monkeypatch, kind):
    def interrupted(fname, *args, cache_dir, **kwargs):
        Path(cache_dir, fname).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.utils, "get_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kind.load(cache_dir=tmp_path)
    assert files_in(tmp_path) == []


def test_fetches_that_were_killed_a_day_ago_are_cleared(tmp_path, monkeypatch, kind):
    kind.write(tmp_path / "site")
    kind.expect(monkeypatch, site=tmp_path / "site")
    folder = kind.unpacked(tmp_path / "cache").parent
    folder.mkdir(parents=True)
    for name in kind.files:
        left = folder / f"saving-{secrets.token_hex(4)}-{name}"
        left.write_bytes(b"half")
        os.utime(left, (time.time() - 90_000,) * 2)
    kind.load(cache_dir=tmp_path / "cache")
    assert files_in(folder) == sorted([*kind.files, "images.npy"])


# Several processes.

CHILD = """
import os, signal, sys, time
from pathlib import Path

import numpy as np
import pytest

from tests.released_files import small

action, path, cache, meeting = sys.argv[1:]
kind = small("mpi3d_toy")
read = kind.release.read


def slowly(release, files):
    [block] = read(release, files)
    for number, image in enumerate(block):
        if number == 16:
            wait()
        yield image[np.newaxis]


def wait():
    if action == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    Path(meeting, str(os.getpid())).touch()
    end = time.monotonic() + 60
    while len(list(Path(meeting).iterdir())) < 2:
        if time.monotonic() > end:
            sys.exit("the other process never came")
        time.sleep(0.01)


with pytest.MonkeyPatch.context() as patch:
    kind.expect(patch, read=slowly)
    data = kind.load(path, cache_dir=cache)
np.testing.assert_array_equal(data.images_at(np.arange(32)), kind.images)
"""


def test_a_process_killed_while_it_unpacks_leaves_no_images(tmp_path, monkeypatch):
    kind = small("mpi3d_toy")
    path = kind.write(tmp_path / "released")
    process = run_python(CHILD, "die", path, tmp_path / "cache", tmp_path)
    assert process.returncode == -signal.SIGKILL, process.stderr
    unpacked = kind.unpacked(tmp_path / "cache")
    [left] = unpacked.parent.iterdir()
    assert left.match("saving-*-images.npy")
    assert left.stat().st_size < kind.images.nbytes
    kind.expect(monkeypatch)
    assert_right(kind.load(path, cache_dir=tmp_path / "cache"), kind)
    assert set(unpacked.parent.iterdir()) == {unpacked, left}


def test_two_processes_that_unpack_at_once_both_have_the_images(tmp_path, monkeypatch):
    kind = small("mpi3d_toy")
    path = kind.write(tmp_path / "released")
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    with ThreadPoolExecutor(2) as threads:
        both = [
            threads.submit(run_python, CHILD, "meet", path, tmp_path / "cache", meeting)
            for _ in range(2)
        ]
    for process in both:
        assert process.result().returncode == 0, process.result().stderr
    assert len(list(meeting.iterdir())) == 2
    assert files_in(tmp_path / "cache") == ["images.npy"]
    kind.expect(monkeypatch)
    assert_right(kind.load(cache_dir=tmp_path / "cache"), kind)
