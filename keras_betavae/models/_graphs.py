"""Graphs of a model's methods, retraced when its networks change."""

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import tensorflow as tf


def same_objects(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Returns whether two sequences hold the same objects in the same order."""
    return len(first) == len(second) and all(map(operator.is_, first, second))


class Graphs:
    """`tf.function`s of a model's methods.

    A graph holds the variables that it was traced with. If a layer gets new ones (`enable_lora`,
    `quantize`), all graphs are dropped.
    """

    def __init__(self) -> None:
        self._graphs: dict[str, Callable] = {}
        self._variables: list[keras.Variable] = []

    def of(self, method: Callable, *networks: keras.Model) -> Callable:
        """Returns the graph of a bound method that calls the networks."""
        variables: list[Any] = [variable for network in networks for variable in network.variables]
        if not same_objects(variables, self._variables):
            self.clear()
            self._variables = variables
        name = method.__name__
        if name not in self._graphs:
            # TensorFlow counts the traces of a bare method over all models, and would warn of them.
            self._graphs[name] = tf.function(
                partial(method), reduce_retracing=True, autograph=False
            )
        return self._graphs[name]

    def clear(self) -> None:
        """Drops all graphs."""
        self._graphs = {}
