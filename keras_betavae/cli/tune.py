"""Choose an objective's strength and the number of latents without factors.

Trains several seeds of each setting, chooses by UDR among the settings that reconstruct well,
trains the chosen setting in full, and writes index.html. The options for settings apply to the
full training. Several processes with the same command share the work.
"""

import argparse
from collections.abc import Callable

from keras_betavae.cli._paths import local
from keras_betavae.cli._settings import add_settings, add_storage, chosen_settings


def _pair_of(number: type) -> Callable[[str], tuple]:
    """Returns what reads two numbers."""
    what = "whole LOW,HIGH" if number is int else "LOW,HIGH"

    def pair(text: str) -> tuple:
        try:
            low, high = (number(part) for part in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{what} is needed, got {text!r}") from None
        return low, high

    return pair


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=local, metavar="FOLDER", help="a new folder for the search")
    where.add_argument("--resume", type=local, metavar="FOLDER", help="continue a search")
    command.add_argument(
        "--budget", type=float, metavar="MINUTES", help="time for the search and the full training"
    )
    command.add_argument(
        "--trials", type=int, metavar="N", help="maximum number of settings to try (default: 12)"
    )
    command.add_argument("--seeds", type=int, metavar="N", help="runs of each setting (default: 3)")
    command.add_argument(
        "--search-steps",
        type=int,
        metavar="N",
        help="steps of these runs (default: a third of --steps)",
    )
    command.add_argument(
        "--strength",
        type=_pair_of(float),
        metavar="LOW,HIGH",
        help="range of factors for the preset's β, C, γ or λ (default: 0.125,8)",
    )
    command.add_argument(
        "--latents",
        type=_pair_of(int),
        metavar="LOW,HIGH",
        help="range of latents (default: --latent-dim, or half to twice the preset's)",
    )
    command.add_argument(
        "--presets", metavar="NAME,NAME,...", help="further presets to choose from"
    )
    command.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="settings at a time (default: 1)"
    )
    add_storage(command)
    add_settings(command)


def run(options: argparse.Namespace) -> None:
    """Searches, trains in full, and prints what was chosen."""
    from keras_betavae.experiments import tuning

    given = {
        "trials": options.trials,
        "seeds": options.seeds,
        "search_steps": options.search_steps,
        "strength": options.strength,
        "latent_dim": options.latents,
        "presets": options.presets and options.presets.split(","),
    }
    choice = tuning.tune(
        options.resume or options.out,
        chosen_settings(options) if options.resume is None else chosen_settings(options) or None,
        budget=options.budget,
        jobs=options.jobs,
        storage=options.storage,
        **{name: value for name, value in given.items() if value is not None},
    )
    print(f"{'model':<12} {choice.folder}\n{'page':<12} {choice.page}")
