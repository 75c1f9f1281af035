"""List the scores: range, needs, paper."""

import argparse


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds nothing: the command takes no arguments."""


def run(options: argparse.Namespace) -> None:
    """Prints the list."""
    del options
    from keras_betavae.evaluation.score_table import score_list

    print(score_list())
