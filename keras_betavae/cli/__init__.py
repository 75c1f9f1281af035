"""The command line: a thin shell over the public API, one module per command."""

import argparse
import sys
import traceback
from collections.abc import Sequence

from keras_betavae.cli import (
    datasets,
    evaluate,
    export,
    report,
    reproduce,
    scores,
    sweep,
    train,
    traverse,
    tune,
)

_COMMANDS = (train, sweep, tune, reproduce, evaluate, traverse, report, export, scores, datasets)
_EPILOG = """\
exit status: 0 done; 1 it failed, and the last line says why; 2 wrong arguments;
130 interrupted (`train --resume` continues a training)

examples:
  keras-betavae train --preset sprites_quick --out runs/first
  keras-betavae train --resume runs/first
  keras-betavae evaluate runs/first
  keras-betavae traverse runs/first --image 1000 --out traversal.gif
  tensorboard --logdir runs
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except _failures() as error:
        if options.debug:
            traceback.print_exc()
        print(f"keras-betavae: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-betavae",
        description="Train, score, look at and ship a β-VAE.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--debug", action="store_true", help="show the traceback of a failure, before its one line"
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in _COMMANDS:
        summary, _, rest = (module.__doc__ or "").partition("\n")
        command = subparsers.add_parser(
            module.__name__.rpartition(".")[2],
            help=summary[:1].lower() + summary[1:].rstrip("."),
            description=f"{summary}{rest}",
        )
        command.set_defaults(command=module.run)
        module.add_arguments(command)
    return parser


def _failures() -> tuple[type[Exception], ...]:
    import tensorflow as tf

    return (
        ImportError,
        OSError,
        ValueError,
        FloatingPointError,
        RuntimeError,
        tf.errors.OpError,
    )
