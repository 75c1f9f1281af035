import builtins
import contextlib
import errno
import gzip
import hashlib
import io
import os
import random
import shutil
import struct
import time
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_betavae.datasets.released import cars3d
from keras_betavae.datasets.released import release as _released
from tests.released_files import (
    FORMATS,
    NORB_FILES,
    cars3d_files,
    cars3d_members,
    cars3d_meshes,
    hdf5,
    mat,
    norb,
    npy,
    npz,
    shapes3d_labels,
    small,
    small_norb_files,
    small_norb_matrices,
    zipped,
)

# The reader of images, of classes and of integers each see damage in SmallNORB.
FILES = [(name, file) for name in FORMATS for file in list(small(name).files)[:3]]
each_file = pytest.mark.parametrize(("name", "file"), FILES)
each_format = pytest.mark.parametrize("name", FORMATS)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def pickled(trap, n=32):
    return np.array([Payload(trap)] * n, dtype=object)


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


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


@pytest.mark.parametrize("path", ["absent", "", "a/file/below", "a\0b", "dangling"])
@each_format
def test_what_is_no_file_is_missing(tmp_path, name, path):
    kind = small(name)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="there is no file") as caught:
        kind.load(tmp_path / path, cache_dir=tmp_path / "cache")
    assert str(tmp_path / path) in str(caught.value)
    assert all(file.url in str(caught.value) for file in kind.release.files)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("missing", NORB_FILES)
def test_each_file_of_small_norb_is_needed(tmp_path, missing):
    kind = small("small_norb")
    path = kind.write(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        kind.load(path, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.05, 0.3, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("hashed", [True, False], ids=["hashed", "read"])
@each_file
def test_a_truncated_file_is_refused(tmp_path, name, file, hashed, part):
    whole = small(name).files[file]
    with refused(name, tmp_path, file=file):
        load(name, tmp_path, {file: whole[: int(part * (len(whole) - 1))]}, hashed=hashed)


@each_file
def test_another_hash_is_named(tmp_path, name, file):
    expected = hashlib.md5(small(name).files[file]).hexdigest()
    # That of nothing is in RFC 1321.
    words = f"its MD5 is d41d8cd98f00b204e9800998ecf8427e, not {expected}"
    with refused(name, tmp_path, words, file=file):
        load(name, tmp_path, {file: b""}, hashed=True)


@each_file
def test_a_file_that_goes_on_is_refused(tmp_path, name, file):
    with refused(name, tmp_path, "MD5", file=file):
        load(name, tmp_path, {file: small(name).files[file] + b"\0"}, hashed=True)


@each_file
def test_files_in_the_cache_are_checked_too(tmp_path, monkeypatch, name, file):
    kind = small(name)
    kind.expect(monkeypatch)
    folder = kind.unpacked(tmp_path).parent
    kind.write(folder, {**kind.files, file: kind.files[file] + b"\0"})
    with pytest.raises(ValueError, match="its MD5 is") as caught:
        kind.load(cache_dir=tmp_path)
    assert str(folder / file) in str(caught.value)
    assert files_in(tmp_path) == sorted(kind.files)


@pytest.mark.parametrize("content", [b"not it\n", b"<html>404</html>" * 999, bytes(70_000)])
@each_file
def test_another_kind_of_file_is_refused(tmp_path, name, file, content):
    with refused(name, tmp_path, file=file):
        load(name, tmp_path, {file: content})


@each_file
def test_another_magic_number_is_refused(tmp_path, name, file):
    whole = small(name).files[file]
    with refused(name, tmp_path, file=file):
        load(name, tmp_path, {file: bytes(8) + whole[8:]})


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
        "smaller images": ({"images": SHAPES[:, ::2, ::2]}, "(36, 32, 32, 3)"),
        "grey images": ({"images": SHAPES[..., 0]}, "(36, 64, 64)"),
        "signed": ({"images": SHAPES.view("int8")}, "int8"),
        "floats": ({"images": SHAPES.astype("float32")}, "float32"),
        "no images": ({"images": None}, "images"),
        "a number": ({"images": np.uint8(3)}, "()"),
        "no labels": ({"labels": None}, "labels"),
        "fewer labels": ({"labels": LABELS[1:]}, "(35, 6)"),
        "fewer factors": ({"labels": LABELS[:, 1:]}, "(36, 5)"),
        "more factors": ({"labels": LABELS.repeat(2, 1)}, "(36, 12)"),
        "flat labels": ({"labels": LABELS[:, 0]}, "(36,)"),
        "labels backwards": ({"labels": LABELS[::-1]}, "its labels do not count"),
        "two labels swapped": ({"labels": LABELS[[1, 0, *range(2, 36)]]}, "its labels"),
        "a label twice": ({"labels": LABELS[[0, 0, *range(2, 36)]]}, "its labels"),
        "factors swapped": ({"labels": LABELS[:, ::-1]}, ""),
        "a stray label": ({"labels": LABELS + np.eye(36, 6)}, ""),
        "no numbers": ({"labels": LABELS * np.nan}, "its labels"),
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
        "no car": (cars3d_members({}), "0 files"),
        "a car less": (cars3d_members(dict(list(CARS.items())[1:])), "2 files"),
        "a car more": (cars3d_members({**CARS, "car_3": CARS["car_1"]}), "4 files"),
        "a car twice": (
            [*cars3d_members(dict(list(CARS.items())[1:])), ("data/cars/car_1.mat", CARS["car_1"])],
            "data/cars/*.mat, not 3",
        ),
        "no archive's end": ([], ""),
        "another place": ([(f"cars/{name}.mat", car) for name, car in CARS.items()], "0 files"),
    }.values(),
)
def test_other_cars_are_refused(tmp_path, members, words):
    with refused("cars3d", tmp_path, words):
        load("cars3d", tmp_path, cars3d_files(members))


@pytest.mark.parametrize(
    ("car", "words"),
    {
        "axes swapped": (mat(CAR.swapaxes(3, 4)), "(128, 128, 3, 2, 3)"),
        "smaller": (mat(CAR[::2, ::2]), "(64, 64, 3, 3, 2)"),
        "one picture": (mat(CAR[..., 0, 0]), "(128, 128, 3)"),
        "signed": (mat(CAR.view("int8")), "no array of uint8"),
        "wider": (mat(CAR.astype("int16")), "no array of uint8"),
        "floats": (mat(CAR / 255), "no array of uint8"),
        "booleans": (mat(CAR > 127), "no array of uint8"),
        "complex": (mat(CAR * 1j), "no array of uint8"),
        "text": (mat("car"), "no array of uint8"),
        "a cell": (mat(np.array([CAR, "car"], dtype=object)), "no array of uint8"),
        "a structure": (mat({"im": CAR}), "no array of uint8"),
        "sparse": (mat(scipy.sparse.eye_array(3, format="csc")), "no array of uint8"),
        "another name": (mat(CAR, "image"), "holds no im"),
        "nothing": (mat(CAR)[:128], "holds no im"),
        "no content": (b"", "no little-endian MATLAB 5 file"),
        "big-endian": (mat(CAR)[:124] + b"\1\0MI" + mat(CAR)[128:], "no little-endian"),
        "HDF5": (hdf5(im=CAR), "no little-endian MATLAB 5 file"),
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


def same_as_before(name):
    """The matrix with its second row like its first, and its namesakes too."""
    return {key: norb(MATRICES[key][[0, 0, *range(2, 24)]]) for key in (CAT, INFO)}


@pytest.mark.parametrize(
    ("changed", "file", "words"),
    {
        "ints for bytes": ({DAT: norb(MATRICES[DAT], magic=0x1E3D4C54)}, DAT, "magic number"),
        "bytes for ints": ({CAT: norb(MATRICES[CAT], magic=0x1E3D4C55)}, CAT, "magic number"),
        "floats": ({INFO: norb(MATRICES[INFO], magic=0x1E3D4C51)}, INFO, "magic number"),
        "another order": ({CAT: norb(MATRICES[CAT], magic=0x544C3D1E)}, CAT, "magic number"),
        "nothing": ({CAT: b""}, CAT, "magic number"),
        "half a number": ({CAT: norb(MATRICES[CAT])[:6]}, CAT, ""),
        "only a magic number": ({CAT: norb(MATRICES[CAT])[:4]}, CAT, "magic number"),
        "half the dimensions": ({INFO: norb(MATRICES[INFO])[:14]}, INFO, ""),
        "fewer": ({DAT: norb(MATRICES[DAT][1:])}, DAT, "[23, 2, 96, 96]"),
        "one camera": ({DAT: norb(MATRICES[DAT][:, 0])}, DAT, "3 dimensions"),
        "smaller": ({DAT: norb(MATRICES[DAT][..., ::2])}, DAT, "[24, 2, 96, 48]"),
        "fewer columns": ({INFO: norb(MATRICES[INFO][:, 1:])}, INFO, "[24, 3, 1]"),
        "a column": ({CAT: norb(MATRICES[CAT][:, None])}, CAT, "2 dimensions"),
        "many dimensions": ({CAT: norb(MATRICES[CAT], n_dims=2**30)}, CAT, "dimensions"),
        "negative dimensions": ({CAT: norb(MATRICES[CAT], n_dims=-1)}, CAT, "-1 dimensions"),
        "ends early": ({DAT: norb(MATRICES[DAT])[:-1]}, DAT, "it ends after"),
        "no values": ({CAT: norb(MATRICES[CAT])[:20]}, CAT, "it ends after 0 of 96 bytes"),
        "goes on": ({DAT: norb(MATRICES[DAT]) + b"\0"}, DAT, "goes on"),
        "numbers go on": ({INFO: norb(MATRICES[INFO]) + bytes(16)}, INFO, "goes on"),
        "no such category": (replaced(CAT, 3, 2), CAT, ""),
        "a negative category": (replaced(CAT, 3, -1), CAT, ""),
        "no such instance": (replaced(INFO, (3, 0), 2), INFO, ""),
        "no such elevation": (replaced(INFO, (3, 1), 9), INFO, ""),
        "an odd azimuth": (replaced(INFO, (3, 2), 3), INFO, "odd azimuths"),
        "a negative azimuth": (replaced(INFO, (3, 2), -2), INFO, ""),
        "no such azimuth": (replaced(INFO, (3, 2), 6), INFO, ""),
        "no such lighting": (replaced(INFO, (3, 3), 2**31 - 1), INFO, ""),
        "a combination twice": (same_as_before(INFO), INFO, "1 combinations"),
        "an instance in both": (replaced(INFO, (slice(None), 0), 0), INFO, "24 combinations"),
    }.values(),
)
def test_other_data_for_small_norb_are_refused(tmp_path, changed, file, words):
    packed = {name: gzip.compress(content) for name, content in changed.items()}
    with refused("small_norb", tmp_path, words, file=file):
        load("small_norb", tmp_path, packed)


def test_files_of_small_norb_that_took_each_others_names_are_refused(tmp_path):
    files = small_norb_files(MATRICES)
    with refused("small_norb", tmp_path, "magic number"):
        load("small_norb", tmp_path, {DAT: files[CAT], CAT: files[DAT]})


ROBOTS = small("mpi3d_toy").images


@pytest.mark.parametrize(
    ("content", "words"),
    {
        "fewer images": (npz(images=ROBOTS[1:]), "(31, 64, 64, 3)"),
        "in a grid": (npz(images=ROBOTS.reshape(2, 16, 64, 64, 3)), "(2, 16, 64, 64, 3)"),
        "smaller images": (npz(images=ROBOTS[:, ::2, ::2]), "(32, 32, 32, 3)"),
        "channels first": (npz(images=np.moveaxis(ROBOTS, -1, 1)), "(32, 3, 64, 64)"),
        "signed": (npz(images=ROBOTS.view("int8")), "int8"),
        "floats": (npz(images=ROBOTS.astype("float32")), "float32"),
        "booleans": (npz(images=ROBOTS > 127), "bool"),
        "columns first": (npz(images=np.asfortranarray(ROBOTS)), "(32, 64, 64, 3)"),
        "another name": (npz(imgs=ROBOTS), "images.npy"),
        "ends early": (zipped(npy(ROBOTS)[:-1]), "it ends after 0 images"),
        "goes on": (zipped(npy(ROBOTS) + b"\0"), "goes on"),
        "no array": (zipped(b"not an array"), "magic"),
        "empty member": (zipped(b""), ""),
        "another version": (zipped(npy(ROBOTS).replace(b"Y\1", b"Y\2", 1)), "unknown version"),
        "no shape": (zipped(npy(ROBOTS).replace(b"'shape'", b"'shame'")), ""),
        "no header": (zipped(npy(ROBOTS).replace(b"{", b"(")), ""),
    }.values(),
)
def test_other_data_for_mpi3d_are_refused(tmp_path, content, words):
    with refused("mpi3d_toy", tmp_path, words):
        load("mpi3d_toy", tmp_path, {"mpi3d_toy.npz": content})


def test_images_that_are_a_pickle_are_not_unpickled(tmp_path):
    trap = tmp_path / "unpickled"
    content = npz(images=pickled(trap))
    with refused("mpi3d_toy", tmp_path, "object"):
        load("mpi3d_toy", tmp_path, {"mpi3d_toy.npz": content})
    assert not trap.exists()
    # The trap does work, for who reads it.
    np.load(io.BytesIO(content), allow_pickle=True)["images"][0].close()
    assert trap.exists()


def test_a_pickle_beside_the_images_is_never_unpickled(tmp_path):
    trap = tmp_path / "unpickled"
    content = npz(images=ROBOTS, metadata=pickled(trap, 1))
    assert len(load("mpi3d_toy", tmp_path, {"mpi3d_toy.npz": content})) == 32
    assert not trap.exists()


@each_format
def test_bytes_flipped_in_the_images_fail_the_hash(tmp_path, name):
    file = next(iter(small(name).files))
    flipped = bytearray(small(name).files[file])
    flipped[len(flipped) // 2] ^= 1
    with refused(name, tmp_path, "MD5"):
        load(name, tmp_path, {file: bytes(flipped)}, hashed=True)


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


@each_file
def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch, name, file):
    kind = small(name)
    kind.expect(monkeypatch)
    path, open_it = kind.write(tmp_path / "released"), Path.open

    def forbidden(self, *args, **kwargs):
        if self.name == file:
            raise PermissionError(13, "Permission denied")
        return open_it(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(PermissionError, match="may not be read") as caught:
        kind.load(path, cache_dir=tmp_path / "cache")
    assert str(tmp_path / "released" / file) in str(caught.value)
    assert files_in(tmp_path / "cache") == []


@pytest.mark.parametrize("damage", ["a file", "below a file", "read only"])
@pytest.mark.parametrize("fetch", [False, True], ids=["given", "fetched"])
@each_format
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
    with pytest.raises(PermissionError, match="choose another one with cache_dir") as caught:
        kind.load(path, cache_dir=cache)
    assert str(cache / kind.release.name) in str(caught.value)


@each_format
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


@pytest.mark.parametrize("room", [0, 100, 128, 5_000, -1])
@each_format
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


@each_format
def test_an_interruption_leaves_nothing(tmp_path, monkeypatch, name):
    kind = small(name)

    def interrupted(release, files):
        yield kind.images[:1]
        raise KeyboardInterrupt

    kind.expect(monkeypatch, read=interrupted)
    with pytest.raises(KeyboardInterrupt):
        kind.load(kind.write(tmp_path / "released"), cache_dir=tmp_path / "cache")
    assert files_in(tmp_path / "cache") == []


# Unpacked images that are damaged.


def damaged(content, images, trap):
    yield "empty", b""
    yield "start", content[:5]
    yield "header", content[:100]
    yield "no images", content[:128]
    yield "half", content[: len(content) // 2]
    yield "end", content[:-1]
    yield "text", b"something else\n"
    yield "zeros", bytes(len(content))
    yield "zip", npz(images=images)
    yield "fewer", npy(images[1:])
    yield "flat", npy(images.reshape(-1))
    yield "signed", npy(images.view("int8"))
    yield "floats", npy(images.astype("float32"))
    yield "pickle", pickled(trap).dumps()
    file = io.BytesIO()
    np.save(file, pickled(trap), allow_pickle=True)
    yield "array of pickles", file.getvalue()
    yield "no header", content[:10] + b"(" * 118 + content[128:]
    yield "another version", content[:6] + b"\x09" + content[7:]


@each_format
def test_damaged_images_in_the_cache_are_named(tmp_path, monkeypatch, name):
    kind, trap = small(name), tmp_path / "unpickled"
    kind.expect(monkeypatch)
    path, unpacked = kind.write(tmp_path / "released"), kind.unpacked(tmp_path / "cache")
    kind.load(path, cache_dir=tmp_path / "cache")
    for damage, content in damaged(unpacked.read_bytes(), kind.images, trap):
        unpacked.unlink()
        unpacked.write_bytes(content)
        for given_or_not in (path, None):
            with pytest.raises(ValueError, match="is damaged; delete it") as caught:
                kind.load(given_or_not, cache_dir=tmp_path / "cache")
            assert str(unpacked) in str(caught.value), damage
    assert not trap.exists()
    unpacked.unlink()
    data = kind.load(path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(data.images_at(np.arange(len(data))), kind.images)


@each_format
def test_images_in_the_cache_that_may_not_be_read_are_named(tmp_path, monkeypatch, name):
    kind = small(name)
    kind.expect(monkeypatch)
    kind.load(kind.write(tmp_path / "released"), cache_dir=tmp_path / "cache")
    unpacked, open_it = kind.unpacked(tmp_path / "cache"), builtins.open

    def forbidden(file, *args, **kwargs):
        if str(file) == str(unpacked):
            raise PermissionError(13, "Permission denied")
        return open_it(file, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", forbidden)
    with pytest.raises(PermissionError, match="may not be read") as caught:
        kind.load(cache_dir=tmp_path / "cache")
    assert str(unpacked) in str(caught.value)


@each_format
def test_a_folder_in_the_images_place_is_named(tmp_path, monkeypatch, name):
    kind = small(name)
    kind.expect(monkeypatch)
    unpacked = kind.unpacked(tmp_path / "cache")
    unpacked.mkdir(parents=True)
    with pytest.raises(OSError, match=r"images\.npy"):
        kind.load(kind.write(tmp_path / "released"), cache_dir=tmp_path / "cache")
    assert list(unpacked.parent.iterdir()) == [unpacked]


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
        _released.fill(tmp_path / "images.npy", (2, 64, 64, 3), iter(blocks))
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# Files that were mutated at random.


def edited(whole, edits):
    """Flips, overwrites, cuts out, repeats or inserts bytes."""
    changed = bytearray(whole)
    for action, place, size, value in edits:
        start = place % (len(changed) + 1)
        there = slice(start, start + size)
        if action == "flip" and start < len(changed):
            changed[start] ^= 1 << value % 8
        elif action == "overwrite":
            changed[there] = bytes([value]) * len(changed[there])
        elif action == "cut":
            del changed[there]
        elif action == "repeat":
            changed[start:start] = changed[there]
        elif action == "insert":
            changed[start:start] = struct.pack("<I", value) * (size // 4 + 1)
    return bytes(changed)


ACTIONS = ("flip", "overwrite", "cut", "repeat", "insert")
SIZES = (1, 2, 4, 8, 50, 1_000)
# Near the start and the end, counted from there, most formats have their headers.
PLACES = ((-600, 600), (-(10**7), 10**7))
EDITS = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.one_of(*(st.integers(*bounds) for bounds in PLACES)),
        st.sampled_from(SIZES),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=3,
)


def load_or_refuse(kind, folder, files):
    """Accepts images of the right shape or a ValueError, and nothing else."""
    path, unpacked = kind.write(folder / "released", files), kind.unpacked(folder / "cache")
    try:
        data = kind.load(path, cache_dir=folder / "cache")
    except ValueError:
        pass
    else:
        images = data.images_at(np.arange(len(data)))
        assert (images.shape, images.dtype) == (kind.images.shape, np.uint8)
        unpacked.unlink()
    assert files_in(folder / "cache") == []


@contextlib.contextmanager
def quiet_and_unhashed(kind):
    class Quiet:
        def __init__(self, *args, **kwargs):
            pass

        def update(self, n):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.utils, "Progbar", Quiet)
        kind.expect(patch, hashed=False)
        yield


@pytest.mark.parametrize("name", [*FORMATS, "shapes3d contiguous", "mpi3d_toy stored"])
def test_mutated_bytes_never_surprise(tmp_path_factory, name):
    kind, folder = small(name), tmp_path_factory.mktemp("mutated")

    @settings(deadline=None, max_examples=60)
    @given(st.sampled_from(list(kind.layers)), EDITS)
    def mutate(layer, edits):
        content, files_of = kind.layers[layer]
        load_or_refuse(kind, folder, files_of(edited(content, edits)))

    with quiet_and_unhashed(kind):
        mutate()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMATS, "shapes3d contiguous", "mpi3d_toy stored"])
def test_mutated_bytes_never_surprise_for_long(tmp_path, record_property, name):
    kind, rng = small(name), random.Random(time.time_ns())
    seconds, n = float(os.environ.get("FUZZ_SECONDS", "60")), 0
    end = time.monotonic() + seconds
    with quiet_and_unhashed(kind):
        while time.monotonic() < end:
            content, files_of = kind.layers[rng.choice(list(kind.layers))]
            edits = [
                (
                    rng.choice(ACTIONS),
                    rng.randint(*rng.choice(PLACES)),
                    rng.choice(SIZES),
                    rng.randrange(256),
                )
                for _ in range(rng.randint(1, 3))
            ]
            load_or_refuse(kind, tmp_path, files_of(edited(content, edits)))
            n += 1
    record_property("examples", n)
    print(f"{name}: {n} examples")
