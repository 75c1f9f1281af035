"""Data sets: images, vectors and signals, with or without ground-truth factors."""

from keras_betavae.datasets import catalog
from keras_betavae.datasets.catalog import load
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.images import ImageDataset
from keras_betavae.datasets.released.cars3d import load_cars3d
from keras_betavae.datasets.released.dsprites import load_dsprites
from keras_betavae.datasets.released.mpi3d import load_mpi3d
from keras_betavae.datasets.released.shapes3d import load_shapes3d
from keras_betavae.datasets.released.small_norb import load_small_norb
from keras_betavae.datasets.rendered.blobs import load_blobs
from keras_betavae.datasets.rendered.sprites import load_sprites
from keras_betavae.datasets.rendered.variants import with_colors, with_noise, with_pictures
from keras_betavae.datasets.user.arrays import from_arrays
from keras_betavae.datasets.user.batches import from_batches
from keras_betavae.datasets.user.folder import from_folder
from keras_betavae.datasets.user.table import from_table
from keras_betavae.datasets.user.tfds import from_tfds

__all__ = [
    "FactorDataset",
    "ImageDataset",
    "catalog",
    "from_arrays",
    "from_batches",
    "from_folder",
    "from_table",
    "from_tfds",
    "load",
    "load_blobs",
    "load_cars3d",
    "load_dsprites",
    "load_mpi3d",
    "load_shapes3d",
    "load_small_norb",
    "load_sprites",
    "with_colors",
    "with_noise",
    "with_pictures",
]
