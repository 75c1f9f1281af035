"""Score a model and its controls, and print the table."""

import argparse
import sys
import textwrap
from typing import Any

from keras_betavae.cli._paths import local
from keras_betavae.cli._subjects import Subject, add_data, open_subject


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    command.add_argument(
        "model", type=local, metavar="MODEL", help="a run, a .keras file or a SavedModel"
    )
    add_data(command)
    command.add_argument(
        "--scores",
        type=lambda text: [name.strip() for name in text.split(",")],
        default=["fast"],
        metavar="fast|all|NAME,NAME",
        help="scores to compute (default: fast); all takes many minutes, and four times as long "
        "with the controls; `keras-betavae scores` lists them",
    )
    command.add_argument(
        "--n-images",
        type=int,
        metavar="N",
        help="images to encode (default: as in the run, or 20,000)",
    )
    command.add_argument("--seed", type=int, metavar="N", help="default: as in the run, or 0")
    command.add_argument(
        "--n-seeds",
        type=int,
        default=1,
        metavar="N",
        help="repeat with N seeds, and show means and intervals",
    )
    command.add_argument(
        "--no-controls",
        dest="controls",
        action="store_false",
        help="score only the trained model, and show sample sizes and seconds",
    )
    command.add_argument(
        "--out",
        type=local,
        metavar="FILE.csv|FILE.json|FILE.md",
        help="file for the trained model's table",
    )


def run(options: argparse.Namespace) -> None:
    """Scores a model."""
    from keras_betavae import evaluation
    from keras_betavae.evaluation import score_table
    from keras_betavae.experiments.settings import MAX_IMAGES

    if options.out is not None:
        score_table.check_path(options.out)
    if options.n_images is not None and not 1 <= options.n_images <= MAX_IMAGES:
        raise ValueError(f"--n-images must be from 1 to {MAX_IMAGES:,}, got {options.n_images}")
    if options.seed is not None and options.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {options.seed}")
    subject = open_subject(options.model, options)
    made, n, seed = subject.settings, 20_000, 0
    if made is not None:
        n, seed = made.n_images, made.seed
    chosen: dict[str, Any] = {
        "scores": options.scores,
        "n": n if options.n_images is None else options.n_images,
        "seed": seed if options.seed is None else options.seed,
        "n_seeds": options.n_seeds,
        "n_jobs": -1,
    }
    untrained = _untrained(subject, chosen["seed"]) if options.controls else None
    if untrained is not None:
        tables = evaluation.evaluate_with_controls(
            subject.model, untrained, subject.data, **chosen, verbose=sys.stdout.isatty()
        )
        table = tables["trained"]
        print_scores(tables, subject.data, options.scores)
    else:
        table = evaluation.evaluate(subject.model, subject.data, **chosen)
        print(table)
        print_left_out(subject.data, options.scores)
    if options.out is not None:
        table.save(options.out)
        print(options.out)


def _untrained(subject: Subject, seed: int) -> Any:
    """Returns the same model with new weights, or None if it cannot be made."""
    import keras

    if subject.settings is not None:
        return subject.settings.build_model(subject.data)
    if not hasattr(subject.model, "get_config"):
        print("A SavedModel cannot be rebuilt untrained; controls are left out.\n")
        return None
    keras.utils.set_random_seed(seed)
    return type(subject.model).from_config(subject.model.get_config())


def print_scores(tables: dict, data: Any, scores: Any) -> None:
    """Prints the scores of a model and its controls, with a note on their limits."""
    from keras_betavae.evaluation.score_table import side_by_side

    print(f"\n{side_by_side(tables)}\n")
    print_left_out(data, scores)
    trained = tables["trained"]
    if not {"beta_vae_score", "beta_vae_score_locatello", "active_units"} <= set(trained):
        return
    factor_names = data.factor_names
    has_shape = "shape" in factor_names
    protocol = ", which leaves the shape out," if has_shape else ""
    missed = "orientation and shape" if {"shape", "orientation"} <= set(factor_names) else "factors"
    words = (
        f"By the paper's protocol{protocol} beta_vae_score is {trained['beta_vae_score']:.3f} with "
        f"{trained['active_units']:.0f} active latents; "
        f"by that of Locatello et al.{' (all factors)' if has_shape else ''} it is "
        f"{trained['beta_vae_score_locatello']:.3f}. The score saturates: it can reach 1 while "
        f"{missed} are not encoded at all. Look at the other scores, the controls and the pictures."
    )
    print(textwrap.fill(words, 100) + "\n")


def print_left_out(data: Any, scores: Any) -> None:
    """Prints which scores are left out for lack of factors, if any."""
    from keras_betavae.evaluation import left_out

    line = left_out(scores, data)
    if line:
        print(f"{line}\n")
