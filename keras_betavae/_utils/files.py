"""Files and folders that are complete whenever they exist."""

import contextlib
import fnmatch
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

_ASIDE = "saving-{token}-{name}"
_IS_ASIDE = re.compile(r"saving-[0-9a-f]{8}-.")


@contextlib.contextmanager
def moved_into_place(path: Path, replaces: Sequence[str] = ()) -> Iterator[Path]:
    """Yields a temporary name next to `path` to write to, then moves the result to `path`.

    A process that is killed or fails while it writes leaves `path` as it was. A power cut leaves
    the old or the new, since everything is flushed to the disk before it is moved. If two
    processes write at once, each writes a complete result and the last one stays.

    What was written may be a folder. An old folder at `path` is replaced only if this package
    wrote everything in it; no symbolic link is ever followed.

    Args:
        path: Where the result goes.
        replaces: Patterns (`fnmatch`) of the files that an old folder may hold, relative to it.

    Raises:
        FileExistsError: If `path` is a folder that holds anything else, or a link to a folder.
        OSError: What writing raises, with the name `path` if it names no file ("No space left
            on device" does not).
    """
    path = Path(path)
    check_replaceable(path, replaces)
    aside = path.with_name(_ASIDE.format(token=secrets.token_hex(4), name=path.name))
    try:
        yield aside
        for part in (*aside.rglob("*"), aside):
            _flush_to_disk(part)
        if aside.is_dir() and path.is_dir():
            _replace_folder(aside, path, replaces)
        else:
            aside.replace(path)
        _flush_to_disk(path.parent)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        _remove(aside)


def check_replaceable(path: Path, replaces: Sequence[str]) -> None:
    """Checks that nothing would be lost if a folder were moved to `path`.

    Raises:
        FileExistsError: If `path` is a folder that holds more than files that match `replaces`,
            or a link to a folder.
    """
    if path.is_symlink() and path.is_dir():
        raise FileExistsError(f"{path} is a symbolic link to a folder; remove the link first")
    if not path.is_dir():
        return
    for folder, subfolders, files in os.walk(path):
        for name in (*subfolders, *files):
            found = Path(folder, name)
            relative = found.relative_to(path).as_posix()
            is_ours = any(fnmatch.fnmatch(relative, pattern) for pattern in replaces)
            if found.is_symlink() or not (found.is_dir() or (is_ours and found.is_file())):
                what = f"the symbolic link {relative}" if found.is_symlink() else relative
                raise FileExistsError(
                    f"{path} holds {what}, which was not written by keras_betavae; move it away "
                    "or choose another folder"
                )


def written_files(folder: Path, pattern: str) -> Iterator[Path]:
    """Yields the regular files in a folder and those below it, without following links.

    Args:
        folder: Where to look.
        pattern: Pattern (`fnmatch`) of their paths relative to the folder.
    """
    for parent, _, files in os.walk(folder):
        for name in sorted(files):
            found = Path(parent, name)
            relative = found.relative_to(folder).as_posix()
            if fnmatch.fnmatch(relative, pattern) and found.is_file() and not found.is_symlink():
                yield found


def left_aside(folder: Path, pattern: str) -> Iterator[Path]:
    """Yields the temporary files that killed processes left in a folder, by their final names."""
    for found in folder.glob(f"saving-????????-{pattern}"):
        if _IS_ASIDE.match(found.name):
            yield found


def clear_left_aside(folder: Path) -> None:
    """Removes the temporary files that killed processes left in a folder and those below it."""
    for parent, subfolders, files in os.walk(folder):
        for name in (*subfolders, *files):
            if _IS_ASIDE.match(name):
                _remove(Path(parent, name))


def _replace_folder(aside: Path, path: Path, replaces: Sequence[str]) -> None:
    # A folder cannot be moved onto one that is not empty.
    check_replaceable(path, replaces)
    old = path.with_name(_ASIDE.format(token=secrets.token_hex(4), name=path.name))
    path.rename(old)
    try:
        aside.rename(path)
    except OSError:
        old.rename(path)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)  # It unlinks links and does not follow them.
    else:
        path.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    if path.is_dir():
        if os.name != "posix":
            return  # Windows opens no folders.
        flags = os.O_RDONLY
    else:
        flags = os.O_RDWR  # Windows flushes only what is open for writing.
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
