"""The command line: a thin shell over the public API."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except _failures() as error:
        print(f"keras-betavae: {error}", file=sys.stderr)
        return 1
    return 0


def _failures() -> tuple[type[Exception], ...]:
    import tensorflow as tf

    return ImportError, OSError, ValueError, FloatingPointError, tf.errors.OpError


def _train(options: argparse.Namespace) -> None:
    from keras_betavae import runs

    folder = options.resume
    chosen = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(runs.Settings)
        if getattr(options, field.name, None) is not None
    }
    if folder is None:
        settings = runs.Settings.from_preset(**{"preset": DEFAULT_PRESET, **chosen})
        data = settings.load_data()
        settings.check(data)  # What cannot be trained must not leave a folder behind.
        folder = runs.create(options.out, dataclasses.replace(settings, data_size=len(data)))
    elif chosen:
        raise ValueError(
            f"--resume goes on with the run's own settings; leave out {', '.join(sorted(chosen))}"
        )
    else:
        data = runs.load_settings(folder).load_data()
        print(f"Going on with {folder}", flush=True)
    vae = runs.train(folder, data, verbose=options.verbose)
    print("Scoring the model and its controls ...", flush=True)
    _print_scores(runs.finish(folder, vae, data))
    folder = Path(folder)
    for what, where in (
        ("TensorBoard", f"tensorboard --logdir {folder / 'logs'}"),
        ("metrics", folder / "metrics.csv"),
        ("pictures", folder / "pictures"),
        ("model", folder / "model.keras"),
        ("SavedModel", folder / "saved_model" / "1"),
        ("scores", folder / "scores.json"),
    ):
        print(f"{what:<12} {where}")


def _evaluate(options: argparse.Namespace) -> None:
    from keras_betavae import evaluation, runs, score_table

    settings = runs.load_settings(options.run)
    if options.out is not None:
        score_table.check_path(options.out)
    data = settings.load_data()
    vae = runs.load_model(options.run)
    chosen: dict[str, Any] = {
        "scores": options.scores,
        "n": settings.n_images if options.n_images is None else options.n_images,
        "seed": settings.seed if options.seed is None else options.seed,
        "n_seeds": options.n_seeds,
        "n_jobs": -1,
    }
    if options.controls:
        untrained = settings.build_model(data)
        tables = evaluation.evaluate_with_controls(vae, untrained, data, **chosen)
        table = tables["trained"]
        _print_scores(tables)
    else:
        table = evaluation.evaluate(vae, data, **chosen)
        print(table)
    if options.out is not None:
        table.save(options.out)
        print(options.out)


def _traverse(options: argparse.Namespace) -> None:
    import numpy as np

    from keras_betavae import runs, visualization
    from keras_betavae.datasets import catalog
    from keras_betavae.inspection import inspect

    vae = runs.open_model(options.model)
    if (options.model / "config.json").is_file():
        if options.data or options.data_path:
            raise ValueError("a run has its own data; leave out --data and --data-path")
        data = runs.load_settings(options.model).load_data()
    elif options.data:
        data = catalog.load(options.data, options.data_path)
    else:
        raise ValueError(f"{options.model} is no run, so --data must name what its images are")
    if not 0 <= options.image < len(data):
        raise ValueError(f"--image must be from 0 to {len(data) - 1}, got {options.image}")
    code = np.asarray(vae.encode(data.images_at([options.image]))[0])[0]
    inspection = inspect(vae, data)
    values = visualization.traversal_values(
        options.span, options.frames, limit=options.limit, codes=inspection.codes
    )
    rows = visualization.traverse(vae, code, latents=inspection.by_kl, values=values)
    visualization.write_traversal(options.out, rows, inspection.labels_of(inspection.by_kl))
    print(options.out)


def _report(options: argparse.Namespace) -> None:
    from keras_betavae.report import write_report

    print(write_report(options.out, options.runs))


def _export(options: argparse.Namespace) -> None:
    from keras_betavae import runs

    if options.out.exists():
        raise FileExistsError(f"{options.out} is there already; choose another name")
    vae = runs.load_model(options.run)
    vae.export(options.out, format=options.format, verbose=False)
    print(options.out)


def _datasets_list(options: argparse.Namespace) -> None:
    from keras_betavae.datasets import catalog
    from keras_betavae.score_table import markdown_table

    rows = []
    for name in catalog.names():
        entry = catalog.get(name)
        shape = "×".join(map(str, entry.image_shape))
        here = entry.status(options.cache_dir)
        rows.append([name, entry.summary, f"{len(entry):,}", shape, here])
    header = ["data", "what", "images", "shape", "here"]
    print(markdown_table(header, rows, numbers=False))


def _datasets_info(options: argparse.Namespace) -> None:
    from keras_betavae.datasets import catalog

    entry = catalog.get(options.name)
    factors = ", ".join(f"{name} {size}" for name, size in entry.factors.items())
    print(f"{entry.name}: {entry.summary}")
    print(f"images    {len(entry):,} of {'×'.join(map(str, entry.image_shape))}")
    print(f"factors   {factors}")
    print(f"here      {entry.status(options.cache_dir)}")
    for file in entry.files:
        print(f"released  {file.url}" + (f" (MD5 {file.md5})" if file.md5 else ""))


def _datasets_fetch(options: argparse.Namespace) -> None:
    from keras_betavae.datasets import catalog

    print(catalog.load(options.name, options.path, cache_dir=options.cache_dir))


def _datasets_show(options: argparse.Namespace) -> None:
    from keras_betavae import visualization
    from keras_betavae.datasets import catalog

    data = catalog.load(options.name, options.path, cache_dir=options.cache_dir)
    visualization.write_png(options.out, visualization.contact_sheet(data))
    print(options.out)


def _scores(options: argparse.Namespace) -> None:
    del options
    from keras_betavae.score_table import score_list

    print(score_list())


def _print_scores(tables: dict) -> None:
    from keras_betavae.score_table import side_by_side

    print(f"\n{side_by_side(tables)}\n")
    trained = tables["trained"]
    if {"beta_vae_score", "beta_vae_score_locatello", "active_units"} <= set(trained):
        print(
            f"By the paper's protocol, which leaves the shape out, beta_vae_score is "
            f"{trained['beta_vae_score']:.3f} with {trained['active_units']:.0f} active\n"
            f"latents; with all factors (Locatello) {trained['beta_vae_score_locatello']:.3f}. It "
            "saturates: it can reach 1 while rotation and shape are\nnot encoded at all. Look at "
            "the other scores, the controls and the pictures.\n"
        )


def _grid(text: str) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in text.split(","))
    if len(sizes) != 5:
        raise argparse.ArgumentTypeError(f"five numbers are needed, got {text!r}")
    return sizes


def _parser() -> argparse.ArgumentParser:
    from keras_betavae import presets, runs, visualization
    from keras_betavae.datasets import catalog

    parser = argparse.ArgumentParser(
        prog="keras-betavae",
        description="Train, score, look at and ship a β-VAE.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train a preset into a run folder, then score, draw and export it",
        description="Trains a preset into a run folder; then scores it beside its controls, draws "
        "its traversal and exports it. What a run holds: config.json, metrics.csv, logs/ "
        "(TensorBoard), checkpoints/, pictures/, model.keras, saved_model/1/, scores.json.",
    )
    train.set_defaults(command=_train)
    where = train.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="RUN", help="a new folder for the run")
    where.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on from the latest checkpoint of a run, with the settings it was made with",
    )
    train.add_argument(
        "--preset",
        choices=presets.names(),
        help=f"the recipe (default: {DEFAULT_PRESET})",
    )
    train.add_argument(
        "--data",
        choices=(*catalog.names(), runs.FOLDER),
        metavar="NAME",
        help="a name that `datasets list` shows (default: sprites, rendered offline), or "
        "folder, for pictures of your own",
    )
    train.add_argument(
        "--data-path",
        metavar="PATH",
        help="the released file, the folder with the files, or that with your pictures",
    )
    train.add_argument(
        "--factors-path", metavar="FILE.csv", help="what is known of your pictures, a row for each"
    )
    train.add_argument(
        "--image-size", type=int, metavar="N", help="side to which your pictures are scaled (64)"
    )
    train.add_argument(
        "--channels", type=int, choices=(1, 3), help="of your pictures: 1 grey, 3 RGB (default)"
    )
    train.add_argument(
        "--grid",
        type=_grid,
        metavar="N,N,N,N,N",
        help="a smaller sprites grid: shapes, scales, orientations, x and y positions",
    )
    for option, kind, text in (
        ("--latent-dim", int, "number of latents, instead of the preset's"),
        ("--beta", float, "weight of the KL, instead of the preset's objective"),
        ("--learning-rate", float, "instead of the preset's"),
        ("--batch-size", int, "images per step, instead of the preset's"),
        ("--steps", int, "training steps, instead of the preset's"),
        ("--every", int, "steps between checkpoints, scores and pictures (a tenth)"),
        ("--n-images", int, "images that are encoded for the scores (20,000)"),
        ("--seed", int, "seed of the weights, the order of images and the codes (0)"),
    ):
        train.add_argument(option, type=kind, metavar="N", help=text)
    train.add_argument(
        "--verbose",
        type=int,
        choices=(0, 1, 2),
        default=1,
        help="0: silent; 1: progress bar (default); 2: one line per interval",
    )

    evaluate = commands.add_parser(
        "evaluate", help="score a run beside its controls and print the table"
    )
    evaluate.set_defaults(command=_evaluate)
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

    traverse = commands.add_parser(
        "traverse", help="draw what each latent does, rows sorted by KL, to a PNG, GIF or WebP"
    )
    traverse.set_defaults(command=_traverse)
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

    report = commands.add_parser(
        "report", help="write what runs hold into one HTML file that opens anywhere"
    )
    report.set_defaults(command=_report)
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    report.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE.html", help="(%(default)s)"
    )

    export = commands.add_parser("export", help="write a run's model for serving")
    export.set_defaults(command=_export)
    export.add_argument("run", type=Path, metavar="RUN")
    export.add_argument("--out", type=Path, required=True, metavar="PATH")
    export.add_argument(
        "--format",
        choices=("tf_saved_model", "onnx"),
        default="tf_saved_model",
        help="default: %(default)s; onnx needs the package onnx",
    )

    scores = commands.add_parser("scores", help="list the scores: range, needs, paper")
    scores.set_defaults(command=_scores)

    table = commands.add_parser("datasets", help="list, describe, fetch and show the data sets")
    actions = table.add_subparsers(required=True, metavar="list|info|fetch|show")
    for action, command, text in (
        ("list", _datasets_list, "list the data sets, and which are here"),
        ("info", _datasets_info, "print a data set's factors and released files"),
        ("fetch", _datasets_fetch, "fetch a data set's files, check them and unpack them"),
        ("show", _datasets_show, "draw a contact sheet that sweeps each factor"),
    ):
        each = actions.add_parser(action, help=text, description=text)
        each.set_defaults(command=command)
        each.add_argument("--cache-dir", type=Path, metavar="DIR", help="where data sets are kept")
        if action != "list":
            each.add_argument("name", choices=catalog.names(), metavar="NAME")
        if action in ("fetch", "show"):
            each.add_argument(
                "--path", type=Path, help="the released file, or the folder with the files"
            )
        if action == "show":
            each.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    return parser


if __name__ == "__main__":
    sys.exit(main())
