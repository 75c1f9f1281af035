"""Inputs of `fit`, `evaluate` and `predict`."""

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_betavae.models._changes import ChangeCheck
from keras_betavae.objectives import Objective

_Schedule = keras.optimizers.schedules.LearningRateSchedule
_NO_WEIGHTS = "sample_weight and class_weight are not supported; leave them out"


def check_input(x: Any, options: Mapping[str, Any]) -> None:
    """Checks the input of `fit`, `evaluate` or `predict`.

    Args:
        x: The images.
        options: The keywords of the call.

    Raises:
        ValueError: If `x` is None or empty, or is a list, tuple or dict, which Keras treats as
            several inputs, or if there are weights of samples or classes.
    """
    if any(options.get(name) is not None for name in ("sample_weight", "class_weight")):
        raise ValueError(_NO_WEIGHTS)
    if x is None:
        raise ValueError("x must hold images, got None")
    if isinstance(x, list | tuple | dict):
        raise ValueError(
            f"x must be an array of images or batches of them, got a {type(x).__name__} of "
            f"{len(x)}, which Keras would take for {len(x)} inputs; np.stack makes an array of a "
            "list of images"
        )
    is_empty_stream = isinstance(x, tf.data.Dataset) and int(x.cardinality()) == 0
    if 0 in getattr(x, "shape", ()) or is_empty_stream:
        raise ValueError("x must hold images, got none")


def unpacked(data: Any) -> tuple[tf.Tensor, Any]:
    """Returns the images of a batch and its labels.

    A dictionary, as in TensorFlow Datasets, has them as "image" and "label".

    Raises:
        ValueError: If there are sample weights, or the images are not one tensor.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if isinstance(x, dict) and "image" in x:
        x, y = x["image"], x.get("label") if y is None else y
    if sample_weight is not None:
        raise ValueError(_NO_WEIGHTS)
    if isinstance(x, tf.RaggedTensor):
        raise ValueError("images must have one shape, got a RaggedTensor")
    if isinstance(x, list | tuple | dict):
        names = f" with {', '.join(map(str, x))}" if isinstance(x, dict) else ""
        raise ValueError(
            "a batch must be images, (images, labels) or a dict with image and label, got a "
            f"{type(x).__name__}{names}; map the dataset to the images"
        )
    return x, y


class DataCheck(keras.callbacks.Callback):
    """Warns after the first pass over the data if the objective fits another number of images.

    Args:
        n_images: The number of images, None if it is known only after a pass.
    """

    def __init__(self, n_images: int | None):
        super().__init__()
        self.n_images = n_images
        self._is_done = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Checks the number if it is known."""
        if self.n_images is not None:
            self._check(self.n_images)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Checks the number if it was not known; validation will count its own images."""
        if not self._is_done and not self.model.stop_training:
            self._check(self.model.n_images_seen)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Checks the number if it was not known and there was no validation."""
        self.on_test_begin()

    def _check(self, n_images: int) -> None:
        self._is_done = True
        objective: Objective = self.model.objective
        if n_images and not objective.fits_data(n_images):
            warnings.warn(
                f"{type(objective).__name__} was made for another number of images than the "
                f"{n_images:,} of this data, so its estimates are off; make the model with "
                f"objective.for_data({n_images})",
                stacklevel=2,
            )


class RateCheck(keras.callbacks.Callback):
    """Warns if the schedule of the learning rate was 0 at the last step of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self._is_done = False

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Looks at the step that was taken last."""
        optimizer: Any = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # Of a LossScaleOptimizer.
        rate = getattr(optimizer, "_learning_rate", None)
        if self._is_done or not isinstance(rate, _Schedule):
            return
        # Not `iterations`, which counts steps that accumulate gradients once.
        n_steps = int(tf.convert_to_tensor(optimizer._iterations))
        if n_steps and float(rate(n_steps - 1)) == 0.0:
            self._is_done = True
            warnings.warn(
                f"the schedule of the learning rate has reached 0 by step {n_steps}, and steps at "
                "0 change nothing; give from_preset the number of training steps, steps=, or an "
                "optimizer of your own",
                stacklevel=2,
            )


def with_checks(x: Any, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Returns `fit`'s keywords with the checks of this module and `ChangeCheck` as callbacks.

    The `DataCheck` is left out if an epoch is not one pass over the data, and all if the
    callbacks are fixed.
    """
    callbacks = kwargs.get("callbacks")
    if len(args) > 4 or isinstance(callbacks, keras.callbacks.CallbackList):
        return kwargs
    given = callbacks if isinstance(callbacks, list | tuple) else [callbacks] if callbacks else []
    checks: list[keras.callbacks.Callback] = [ChangeCheck(), RateCheck()]
    if kwargs.get("steps_per_epoch") is None:
        if hasattr(x, "shape"):
            is_split = kwargs.get("validation_data") is None
            held_out = (kwargs.get("validation_split") or 0.0) if is_split else 0.0
            checks.append(DataCheck(int(x.shape[0] * (1.0 - held_out))))
        elif isinstance(x, tf.data.Dataset) and int(x.cardinality()) > 0:
            checks.append(DataCheck(None))
    return {**kwargs, "callbacks": [*given, *checks]}
