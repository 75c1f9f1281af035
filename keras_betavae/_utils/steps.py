"""How far a model is trained."""

from typing import Any

import tensorflow as tf


def training_step(model: Any) -> int:
    """Returns the number of training steps that a model has done."""
    return int(tf.convert_to_tensor(model.optimizer.iterations))
