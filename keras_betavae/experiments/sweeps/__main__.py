"""A process of a sweep that `search_in_processes` has started."""

import os
import sys
import threading
from pathlib import Path

from keras_betavae.experiments.sweeps import load
from keras_betavae.experiments.sweeps._search import search


def _end_with_parent() -> None:
    # Not sys.stdin, whose lock a daemon thread may not hold when the interpreter ends.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Runs that failed are for the process that has started this one to tell.
    search(Path(sys.argv[1]), load(sys.argv[1]), bool(int(sys.argv[2])))
