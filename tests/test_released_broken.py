import contextlib
import errno
import gzip
import hashlib
import io
import os
import shutil
import time
from pathlib import Path
from unittest import mock

import h5py
import keras
import numpy as np
import pytest
import scipy.io

from keras_betavae.datasets import _unpacked
from keras_betavae.datasets.released import cars3d
from tests.released_files import (
    FORMATS,
    NORB_FILES,
    Payload,
    cars3d_files,
    cars3d_members,
    cars3d_meshes,
    edited,
    files_in,
    hdf5,
    mat,
    norb,
    npy,
    npz,
    shapes3d_labels,
    small,
    small_norb_matrices,
    zipped,
)

# The reader of images, of classes and of integers each see damage in SmallNORB.
FILES = [(name, file) for name in FORMATS for file in list(small(name).files)[:3]]
each_file = pytest.mark.parametrize(("name", "file"), FILES)
each_format = pytest.mark.parametrize("name", FORMATS)


def pickled(trap, n=32):
    return np.array([Payload(trap)] * n, dtype=object)


def load(name, tmp_path, changed=None, *, hashed=False):
    """Loads files of which some were changed; hashed is whether the loader sees that."""
    kind = small(name)
    files = {**kind.files, **(changed or {})}
    with pytest.MonkeyPatch.context() as patch:
        kind.expect(patch, hashed=hashed)
        return kind.load(kind.write(tmp_path / "released", files), cache_dir=tmp_path / "cache")


@contextlib.contextmanager
def refused(name, tmp_path, *words, file=None):
    """Expects the error that names the file and how to get it, and no images."""
    kind = small(name)
    with pytest.raises(ValueError, match="truncated") as caught:
        yield
    file = file or next(iter(kind.files))
    for word in (str(tmp_path / "released" / file), kind.release.files[0].url, *words):
        assert word in str(caught.value)
    assert files_in(tmp_path / "cache") == []


# No file, or not the whole one.


@each_format
def test_what_is_no_file_is_missing(tmp_path, name):
    kind = small(name)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    for path in ("absent", "", "file/below", "a\0b", "dangling", "pipe"):
        with pytest.raises(FileNotFoundError, match="does not exist") as caught:
            kind.load(tmp_path / path, cache_dir=tmp_path / "cache")
        assert str(tmp_path / path) in str(caught.value)
        assert all(file.url in str(caught.value) for file in kind.release.files)
    assert not (tmp_path / "cache").exists()
    last = list(kind.files)[-1]
    kind.write(tmp_path / "released")
    (tmp_path / "released" / last).unlink()
    with pytest.raises(FileNotFoundError, match=last):
        kind.load(tmp_path / "released", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("part", [0.01, 0.5, 1.0])
@each_file
def test_a_truncated_file_is_refused_by_its_reader(tmp_path, name, file, part):
    whole = small(name).files[file]
    with refused(name, tmp_path, file=file):
        load(name, tmp_path, {file: whole[: int(part * (len(whole) - 1))]})


@each_format
def test_another_hash_is_named(tmp_path, monkeypatch, name):
    file, whole = next(iter(small(name).files.items()))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for changed in (b"", whole[:-1], whole + b"\0", bytes(flipped)):
        found, expected = (hashlib.md5(content).hexdigest() for content in (changed, whole))
        words = f"its MD5 is {found}, not {expected}"
        with refused(name, tmp_path, words, file=file):
            load(name, tmp_path, {file: changed}, hashed=True)
    kind = small(name)
    kind.expect(monkeypatch)
    folder = kind.unpacked(tmp_path / "home").parent
    kind.write(folder, {**kind.files, file: whole + b"\0"})
    with pytest.raises(ValueError, match="its MD5 is"):  # What is in the cache is checked too.
        kind.load(None, cache_dir=tmp_path / "home")


@pytest.mark.parametrize(("number", "kind"), [(errno.EMFILE, OSError), (13, PermissionError)])
@each_format
def test_what_cannot_be_read_now_is_not_called_damaged(tmp_path, monkeypatch, name, number, kind):
    def failing(release, files):
        raise OSError(number, os.strerror(number))

    data, (file, *_) = small(name), small(name).files
    read = data.release.read
    data.expect(monkeypatch, read=failing)
    path = data.write(tmp_path / "released")
    with pytest.raises(kind, match=os.strerror(number)) as caught:
        data.load(path, cache_dir=tmp_path / "cache")
    assert str(tmp_path / "released" / file) in str(caught.value)
    assert files_in(tmp_path / "cache") == []
    # The images in the cache, too.
    data.expect(monkeypatch, read=read)
    data.load(path, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(np.lib.format, "open_memmap", lambda file, **options: failing(None, [file]))
    with pytest.raises(kind, match=os.strerror(number)) as caught:
        data.load(path, cache_dir=tmp_path / "cache")
    assert str(data.unpacked(tmp_path / "cache")) in str(caught.value)


# Other data in the right format.


def shapes3d_of(**changes):
    kind = small("shapes3d")
    arrays = {"images": kind.images, "labels": shapes3d_labels(kind.sizes), **changes}
    return {"3dshapes.h5": hdf5(**{key: x for key, x in arrays.items() if x is not None})}


SHAPES, LABELS = small("shapes3d").images, shapes3d_labels(small("shapes3d").sizes)


@pytest.mark.parametrize(
    ("changes", "words"),
    {
        "fewer images": ({"images": SHAPES[1:]}, "(35, 64, 64, 3)"),
        "signed": ({"images": SHAPES.view("int8")}, "int8"),
        "no images": ({"images": None}, "images"),
        "no labels": ({"labels": None}, "labels"),
        "fewer factors": ({"labels": LABELS[:, 1:]}, "(36, 5)"),
        "two labels swapped": ({"labels": LABELS[[1, 0, *range(2, 36)]]}, "its labels"),
        "a stray label": ({"labels": LABELS + np.eye(36, 6)}, ""),
    }.values(),
)
def test_other_data_for_3d_shapes_are_refused(tmp_path, changes, words):
    with refused("shapes3d", tmp_path, words):
        load("shapes3d", tmp_path, shapes3d_of(**changes))


def test_hdf5_groups_and_links_for_images_are_refused(tmp_path):
    for change in (
        lambda file: file.create_group("images"),
        lambda file: file.__setitem__("images", h5py.SoftLink("/nowhere")),
        lambda file: file.__setitem__("images", h5py.ExternalLink("nowhere.h5", "/images")),
    ):
        opened = io.BytesIO(shapes3d_of(images=None)["3dshapes.h5"])
        with h5py.File(opened, "a") as file:
            change(file)
        with refused("shapes3d", tmp_path):
            load("shapes3d", tmp_path, {"3dshapes.h5": opened.getvalue()})


MESHES = cars3d_meshes()
CARS = {name: mat(mesh) for name, mesh in MESHES.items()}
CAR = MESHES["car_1"]


@pytest.mark.parametrize(
    ("members", "words"),
    {
        "a car less": (cars3d_members(dict(list(CARS.items())[1:])), "2 files"),
        "a car more": (cars3d_members({**CARS, "car_3": CARS["car_1"]}), "4 files"),
        "a car twice": (
            [*cars3d_members(dict(list(CARS.items())[1:])), ("data/cars/car_1.mat", CARS["car_1"])],
            "data/cars/*.mat, not 3",
        ),
    }.values(),
)
def test_other_cars_are_refused(tmp_path, members, words):
    with refused("cars3d", tmp_path, words):
        load("cars3d", tmp_path, cars3d_files(members))


@pytest.mark.parametrize(
    ("car", "words"),
    {
        "axes swapped": (mat(CAR.swapaxes(3, 4)), "(128, 128, 3, 2, 3)"),
        "signed": (mat(CAR.view("int8")), "is not an array of uint8"),
        "booleans": (mat(CAR > 127), "is not an array of uint8"),
        "a cell": (mat(np.array([CAR, "car"], dtype=object)), "is not an array of uint8"),
        "another name": (mat(CAR, "image"), "does not hold im"),
        "no content": (b"", "not a little-endian MATLAB 5 file"),
        "big-endian": (mat(CAR)[:124] + b"\1\0MI" + mat(CAR)[128:], "not a little-endian"),
        "truncated": (mat(CAR)[:-1], "it ends within"),
        "truncated when packed": (mat(CAR, compressed=True)[:-1], "it ends within"),
    }.values(),
)
def test_other_data_for_a_car_are_refused(tmp_path, car, words):
    with refused("cars3d", tmp_path, words):
        load("cars3d", tmp_path, cars3d_files(cars3d_members({**CARS, "car_1": car})))


@pytest.mark.parametrize("compressed", [True, False])
def test_mat_files_are_read_as_scipy_writes_them(compressed):
    rng = np.random.default_rng(0)
    arrays = {
        "other": rng.random(3),
        "text": "words",
        "cell": np.array([1, "two"], dtype=object),
        "im": rng.integers(0, 256, (2, 3, 1, 4, 5), "uint8"),
        "small": np.array([[1, 2, 3]], "uint8"),
        "a_long_name": rng.integers(0, 256, (7, 1), "uint8"),
    }
    file = io.BytesIO()
    scipy.io.savemat(file, arrays, do_compression=compressed)
    for name in ("im", "small", "a_long_name"):
        found = cars3d.read_mat(file.getvalue(), name)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, arrays[name])


MATRICES, _ = small_norb_matrices()
DAT, CAT, INFO = NORB_FILES[:3]


def replaced(name, where, value):
    changed = MATRICES[name].copy()
    changed[where] = value
    return {name: norb(changed)}


@pytest.mark.parametrize(
    ("changed", "file", "words"),
    {
        "ints for bytes": ({DAT: norb(MATRICES[DAT], magic=0x1E3D4C54)}, DAT, "magic number"),
        "only a magic number": ({CAT: norb(MATRICES[CAT])[:4]}, CAT, "magic number"),
        "fewer": ({DAT: norb(MATRICES[DAT][1:])}, DAT, "[23, 2, 96, 96]"),
        "fewer columns": ({INFO: norb(MATRICES[INFO][:, 1:])}, INFO, "[24, 3, 1]"),
        "many dimensions": ({CAT: norb(MATRICES[CAT], n_dims=2**30)}, CAT, "dimensions"),
        "ends early": ({DAT: norb(MATRICES[DAT])[:-1]}, DAT, "it ends after"),
        "goes on": ({DAT: norb(MATRICES[DAT]) + b"\0"}, DAT, "bytes after the last value"),
        "no such category": (replaced(CAT, 3, 2), CAT, ""),
        "no such instance": (replaced(INFO, (3, 0), 2), INFO, ""),
        "an odd azimuth": (replaced(INFO, (3, 2), 3), INFO, "odd azimuths"),
        "an instance in both": (replaced(INFO, (slice(None), 0), 0), INFO, "24 combinations"),
    }.values(),
)
def test_other_data_for_small_norb_are_refused(tmp_path, changed, file, words):
    packed = {name: gzip.compress(content) for name, content in changed.items()}
    with refused("small_norb", tmp_path, words, file=file):
        load("small_norb", tmp_path, packed)


ROBOTS = small("mpi3d_toy").images


@pytest.mark.parametrize(
    ("content", "words"),
    {
        "fewer images": (npz(images=ROBOTS[1:]), "(31, 64, 64, 3)"),
        "signed": (npz(images=ROBOTS.view("int8")), "int8"),
        "columns first": (npz(images=np.asfortranarray(ROBOTS)), "(32, 64, 64, 3)"),
        "another name": (npz(imgs=ROBOTS), "images.npy"),
        "ends early": (zipped(npy(ROBOTS)[:-1]), "it ends after 0 images"),
        "goes on": (zipped(npy(ROBOTS) + b"\0"), "bytes after the last image"),
        "no array": (zipped(b"not an array"), "magic"),
        "another version": (zipped(npy(ROBOTS).replace(b"Y\1", b"Y\2", 1)), "unknown version"),
        "no shape": (zipped(npy(ROBOTS).replace(b"'shape'", b"'shame'")), ""),
    }.values(),
)
def test_other_data_for_mpi3d_are_refused(tmp_path, content, words):
    with refused("mpi3d_toy", tmp_path, words):
        load("mpi3d_toy", tmp_path, {"mpi3d_toy.npz": content})


def test_images_that_are_a_pickle_are_not_unpickled(tmp_path):
    trap = tmp_path / "unpickled"
    beside = npz(images=ROBOTS, metadata=pickled(trap, 1))
    load("mpi3d_toy", tmp_path, {"mpi3d_toy.npz": beside})
    small("mpi3d_toy").unpacked(tmp_path / "cache").unlink()
    content = npz(images=pickled(trap))
    with refused("mpi3d_toy", tmp_path, "object"):
        load("mpi3d_toy", tmp_path, {"mpi3d_toy.npz": content})
    assert not trap.exists()
    # The trap does work, for who reads it.
    np.load(io.BytesIO(content), allow_pickle=True)["images"][0].close()
    assert trap.exists()


@pytest.mark.parametrize("name", ["cars3d", "small_norb", "mpi3d_toy"])
def test_the_checksum_of_a_packed_file_is_compared(tmp_path, name):
    file = next(iter(small(name).files))
    changed = bytearray(small(name).files[file])
    # In gzip, it is before the length at the end; in zip, 14 bytes into the member's header, and
    # 16 into that of the directory.
    for place in [-8] if name != "mpi3d_toy" else [14, changed.index(b"PK\1\2") + 16]:
        changed[place] ^= 1
    with refused(name, tmp_path, "CRC"):
        load(name, tmp_path, {file: bytes(changed)})


# Files and folders that may not be used, and disks that are full.


@pytest.mark.parametrize("damage", ["a file", "below a file", "read only"])
@pytest.mark.parametrize("fetch", [False, True], ids=["given", "fetched"])
@pytest.mark.parametrize("name", ["small_norb", "mpi3d_toy"])
def test_a_cache_that_cannot_be_written_to_is_named(tmp_path, monkeypatch, name, damage, fetch):
    kind = small(name)
    kind.expect(monkeypatch)
    path = None if fetch else kind.write(tmp_path / "released")
    cache = tmp_path / "cache"
    if damage == "read only":
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    else:
        cache.write_bytes(b"")
        cache = cache if damage == "a file" else cache / "below"
    with pytest.raises(PermissionError, match="choose another folder with cache_dir") as caught:
        kind.load(path, cache_dir=cache)
    assert str(cache / kind.release.name) in str(caught.value)


@pytest.mark.parametrize("name", ["small_norb", "mpi3d_toy"])
def test_a_disk_without_room_is_named_before_anything_is_written(tmp_path, monkeypatch, name):
    kind = small(name)
    kind.expect(monkeypatch)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage._replace(free=kind.images.size - 1)
    )
    with pytest.raises(OSError, match="no room for the unpacked images") as caught:
        kind.load(kind.write(tmp_path / "released"), cache_dir=tmp_path / "cache")
    assert str(kind.unpacked(tmp_path / "cache").parent) in str(caught.value)
    assert "cache_dir" in str(caught.value)
    assert files_in(tmp_path / "cache") == []


class FullDisk(io.FileIO):
    """A file on a disk that has room for a few bytes."""

    room = 0

    def write(self, content):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(memoryview(content)[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 100, 5_000, -1])
@pytest.mark.parametrize("name", ["small_norb", "mpi3d_toy"])
def test_a_disk_that_fills_meanwhile_is_named(tmp_path, monkeypatch, name, room):
    kind = small(name)
    kind.expect(monkeypatch)
    path, open_it = kind.write(tmp_path / "released"), Path.open

    def open_on_full_disk(self, mode="r", buffering=-1, **kwargs):
        if "w" not in mode:
            return open_it(self, mode, buffering, **kwargs)
        file = FullDisk(self, mode)
        file.room = room if room >= 0 else 128 + kind.images.size + room
        return io.BufferedWriter(file) if buffering else file

    monkeypatch.setattr(Path, "open", open_on_full_disk)
    with pytest.raises(OSError, match="No space left on device") as caught:
        kind.load(path, cache_dir=tmp_path / "cache")
    assert caught.value.errno == errno.ENOSPC
    assert str(kind.unpacked(tmp_path / "cache")) in str(caught.value)
    assert files_in(tmp_path / "cache") == []


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    kind = small("mpi3d_toy")

    def interrupted(release, files):
        yield kind.images[:1]
        raise KeyboardInterrupt

    def interrupted_fetch(fname, *args, cache_dir, **kwargs):
        Path(cache_dir, fname).write_bytes(b"half")
        raise KeyboardInterrupt

    kind.expect(monkeypatch, read=interrupted)
    monkeypatch.setattr(keras.utils, "get_file", interrupted_fetch)
    for path in (kind.write(tmp_path / "released"), None):
        with pytest.raises(KeyboardInterrupt):
            kind.load(path, cache_dir=tmp_path / "cache")
        assert files_in(tmp_path / "cache") == []


# Unpacked images that are damaged.


def damaged(content, images, trap):
    yield "empty", b""
    yield "header", content[:100]
    yield "half", content[: len(content) // 2]
    yield "end", content[:-1]
    yield "text", b"something else\n"
    yield "zip", npz(images=images)
    yield "fewer", npy(images[1:])
    yield "flat", npy(images.reshape(-1))
    yield "floats", npy(images.astype("float32"))
    yield "pickle", pickled(trap).dumps()
    file = io.BytesIO()
    np.save(file, pickled(trap), allow_pickle=True)
    yield "array of pickles", file.getvalue()
    yield "no header", content[:10] + b"(" * 118 + content[128:]
    yield "another version", content[:6] + b"\x09" + content[7:]


def test_damaged_images_in_the_cache_are_named(tmp_path, monkeypatch):
    kind, trap = small("mpi3d_toy"), tmp_path / "unpickled"
    kind.expect(monkeypatch)
    path, unpacked = kind.write(tmp_path / "released"), kind.unpacked(tmp_path / "cache")
    kind.load(path, cache_dir=tmp_path / "cache")
    for damage, content in damaged(unpacked.read_bytes(), kind.images, trap):
        unpacked.unlink()
        unpacked.write_bytes(content)
        with pytest.raises(ValueError, match="is damaged; delete it") as caught:
            kind.load(path, cache_dir=tmp_path / "cache")
        assert str(unpacked) in str(caught.value), damage
    assert not trap.exists()
    unpacked.unlink()
    data = kind.load(path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(data.images_at(np.arange(len(data))), kind.images)


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([ROBOTS[:1]], "1 images, not 2"),
        ([ROBOTS[:1]] * 3, "3 images, not 2"),
        ([], "0 images, not 2"),
        ([ROBOTS[:2, ::2]], "uint8 (32, 64, 3), not uint8 (64, 64, 3)"),
        ([ROBOTS[:2].view("int8")], "int8 (64, 64, 3), not"),
    ],
)
def test_blocks_that_do_not_add_up_leave_no_file(tmp_path, blocks, words):
    with pytest.raises(ValueError, match="images") as caught:
        _unpacked.fill(tmp_path / "images.npy", (2, 64, 64, 3), iter(blocks))
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# Files that were mutated at random.


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMATS, "shapes3d contiguous"])
def test_mutated_bytes_never_surprise_for_long(tmp_path, monkeypatch, name):
    kind, seed = small(name), time.time_ns()
    kind.expect(monkeypatch, hashed=False)
    monkeypatch.setattr(keras.utils, "Progbar", mock.Mock())
    n, end = 0, time.monotonic() + float(os.environ.get("FUZZ_SECONDS", "60"))
    while time.monotonic() < end:
        content, files_of = list(kind.layers.values())[n % len(kind.layers)]
        path = kind.write(tmp_path / "released", files_of(edited(content, seed + n)))
        with contextlib.suppress(ValueError):  # Images of the right shape or that, nothing else.
            data = kind.load(path, cache_dir=tmp_path / "cache")
            assert data.images_at(np.arange(len(data))).shape == kind.images.shape
            kind.unpacked(tmp_path / "cache").unlink()
        assert files_in(tmp_path / "cache") == [], f"seed {seed + n}"
        n += 1
    print(f"{name}: {n} examples")
