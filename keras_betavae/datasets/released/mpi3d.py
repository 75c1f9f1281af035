"""MPI3D as released (Gondal et al. 2019)."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.released.release import Blocks, Release, ReleasedFile, npy_blocks


def load_mpi3d(
    variant: str = "toy",
    path: str | os.PathLike | None = None,
    *,
    cache_dir: str | os.PathLike | None = None,
) -> FactorDataset:
    """Loads MPI3D, 1,036,800 images of 64×64×3 of a robot's arm.

    The factors are object_color, object_shape, object_size, camera_height,
    background_color, horizontal_axis and vertical_axis. The released file is unpacked once
    into a memory map in the cache (11.9 GiB).

    Args:
        variant: "toy" (simply rendered), "realistic" (rendered) or "real" (photographs).
        path: The released `mpi3d_<variant>.npz`; None downloads it once to the cache.
        cache_dir: Where data sets are kept; None for that of Keras.

    Returns:
        The full grid, in the released order.

    Raises:
        FileNotFoundError: If the file is missing and cannot be fetched.
        PermissionError: If it may not be read, or the cache may not be written.
        OSError: If the cache has no room.
        ValueError: If there is no such variant, or the file is truncated, damaged or
            another one.

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


_URL = "https://storage.googleapis.com/disentanglement_dataset/Final_Dataset/mpi3d_"
MPI3D = {
    variant: Release(
        f"mpi3d_{variant}",
        (ReleasedFile(f"{_URL}{variant}.npz", md5),),
        (
            "object_color",
            "object_shape",
            "object_size",
            "camera_height",
            "background_color",
            "horizontal_axis",
            "vertical_axis",
        ),
        (6, 6, 2, 3, 3, 40, 40),
        (64, 64, 3),
        _read,
    )
    for variant, md5 in (
        ("toy", "55889cb7c7dfc655d6e0277beee88868"),
        ("realistic", "59a6225b88b635365f70c91b3e52f70f"),
        ("real", "0f33f609918fb5c97996692f91129802"),
    )
}
