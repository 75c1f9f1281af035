"""Small data sets in the formats that they are released in, written from their descriptions."""

import dataclasses
import functools
import gzip
import hashlib
import io
import itertools
import os
import random
import signal
import struct
import sys
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from PIL import Image

from keras_betavae.datasets import FactorDataset
from keras_betavae.datasets.released import cars3d, mpi3d, shapes3d, small_norb

NORB = "smallnorb-5x{}x9x18x6x2x96x96-{}-{}.mat.gz"
NORB_FILES = [
    NORB.format(*part, kind)
    for part in (("46789", "training"), ("01235", "testing"))
    for kind in ("dat", "cat", "info")
]


@dataclasses.dataclass(frozen=True)
class Small:
    """A small data set as it is released, and what its loader must make of it."""

    module: object
    load: Callable[..., FactorDataset]
    sizes: tuple[int, ...]
    images: np.ndarray
    files: dict[str, bytes]
    layers: dict[str, tuple[bytes, Callable[[bytes], dict[str, bytes]]]]
    """Bytes at several depths of the files, and how to make the files of such bytes."""
    variant: str | None = None

    @property
    def release(self):
        """The module's constant, as it is patched."""
        if self.variant is not None:
            return self.module.MPI3D[self.variant]
        return getattr(self.module, self.module.__name__.rsplit(".", 1)[-1].upper())

    def expect(self, patch, files=None, *, hashed=True, site=None, **changes):
        """Makes the loader expect these files rather than those of the full size.

        They are on the folder `site`, if it is given, rather than on the network.
        """
        expected = []
        for file in self.release.files:
            content = (files or self.files)[file.name]
            url = file.url if site is None else (site / file.name).as_uri()
            md5 = hashlib.md5(content).hexdigest() if hashed else None
            expected.append(dataclasses.replace(file, url=url, md5=md5))
        sizes = changes.pop("factor_sizes", self.sizes)
        factors = dict(zip(self.release.factors, sizes, strict=True))
        changes = {"factors": factors, "files": tuple(expected), **changes}
        release = dataclasses.replace(self.release, **changes)
        if self.variant is not None:
            patch.setitem(self.module.MPI3D, self.variant, release)
        else:
            patch.setattr(self.module, release.name.upper(), release)

    def write(self, folder, files=None):
        """Writes the files; returns the path that the loader takes."""
        files = files or self.files
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder if len(files) > 1 else folder / next(iter(files))

    def unpacked(self, cache):
        return Path(cache) / self.release.name / "images.npy"


def patterns(*shape, scale=8, seed=0):
    """Images that differ and can be compressed, uint8 (n, height, width, channels)."""
    n, height, width, channels = shape
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, height // scale, width // scale, channels), "uint8")
    return coarse.repeat(scale, 1).repeat(scale, 2)


def smaller(image):
    return np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.LANCZOS))


# 3D Shapes.


def shapes3d_labels(sizes):
    values = (
        *(np.linspace(0.0, 0.9, size) for size in sizes[:3]),
        np.linspace(0.75, 1.25, sizes[3]),
        np.arange(float(sizes[4])),
        np.linspace(-30.0, 30.0, sizes[5]),
    )
    return np.array(list(itertools.product(*values)))


def hdf5(chunks=None, **arrays):
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        for name, array in arrays.items():
            packed = {"chunks": chunks, "compression": "gzip"} if chunks and array.ndim == 4 else {}
            opened.create_dataset(name, data=array, **packed)
    return file.getvalue()


def small_shapes3d(chunks=(8, 16, 16, 1)):
    sizes = (3, 2, 1, 2, 3, 1)
    images = patterns(36, 64, 64, 3)
    content = hdf5(chunks, images=images, labels=shapes3d_labels(sizes))

    def files_of(content):
        return {"3dshapes.h5": content}

    return Small(
        shapes3d,
        shapes3d.load_shapes3d,
        sizes,
        images,
        files_of(content),
        {"file": (content, files_of)},
    )


# Cars3D.


def mat(array, name="im", compressed=False):
    file = io.BytesIO()
    scipy.io.savemat(file, {name: array}, do_compression=compressed)
    return file.getvalue()


def tar(members):
    """An archive of (name, content) in that order; content None is a folder, str a link to it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            else:
                info.type = tarfile.DIRTYPE if content is None else tarfile.SYMTYPE
                info.linkname = content or ""
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return file.getvalue()


def cars3d_members(cars):
    """What the archive holds: the cars (name to the content of their files) and other things."""
    return [
        ("data", None),
        ("data/shapes", None),
        ("data/shapes/car_1.mat", b"of another experiment"),
        ("data/cars", None),
        ("data/cars/list.txt", b"car_1\ncar_10\ncar_2\n"),
        *((f"data/cars/{name}.mat", content) for name, content in cars.items()),
        ("data/cars/latest.mat", "car_1.mat"),
        ("data/cars/more", None),
        ("data/cars/more/car_3.mat", b"of another experiment"),
    ]


def cars3d_files(members):
    return {"nips2015-analogy-data.tar.gz": gzip.compress(tar(members), 1)}


def cars3d_meshes():
    """Images (height, width, channel, azimuth, elevation) of each car."""
    pictures = patterns(18, 128, 128, 3, scale=16).reshape(3, 3, 2, 128, 128, 3)
    meshes = pictures.transpose(0, 3, 4, 5, 1, 2)
    # Neither this order nor that of the numbers is the sorted one.
    return dict(zip(("car_2", "car_10", "car_1"), meshes, strict=True))


def small_cars3d():
    meshes = cars3d_meshes()
    images = [
        smaller(np.ascontiguousarray(meshes[name][..., azimuth, elevation]))
        for elevation in range(2)
        for azimuth in range(3)
        for name in ("car_1", "car_10", "car_2")
    ]
    cars = {name: mat(mesh, compressed=name == "car_2") for name, mesh in meshes.items()}
    members = cars3d_members(cars)

    def with_car(name):
        return cars[name], lambda content: cars3d_files(cars3d_members({**cars, name: content}))

    files = cars3d_files(members)
    return Small(
        cars3d,
        cars3d.load_cars3d,
        (2, 3, 3),
        np.array(images),
        files,
        {
            "file": (*files.values(), lambda content: dict.fromkeys(files, content)),
            "tar": (tar(members), lambda content: dict.fromkeys(files, gzip.compress(content, 1))),
            "mat": with_car("car_10"),
            "compressed mat": with_car("car_2"),
        },
    )


# SmallNORB.


def norb(values, magic=None, n_dims=None):
    """The binary matrix: magic number, dimensions (three at least), values."""
    dims = [*values.shape, 1, 1][: max(3, values.ndim)]
    if magic is None:
        magic = {"uint8": 0x1E3D4C55, "int32": 0x1E3D4C54}[values.dtype.name]
    header = struct.pack("<Ii", magic, values.ndim if n_dims is None else n_dims)
    return header + struct.pack(f"<{len(dims)}i", *dims) + values.tobytes()


def small_norb_matrices():
    """The matrices of the six files, by their names; and the images of the grid."""
    sizes = (2, 2, 2, 3, 2)
    grid = np.array(list(itertools.product(*map(range, sizes))), "int32")
    pairs = patterns(96, 96, 96, 1, scale=16)[..., 0].reshape(48, 2, 96, 96)
    matrices = []
    for instance in (1, 0):
        rows = np.random.default_rng(instance).permutation(np.flatnonzero(grid[:, 1] == instance))
        information = grid[rows, 1:] * np.array([1, 1, 2, 1], "int32")
        matrices += [pairs[rows], grid[rows, 0], information]
    images = np.array([smaller(left) for left in pairs[:, 0]])[..., None]
    return dict(zip(NORB_FILES, matrices, strict=True)), images


def small_norb_files(matrices):
    return {name: gzip.compress(norb(matrix), 1) for name, matrix in matrices.items()}


def small_small_norb():
    matrices, images = small_norb_matrices()
    files = small_norb_files(matrices)

    def layers_of(name):
        yield name, (files[name], lambda content: {**files, name: content})
        inner = norb(matrices[name])
        yield f"{name} inside", (inner, lambda content: {**files, name: gzip.compress(content, 1)})

    layers = dict(layer for name in NORB_FILES[:3] for layer in layers_of(name))
    return Small(small_norb, small_norb.load_small_norb, (2, 2, 2, 3, 2), images, files, layers)


# MPI3D.


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


def zipped(content, name="images.npy"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def small_mpi3d(variant="toy"):
    images = patterns(32, 64, 64, 3, seed=len(variant))

    def files_of(content):
        return {f"mpi3d_{variant}.npz": content}

    content = npz(images=images)
    return Small(
        mpi3d,
        functools.partial(mpi3d.load_mpi3d, variant),
        (2, 1, 2, 1, 2, 2, 2),
        images,
        files_of(content),
        {
            "file": (content, files_of),
            "npy": (npy(images), lambda content: files_of(zipped(content))),
        },
        variant,
    )


SMALL = {
    "shapes3d": small_shapes3d,
    "shapes3d contiguous": functools.partial(small_shapes3d, None),
    "cars3d": small_cars3d,
    "small_norb": small_small_norb,
    "mpi3d_toy": small_mpi3d,
    "mpi3d_realistic": functools.partial(small_mpi3d, "realistic"),
    "mpi3d_real": functools.partial(small_mpi3d, "real"),
}
FORMATS = ("shapes3d", "cars3d", "small_norb", "mpi3d_toy")
"""One data set of each format."""


@functools.cache
def small(name):
    return SMALL[name]()


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def forked(function, *arguments):
    """Starts a process that calls a function; returns its number."""
    with warnings.catch_warnings():
        # From Python 3.12 on; the function uses nothing of TensorFlow's threads.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    status = 99
    try:
        function(*arguments)
        status = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def exit_code(child, seconds=60):
    """Waits for a process that was forked, and ends it if it takes too long."""
    end = time.monotonic() + seconds
    while (waited := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(waited[1])


def edited(whole, seed):
    """Returns bytes of which some were flipped, overwritten, cut out, repeated or put in."""
    rng, content = random.Random(seed), bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        size = rng.choice((1, 1, 2, 4, 8, 64, 2_000))
        # Most formats have their headers near the ends.
        last = max(len(content) - 1, 0)
        near = min(last, 600)
        start = rng.choice(
            (rng.randint(0, last), rng.randint(0, near), last - rng.randint(0, near))
        )
        action = rng.choice(("flip", "flip", "overwrite", "cut", "repeat", "insert"))
        if action == "flip" and content:
            content[start] ^= 1 << rng.randrange(8)
        elif action == "overwrite":
            content[start : start + size] = bytes([rng.choice((0, 1, 127, 255))]) * size
        elif action == "cut":
            del content[start : start + size]
        elif action == "repeat":
            content[start:start] = content[start : start + size]
        else:
            content[start:start] = rng.choice((b"[", b"{", b"\0", b"\xff", b'"')) * size
    return bytes(content)
