"""dSprites as released (Matthey et al. 2017)."""

import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from keras_betavae._utils.reading import damage_named
from keras_betavae.datasets._dsprites import FACTORS, IMAGE_SHAPE
from keras_betavae.datasets._sources import pack, packed_bytes
from keras_betavae.datasets._unpacked import cache_folder
from keras_betavae.datasets.catalog import Entry, ReleasedFile, register
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.released.release import fetched, how_to_get, npy_blocks

FILE = ReleasedFile(
    "https://github.com/deepmind/dsprites-dataset/raw/master/"
    "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
)


def load_dsprites(
    path: str | os.PathLike | None = None, *, cache_dir: str | os.PathLike | None = None
) -> FactorDataset:
    """Loads the released dSprites file, 737,280 binary images of 64×64.

    The file is read in blocks and kept at one bit a pixel (360 MiB). The factors are
    shape (square, ellipse, heart), scale, orientation, pos_x and pos_y; the color,
    which has one value, is left out. The metadata, a pickle, is never read.

    Args:
        path: The released `.npz`; None downloads it once to the cache.
        cache_dir: Where data sets are kept; None for Keras's own folder.

    Returns:
        The full grid, in the released order.

    Raises:
        FileNotFoundError: If the file is missing and cannot be fetched.
        OSError: If it cannot be read now.
        ValueError: If the file is truncated, damaged or holds other data.

    References:
        Matthey, Higgins, Hassabis & Lerchner, dSprites: Disentanglement testing
        sprites dataset, 2017.
    """
    how = f"{how_to_get([FILE])}, or use load_sprites(), which renders the same grid offline"
    if path is None:
        path = fetched(FILE, cache_folder(cache_dir) / "dsprites", how)
    path = Path(path)
    path = path / FILE.name if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; {how}")
    shape = (math.prod(FACTORS.values()), *IMAGE_SHAPE[:2])
    with (
        damage_named(
            path,
            f"{path} is not the released dSprites file, or is truncated or damaged: it must hold "
            f"imgs, uint8 {shape}; delete it, {how}",
        ),
        zipfile.ZipFile(path) as archive,
        archive.open("imgs.npy") as member,
    ):
        packed = _read_packed(member, shape)
    return FactorDataset(packed, tuple(FACTORS), tuple(FACTORS.values()), packed_shape=IMAGE_SHAPE)


def _read_packed(member: IO[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """Reads an open `imgs.npy`, block by block."""
    import keras

    packed = np.empty((shape[0], packed_bytes(IMAGE_SHAPE)), np.uint8)
    progress = keras.utils.Progbar(shape[0], unit_name="image")
    n = 0
    for block in npy_blocks(member, shape):
        packed[n : n + len(block)] = pack(block)
        n += len(block)
        progress.update(n)
    return packed


register(
    Entry(
        "dsprites",
        "dSprites as released (Matthey et al. 2017)",
        IMAGE_SHAPE,
        FACTORS,
        load_dsprites,
        (FILE,),
    )
)
