import os
from pathlib import Path

import numpy as np
import pytest

from keras_betavae._utils.files import (
    check_can_be_written,
    clear_left_aside,
    moved_into_place,
    written_files,
)
from keras_betavae._utils.tables import read_object, write_json, write_text
from keras_betavae.experiments.runs._folder import clear_unfinished
from keras_betavae.visualization import write_animation, write_png


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "file.txt"
    with moved_into_place(path) as aside:
        assert aside.parent == tmp_path
        assert aside.suffix == ".txt"
        aside.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("old", ["old", None])
def test_a_failure_leaves_the_old_file_whole_and_nothing_aside(tmp_path, old):
    path = tmp_path / "file.txt"
    if old is not None:
        path.write_text(old)

    def fail():
        with moved_into_place(path) as aside:
            aside.write_text("half")
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == (
        {} if old is None else {"file.txt": old}
    )


def test_what_was_never_written_is_an_error_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), moved_into_place(path):
        pass
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def write_folder(path, **options):
    with moved_into_place(path, **options) as aside:
        (aside / "part").mkdir(parents=True)
        (aside / "part" / "file.txt").write_text("new")


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_that_was_written_before_is_replaced(tmp_path):
    target = tmp_path / "1"
    for _ in range(2):
        write_folder(target, replaces=("part/*.txt",))
    assert contents(tmp_path) == {"1/part/file.txt": "new"}


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "precious.txt").write_text("precious")
    (folder / ".hidden").write_text("hidden")
    return folder


@pytest.mark.parametrize("place", ["1", "1/part", "1/part/file.txt", "1/precious.txt"])
def test_a_folder_with_anything_else_is_left_as_it_was(tmp_path, elsewhere, place):
    target, found = tmp_path / "1", tmp_path / place
    found.parent.mkdir(parents=True, exist_ok=True)
    if place == "1/precious.txt":
        found.write_text("precious")
    else:
        found.symlink_to(elsewhere / "precious.txt" if found.suffix else elsewhere)
    with pytest.raises(FileExistsError, match=place.rpartition("/")[2]):
        write_folder(target, replaces=("part/*.txt",))
    assert contents(elsewhere) == {"precious.txt": "precious", ".hidden": "hidden"}
    assert found.is_symlink() or found.read_text() == "precious"
    assert not list(tmp_path.glob("saving-*"))


def test_a_folder_without_the_sign_is_left_as_it_was(tmp_path):
    folder, patterns = tmp_path / "model", ["saved_model.pb", "assets/model.json", "part/*"]
    (folder / "assets").mkdir(parents=True)
    (folder / "saved_model.pb").write_text("of another program")
    for sign in (None, "{}"):
        if sign is not None:
            (folder / "assets" / "model.json").write_text(sign)
        before = contents(folder)
        with pytest.raises(FileExistsError, match="was not written by keras_betavae"):
            write_folder(folder, replaces=patterns, sign="assets/model.json")
        assert contents(folder) == before
    (folder / "assets" / "model.json").write_text('{"keras_betavae": "1"}')
    write_folder(folder, replaces=patterns, sign="assets/model.json")
    assert contents(folder) == {"part/file.txt": "new"}


def test_an_interrupted_replacement_is_taken_back(tmp_path, monkeypatch):
    folder, rename = tmp_path / "folder", Path.rename
    write_folder(folder)

    def interrupted(path, target):
        if target == folder and path.name.startswith("saving-") and not (path / "old").exists():
            raise KeyboardInterrupt
        return rename(path, target)

    (folder / "old").write_text("old")
    before = contents(folder)
    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_folder(folder, replaces=["*"])
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_what_appears_while_a_folder_is_written_is_not_deleted(tmp_path):
    target = tmp_path / "1"
    write_folder(target, replaces=("part/*.txt",))

    def write_meanwhile():
        with moved_into_place(target, replaces=("part/*.txt",)) as aside:
            aside.mkdir()
            (target / "mine").write_text("mine")

    with pytest.raises(FileExistsError, match="mine"):
        write_meanwhile()
    assert contents(target) == {"part/file.txt": "new", "mine": "mine"}


def test_a_link_to_a_file_is_replaced_and_its_target_kept(tmp_path, elsewhere):
    path = tmp_path / "file.txt"
    path.symlink_to(elsewhere / "precious.txt")
    with moved_into_place(path) as aside:
        aside.write_text("new")
    assert (path.is_symlink(), path.read_text()) == (False, "new")
    assert (elsewhere / "precious.txt").read_text() == "precious"


def test_a_picture_is_whole_or_the_old_one_and_no_link_is_followed(tmp_path, elsewhere):
    path = tmp_path / "picture.png"
    path.symlink_to(elsewhere / "precious.txt")
    write_png(path, np.zeros((4, 4, 3), "uint8"))
    assert not path.is_symlink()
    assert (elsewhere / "precious.txt").read_text() == "precious"
    before = path.read_bytes()
    for write in (
        lambda: write_png(path, np.zeros((4, 4, 9), "uint8")),
        lambda: write_animation(tmp_path / "new.gif", [np.zeros((4, 4, 9), "uint8")]),
    ):
        with pytest.raises(TypeError):
            write()
    assert path.read_bytes() == before
    assert not [name for name in os.listdir(tmp_path) if "saving" in name or "gif" in name]


def test_errors_name_the_file_and_not_its_temporary_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing/file\.txt'"):
        write_text(tmp_path / "missing" / "file.txt", "text")


def test_a_run_clears_its_own_unfinished_files_alone(tmp_path):
    for name in ("saved_model/saving-01234567-2", "saving-01234567-mine.html"):
        (tmp_path / name).mkdir(parents=True)
    own = ("model.keras", "pictures/a.png", "saved_model/1", "checkpoints/step-3.keras", "logs/a/b")
    for path in (tmp_path / name for name in own):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"saving-89abcdef-{path.name}").write_text("half")
    clear_unfinished(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("saving-*")}
    assert left == {"saved_model/saving-01234567-2", "saving-01234567-mine.html"}


def test_clearing_and_listing_follow_no_links(tmp_path, elsewhere):
    (elsewhere / "saving-01234567-file").write_text("precious")
    run = tmp_path / "run"
    (run / "saving-89abcdef-1").mkdir(parents=True)
    (run / "saving-89abcdef-1" / "linked").symlink_to(elsewhere)
    (run / "linked").symlink_to(elsewhere)
    (run / "saving-recipes-of-mine").write_text("mine")
    assert list(written_files(run, "*")) == [run / "saving-recipes-of-mine"]
    clear_left_aside(run)
    assert sorted(os.listdir(run)) == ["linked", "saving-recipes-of-mine"]
    assert len(contents(elsewhere)) == 3


def test_what_is_moved_was_opened_for_writing_and_flushed(tmp_path, monkeypatch):
    # Windows refuses to flush a file that is open for reading.
    opened, flushed = {}, []
    real_open, real_flush = os.open, os.fsync

    def remember(path, flags, *args, **kwargs):
        descriptor = real_open(path, flags, *args, **kwargs)
        opened[descriptor] = os.path.basename(path), flags & os.O_ACCMODE
        return descriptor

    def flush(descriptor):
        flushed.append(opened[descriptor])
        real_flush(descriptor)

    monkeypatch.setattr(os, "open", remember)
    monkeypatch.setattr(os, "fsync", flush)
    write_folder(tmp_path / "1")
    assert ("file.txt", os.O_RDWR) in flushed
    assert flushed[-1][0] == tmp_path.name


def test_where_no_file_can_be_written_is_told_before_the_work(tmp_path):
    for path, error in (
        (tmp_path / "no" / "a.html", FileNotFoundError),
        (tmp_path, IsADirectoryError),
        (Path("/dev/null"), FileExistsError),
    ):
        with pytest.raises(error, match=str(path.parent)):
            check_can_be_written(path)
    check_can_be_written(tmp_path / "a.html")


def test_json_holds_names_of_files_that_are_not_utf8(tmp_path):
    value = {"path": b"pictures-\xe9".decode("utf-8", "surrogateescape"), "label": "β=4"}
    write_json(tmp_path / "a.json", value)
    assert read_object(tmp_path / "a.json") == value
