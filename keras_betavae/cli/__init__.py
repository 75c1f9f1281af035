"""The command line: a thin wrapper around the public API, with one module per command.

Help, lists and wrong arguments are answered without importing TensorFlow.
"""

import argparse
import dis
import os
import sys
import traceback
from collections.abc import Sequence

from keras_betavae.cli import (
    datasets,
    doctor,
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

_COMMANDS = (
    train,
    sweep,
    tune,
    reproduce,
    evaluate,
    traverse,
    report,
    export,
    scores,
    datasets,
    doctor,
)
_LONGEST = 2_000
"""Characters of an error's message."""
_EPILOG = """\
exit status: 0 success; 1 failure, and the last line says why; 2 wrong arguments;
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
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # A file on Windows may have no Greek letters.
    options = _parser(arguments).parse_args(arguments)
    # TensorFlow reads it when it is first imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if options.debug else "3")
    try:
        options.command(options)
    except KeyboardInterrupt:
        print(_interrupted(options), file=sys.stderr)
        return 130
    except Exception as error:
        if not (options.debug or _is_expected(error)):
            raise
        if options.debug:
            traceback.print_exc()
        print(f"keras-betavae: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Returns the parser, with the options of the given command only."""
    asked_for = next((word for word in arguments if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="keras-betavae",
        description="Train, score, inspect and export β-VAEs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="show TensorFlow's log, and the traceback of a failure",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in _COMMANDS:
        summary, _, rest = (module.__doc__ or "").partition("\n")
        name = module.__name__.rpartition(".")[2]
        command = subparsers.add_parser(
            name,
            help=summary[:1].lower() + summary[1:].rstrip("."),
            description=f"{summary}{rest}",
        )
        command.set_defaults(command=module.run)
        if name == asked_for:
            module.add_arguments(command)
    return parser


def _is_expected(error: Exception) -> bool:
    """Whether a user can cause an error: it concerns files, values or TensorFlow."""
    if isinstance(
        error, (ImportError, OSError, ValueError, FloatingPointError, RuntimeError)
    ) and not isinstance(error, NotImplementedError | RecursionError):
        return True
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(error, tensorflow.errors.OpError)


def _one_line(error: Exception) -> str:
    """Returns the message; one that the package did not write names its kind and `--debug`.

    Names and files of others may be part of it, and must do nothing to the terminal.
    """
    from keras_betavae._utils.names import one_line

    text = one_line(" ".join(str(error).split()), _LONGEST)
    if isinstance(error, OSError) or _is_raised_here(error):
        return text
    return f"{type(error).__name__}: {text} (keras-betavae --debug shows where)"


def _is_raised_here(error: Exception) -> bool:
    """Whether a `raise` of this package made an error, and not what the package called."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    if where is None:
        return False
    package = (where.tb_frame.f_globals.get("__name__") or "").partition(".")[0]
    code = where.tb_frame.f_code.co_code
    return package == "keras_betavae" and code[where.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _interrupted(options: argparse.Namespace) -> str:
    """Returns the message after Ctrl-C, with the command that continues."""
    given = vars(options)
    folder = given.get("resume") or given.get("out")
    if folder is None or "resume" not in given or not folder.is_dir():
        return "interrupted"
    command = options.command.__module__.rpartition(".")[2]
    return f"interrupted; to continue: keras-betavae {command} --resume {folder}"
