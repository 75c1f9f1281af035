"""Files and folders that are whole whenever they are there."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def moved_into_place(path: Path) -> Iterator[Path]:
    """Gives a name of its own beside `path` to write to, and moves what was written to `path`.

    A process that is killed, or fails, while it writes leaves `path` as it was, and a power cut
    leaves the old or the new, since what was written is on the disk before it is moved. Of two
    that write at once, each writes whole, and the last stays. What was written may be a folder,
    which takes the place of the old one.

    Raises:
        OSError: What writing raises, with the name `path` if it names no file ("No space left
            on device" does not).
    """
    aside = path.with_name(f"saving-{secrets.token_hex(4)}-{path.name}")
    try:
        yield aside
        for part in (*aside.rglob("*"), aside):
            _flush_to_disk(part)
        if aside.is_dir():
            # No folder can be moved onto another that is not empty.
            shutil.rmtree(path, ignore_errors=True)
        aside.replace(path)
        _flush_to_disk(path.parent)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        _remove(aside)


def left_aside(folder: Path, pattern: str) -> Iterator[Path]:
    """Yields what killed processes left of their writing the files of a pattern."""
    yield from folder.glob(f"saving-????????-{pattern}")


def clear_left_aside(folder: Path) -> None:
    """Removes all that killed processes left of their writing in a folder and those below it."""
    for path in list(folder.rglob("saving-????????-*")):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    if os.name != "posix" and path.is_dir():
        return  # Windows opens no folders.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
