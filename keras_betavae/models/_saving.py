"""Saves what Keras does not: random streams, and the arguments of `compile`."""

from typing import Any

import keras

_UNUSED = ("loss", "loss_weights", "metrics", "weighted_metrics")


def save_streams(model: Any, store: dict) -> None:
    """Saves the states of a model's random streams into `save_own_variables`'s store."""
    store["seed_generator"] = model.seed_generator.state.numpy()
    store["other_seeds"] = [state.numpy() for state in _other_states(model)]


def load_streams(model: Any, store: Any) -> dict:
    """Restores what `save_streams` saved; returns the rest of the store."""
    store = {name: store[name] for name in store.keys()}  # noqa: SIM118 (not a dict)
    model.seed_generator.state.assign(store.pop("seed_generator"))
    saved, states = store.pop("other_seeds", ()), _other_states(model)
    # Weights may be loaded into a model with other layers, which then keeps its streams.
    if len(saved) == len(states):
        for variable, state in zip(states, saved, strict=True):
            variable.assign(state)
    return store


def compile_arguments(config: dict) -> dict[str, Any]:
    """Returns `compile`'s arguments from a saved compile configuration.

    Keras adds its own arguments, a loss among them, which are None.
    """
    config = keras.saving.deserialize_keras_object(config)
    return {name: value for name, value in config.items() if name not in _UNUSED}


def _other_states(model: Any) -> list:
    """Returns the states of all other streams, including those of layers such as `Dropout`."""
    known = {id(weight) for weight in (*model.weights, model.seed_generator.state)}
    return [variable for variable in model.variables if id(variable) not in known]
