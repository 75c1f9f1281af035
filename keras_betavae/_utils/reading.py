"""Files that cannot be read now, and files that are damaged."""

import contextlib
import errno
import os
from collections.abc import Iterator


@contextlib.contextmanager
def damage_named(path: str | os.PathLike, message: str) -> Iterator[None]:
    """Raises ValueError for a damaged file, and lets through what the system reports.

    On damaged bytes the readers of most formats raise many kinds of errors. An error that the
    operating system reports (too many open files, no permission, a network that is down, no
    memory) says nothing about the content: it keeps its kind and gets the file's name.

    Args:
        path: The file that is read.
        message: What to say of damage; the reader's own words follow in parentheses.

    Raises:
        OSError: If the file cannot be read now.
        ValueError: If it is damaged.
    """
    try:
        yield
    except Exception as error:
        if is_lack_of_memory(error):
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), os.fspath(path)) from error
        if isinstance(error, OSError) and cannot_be_read_now(error):
            if error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise ValueError(f"{message} ({error})") from error


def cannot_be_read_now(error: OSError) -> bool:
    """Returns whether the operating system reported an error, rather than a file's reader."""
    # A place outside the file, to which damaged bytes may lead, is an invalid argument.
    return error.errno not in (None, errno.EINVAL, errno.EOVERFLOW)


def is_lack_of_memory(error: Exception) -> bool:
    """Returns whether an error, of Python or TensorFlow, says that there is not enough memory."""
    # TensorFlow is there if the error is its own.
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
