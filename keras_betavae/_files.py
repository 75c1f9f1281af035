"""Files that are whole whenever they are there."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def moved_into_place(path: Path) -> Iterator[Path]:
    """Gives a name of its own beside `path` to write to, and moves what was written to `path`.

    A process that is killed, or fails, while it writes leaves `path` as it was. Of two that
    write at once, each writes whole, and the last stays.
    """
    aside = path.with_name(f"saving-{secrets.token_hex(4)}-{path.name}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def left_aside(folder: Path, pattern: str) -> Iterator[Path]:
    """Yields what killed processes left of their writing the files of a pattern."""
    yield from folder.glob(f"saving-????????-{pattern}")
