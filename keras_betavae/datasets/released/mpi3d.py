"""MPI3D as released (Gondal et al. 2019)."""

import functools
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from keras_betavae.datasets._unpacked import Blocks
from keras_betavae.datasets.catalog import ReleasedFile, register
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.released.release import Release, npy_blocks


def load_mpi3d(
    variant: str = "toy",
    path: str | os.PathLike | None = None,
    *,
    cache_dir: str | os.PathLike | None = None,
) -> FactorDataset:
    """Loads MPI3D, 1,036,800 images of 64×64×3 of a robot arm.

    The factors are object_color, object_shape, object_size, camera_height,
    background_color, horizontal_axis and vertical_axis. The released file is unpacked once
    into a memory map in the cache (11.9 GiB).

    Args:
        variant: "toy" (simply rendered), "realistic" (rendered) or "real" (photographs).
        path: The released `mpi3d_<variant>.npz`; None downloads it once to the cache.
        cache_dir: Where data sets are kept; None for Keras's own folder.

    Returns:
        The full grid, in the released order.

    Raises:
        FileNotFoundError: If the file is missing and cannot be fetched.
        OSError: If it cannot be read now, or the cache cannot be written or has no room.
        ValueError: If the variant is unknown, or the file is truncated, damaged or another
            one.

    References:
        Gondal et al., On the Transfer of Inductive Bias from Simulation to the Real World: a
        New Disentanglement Dataset, NeurIPS 2019.
    """
    if variant not in MPI3D:
        raise ValueError(f"variant must be one of {', '.join(MPI3D)}, got {variant!r}")
    return MPI3D[variant].load(path, cache_dir)


def _read(release: Release, files: Sequence[Path]) -> Blocks:
    with zipfile.ZipFile(files[0]) as archive, archive.open("images.npy") as member:
        yield from npy_blocks(member, release.shape)


# Those of the authors since May 2024. The MD5s are those published with the old addresses.
_URL = "https://storage.googleapis.com/mpi3d_disentanglement_dataset/data/"
MPI3D = {
    variant: Release(
        f"mpi3d_{variant}",
        f"MPI3D, {variant} (Gondal et al. 2019)",
        (ReleasedFile(f"{_URL}{name}", md5, f"mpi3d_{variant}.npz"),),
        {
            "object_color": 6,
            "object_shape": 6,
            "object_size": 2,
            "camera_height": 3,
            "background_color": 3,
            "horizontal_axis": 40,
            "vertical_axis": 40,
        },
        (64, 64, 3),
        _read,
    )
    for variant, name, md5 in (
        ("toy", "mpi3d_toy.npz", "55889cb7c7dfc655d6e0277beee88868"),
        ("realistic", "mpi3d_realistic.npz", "59a6225b88b635365f70c91b3e52f70f"),
        ("real", "real.npz", "0f33f609918fb5c97996692f91129802"),
    )
}
for _variant, _release in MPI3D.items():
    register(_release.entry(functools.partial(load_mpi3d, _variant)))
