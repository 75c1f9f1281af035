"""Paths among the arguments."""

import argparse
from pathlib import Path

from keras_betavae._utils.files import local_path


def local(text: str) -> Path:
    """Returns an argument as a path of this machine."""
    try:
        return local_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
