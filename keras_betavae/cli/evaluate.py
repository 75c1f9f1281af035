"""Score a run and its controls, and print the table."""

import argparse
from pathlib import Path
from typing import Any


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    command.add_argument("run", type=Path, metavar="RUN")
    command.add_argument(
        "--scores",
        type=lambda text: [name.strip() for name in text.split(",")],
        default=["fast"],
        metavar="fast|all|NAME,NAME",
        help="which (default: fast); all takes many minutes, and four times that with the "
        "controls; `keras-betavae scores` lists them",
    )
    command.add_argument("--n-images", type=int, metavar="N", help="instead of the run's")
    command.add_argument("--seed", type=int, metavar="N", help="instead of the run's")
    command.add_argument(
        "--n-seeds", type=int, default=1, metavar="N", help="mean over N seeds, with intervals"
    )
    command.add_argument(
        "--no-controls",
        dest="controls",
        action="store_false",
        help="score only the trained model, and show sample sizes and seconds",
    )
    command.add_argument(
        "--out", type=Path, metavar="FILE.csv|FILE.json|FILE.md", help="the trained model's table"
    )


def run(options: argparse.Namespace) -> None:
    """Scores a run."""
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
        print_scores(tables)
    else:
        table = evaluation.evaluate(vae, data, **chosen)
        print(table)
    if options.out is not None:
        table.save(options.out)
        print(options.out)


def print_scores(tables: dict) -> None:
    """Prints the scores of a model and its controls, and how not to read them."""
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
