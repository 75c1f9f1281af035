"""Files that are whole whenever they are there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def moved_into_place(path: Path) -> Iterator[Path]:
    """Gives a name beside `path` to write to, and moves what was written to `path`.

    A process that is killed, or fails, while it writes leaves `path` as it was.
    """
    aside = path.with_name(f"saving-{path.name}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
