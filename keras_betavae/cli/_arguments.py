"""What the command line takes."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

DEFAULT_PRESET = "sprites_quick"
EPILOG = """\
exit status: 0 done; 1 it failed, and the last line says why; 2 wrong arguments;
130 interrupted (a training then goes on with --resume)

examples:
  keras-betavae train --preset sprites_quick --out runs/first
  keras-betavae train --resume runs/first
  keras-betavae evaluate runs/first
  keras-betavae traverse runs/first --image 1000 --out traversal.gif
  tensorboard --logdir runs
"""


def _grid(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(","))


def _weight(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"NAME=N is needed, got {text!r}") from None
    return name, int(value) if value.is_integer() else value


def _axis(text: str) -> tuple[str, list[str]]:
    name, is_given, values = text.partition("=")
    if not is_given or not all(values.split(",")):
        raise argparse.ArgumentTypeError(f"NAME=V,V,... is needed, got {text!r}")
    return name, values.split(",")


def _add_settings(command: argparse.ArgumentParser) -> None:
    """Adds what a run is made from."""
    from keras_betavae import presets
    from keras_betavae.datasets import catalog
    from keras_betavae.experiments import runs

    command.add_argument(
        "--preset",
        choices=presets.names(),
        help=f"the recipe (default: {DEFAULT_PRESET})",
    )
    command.add_argument(
        "--data",
        choices=(*catalog.names(), runs.FOLDER),
        metavar="NAME",
        help="a name that `datasets list` shows (default: sprites, rendered offline), or "
        "folder, for pictures of your own",
    )
    command.add_argument(
        "--data-path",
        metavar="PATH",
        help="the released file, the folder with the files, or that with your pictures",
    )
    command.add_argument(
        "--factors-path", metavar="FILE.csv", help="what is known of your pictures, a row for each"
    )
    command.add_argument(
        "--image-size", type=int, metavar="N", help="side to which your pictures are scaled (64)"
    )
    command.add_argument(
        "--channels", type=int, choices=(1, 3), help="of your pictures: 1 grey, 3 RGB (default)"
    )
    command.add_argument(
        "--grid",
        type=_grid,
        metavar="N,N,...",
        help="a smaller grid of rendered data; of sprites: shapes, scales, orientations, x and y "
        "positions",
    )
    for option, kind, text in (
        ("--latent-dim", int, "number of latents, instead of the preset's"),
        ("--beta", float, "weight of the KL, instead of the preset's objective"),
        ("--beta-norm", float, "the same in the units of Higgins et al., β M / N"),
        ("--warm-up", int, "steps in which that β rises from 0 (none)"),
        ("--learning-rate", float, "instead of the preset's"),
        ("--batch-size", int, "images per step, instead of the preset's"),
        ("--steps", int, "training steps, instead of the preset's"),
        ("--every", int, "steps between checkpoints, scores and pictures (a tenth)"),
        ("--n-images", int, "images that are encoded for the scores (20,000)"),
        ("--seed", int, "seed of the weights, the order of images and the codes (0)"),
    ):
        command.add_argument(option, type=kind, metavar="N", help=text)
    command.add_argument(
        "--weight",
        dest="weights",
        type=_weight,
        action="append",
        metavar="NAME=N",
        help="of the preset's objective or model, instead of its own: max_capacity=50; repeatable",
    )


def parser(commands: Mapping[str, Callable[[argparse.Namespace], None]]) -> argparse.ArgumentParser:
    """Returns the parser, which sets `command` to one of the functions.

    Args:
        commands: A function for each command, by name ("train", "datasets list", ...).
    """
    from keras_betavae import visualization
    from keras_betavae.datasets import catalog
    from keras_betavae.experiments import reproduction

    top = argparse.ArgumentParser(
        prog="keras-betavae",
        description="Train, score, look at and ship a β-VAE.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = top.add_subparsers(required=True, metavar="COMMAND")

    train = subparsers.add_parser(
        "train",
        help="train a preset into a run folder, then score, draw and export it",
        description="Trains a preset into a run folder; then scores it beside its controls, draws "
        "its traversal and exports it. What a run holds: config.json, metrics.csv, logs/ "
        "(TensorBoard), checkpoints/, pictures/, model.keras, saved_model/1/, scores.json.",
    )
    train.set_defaults(command=commands["train"])
    where = train.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="RUN", help="a new folder for the run")
    where.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on from the latest checkpoint of a run, with the settings it was made with",
    )
    _add_settings(train)
    train.add_argument(
        "--deterministic",
        action="store_true",
        default=None,
        help="the same bits each time, and after each --resume; dense networks train slower",
    )
    train.add_argument(
        "--no-controls",
        dest="controls",
        action="store_false",
        help="score the trained model alone",
    )
    train.add_argument(
        "--verbose",
        type=int,
        choices=(0, 1, 2),
        default=1,
        help="0: silent; 1: progress bar (default); 2: one line per interval",
    )

    sweep = subparsers.add_parser(
        "sweep",
        help="train and score every combination of some settings, by KerasTuner's grid search",
        description="Trains and scores a run for every combination of the values of --over, each "
        "in runs/ below the sweep's folder, and writes scores.csv. See sweeps.run of the API for "
        "several machines.",
    )
    sweep.set_defaults(command=commands["sweep"])
    where = sweep.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="SWEEP", help="a new folder for the sweep")
    where.add_argument("--resume", type=Path, metavar="SWEEP", help="go on with a sweep")
    sweep.add_argument(
        "--over",
        type=_axis,
        action="append",
        metavar="NAME=V,V,...",
        help="values of an option below, or of a weight of the objective: beta=1,4; repeatable",
    )
    sweep.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time (1)")
    _add_settings(sweep)

    reproduce = subparsers.add_parser(
        "reproduce",
        help="make a paper's table or figure again",
        description="Trains what a paper's table or figure needs and writes index.md, with tables "
        "as CSV and figures as PNG. Called again it goes on where it was.",
    )
    reproduce.set_defaults(command=commands["reproduce"])
    reproduce.add_argument(
        "name",
        choices=tuple(reproduction.EXPERIMENTS),
        metavar="NAME",
        help=", ".join(reproduction.EXPERIMENTS),
    )
    reproduce.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    reproduce.add_argument(
        "--budget",
        choices=reproduction.BUDGETS,
        default="hour",
        help="steps and seeds: smoke, a minute; hour (default); day; paper, the paper's own",
    )
    reproduce.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="runs at a time (the number of cores)",
    )
    reproduce.add_argument("--data", metavar="NAME", help="of locatello: the data set (sprites)")
    reproduce.add_argument(
        "--objective", metavar="PRESET", help="of locatello: the objective (locatello_beta)"
    )
    reproduce.add_argument(
        "--all", action="store_true", help="of locatello: every cell, one folder each"
    )

    evaluate = subparsers.add_parser(
        "evaluate", help="score a run beside its controls and print the table"
    )
    evaluate.set_defaults(command=commands["evaluate"])
    evaluate.add_argument("run", type=Path, metavar="RUN")
    evaluate.add_argument(
        "--scores",
        type=lambda text: [name.strip() for name in text.split(",")],
        default=["fast"],
        metavar="fast|all|NAME,NAME",
        help="which (default: fast); all takes many minutes, and four times that with the "
        "controls; keras-betavae scores lists them",
    )
    evaluate.add_argument("--n-images", type=int, metavar="N", help="instead of the run's")
    evaluate.add_argument("--seed", type=int, metavar="N", help="instead of the run's")
    evaluate.add_argument(
        "--n-seeds", type=int, default=1, metavar="N", help="mean over N seeds, with intervals"
    )
    evaluate.add_argument(
        "--no-controls",
        dest="controls",
        action="store_false",
        help="the trained model alone, with sample sizes and seconds",
    )
    evaluate.add_argument(
        "--out", type=Path, metavar="FILE.csv|FILE.json|FILE.md", help="the trained model's table"
    )

    traverse = subparsers.add_parser(
        "traverse", help="draw what each latent does, rows sorted by KL, to a PNG, GIF or WebP"
    )
    traverse.set_defaults(command=commands["traverse"])
    traverse.add_argument(
        "model", type=Path, metavar="MODEL", help="a run, a .keras file or a SavedModel"
    )
    traverse.add_argument(
        "--data", choices=catalog.names(), metavar="NAME", help="the images, where it is no run"
    )
    traverse.add_argument("--data-path", type=Path, metavar="PATH", help="their released file")
    traverse.add_argument("--out", type=Path, required=True, metavar="FILE.png|.gif|.webp")
    traverse.add_argument(
        "--image", type=int, default=0, metavar="N", help="index of the image to start from (0)"
    )
    traverse.add_argument(
        "--limit", type=float, default=3.0, metavar="N", help="from -N to N (3 standard deviations)"
    )
    traverse.add_argument(
        "--span",
        choices=visualization.SPANS,
        default="limit",
        help="limit: -N to N (default); range: each latent's own; quantiles: the prior's",
    )
    traverse.add_argument("--frames", type=int, default=11, metavar="N", help="steps (11)")

    report = subparsers.add_parser(
        "report", help="write what runs hold into one HTML file that opens anywhere"
    )
    report.set_defaults(command=commands["report"])
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    report.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE.html", help="(%(default)s)"
    )

    export = subparsers.add_parser("export", help="write a run's model for serving")
    export.set_defaults(command=commands["export"])
    export.add_argument("run", type=Path, metavar="RUN")
    export.add_argument("--out", type=Path, required=True, metavar="PATH")
    export.add_argument(
        "--format",
        choices=("tf_saved_model", "onnx", "litert"),
        default="tf_saved_model",
        help="default: %(default)s; onnx needs the extra export",
    )

    scores = subparsers.add_parser("scores", help="list the scores: range, needs, paper")
    scores.set_defaults(command=commands["scores"])

    table = subparsers.add_parser("datasets", help="list, describe, fetch and show the data sets")
    actions = table.add_subparsers(required=True, metavar="list|info|fetch|show")
    for action, text in (
        ("list", "list the data sets, and which are here"),
        ("info", "print a data set's factors and released files"),
        ("fetch", "fetch a data set's files, check them and unpack them"),
        ("show", "draw a contact sheet that sweeps each factor"),
    ):
        each = actions.add_parser(action, help=text, description=text)
        each.set_defaults(command=commands[f"datasets {action}"])
        each.add_argument("--cache-dir", type=Path, metavar="DIR", help="where data sets are kept")
        if action != "list":
            each.add_argument("name", choices=catalog.names(), metavar="NAME")
        if action in ("fetch", "show"):
            each.add_argument(
                "--path", type=Path, help="the released file, or the folder with the files"
            )
        if action == "show":
            each.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    return top
