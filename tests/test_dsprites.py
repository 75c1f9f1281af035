import io
import shutil
import struct
import zipfile
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_betavae.datasets import load_dsprites, load_sprites
from keras_betavae.datasets.released import dsprites

SIZES = (3, 1, 2, 2, 3)
N_IMAGES = 36


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture(scope="module", autouse=True)
def small_grid():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dsprites, "FACTOR_SIZES", SIZES)
        patch.setattr(dsprites, "_BLOCK", 10)
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


@pytest.fixture(scope="module", params=["compressed", "stored"])
def released(request, arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "dsprites.npz"
    write = np.savez_compressed if request.param == "compressed" else np.savez
    write(path, **arrays)
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


def test_the_file_is_read_as_load_sprites_renders_it(released, sprites):
    data = load_dsprites(released)
    everything = np.arange(N_IMAGES)
    np.testing.assert_array_equal(data.images_at(everything), sprites.images_at(everything))
    np.testing.assert_array_equal(data.factors_at(everything), sprites.factors_at(everything))
    assert data.factor_names == sprites.factor_names
    assert data.factor_sizes == sprites.factor_sizes
    assert data.image_shape == sprites.image_shape
    assert repr(data) == repr(sprites)


def test_images_are_kept_at_a_bit_a_pixel(released, sprites):
    packed = load_dsprites(released)._images.array
    assert packed.dtype == np.uint8
    assert packed.shape == (N_IMAGES, 512)
    np.testing.assert_array_equal(packed, sprites._images.array)


def test_paths_may_be_strings(released):
    assert len(load_dsprites(str(released))) == N_IMAGES


def test_the_order_is_that_of_the_released_classes(released, arrays):
    factors = load_dsprites(released).factors_at(np.arange(N_IMAGES))
    np.testing.assert_array_equal(factors, arrays["latents_classes"][:, 1:])


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


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999])
def test_a_truncated_file_is_refused(tmp_path, released, fraction):
    whole = released.read_bytes()
    path = tmp_path / "truncated.npz"
    path.write_bytes(whole[: int(fraction * len(whole))])
    with refused(path):
        load_dsprites(path)


@pytest.mark.parametrize(
    ("change", "words"),
    {
        "fewer images": (lambda x: x[1:], "(35, 64, 64)"),
        "more images": (lambda x: np.concatenate([x, x]), "(72, 64, 64)"),
        "smaller images": (lambda x: x[:, ::2, ::2], "(36, 32, 32)"),
        "with channels": (lambda x: x[..., None], "(36, 64, 64, 1)"),
        "floats": (lambda x: x.astype("float32"), "float32"),
        "signed": (lambda x: x.astype("int8"), "int8"),
        "booleans": (lambda x: x.astype("bool"), "bool"),
        "records": (lambda x: x.astype([("a", "u1")]), "'a'"),
        "columns first": (np.asfortranarray, "(36, 64, 64)"),
    }.values(),
)
def test_images_of_another_kind_are_refused(tmp_path, arrays, change, words):
    path = saved(tmp_path, **{**arrays, "imgs": change(arrays["imgs"])})
    with refused(path, words):
        load_dsprites(path)


def test_a_file_without_images_is_refused(tmp_path, arrays):
    path = saved(tmp_path, **{name: arrays[name] for name in arrays if name != "imgs"})
    with refused(path, "imgs.npy"):
        load_dsprites(path)


def zipped(tmp_path, member):
    path = tmp_path / "other.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("imgs.npy", member)
    return path


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


def test_images_that_end_early_or_go_on_are_refused(tmp_path, arrays):
    member = npy(arrays["imgs"])
    for changed, words in ((member[:-1], "ends after 30 images"), (member + b"\0", "goes on")):
        path = zipped(tmp_path, changed)
        with refused(path, words):
            load_dsprites(path)


def test_bytes_flipped_in_the_images_fail_the_checksum(tmp_path, released):
    whole = bytearray(released.read_bytes())
    with zipfile.ZipFile(released) as archive:
        member = archive.getinfo("imgs.npy")
    whole[member.header_offset + 200 + member.compress_size // 2] ^= 1
    path = tmp_path / "flipped.npz"
    path.write_bytes(whole)
    with refused(path):
        load_dsprites(path)


@pytest.mark.parametrize("content", [b"", b"not a zip file\n", b"<html>404</html>" * 999])
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "page.npz"
    path.write_bytes(content)
    with refused(path):
        load_dsprites(path)


@pytest.mark.parametrize("name", ["absent.npz", "", "a/file/below.npz", "a\0b"])
def test_what_is_no_file_is_missing(tmp_path, name):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="there is no file") as caught:
        load_dsprites(tmp_path / name)
    assert dsprites.FILE.url in str(caught.value)
    assert "load_sprites" in str(caught.value)


def test_a_file_that_may_not_be_read_is_named(monkeypatch, released):
    def forbidden(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(zipfile, "ZipFile", forbidden)
    with pytest.raises((ValueError, PermissionError), match="Permission denied") as caught:
        load_dsprites(released)
    assert str(released) in str(caught.value)


# Files that were mutated at random.


def mutated(whole, where, value):
    changed = bytearray(whole)
    changed[int(where * (len(whole) - 1))] = value
    return bytes(changed)


def load_or_refuse(path, content, whole_images):
    """Accepts the right images or a ValueError, and nothing else."""
    path.write_bytes(content)
    try:
        data = load_dsprites(path)
    except ValueError:
        return
    np.testing.assert_array_equal(data._images.array, whole_images)


@settings(deadline=None, max_examples=150)
@given(st.floats(0, 1), st.integers(0, 255))
def test_a_mutated_byte_never_surprises(released, sprites, where, value):
    path = released.with_name("mutated.npz")
    load_or_refuse(path, mutated(released.read_bytes(), where, value), sprites._images.array)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_mutated_zip_records_never_surprise(released, sprites, data):
    # Most bytes are images; those of the zip's own records are few and do more harm.
    whole = bytearray(released.read_bytes())
    with zipfile.ZipFile(released) as archive:
        directory = archive.start_dir
        headers = [member.header_offset for member in archive.infolist()]
    places = [*range(directory, len(whole))]
    places += [offset + i for offset in headers for i in range(60)]
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.sampled_from(places))] = data.draw(st.integers(0, 255))
    load_or_refuse(released.with_name("mutated.npz"), bytes(whole), sprites._images.array)


@pytest.mark.parametrize("method", [1, 8, 12, 14, 99], ids="method {}".format)
@pytest.mark.parametrize("flags", [0, 1], ids=["plain", "encrypted"])
def test_a_member_stored_in_another_way_is_refused(tmp_path, arrays, method, flags):
    content = bytearray(zipped(tmp_path, npy(arrays["imgs"])).read_bytes())
    with zipfile.ZipFile(tmp_path / "other.npz") as archive:
        directory = archive.start_dir
    struct.pack_into("<HH", content, 6, flags, method)
    struct.pack_into("<HH", content, directory + 8, flags, method)
    path = tmp_path / "strange.npz"
    path.write_bytes(content)
    with refused(path):
        load_dsprites(path)


HEADERS = st.one_of(
    st.text(max_size=60),
    st.text("{}()[]'\",:0123456789 LuTrue\\\n\t#", max_size=60),
    st.sampled_from(
        [
            "(" * 60,
            "'''",
            "{'descr': '|O', 'fortran_order': False, 'shape': (36, 64, 64)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (-36, 64, 64)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (36, 64, 64)",
            "{'descr': [], 'fortran_order': False, 'shape': (36, 64, 64)}",
            "{'descr': (1, 2), 'fortran_order': 0, 'shape': (36, 64, 64)}",
            "{[]: 1}",
            "\n  1\n 2",
            "__import__('os').abort()",
        ]
    ),
)


@settings(deadline=None, max_examples=150)
@given(HEADERS)
def test_a_mutated_npy_header_never_surprises(tmp_path_factory, arrays, header):
    text = header.encode("utf-8", "surrogatepass")
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + arrays["imgs"].tobytes()
    path = zipped(tmp_path_factory.getbasetemp(), member)
    with refused(path):
        load_dsprites(path)


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


@pytest.mark.parametrize("error", [Exception, OSError, ValueError, TimeoutError])
def test_without_a_network_the_error_says_what_to_do(monkeypatch, error, tmp_path):
    def unreachable(*args, **kwargs):
        raise error("URL fetch failure: name or service not known")

    monkeypatch.setattr(keras.utils, "get_file", unreachable)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="service not known") as caught:
        load_dsprites()
    assert dsprites.FILE.url in str(caught.value)
    assert "load_sprites" in str(caught.value)
