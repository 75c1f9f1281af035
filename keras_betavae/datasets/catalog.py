"""The data sets by name, for the command line and the folders of runs."""

import dataclasses
import math
import os
from collections.abc import Callable, Sequence

from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.released import dsprites
from keras_betavae.datasets.released.cars3d import CARS3D
from keras_betavae.datasets.released.mpi3d import MPI3D
from keras_betavae.datasets.released.release import Release, ReleasedFile, cache_folder
from keras_betavae.datasets.released.shapes3d import SHAPES3D
from keras_betavae.datasets.released.small_norb import SMALL_NORB
from keras_betavae.datasets.rendered import blobs, variants
from keras_betavae.datasets.rendered.sprites import load_sprites


@dataclasses.dataclass(frozen=True)
class Entry:
    """A data set that has a name.

    Attributes:
        name: Its name.
        summary: What it is, in a line.
        image_shape: (height, width, channels).
        factors: Number of values of each factor, by name.
        files: The released files, none if it is rendered.
        unpacked_file: From a cache folder to the file of the unpacked images; None if there
            is none.
    """

    name: str
    summary: str
    image_shape: tuple[int, ...]
    factors: dict[str, int]
    files: tuple[ReleasedFile, ...] = ()
    unpacked_file: Callable | None = None
    loader: Callable[..., FactorDataset] = load_sprites

    def __len__(self) -> int:
        """Returns the number of images."""
        return math.prod(self.factors.values())

    def status(self, cache_dir: str | os.PathLike | None = None) -> str:
        """Returns "rendered", "unpacked", "fetched" or "not fetched"."""
        if not self.files:
            return "rendered"
        if self.unpacked_file is not None and self.unpacked_file(cache_dir).is_file():
            return "unpacked"
        folder = cache_folder(cache_dir) / self.name
        fetched = all((folder / file.name).is_file() for file in self.files)
        return "fetched" if fetched else "not fetched"


def names() -> tuple[str, ...]:
    """Returns the data sets' names.

    Example:
        >>> "shapes3d" in names()
        True
    """
    return tuple(_CATALOG)


def get(name: str) -> Entry:
    """Returns what is known of a data set.

    Raises:
        ValueError: If there is none of that name.

    Example:
        >>> get("cars3d").factors
        {'elevation': 4, 'azimuth': 24, 'object': 183}
    """
    if name not in _CATALOG:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(_CATALOG)}")
    return _CATALOG[name]


def load(
    name: str,
    path: str | os.PathLike | None = None,
    *,
    cache_dir: str | os.PathLike | None = None,
    grid: Sequence[int] | None = None,
) -> FactorDataset:
    """Loads a data set by its name.

    Args:
        name: One of `names()`.
        path: The released file, or the folder that holds the released files.
        cache_dir: Where data sets are kept; None for that of Keras.
        grid: Sizes of a smaller grid, of rendered ones alone.

    Raises:
        ValueError: If there is no such data set, or it takes no path or grid; further
            errors as its own loader.

    Example:
        >>> load("sprites", grid=(3, 2, 4, 4, 4))
        FactorDataset(384 images (64, 64, 1); shape 3, scale 2, orientation 4, pos_x 4, pos_y 4)
    """
    entry = get(name)
    if not entry.files:
        if path is not None:
            raise ValueError(f"{name} is rendered and takes no path, got {path}")
        return entry.loader(*(() if grid is None else grid))
    if grid is not None:
        raise ValueError(f"{name} is released as a whole and takes no grid, got {grid}")
    return entry.loader(path, cache_dir=cache_dir)


def _rendered(name: str, summary: str, change: Callable | None = None) -> Entry:
    def loader(*grid: int) -> FactorDataset:
        data = load_sprites(*grid)
        return data if change is None else change(data)

    sizes = dict(zip(dsprites.FACTOR_NAMES, dsprites.FACTOR_SIZES, strict=True))
    shape = dsprites.IMAGE_SHAPE if change is None else (*dsprites.IMAGE_SHAPE[:2], 3)
    return Entry(name, summary, shape, sizes, loader=loader)


def _released(release: Release, summary: str) -> Entry:
    return Entry(
        release.name,
        summary,
        release.image_shape,
        dict(zip(release.factor_names, release.factor_sizes, strict=True)),
        release.files,
        release.unpacked_file,
        release.load,
    )


_CATALOG = {
    entry.name: entry
    for entry in (
        _rendered("sprites", "dSprites, rendered offline in seconds"),
        _rendered("sprites_colours", "sprites in random colours", variants.with_colours),
        _rendered("sprites_noise", "sprites before noise", variants.with_noise),
        _rendered("sprites_pictures", "sprites before photographs", variants.with_pictures),
        Entry(
            "dsprites",
            "dSprites as released (Matthey et al. 2017)",
            dsprites.IMAGE_SHAPE,
            dict(zip(dsprites.FACTOR_NAMES, dsprites.FACTOR_SIZES, strict=True)),
            (dsprites.FILE,),
            loader=dsprites.load_dsprites,
        ),
        Entry(
            "blobs",
            "Gaussian blobs by position, rendered (Burgess et al. 2017)",
            blobs.IMAGE_SHAPE,
            blobs.FACTORS,
            loader=blobs.load_blobs,
        ),
        _released(SHAPES3D, "3D Shapes (Burgess & Kim 2018)"),
        _released(CARS3D, "Cars3D (Reed et al. 2015)"),
        _released(SMALL_NORB, "SmallNORB (LeCun et al. 2004)"),
        *(
            _released(release, f"MPI3D, {variant} (Gondal et al. 2019)")
            for variant, release in MPI3D.items()
        ),
    )
}
