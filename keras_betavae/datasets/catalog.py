"""The data sets by name, for the command line and run folders."""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence

from keras_betavae.datasets._unpacked import cache_folder
from keras_betavae.datasets.factors import FactorDataset


@dataclasses.dataclass(frozen=True)
class ReleasedFile:
    """A file as its authors released it.

    Attributes:
        url: Its address.
        md5: Its MD5; None if it is not known.
        renamed: Its local name, if not the last part of the address.
    """

    url: str
    md5: str | None = None
    renamed: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.renamed or self.url.rsplit("/", 1)[-1]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A named data set.

    Attributes:
        name: Its name, and that of its folder in the cache.
        summary: A one-line description.
        image_shape: (height, width, channels).
        factors: Number of values of each factor, by name.
        loader: Called with the sizes of a smaller grid if the data set is rendered, with the path
            and `cache_dir` if it is released.
        files: The released files; none if it is rendered.
        unpacked: Name of the file in its cache folder that holds the unpacked images; None if
            they are not unpacked.
    """

    name: str
    summary: str
    image_shape: tuple[int, ...]
    factors: Mapping[str, int]
    loader: Callable[..., FactorDataset]
    files: tuple[ReleasedFile, ...] = ()
    unpacked: str | None = None

    def __len__(self) -> int:
        """Returns the number of images."""
        return math.prod(self.factors.values())

    def status(self, cache_dir: str | os.PathLike | None = None) -> str:
        """Returns "rendered", "unpacked", "fetched" or "not fetched"."""
        if not self.files:
            return "rendered"
        folder = cache_folder(cache_dir) / self.name
        if self.unpacked is not None and (folder / self.unpacked).is_file():
            return "unpacked"
        fetched = all((folder / file.name).is_file() for file in self.files)
        return "fetched" if fetched else "not fetched"


_CATALOG: dict[str, Entry] = {}


def register(entry: Entry) -> Entry:
    """Adds a data set to the catalog, as each data set's module does when it is imported."""
    _CATALOG[entry.name] = entry
    return entry


def names() -> tuple[str, ...]:
    """Returns the data sets' names in alphabetical order.

    Example:
        >>> "shapes3d" in names()
        True
    """
    return tuple(sorted(_CATALOG))


def get(name: str) -> Entry:
    """Returns the entry of a data set.

    Raises:
        ValueError: If the name is unknown.

    Example:
        >>> get("cars3d").factors
        {'elevation': 4, 'azimuth': 24, 'object': 183}
    """
    if name not in _CATALOG:
        raise ValueError(f"unknown data set {name!r}; the data sets are {', '.join(names())}")
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
        cache_dir: Where data sets are kept; None for Keras's own folder.
        grid: Sizes of a smaller grid, for rendered data sets only.

    Raises:
        ValueError: If the name is unknown, or the data set takes no path or grid. Its loader may
            raise further errors.

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
