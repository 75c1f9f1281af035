"""A folder that one process at a time works in."""

import contextlib
import datetime
import errno
import json
import os
import platform
import stat
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from keras_betavae._utils.files import short_name

LOCK_FILE = ".keras_betavae.lock"
"""The file in a folder that is in use; it is removed at the end, and harmless if a kill left it."""

_IN_USE = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_held: dict[Path, tuple[int, int]] = {}
"""Of each lock file of this process its descriptor and the thread that holds it."""


class InUseError(RuntimeError):
    """Another process, or another thread of this one, works in a folder."""


@contextlib.contextmanager
def locked(folder: str | os.PathLike, child: str | None = None) -> Iterator[None]:
    """Holds a folder, or one name in it, until the context ends or the process dies.

    It never waits. A thread that holds a folder may take it again.

    The system's file locks (`flock`, on Windows `msvcrt.locking`) hold between the processes of
    one machine, its containers included, and between machines as far as the file system carries
    them: NFS 4, NFS 3 with its lock daemon, SMB, CephFS and GPFS do; Lustre only if it is mounted
    with `flock`; NFS mounted with `nolock`, and most file systems in user space (sshfs, s3fs,
    gcsfuse), keep locks to each machine. Where the file system refuses locks there is a warning
    and no lock.

    Args:
        folder: A folder that exists.
        child: A name in it that is held instead of all of the folder, such as that of an export
            that is about to be written.

    Raises:
        InUseError: If it is held, and by whom: process, machine and since when.
        FileExistsError: If the lock file's name belongs to something else.
        OSError: If the folder is not there or cannot be written to.
    """
    folder = Path(folder)
    file = folder.resolve() / (LOCK_FILE if child is None else f".{short_name(child)}{LOCK_FILE}")
    thread = threading.get_ident()
    if file in _held and _held[file][1] == thread:
        yield
        return
    descriptor = _taken(file, folder if child is None else folder / child)
    _held[file] = descriptor, thread
    try:
        yield
    finally:
        # A child that was forked meanwhile has forgotten it.
        if _held.get(file) == (descriptor, thread):
            del _held[file]
            _let_go(file, descriptor)


def _taken(file: Path, what: Path) -> int:
    """Returns the descriptor of a lock file that is locked and is the one on the disk."""
    while True:
        descriptor = _opened(file)
        try:
            if not _lock(descriptor):
                raise InUseError(f"{what} is in use by {_holder(descriptor)}")
            if _is_on_disk(file, descriptor):
                _write_holder(file, descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # The one who held it has removed it in between.


def _opened(file: Path) -> int:
    # Neither a link is followed nor a pipe waited for.
    if file.is_symlink():
        raise _foreign(file)
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _foreign(file) from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise _foreign(file)
    return descriptor


def _lock(descriptor: int) -> bool:
    """Returns whether the file could be locked."""
    try:
        if sys.platform == "win32":
            import msvcrt

            # Nobody else may read what is locked there, so that it is a byte after the content.
            os.lseek(descriptor, 2**30, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            # Not `lockf`, whose lock ends when anything in the process closes the file.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _WITHOUT_LOCKS:
            warnings.warn(
                "this file system has no locks: nothing keeps a second process from working in "
                f"the same folder ({error})",
                stacklevel=6,
            )
            return True
        if error.errno in _IN_USE:
            return False
        raise
    return True


def _is_on_disk(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(file, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write_holder(file: Path, descriptor: int) -> None:
    if os.fstat(descriptor).st_size and _read_holder(descriptor) is None:
        raise _foreign(file)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    holder = {"process": os.getpid(), "machine": platform.node(), "since": now}
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(holder).encode())


def _read_holder(descriptor: int) -> dict | None:
    """Returns what a lock file says, None if it says nothing."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        holder = json.loads(os.read(descriptor, 1_000))
        known = {"process": int, "machine": str, "since": str}
        return {name: kind(holder[name]) for name, kind in known.items()}
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _holder(descriptor: int) -> str:
    holder = _read_holder(descriptor)
    if holder is None:
        return "another process"
    machine, since = (ascii(holder[name])[1:-1] for name in ("machine", "since"))
    return f"process {holder['process']} on {machine} since {since}; wait for it or stop it"


def _foreign(file: Path) -> FileExistsError:
    return FileExistsError(
        f"{file} is not a lock file that keras_betavae wrote; move it away or choose another folder"
    )


def _let_go(file: Path, descriptor: int) -> None:
    # Its folder may be gone, and on Windows an open file cannot be removed; the lock ends anyway.
    if sys.platform == "win32":
        os.close(descriptor)
        with contextlib.suppress(OSError):
            file.unlink()
    else:
        if _is_on_disk(file, descriptor):
            with contextlib.suppress(OSError):
                file.unlink()
        os.close(descriptor)


def _forget() -> None:
    """Closes what a forked child got from its parent, so that the parent alone holds it."""
    for descriptor, _ in _held.values():
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
