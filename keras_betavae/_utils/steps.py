"""The count of training steps."""

from typing import Any

import tensorflow as tf


def training_step(model: Any) -> int:
    """Returns the number of training steps that a model has done.

    A `train_step` that does not call `compute_terms` leaves the model's own count at 0; then the
    optimizer's counts.
    """
    return int(model.step) or optimizer_steps(model)


def optimizer_steps(model: Any) -> int:
    """Returns the steps of a model's optimizer, which weights of an earlier step do not change."""
    optimizer = getattr(model, "optimizer", None)  # A model that was never compiled has none.
    return 0 if optimizer is None else int(tf.convert_to_tensor(optimizer.iterations))
