"""What changes between two trainings: layers that are frozen, an optimizer, `run_eagerly`."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_betavae.models._graphs import same_objects

_NEVER_CALLED = ("compute_terms", "compute_loss")


def check_overrides(kind: type) -> None:
    """Checks that a subclass of a model overrides nothing that `fit` would not call.

    Raises:
        TypeError: If it does.
    """
    for name in _NEVER_CALLED:
        if name in kind.__dict__:
            raise TypeError(
                f"{kind.__name__} overrides {name}, which fit does not call; override train_step, "
                "or give the model an objective or a likelihood of your own"
            )


class Traced:
    """What a model's compiled functions were made with."""

    def __init__(self) -> None:
        self._parts: dict[str, list] = {}
        self._weights: dict[str, tuple[Any, set[int]]] = {}

    def has_changed(self, model: Any, function: str) -> bool:
        """Returns whether a function was made with other parts, and keeps those of now.

        Args:
            model: The model.
            function: The name of the function that is about to run.
        """
        networks = model._networks()
        variables = [each for network in networks for each in network.variables]
        parts = [model.run_eagerly, *model.trainable_variables, None, *variables]
        # A frozen BatchNormalization keeps its statistics, and may have no trainable variables.
        parts += [layer.trainable for network in networks for layer in network._flatten_layers()]
        before = self._parts.get(function, parts)
        self._parts[function] = parts
        return not same_objects(parts, before)

    def keep_optimizer(self, model: Any, name: str, weights: Sequence[keras.Variable]) -> None:
        """Keeps the optimizer that is an attribute of a model, and what it was built to train."""
        self._weights[name] = getattr(model, name), {id(weight) for weight in weights}

    def check_optimizer(self, model: Any, name: str, weights: Sequence[keras.Variable]) -> None:
        """Checks an optimizer against what `keep_optimizer` kept.

        Raises:
            ValueError: If it is another one, or it would train other weights.
        """
        kept, known = self._weights.get(name, (getattr(model, name), set(map(id, weights))))
        if getattr(model, name) is not kept:
            raise ValueError(f"{name} was replaced; give the new one to compile")
        if set(map(id, weights)) != known and _averages(kept):
            raise ValueError(
                f"{name} averages the weights (use_ema), and other weights are trained than when "
                "the model was compiled; call compile again before fit"
            )
        new = [weight.path for weight in weights if id(weight) not in known]
        if new:
            raise ValueError(
                f"{len(new)} weights were frozen or missing when the model was compiled, the "
                f"first is {new[0]}; call compile again before fit"
            )


def _averages(optimizer: Any) -> bool:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return any(each.use_ema for each in getattr(inner, "optimizers", [inner]))


class ChangeCheck(keras.callbacks.Callback):
    """Makes the training function again if a callback has frozen layers or compiled the model."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Is called after the other callbacks."""
        self.model.make_train_function()
