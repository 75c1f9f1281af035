"""Runs the command line: `python -m keras_betavae`."""

import sys

from keras_betavae.cli import main

sys.exit(main())
