"""Detection of invalid images, labels and values in training."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_betavae._utils.replicas import total
from keras_betavae.models._images import ImageInput

_KINDS = ("images", "labels", "values")


class FaultWatch(keras.metrics.Metric):
    """Records the first step with invalid images, labels or values.

    A compiled step cannot raise (XLA drops assertions). So the step is recorded in variables, its
    gradients are left out, and `checked` raises afterwards. Values are the loss, its gradients
    and the moving statistics of layers.

    Args:
        images: What the model's images must be.
        name: Name of the metric.
    """

    def __init__(self, images: ImageInput, name: str = "faults"):
        super().__init__(name=name)
        self._images = images
        # Steps count from 1, so 0 stands for "none".
        self._first = {
            kind: self.add_variable((), "zeros", dtype="int64", name=f"bad_{kind}")
            for kind in _KINDS
        }

    def update_state(
        self,
        step: tf.Tensor,
        *,
        images: tf.Tensor,
        values: Sequence[tf.Tensor],
        labels_are_sound: tf.Tensor | bool = True,
    ) -> tf.Tensor:
        """Records the step if it is the first bad one; returns whether it is sound.

        A step that is bad on one replica is bad on all: they leave out the same steps, and every
        worker stops.

        Args:
            step: The step, counted from 1.
            images: The images before scaling.
            values: The loss, gradients and moving statistics.
            labels_are_sound: Whether the objective can use the labels.
        """
        # A sum is finite only if all its terms are, and is much faster to check. It could
        # overflow where they are near 1e38, where nothing is sound any more.
        sums = [tf.cast(tf.reduce_sum(value), "float32") for value in values]
        sound = {
            "images": self._images.are_sound(images),
            "labels": tf.convert_to_tensor(labels_are_sound),
            "values": tf.math.is_finite(tf.add_n(sums)),
        }
        n_faults = total(tf.cast([~sound[kind] for kind in _KINDS], "int32"))
        for n, variable in zip(tf.unstack(n_faults), self._first.values(), strict=True):
            first = (variable.value == 0) & (n > 0)
            variable.assign(tf.where(first, tf.cast(step, "int64"), variable.value))
        return tf.reduce_all(n_faults == 0)

    def result(self) -> tf.Tensor:
        """Returns the first bad step, 0 if there was none."""
        return tf.reduce_max([variable.value for variable in self._first.values()])

    def checked(self, function: Any, strategy: tf.distribute.Strategy) -> Callable:
        """Returns a training or evaluation function that raises the faults its steps recorded."""

        def run(iterator: Any) -> Any:
            logs = function(iterator)
            self._raise_first(strategy)
            return logs

        return run

    def _raise_first(self, strategy: tf.distribute.Strategy) -> None:
        """Raises the first fault recorded on any replica.

        Raises:
            ValueError: If images were outside the likelihood's support, NaN or infinite, or
                labels were out of range.
            FloatingPointError: If a value became NaN or infinite on sound images.
        """

        def first(variable: keras.Variable) -> int:
            local: Iterable = strategy.experimental_local_results(variable.value)
            return min((int(step) for step in local if step > 0), default=0)

        steps = {kind: first(variable) for kind, variable in self._first.items()}
        if steps["images"]:
            raise ValueError(
                f"images must be {self._images.range_text}, but those of step {steps['images']} "
                "hold other values or NaN; scale them, or pass uint8 images of 0 to 255, which the "
                "model divides by 255"
            )
        if steps["labels"]:
            raise ValueError(
                f"labels of step {steps['labels']} are out of range: each must be a class from 0 "
                "to below its factor's size, or -1 if it is missing"
            )
        if steps["values"]:
            raise FloatingPointError(
                "the loss, its gradients or a layer's moving statistics became NaN or infinite at "
                f"step {steps['values']}; its gradients were left out. Try a smaller learning "
                "rate or weight of the objective"
            )
