import pytest

from keras_betavae._files import moved_into_place


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
