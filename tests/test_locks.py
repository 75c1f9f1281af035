import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_betavae._utils import locks
from keras_betavae._utils.locks import LOCK_FILE, InUseError, locked

# The process of the command imports no TensorFlow for this.
HOLD = """
import sys, time
sys.argv[0] = "keras-betavae"
from keras_betavae._utils import locks
with locks.locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_process_is_told_who_holds_the_folder(tmp_path, holder):
    said = rf"{tmp_path} is in use by process {holder.pid} on \S+ since \d{{4}}-.* UTC"
    with pytest.raises(InUseError, match=said), locked(tmp_path):
        pass
    # A name in it is another thing to hold.
    with locked(tmp_path, "1"):
        assert (tmp_path / f".1{LOCK_FILE}").is_file()


def test_a_kill_releases_it(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK_FILE).is_file()
    with locked(tmp_path):
        assert f'"process": {os.getpid()}' in (tmp_path / LOCK_FILE).read_text()
    assert not list(tmp_path.iterdir())


def test_a_thread_may_take_it_again_and_no_other_may(tmp_path):
    refused = []

    def take():
        try:
            with locked(tmp_path):
                pass
        except InUseError as error:
            refused.append(str(error))

    with locked(tmp_path):
        with locked(tmp_path):
            pass
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        assert (tmp_path / LOCK_FILE).is_file()
    assert re.search(f"in use by process {os.getpid()} ", *refused)
    take()
    assert len(refused) == 1


def test_a_forked_child_holds_nothing(tmp_path):
    with locked(tmp_path):
        child = os.fork()
        if not child:
            try:
                with locked(tmp_path):
                    pass
            except InUseError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert (tmp_path / LOCK_FILE).is_file()


@pytest.mark.parametrize("what", ["a file", "a link", "a hard link", "a pipe", "a folder"])
def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path, what):
    folder, precious = tmp_path / "folder", tmp_path / "precious"
    folder.mkdir()
    precious.write_text("precious")
    file = folder / LOCK_FILE
    {
        "a file": lambda: file.write_text("precious"),
        "a link": lambda: file.symlink_to(precious),
        "a hard link": lambda: file.hardlink_to(precious),
        "a pipe": lambda: os.mkfifo(file),
        "a folder": file.mkdir,
    }[what]()
    with pytest.raises(FileExistsError, match=f"{file} is not a lock file"), locked(folder):
        pass
    assert precious.read_text() == "precious"
    assert file.is_symlink() or file.exists()


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(UserWarning, match="this file system has no locks"), locked(tmp_path):
        pass


def test_windows_locks_a_byte_after_the_content(tmp_path, monkeypatch):
    taken = set()

    def lock(descriptor, mode, size):
        assert (mode, size) == (2, 1)
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 2**30
        if os.fstat(descriptor).st_ino in taken:
            raise PermissionError(errno.EACCES, "Permission denied")
        taken.add(os.fstat(descriptor).st_ino)

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=lock, LK_NBLCK=2))
    monkeypatch.setattr(locks, "sys", SimpleNamespace(platform="win32"))
    for name in ("O_NOFOLLOW", "O_NONBLOCK"):
        monkeypatch.delattr(os, name)
    with locked(tmp_path):
        monkeypatch.setattr(locks, "_held", {})
        with (
            pytest.raises(InUseError, match=f"process {os.getpid()} on"),
            locked(Path(tmp_path)),
        ):
            pass
        assert (tmp_path / LOCK_FILE).stat().st_size < 1_000
