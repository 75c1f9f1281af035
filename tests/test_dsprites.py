import errno
import functools
import os
import shutil
import zipfile
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_betavae.datasets import load_dsprites, load_sprites
from keras_betavae.datasets.released import dsprites
from tests.released_files import Payload

SIZES = (3, 1, 2, 2, 3)
N_IMAGES = 36


@pytest.fixture(scope="module", autouse=True)
def small_grid():
    with pytest.MonkeyPatch.context() as patch:
        factors = dict(zip(dsprites.FACTORS, SIZES, strict=True))
        patch.setattr(dsprites, "FACTORS", factors)
        blocks_of_10 = functools.partial(dsprites.npy_blocks, block=10)
        patch.setattr(dsprites, "npy_blocks", blocks_of_10)
        yield


@pytest.fixture(scope="module")
def sprites():
    return load_sprites(*SIZES)


@pytest.fixture(scope="module")
def arrays(sprites, tmp_path_factory):
    """What the released file holds, of a smaller grid."""
    everything = np.arange(N_IMAGES)
    classes = sprites.factors_at(everything)
    trap = tmp_path_factory.mktemp("trap") / "unpickled"
    return {
        "metadata": np.array({"title": "dSprites", "trap": Payload(trap)}, dtype=object),
        "imgs": (sprites.images_at(everything)[..., 0] // 255).astype("uint8"),
        "latents_classes": np.insert(classes, 0, 0, axis=1).astype("int64"),
        "latents_values": np.insert(classes / 2, 0, 1, axis=1).astype("float64"),
    }


@pytest.fixture(scope="module")
def released(arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("released") / "dsprites.npz"
    np.savez_compressed(path, **arrays)
    return path


def saved(tmp_path, **arrays):
    path = tmp_path / "other.npz"
    np.savez_compressed(path, **arrays)
    return path


@contextmanager
def refused(path, *words):
    """Expects the error that names the file, what it must hold and how to get it."""
    with pytest.raises(ValueError, match="not the released dSprites file") as caught:
        yield
    for word in (
        str(path),
        f"uint8 ({N_IMAGES}, 64, 64)",
        dsprites.FILE.url,
        "load_sprites",
        *words,
    ):
        assert word in str(caught.value)


# The file as it is released.


def test_the_file_is_read_as_load_sprites_renders_it(released, sprites, arrays):
    data = load_dsprites(str(released))
    everything = np.arange(N_IMAGES)
    np.testing.assert_array_equal(data.images_at(everything), sprites.images_at(everything))
    np.testing.assert_array_equal(data.factors_at(everything), arrays["latents_classes"][:, 1:])
    np.testing.assert_array_equal(data._images.array, sprites._images.array)  # A bit a pixel.
    assert data.factor_names == sprites.factor_names
    assert data.factor_sizes == sprites.factor_sizes
    assert data.image_shape == sprites.image_shape
    assert repr(data) == repr(sprites)


def test_the_metadata_is_never_unpickled(released, arrays):
    trap = arrays["metadata"].item()["trap"].path
    load_dsprites(released)
    assert not trap.exists()
    # The trap does work, for who reads it.
    np.load(released, allow_pickle=True)["metadata"].item()["trap"].close()
    assert trap.exists()
    trap.unlink()


def test_images_that_are_a_pickle_are_not_unpickled(tmp_path, arrays):
    trap = tmp_path / "unpickled"
    images = np.array([Payload(trap)] * N_IMAGES, dtype=object)
    path = saved(tmp_path, **{**arrays, "imgs": images})
    with refused(path, "object"):
        load_dsprites(path)
    assert not trap.exists()


# What is not the file.


def test_other_images_are_refused(tmp_path, arrays):
    other = {**arrays, "imgs": np.concatenate([arrays["imgs"]] * 2)}
    for changed, words in ((other, "(72, 64, 64)"), ({"metadata": np.zeros(3)}, "imgs.npy")):
        path = saved(tmp_path, **changed)
        with refused(path, words):
            load_dsprites(path)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, released, fraction):
    whole = released.read_bytes()
    path = tmp_path / "truncated.npz"
    path.write_bytes(whole[: int(fraction * len(whole))])
    with refused(path):
        load_dsprites(path)


@pytest.mark.parametrize("name", ["absent.npz", "", "a\0b"])
def test_what_is_no_file_is_missing(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="does not exist") as caught:
        load_dsprites(tmp_path / name)
    assert dsprites.FILE.url in str(caught.value)
    assert "load_sprites" in str(caught.value)


def test_a_file_that_cannot_be_read_now_is_not_called_damaged(monkeypatch, released):
    def failing(*args, **kwargs):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(zipfile, "ZipFile", failing)
    with pytest.raises(OSError, match="Too many open files") as caught:
        load_dsprites(released)
    assert str(released) in str(caught.value)


# Fetching.


def test_without_a_path_the_file_is_fetched_once(monkeypatch, released, sprites, tmp_path):
    asked = []

    def get_file(fname, origin, *, cache_dir, **options):
        asked.append(origin)
        shutil.copy(released, Path(cache_dir, fname))

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for _ in range(2):
        np.testing.assert_array_equal(load_dsprites()._images.array, sprites._images.array)
    assert asked == [dsprites.FILE.url]
    assert dsprites.FILE.name == "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    assert [path.name for path in tmp_path.rglob("*.npz")] == [dsprites.FILE.name]


def test_without_a_network_the_error_says_what_to_do(monkeypatch, tmp_path):
    def unreachable(*args, **kwargs):
        raise Exception("URL fetch failure: name or service not known")

    monkeypatch.setattr(keras.utils, "get_file", unreachable)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="service not known") as caught:
        load_dsprites()
    assert dsprites.FILE.url in str(caught.value)
    assert "load_sprites" in str(caught.value)
