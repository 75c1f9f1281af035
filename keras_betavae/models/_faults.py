"""What a model remembers between the start of an epoch and its end."""

import keras
import tensorflow as tf

from keras_betavae._utils.replicas import total


class VectorMean(keras.metrics.Metric):
    """The running mean of a vector; `keras.metrics.Mean` averages over its entries too."""

    def __init__(self, size: int, name: str):
        super().__init__(name=name)
        self.total = self.add_variable((size,), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, value: tf.Tensor, sample_weight: tf.Tensor) -> None:
        """Adds a vector that stands for `sample_weight` samples."""
        weight = tf.cast(sample_weight, value.dtype)
        self.total.assign(self.total + value * weight)
        self.count.assign(self.count + weight)

    def result(self) -> tf.Tensor:
        """Returns the mean, zeros before the first update."""
        return tf.math.divide_no_nan(self.total.value, self.count.value)


class Faults(keras.metrics.Metric):
    """The first step whose images or loss were unusable.

    A compiled step cannot raise (XLA drops assertions), so it is noted here and read
    after the step.
    """

    def __init__(self, name: str):
        super().__init__(name=name)
        # Steps count from 1, so 0 stands for "none".
        self.bad_images = self.add_variable((), "zeros", dtype="int32", name="bad_images")
        self.bad_loss = self.add_variable((), "zeros", dtype="int32", name="bad_loss")

    def update_state(
        self,
        watched: list[tf.Tensor],
        images: tf.Tensor | None,
        support: tuple[float, float] | None,
        step: tf.Tensor,
    ) -> tf.Tensor:
        """Notes the step if it is the first bad one; returns whether it is sound.

        What is bad on one replica is so for all: they leave out the same steps, and every worker
        stops.

        Args:
            watched: The loss and the gradients.
            images: The images as the networks see them, None if they cannot but be sound.
            support: What the images must lie in, None for any finite numbers.
            step: The step, counted from 1.
        """
        images_sound = tf.constant(True)
        if images is not None:
            low, high = support or (images.dtype.min, images.dtype.max)
            # A comparison with NaN is false.
            images_sound = tf.reduce_all((images >= low) & (images <= high))
        # A sum is finite only if all its terms are, and takes a fraction of the time. It could
        # overflow where they are near 1e38, when nothing is sound any more.
        loss_sound = tf.math.is_finite(tf.add_n([tf.reduce_sum(value) for value in watched]))
        n_faults = total(tf.cast([~images_sound, ~loss_sound], "int32"))
        images_sound, loss_sound = n_faults[0] == 0, n_faults[1] == 0
        step = tf.cast(step, "int32")
        for variable, sound in ((self.bad_images, images_sound), (self.bad_loss, loss_sound)):
            first = (variable.value == 0) & ~sound
            variable.assign(tf.where(first, step, variable.value))
        return images_sound & loss_sound

    def result(self) -> tf.Tensor:
        """Returns the first bad step, 0 if there was none."""
        return tf.maximum(self.bad_images.value, self.bad_loss.value)

    def raise_first(self, strategy: tf.distribute.Strategy, likelihood) -> None:
        """Raises what was noted on any replica.

        Raises:
            ValueError: If images were outside the likelihood's support, NaN or infinite.
            FloatingPointError: If the loss became NaN or infinite on sound images.
        """

        def first(variable):
            local = strategy.experimental_local_results(variable.value)
            return min((int(step) for step in local if step > 0), default=0)

        bad_images, bad_loss = first(self.bad_images), first(self.bad_loss)
        if bad_images:
            expected = "finite"
            if likelihood.support:
                low, high = likelihood.support
                expected = f"within [{low:g}, {high:g}] under {type(likelihood).__name__}"
            raise ValueError(
                f"images must be {expected}, but those of step {bad_images} hold other values or "
                "NaN; scale them, or pass uint8 images of 0 to 255, which the model divides by 255"
            )
        if bad_loss:
            raise FloatingPointError(
                f"the loss or its gradients became NaN or infinite at step {bad_loss}; those "
                "gradients were left out. Try a smaller learning rate or weight of the objective"
            )
