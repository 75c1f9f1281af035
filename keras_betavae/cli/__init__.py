"""The command line: a thin shell over the public API."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_betavae.cli._arguments import DEFAULT_PRESET, parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = parser(_COMMANDS).parse_args(arguments)
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

    return (
        ImportError,
        OSError,
        ValueError,
        FloatingPointError,
        RuntimeError,
        tf.errors.OpError,
    )


def _chosen(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the settings that were given."""
    from keras_betavae.experiments.settings import Settings

    chosen = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(Settings)
        if getattr(options, field.name, None) is not None
    }
    if "weights" in chosen:
        chosen["weights"] = dict(chosen["weights"])
    if chosen and options.resume is not None:
        raise ValueError(
            f"--resume goes on with the run's own settings; leave out {', '.join(sorted(chosen))}"
        )
    return chosen


def _train(options: argparse.Namespace) -> None:
    from keras_betavae.experiments import runs

    folder, chosen = options.resume, _chosen(options)
    if folder is None:
        settings = runs.Settings.from_preset(**{"preset": DEFAULT_PRESET, **chosen})
        data = settings.load_data()
        settings.check(data)  # What cannot be trained must not leave a folder behind.
        folder = runs.create(options.out, dataclasses.replace(settings, data_size=len(data)))
    else:
        data = runs.load_settings(folder).load_data()
        print(f"Going on with {folder}", flush=True)
    vae = runs.train(folder, data, verbose=options.verbose)
    print(f"Scoring the model{' and its controls' if options.controls else ''} ...", flush=True)
    _print_scores(runs.finish(folder, vae, data, controls=options.controls))
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


def _sweep(options: argparse.Namespace) -> None:
    from keras_betavae.experiments import sweeps

    folder, chosen = options.resume, _chosen(options)
    if folder is None:
        if not options.over:
            raise ValueError("--over must name what to sweep over, such as --over beta=1,4,16")
        axes = {name: sweeps.axis(name, values) for name, values in options.over}
        if len(axes) < len(options.over):
            raise ValueError("--over must name each axis once")
        base = {"preset": DEFAULT_PRESET, **chosen}
        folder = sweeps.create(options.out, sweeps.Sweep(base, axes))
    elif options.over:
        raise ValueError("--resume goes on with the sweep's own axes; leave out --over")
    sweeps.run(folder, jobs=options.jobs)
    if sweeps.leads():
        print(f"\n{sweeps.scores(folder)}\n\ntensorboard --logdir {folder / 'runs'}")


def _reproduce(options: argparse.Namespace) -> None:
    from keras_betavae.experiments import reproduction

    given: dict[str, str] = {
        name: getattr(options, name) for name in ("data", "objective") if getattr(options, name)
    }
    common: dict[str, Any] = {"budget": options.budget, "jobs": options.jobs}
    if not options.all:
        print(reproduction.reproduce(options.name, options.out, **{**common, **given}))
        return
    if options.name != "locatello" or given:
        raise ValueError("--all is every cell of locatello; leave out --data and --objective")
    for cell in reproduction.cells():
        folder = options.out / cell["data"] / cell["objective"]
        print(reproduction.reproduce(options.name, folder, **{**common, **cell}), flush=True)


def _evaluate(options: argparse.Namespace) -> None:
    from keras_betavae import evaluation
    from keras_betavae.evaluation import score_table
    from keras_betavae.experiments import runs

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

    from keras_betavae import visualization
    from keras_betavae.datasets import catalog
    from keras_betavae.evaluation.inspection import inspect
    from keras_betavae.experiments import runs

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
    from keras_betavae.experiments.report import write_report

    print(write_report(options.out, options.runs))


def _export(options: argparse.Namespace) -> None:
    from keras_betavae.experiments import runs

    if options.out.exists():
        raise FileExistsError(f"{options.out} is there already; choose another name")
    vae = runs.load_model(options.run)
    vae.export(options.out, format=options.format, verbose=False)
    print(options.out)


def _datasets_list(options: argparse.Namespace) -> None:
    from keras_betavae.datasets import catalog
    from keras_betavae.evaluation.score_table import markdown_table

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
    from keras_betavae.evaluation.score_table import score_list

    print(score_list())


def _print_scores(tables: dict) -> None:
    from keras_betavae.evaluation.score_table import side_by_side

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


_COMMANDS = {
    "train": _train,
    "sweep": _sweep,
    "reproduce": _reproduce,
    "evaluate": _evaluate,
    "traverse": _traverse,
    "report": _report,
    "export": _export,
    "scores": _scores,
    "datasets list": _datasets_list,
    "datasets info": _datasets_info,
    "datasets fetch": _datasets_fetch,
    "datasets show": _datasets_show,
}


if __name__ == "__main__":
    sys.exit(main())
