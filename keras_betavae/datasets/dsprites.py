"""dSprites as released (Matthey et al. 2017)."""

import os
import zipfile

import keras
import numpy as np

from keras_betavae.datasets import _packed
from keras_betavae.datasets.factors import FactorDataset

FACTOR_NAMES = ("shape", "scale", "orientation", "pos_x", "pos_y")
FACTOR_SIZES = (3, 6, 40, 32, 32)
IMAGE_SHAPE = (64, 64, 1)

FILE_NAME = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
URL = f"https://github.com/deepmind/dsprites-dataset/raw/master/{FILE_NAME}"

_BLOCK = 4_096


def load_dsprites(path: str | os.PathLike | None = None) -> FactorDataset:
    """Loads the released dSprites file, 737,280 binary images of 64×64.

    The file is read in blocks and kept at one bit a pixel (360 MiB). The factors are
    shape (square, ellipse, heart), scale, orientation, pos_x and pos_y; the colour,
    which has one value, is left out. The metadata, a pickle, is never read.

    Args:
        path: The released `.npz`; None downloads it once to Keras's cache.

    Returns:
        The full grid, in the released order.

    Raises:
        FileNotFoundError: If the file is missing and cannot be fetched.
        PermissionError: If it may not be read.
        ValueError: If the file is truncated, damaged or holds other data.

    References:
        Matthey, Higgins, Hassabis & Lerchner, dSprites: Disentanglement testing
        sprites dataset, 2017.
    """
    path = _fetch() if path is None else os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path}; {_HOW_TO_GET_IT}")
    n_images = int(np.prod(FACTOR_SIZES))
    try:
        with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as member:
            packed = _read_packed(member, n_images)
    except PermissionError as error:
        raise PermissionError(f"{path} may not be read: {error}") from error
    except Exception as error:
        # On damaged bytes, zipfile, its decompressors and NumPy's header parser raise a dozen
        # kinds, from zlib.error to tokenize.TokenError.
        raise ValueError(
            f"{path} is not the released dSprites file, or is truncated or damaged: it must hold "
            f"imgs, uint8 {(n_images, *IMAGE_SHAPE[:2])} ({error}); {_HOW_TO_GET_IT}"
        ) from error
    return FactorDataset(packed, FACTOR_NAMES, FACTOR_SIZES, packed_shape=IMAGE_SHAPE)


_HOW_TO_GET_IT = (
    f"download {URL} and pass its path, or use load_sprites(), which renders the same grid offline"
)


def _fetch() -> str:
    try:
        return keras.utils.get_file(FILE_NAME, URL, cache_subdir="datasets/dsprites")
    except Exception as error:
        # Keras raises a bare Exception when it cannot reach the address.
        raise FileNotFoundError(
            f"dSprites could not be fetched ({error}); {_HOW_TO_GET_IT}"
        ) from error


def _read_packed(member, n_images: int) -> np.ndarray:
    """Reads an uncompressed stream of `imgs.npy`, block by block."""
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError("unknown version of the npy format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
    if shape != (n_images, *IMAGE_SHAPE[:2]) or fortran_order or dtype != np.uint8:
        raise ValueError(f"it holds {dtype} {shape}")
    packed = np.empty((n_images, _packed.n_bytes(IMAGE_SHAPE)), np.uint8)
    progress = keras.utils.Progbar(n_images, unit_name="image")
    for start in range(0, n_images, _BLOCK):
        n = min(_BLOCK, n_images - start)
        block = member.read(n * shape[1] * shape[2])
        if len(block) < n * shape[1] * shape[2]:
            raise EOFError(f"it ends after {start} images")
        packed[start : start + n] = _packed.pack(np.frombuffer(block, np.uint8).reshape(n, -1))
        progress.update(start + n)
    # Reading to the end makes zipfile compare the checksum.
    if member.read(1):
        raise ValueError("it goes on after the last image")
    return packed
