"""Files from others: no code of theirs is run, and nothing is written outside of a folder."""

import contextlib
import gzip
import io
import json
import os
import re
import tarfile
import zipfile
import zlib
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import keras_betavae
from keras_betavae import BetaVAE
from keras_betavae._utils.archives import check_unpacked_size
from keras_betavae.experiments import runs
from keras_betavae.export.served_model import ServedModel
from tests.helpers import SHAPE, tiny_networks, tiny_vae
from tests.released_files import Payload, small

PACKAGE = Path(keras_betavae.__file__).parent


# Saved models.


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "whole.keras"
    tiny_vae().save(path)
    return path


def with_members(path, target, **changes):
    """Writes an archive of which some members were changed by functions of their content."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w") as changed:
        for name in archive.namelist():
            change = changes.get(name.partition(".")[0], lambda content: content)
            changed.writestr(name, change(archive.read(name)))
    return target


def test_a_small_file_that_unpacks_to_a_large_one_is_not_loaded(saved, tmp_path, monkeypatch):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(saved) as archive, zipfile.ZipFile(path, "w") as packed:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                content = content[:-1] + b" " * 2**27 + content[-1:]
            packed.writestr(name, content, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    monkeypatch.setattr(keras.saving, "load_model", None)
    with pytest.raises(ValueError, match=r"bomb.keras unpacks to more than .*config.json"):
        runs.open_model(path)


def test_another_keras_model_is_refused(tmp_path):
    path = tmp_path / "other.keras"
    tiny_networks()["encoder"].save(path)
    with pytest.raises(ValueError, match="holds a Functional, which is not a BetaVAE"):
        runs.open_model(path)


def test_a_model_that_cannot_be_read_now_is_not_called_damaged(saved, monkeypatch):
    def exhausted(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(keras.saving, "load_model", exhausted)
    with pytest.raises(OSError, match=rf"Too many open files: '{saved}'"):
        runs.open_model(saved)


def test_a_lambda_is_refused_and_never_run(tmp_path):
    trap = tmp_path / "trap"
    encoder = tiny_networks()["encoder"]
    image = keras.Input(SHAPE)
    evil = keras.layers.Lambda(lambda x, path=str(trap): (open(path, "w").close(), x)[1])
    vae = BetaVAE(keras.Model(image, encoder(evil(image))), tiny_networks()["decoder"])
    vae.save(tmp_path / "lambda.keras")
    assert trap.exists()  # It does what it should not, while it is made.
    trap.unlink()
    with pytest.raises(ValueError, match=r"(?s)Code in a file is never run.*[Ll]ambda"):
        runs.open_model(tmp_path / "lambda.keras")
    os.makedirs(tmp_path / "run")
    os.rename(tmp_path / "lambda.keras", tmp_path / "run" / "model.keras")
    with pytest.raises(ValueError, match=r"(?s)Code in a file is never run.*[Ll]ambda"):
        runs.load_model(tmp_path / "run")
    assert not trap.exists()


@pytest.mark.parametrize(
    ("module", "name", "part"),
    [
        ("subprocess", "Popen", "encoder"),
        ("builtins", "exec", "objective"),
        ("os", "system", "likelihood"),
    ],
)
def test_a_class_that_is_not_registered_is_refused(saved, tmp_path, module, name, part):
    trap = tmp_path / "trap"
    evil = {
        "module": module,
        "class_name": name,
        "config": {"args": ["touch", str(trap)]},
        "registered_name": name,
    }

    def change(content):
        config = json.loads(content)
        config["config"][part] = evil
        return json.dumps(config).encode()

    path = with_members(saved, tmp_path / "evil.keras", config=change)
    with pytest.raises(ValueError, match=f"(?s)Code in a file is never run.*{name}"):
        runs.open_model(path)
    assert not trap.exists()


def test_weights_that_claim_to_be_huge_are_refused(saved, tmp_path):
    def change(content):
        file = io.BytesIO(content)
        with h5py.File(file, "r+") as weights:
            names = []
            weights.visititems(lambda n, v: names.append(n) if hasattr(v, "dtype") else None)
            dtype = weights[names[0]].dtype
            del weights[names[0]]
            # 4 TiB that are stored nowhere.
            weights.create_dataset(names[0], (2**40,), dtype, chunks=(2**20,))
        return file.getvalue()

    path = with_members(saved, tmp_path / "bomb.keras", model=change)
    with pytest.raises(ValueError, match="is damaged"):
        runs.open_model(path)


def test_members_of_a_saved_model_stay_where_they_are(saved, tmp_path):
    content = saved.read_bytes()
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = folder / "evil.keras"
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../evil", "../../evil", str(tmp_path / "evil"), "assets/../../evil"):
            archive.writestr(name, "evil")
    before = sorted(tmp_path.rglob("*"))
    with contextlib.suppress(ValueError):
        runs.open_model(path)
    assert sorted(tmp_path.rglob("*")) == before


def bomb(path, size, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("metadata.json", b"{}")
        archive.writestr("config.json", b" " * size)
    return path


def test_a_small_archive_that_unpacks_to_much_is_refused(saved, tmp_path):
    check_unpacked_size(saved)
    assert bomb(tmp_path / "whole.keras", 2**20).stat().st_size < 2_000
    for size in (0, 1, 2**20 - 2):
        check_unpacked_size(bomb(tmp_path / "whole.keras", size), limit=2**20)
    with pytest.raises(ValueError, match=r"unpacks to more than 1,048,576 bytes.*config\.json"):
        check_unpacked_size(bomb(tmp_path / "bomb.keras", 2**20), limit=2**20)
    # By default, 64 MiB; a file of which little is packed may be as large as it likes.
    check_unpacked_size(bomb(tmp_path / "whole.keras", 2**21))
    check_unpacked_size(bomb(tmp_path / "stored.keras", 2**21, zipfile.ZIP_STORED), limit=1)


def test_a_member_that_claims_to_be_small_is_counted(tmp_path):
    path = bomb(tmp_path / "lie.keras", 2**21)
    content = bytearray(path.read_bytes())
    local, central = content.index(b"PK\3\4", 4), content.rindex(b"PK\1\2")
    claimed = b"\x0a\0\0\0", zlib.crc32(b" " * 10).to_bytes(4, "little")
    for crc, size in ((local + 14, local + 22), (central + 16, central + 24)):
        content[crc : crc + 4], content[size : size + 4] = claimed[1], claimed[0]
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("config.json") == b" " * 10  # After all of it was unpacked.
    with pytest.raises(ValueError, match="unpacks to more than"):
        check_unpacked_size(path, limit=2**20)


def test_members_that_are_packed_in_unusual_ways_are_refused(tmp_path):
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = bomb(tmp_path / "other.keras", 10, method)
        with pytest.raises(ValueError, match=r"metadata\.json is not compressed by deflate"):
            check_unpacked_size(path)


# Pickles.


def sources():
    return {path: path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}


def test_the_package_has_nothing_that_unpickles():
    words = (
        r"allow_pickle=True|^\s*(import|from) (pickle|cPickle|dill|cloudpickle|shelve|marshal)\b"
    )
    words += r"|joblib\.load|torch\.load|\beval\(|\bexec\(|enable_unsafe_deserialization"
    words += r"|safe_mode=False|yaml\.load|loadmat"
    found = {
        (path.name, match.group().strip())
        for path, text in sources().items()
        for match in re.finditer(words, text, re.MULTILINE)
    }
    assert found == set()


def test_every_load_of_numpy_refuses_pickles():
    calls = [
        call
        for text in sources().values()
        for call in re.findall(r"np\.(?:load|lib\.format\.(?:read_array|open_memmap))\(.*", text)
    ]
    assert len(calls) >= 2
    # A memory map cannot hold objects.
    loads = [call for call in calls if "open_memmap" not in call]
    assert [call for call in loads if "allow_pickle=False" not in call] == []


def test_a_pickle_in_the_place_of_any_file_is_refused(tmp_path):
    import pickle

    trap = tmp_path / "trap"
    content = pickle.dumps(Payload(trap))
    for name in ("model.keras", "config.json", "saved_model.pb"):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_bytes(content)
    (tmp_path / "saved_model" / "variables").mkdir()
    for read, path in (
        (runs.load_model, tmp_path / "model"),
        (runs.load_settings, tmp_path / "config"),
        (ServedModel, tmp_path / "saved_model"),
    ):
        with pytest.raises(ValueError, match=r"damaged|does not hold"):
            read(path)
    assert not trap.exists()
    pickle.loads(content).close()
    assert trap.exists()  # The trap does work.


# Archives of data sets.


def evil_tar(content, folder):
    """Adds members to a tar that lead out of where it might be unpacked."""
    file = io.BytesIO(content)
    with tarfile.open(fileobj=file, mode="a") as archive:
        for name in ("../evil", f"{folder}/evil", "data/cars/../../../evil"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            member = tarfile.TarInfo(f"link{kind.decode()}")
            member.type, member.linkname = kind, "../outside"
            archive.addfile(member)
    return file.getvalue()


def evil_zip(content, folder):
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        for name in ("../evil.npy", f"{folder}/evil.npy", "a/../../evil.npy"):
            archive.writestr(name, b"evil")
        link = zipfile.ZipInfo("link.npy")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "../outside")
    return file.getvalue()


def load(kind, folder, files):
    """Loads files that may be evil, from a folder within a folder; returns what there is then."""
    with pytest.MonkeyPatch.context() as patch:
        kind.expect(patch, hashed=False)
        path = kind.write(folder / "a" / "released", files)
        outside = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        try:
            data = kind.load(path, cache_dir=folder / "a" / "cache")
        finally:
            cache = folder / "a" / "cache"
            now = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
            assert {p: c for p, c in now.items() if cache not in p.parents} == outside
        assert [p.name for p in cache.rglob("*") if p.is_file()] == ["images.npy"]
        return data.images_at(np.arange(len(data)))


@pytest.mark.parametrize(("name", "spoil"), [("cars3d", evil_tar), ("mpi3d_toy", evil_zip)])
def test_members_that_lead_outside_are_not_unpacked(tmp_path, name, spoil):
    kind = small(name)
    ((file, whole),) = kind.files.items()
    if name == "cars3d":
        evil = gzip.compress(spoil(gzip.decompress(whole), tmp_path))
    else:
        evil = spoil(whole, tmp_path)
    np.testing.assert_array_equal(load(kind, tmp_path, {file: evil}), kind.images)


@pytest.mark.parametrize("type_", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path, type_):
    kind = small("cars3d")
    (file,) = kind.files
    secret = tmp_path / "secret.mat"
    target = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(kind.files[file]))) as archive:
        members = [(m, archive.extractfile(m).read()) for m in archive if m.isfile()]
    first = next(i for i, (m, _) in enumerate(members) if Path(m.name).match("data/cars/*.mat"))
    secret.write_bytes(members[first][1])
    with tarfile.open(fileobj=target, mode="w") as archive:
        for i, (member, content) in enumerate(members):
            if i == first:
                member.type, member.linkname, member.size = type_, str(secret), 0
            archive.addfile(member, None if i == first else io.BytesIO(content))
    with pytest.raises(ValueError, match="files data/cars"):
        load(kind, tmp_path, {file: gzip.compress(target.getvalue())})
