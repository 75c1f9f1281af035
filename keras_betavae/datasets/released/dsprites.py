"""dSprites as released (Matthey et al. 2017)."""

import os
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_betavae.datasets._sources import pack, packed_bytes
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.released.release import (
    ReleasedFile,
    cache_folder,
    fetched,
    npy_blocks,
)

FACTOR_NAMES = ("shape", "scale", "orientation", "pos_x", "pos_y")
FACTOR_SIZES = (3, 6, 40, 32, 32)
IMAGE_SHAPE = (64, 64, 1)
FILE = ReleasedFile(
    "https://github.com/deepmind/dsprites-dataset/raw/master/"
    "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
)

_BLOCK = 4_096


def load_dsprites(
    path: str | os.PathLike | None = None, *, cache_dir: str | os.PathLike | None = None
) -> FactorDataset:
    """Loads the released dSprites file, 737,280 binary images of 64×64.

    The file is read in blocks and kept at one bit a pixel (360 MiB). The factors are
    shape (square, ellipse, heart), scale, orientation, pos_x and pos_y; the colour,
    which has one value, is left out. The metadata, a pickle, is never read.

    Args:
        path: The released `.npz`; None downloads it once to the cache.
        cache_dir: Where data sets are kept; None for that of Keras.

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
    if path is None:
        path = fetched(FILE, cache_folder(cache_dir) / "dsprites", _HOW_TO_GET_IT)
    path = Path(path)
    if not path.is_file():
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
            f"imgs, uint8 {(n_images, *IMAGE_SHAPE[:2])} ({error}); delete it, {_HOW_TO_GET_IT}"
        ) from error
    return FactorDataset(packed, FACTOR_NAMES, FACTOR_SIZES, packed_shape=IMAGE_SHAPE)


_HOW_TO_GET_IT = (
    f"download {FILE.url} and pass its path, or use load_sprites(), which renders the same grid "
    "offline"
)


def _read_packed(member, n_images: int) -> np.ndarray:
    """Reads an open `imgs.npy`, block by block."""
    packed = np.empty((n_images, packed_bytes(IMAGE_SHAPE)), np.uint8)
    progress = keras.utils.Progbar(n_images, unit_name="image")
    n = 0
    for block in npy_blocks(member, (n_images, *IMAGE_SHAPE[:2]), _BLOCK):
        packed[n : n + len(block)] = pack(block)
        n += len(block)
        progress.update(n)
    return packed
