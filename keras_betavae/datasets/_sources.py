"""Sources of images: memory, memory maps, packed bits, HDF5, or another source."""

import abc
import collections
import math
import mmap
import threading
from collections.abc import Callable, Sequence
from typing import Any

import h5py
import numpy as np

from keras_betavae._utils.checks import unmasked

IMAGES_MAPPED = 64
"""Images read from a memory map before its pages are released."""
KEPT_BYTES = 256 * 2**20
"""Size in bytes of the cache of an HDF5 data set's blocks."""


class Source(abc.ABC):
    """A sequence of uint8 images, or of float32 vectors, signals or images of real values.

    Attributes:
        image_shape: (height, width, channels), (length, channels) or (columns,).
        dtype: `"uint8"` or `"float32"`.
    """

    image_shape: tuple[int, ...]
    dtype = "uint8"

    @abc.abstractmethod
    def __len__(self) -> int:
        """Returns the number of images."""

    @abc.abstractmethod
    def take(self, indices: np.ndarray) -> np.ndarray:
        """Returns the images of valid indices, `(n, *image_shape)`."""

    @property
    def window(self) -> int:
        """The number of images over which a shuffled pass shuffles."""
        return len(self)

    def shuffled(self, rng: np.random.Generator) -> np.ndarray:
        """Returns all indices in the order of a shuffled pass."""
        return rng.permutation(len(self))


class Array(Source):
    """Images in memory, or in a memory map, which is never copied whole."""

    def __init__(self, array: np.ndarray):
        if array.dtype not in (np.uint8, np.float32):
            raise ValueError(f"images must be uint8 or float32, got {array.dtype}")
        if array.ndim != 4 and not (array.dtype == np.float32 and array.ndim in (2, 3)):
            raise ValueError(
                f"images must have the shape (n, height, width, channels), got {array.shape}"
            )
        self.array = array
        self.image_shape, self.dtype = array.shape[1:], array.dtype.name
        self._map = _map_under(array)

    def __len__(self):
        return len(self.array)

    def take(self, indices):
        if self._map is None:
            return self.array[indices]
        images = np.empty((len(indices), *self.image_shape), self.dtype)
        for start in range(0, len(indices), IMAGES_MAPPED):
            images[start : start + IMAGES_MAPPED] = self.array[
                indices[start : start + IMAGES_MAPPED]
            ]
            # Pages that were read count as the process's memory until they are released, up to a
            # huge page for each image; the system still has them in its cache.
            self._map.madvise(mmap.MADV_DONTNEED)
        return images


class Packed(Source):
    """Binary images at one bit a pixel, which unpack to 0 and 255."""

    def __init__(self, array: np.ndarray, image_shape: Sequence[int]):
        self.array = array
        self.image_shape = tuple(image_shape)
        if array.dtype != np.uint8:
            raise ValueError(f"images must be uint8, got {array.dtype}")
        if len(self.image_shape) != 3:
            raise ValueError(
                f"packed_shape must be (height, width, channels), got {self.image_shape}"
            )
        n_bytes = packed_bytes(image_shape)
        if array.shape[1:] != (n_bytes,):
            raise ValueError(
                f"images packed from {self.image_shape} must have the shape (n, {n_bytes}), got "
                f"{array.shape}"
            )

    def __len__(self):
        return len(self.array)

    def take(self, indices):
        bits = np.unpackbits(self.array[indices], axis=-1, count=math.prod(self.image_shape))
        return np.negative(bits, out=bits).reshape(-1, *self.image_shape)


class Hdf5(Source):
    """Images of an HDF5 data set, read in blocks of whole chunks, with a cache of blocks.

    Reading one image takes as long as reading its chunk. So a shuffled pass reads the blocks in
    random order and shuffles the images of half as many blocks as the cache holds.
    """

    def __init__(self, dataset: h5py.Dataset):
        if dataset.dtype != np.uint8 or dataset.ndim != 4:
            raise ValueError(
                "images must be uint8 of shape (n, height, width, channels), got "
                f"{dataset.dtype} {dataset.shape}"
            )
        self.dataset = dataset
        self.image_shape = dataset.shape[1:]
        bytes_per_image = max(1, math.prod(self.image_shape))
        chunk = dataset.chunks[0] if dataset.chunks else 1
        n_chunks = max(1, KEPT_BYTES // (16 * chunk * bytes_per_image))
        self.block = chunk * n_chunks
        self.n_kept = max(2, KEPT_BYTES // (self.block * bytes_per_image))
        self._kept: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()
        self._lock = threading.Lock()  # A stream reads in its own thread.

    def __len__(self):
        return len(self.dataset)

    @property
    def window(self):
        n_blocks = -(-len(self) // self.block)
        return min(len(self), self.block * -(-n_blocks // self._n_windows))

    @property
    def _n_windows(self) -> int:
        return -(-len(self) // (self.block * (self.n_kept // 2)))

    def shuffled(self, rng):
        blocks = rng.permutation(-(-len(self) // self.block))
        order = []
        for window in np.array_split(blocks, self._n_windows):
            indices = (window[:, None] * self.block + np.arange(self.block)).ravel()
            order.append(rng.permutation(indices[indices < len(self)]))
        return np.concatenate(order)

    def take(self, indices):
        images = np.empty((len(indices), *self.image_shape), np.uint8)
        blocks = indices // self.block
        with self._lock:
            for block in np.unique(blocks):
                here = blocks == block
                images[here] = self._read(int(block))[indices[here] - block * self.block]
        return images

    def _read(self, block: int) -> np.ndarray:
        if block not in self._kept:
            while len(self._kept) >= self.n_kept:
                self._kept.popitem(last=False)
            self._kept[block] = self.dataset[block * self.block : (block + 1) * self.block]
        self._kept.move_to_end(block)
        return self._kept[block]


class Chosen(Source):
    """Some of another source's images."""

    def __init__(self, source: Source, indices: np.ndarray):
        self.source = source
        self.indices = indices
        self.image_shape, self.dtype = source.image_shape, source.dtype

    def __len__(self):
        return len(self.indices)

    @property
    def window(self):
        # Its average number of images among those that the source shuffles together.
        return -(-self.source.window * len(self) // len(self.source))

    def take(self, indices):
        return self.source.take(self.indices[indices])

    def shuffled(self, rng):
        rank = np.empty(len(self.source), np.int64)
        rank[self.source.shuffled(rng)] = np.arange(len(self.source))
        return np.argsort(rank[self.indices])


class Changed(Source):
    """Another source's images, each changed by a function of itself and its index."""

    def __init__(
        self,
        source: Source,
        image_shape: Sequence[int],
        change: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ):
        self.source = source
        self.image_shape = tuple(image_shape)
        self.change = change

    def __len__(self):
        return len(self.source)

    @property
    def window(self):
        return self.source.window

    def take(self, indices):
        return self.change(self.source.take(indices), indices)

    def shuffled(self, rng):
        return self.source.shuffled(rng)


def source_of(images: Any, packed_shape: Sequence[int] | None = None) -> Source:
    """Returns images as a source.

    Raises:
        ValueError: If they are neither uint8 images nor float32, or not packed from `packed_shape`.
    """
    if isinstance(images, Source):
        return images
    if isinstance(images, h5py.Dataset):
        return Hdf5(images)
    array = unmasked("images", np.asanyarray(images))
    return Array(array) if packed_shape is None else Packed(array, packed_shape)


def packed_bytes(image_shape: Sequence[int]) -> int:
    """Returns the bytes that one packed image takes."""
    return -(-math.prod(image_shape) // 8)


def pack(images: np.ndarray) -> np.ndarray:
    """Packs images (n, ...), zero or not zero, into (n, bytes)."""
    return np.packbits(images.reshape(len(images), -1), axis=-1)


def _map_under(array: Any) -> mmap.mmap | None:
    """Returns the memory map that an array reads, if its pages may be let go."""
    # A copy-on-write map would lose what was written to it.
    if getattr(array, "mode", None) != "r" or not hasattr(mmap, "MADV_DONTNEED"):
        return None
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array
