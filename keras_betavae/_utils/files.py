"""Files and folders that are complete whenever they exist."""

import contextlib
import fnmatch
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

_ASIDE = "saving-{token}-{name}"
_IS_ASIDE = re.compile(r"saving-[0-9a-f]{8}-.")
_LONGEST = 200
"""Bytes of a name that get others in front of them: file systems take 255."""


def local_path(path: str | os.PathLike) -> Path:
    """Returns a path of this machine.

    Raises:
        ValueError: If it is a URL, of which `Path` would make a local folder.
    """
    if "://" in os.fspath(path):
        raise ValueError(f"the path must be of a local file or folder, got {path}")
    return Path(path)


@contextlib.contextmanager
def moved_into_place(
    path: Path, replaces: Sequence[str] = (), sign: str | None = None
) -> Iterator[Path]:
    """Yields a temporary name next to `path` to write to, then moves the result to `path`.

    A process that is killed or fails while it writes leaves `path` as it was. A power cut leaves
    the old or the new, since everything is flushed to the disk before it is moved. If two
    processes write at once, each writes a complete result and the last one stays.

    What was written may be a folder. An old folder at `path` is replaced only if this package
    wrote everything in it; no symbolic link is ever followed.

    Args:
        path: Where the result goes.
        replaces: Patterns (`fnmatch`) of the files that an old folder may hold, relative to it.
        sign: A JSON file with the key `keras_betavae` that an old folder with files must hold.

    Raises:
        FileExistsError: If `path` is a folder that holds anything else, a link to a folder, a
            device, a pipe or a socket.
        OSError: What writing raises, with the name `path` if it names the temporary file or none
            ("No space left on device" does not).
    """
    path = Path(path)
    check_replaceable(path, replaces, sign)
    aside = _aside(path)
    try:
        yield aside
        for part in (*aside.rglob("*"), aside):
            flush_to_disk(part)
        if aside.is_dir() and path.is_dir():
            check_replaceable(path, replaces, sign)
            _replace_folder(aside, path)
        else:
            aside.replace(path)
        flush_to_disk(path.parent)
    except OSError as error:
        if error.errno is None or error.filename not in (None, os.fspath(aside)):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        remove(aside)


def check_replaceable(path: Path, replaces: Sequence[str] = (), sign: str | None = None) -> None:
    """Checks that nothing would be lost if a file or folder were moved to `path`.

    Raises:
        FileExistsError: If `path` is a folder that holds more than files that match `replaces`,
            or files without the `sign` of `moved_into_place`; a link to a folder; or a device, a
            pipe or a socket, or a link to one.
    """
    if path.is_symlink() and path.is_dir():
        raise FileExistsError(f"{path} is a symbolic link to a folder; remove the link first")
    if is_special(path):
        raise FileExistsError(
            f"{path} is a device, a pipe or a socket, which a file would replace; choose another "
            "name"
        )
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
    if sign is not None and any(found.is_file() for found in path.rglob("*")):
        signed = path / sign
        if not signed.is_file() or b'"keras_betavae"' not in signed.read_bytes():
            raise FileExistsError(
                f"{path} was not written by keras_betavae; move it away or choose another folder"
            )


def check_can_be_written(path: Path) -> None:
    """Checks before long work that its file can be written.

    Raises:
        FileNotFoundError: If the folder does not exist.
        PermissionError: If the folder cannot be written to.
        IsADirectoryError: If the path is a folder.
        FileExistsError: As `check_replaceable`.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"the folder {path.parent} cannot be written to")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file")
    check_replaceable(path)


def is_special(path: Path) -> bool:
    """Returns whether a path is, or a link leads to, a device, a pipe or a socket.

    Links such as /dev/stdout count even while they lead to a regular file.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False  # There is nothing that could be lost.
    if path.is_symlink() and os.readlink(path).startswith("/proc/"):
        return True
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def check_own_places(folder: Path, folders: Sequence[str] = (), files: Sequence[str] = ()) -> None:
    """Checks that what is written in a folder stays in it, whoever made the folder.

    Args:
        folder: The folder.
        folders: Names of folders in it.
        files: Names of files in it that are written where they are, or waited for.

    Raises:
        FileExistsError: If one of the folders is a link or a file, or one of the files is a link,
            a folder, a pipe or a device.
    """
    for path in (folder / name for name in folders):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise FileExistsError(f"{path} must be a folder, not a link or a file; move it away")
    for path in (folder / name for name in files):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise FileExistsError(f"{path} must be a regular file, not a link; move it away")


def written_files(folder: Path, pattern: str) -> Iterator[Path]:
    """Yields the regular files in a folder and those below it, without following links.

    Args:
        folder: Where to look.
        pattern: Pattern (`fnmatch`) of their paths relative to the folder.
    """
    for parent, _, files in [] if folder.is_symlink() else os.walk(folder):
        for name in sorted(files):
            found = Path(parent, name)
            relative = found.relative_to(folder).as_posix()
            if fnmatch.fnmatch(relative, pattern) and found.is_file() and not found.is_symlink():
                yield found


def is_aside(path: Path) -> bool:
    """Returns whether a path is a temporary one of `moved_into_place`."""
    return bool(_IS_ASIDE.match(path.name))


def left_aside(folder: Path, pattern: str) -> Iterator[Path]:
    """Yields the temporary files that killed processes left in a folder, by their final names."""
    for found in folder.glob(f"saving-????????-{pattern}"):
        if is_aside(found):
            yield found


def clear_left_aside(folder: Path) -> None:
    """Removes the temporary files that killed processes left in a folder and those below it."""
    for parent, subfolders, files in [] if folder.is_symlink() else os.walk(folder):
        for name in (*subfolders, *files):
            if _IS_ASIDE.match(name):
                remove(Path(parent, name))


def short_name(name: str) -> str:
    """Returns a name, or its end if others could not be put before it.

    Example:
        >>> short_name("a.csv"), len(short_name("a" * 250 + ".csv"))
        ('a.csv', 200)
    """
    text = os.fsencode(name)
    return name if len(text) <= _LONGEST else text[-_LONGEST:].decode("utf-8", "ignore")


def _aside(path: Path) -> Path:
    return path.with_name(_ASIDE.format(token=secrets.token_hex(4), name=short_name(path.name)))


def _replace_folder(aside: Path, path: Path) -> None:
    # A folder cannot be moved onto one that is not empty.
    old = _aside(path)
    path.rename(old)
    try:
        aside.rename(path)
    except BaseException:
        old.rename(path)
        raise
    remove(old)


def remove(path: Path) -> None:
    """Removes a file, a link or a folder with all in it, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)  # It unlinks links and does not follow them.
    else:
        path.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Returns once the disk has a file, or the names in a folder."""
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
