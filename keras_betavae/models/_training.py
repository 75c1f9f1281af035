"""What a model does in every training beside its own loss: it watches, averages and descends."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from keras_betavae._utils.replicas import Share, reducible
from keras_betavae.models import _faults as _trackers
from keras_betavae.models._saving import PersistentModel


class TrainedModel(PersistentModel):
    """A model that keeps running means of its terms and stops at images or losses that are unsound.

    A subclass calls `_watch` in its constructor and has, beside what `PersistentModel` asks for,
    the attribute `likelihood` and the methods `_scaled` and `_check_shape`.
    """

    def _watch(self, others: Iterable[str]) -> None:
        """Prepares the running means of the loss, its two terms and the others named."""
        self._means = {
            name: keras.metrics.Mean(name=name)
            for name in ("loss", "reconstruction_loss", "kl_loss", *others)
        }
        self._latent_kl = _trackers.VectorMean(self.latent_dim, name="latent_kl")
        self.train_function: Callable | None = None
        self.test_function: Callable | None = None
        self._faults = _trackers.Faults(name="faults")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What Keras resets at the start of an epoch or an evaluation."""
        return [*self._means.values(), self._latent_kl, self._faults]

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Returns the running means of the scalar terms by name."""
        return {name: mean.result() for name, mean in self._means.items()}

    @property
    def latent_kl(self) -> tf.Tensor:
        """The running mean of each latent's KL, in nats, (latent_dim,)."""
        return self._latent_kl.result()

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains as `keras.Model.fit` does.

        Raises:
            ValueError: If there are no images, or some are outside the likelihood's support
                or NaN.
            FloatingPointError: If the loss or its gradients become NaN or infinite.
        """
        if hasattr(x, "shape"):
            # The compiled step may have been traced for any shape by now.
            self._check_shape(tf.TensorShape(x.shape))
        if isinstance(x, tf.data.Dataset) and len(args) < 8:  # The eighth is `shuffle`.
            # Keras would warn that it does not shuffle a dataset, which nobody asked it to.
            kwargs.setdefault("shuffle", False)
        if 0 in getattr(x, "shape", ()) or (
            isinstance(x, tf.data.Dataset) and int(x.cardinality()) == 0
        ):
            raise ValueError("x must hold images, got none")
        return super().fit(x, *args, **kwargs)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Builds nothing: the constructor and `compile` have built all.

        Keras 3.15 calls this at the start of `fit` under a strategy. Its own would take a batch and
        reduce it over workers, which fails for uint8.
        """

    def make_train_function(self, force: bool = False) -> None:
        """Wraps Keras's training function with the check for bad images and losses."""
        if self.train_function is None or force:
            super().make_train_function(force=True)
            self.train_function = self._checked(self.train_function)

    def make_test_function(self, force: bool = False) -> None:
        """Wraps Keras's evaluation function with the check for bad images and losses."""
        if self.test_function is None or force:
            super().make_test_function(force=True)
            self.test_function = self._checked(self.test_function)

    @property
    def _own_weights(self) -> list:
        """What `optimizer` trains."""
        return self.trainable_variables

    def _unpacked(self, data: Any) -> tuple[Any, Any]:
        """Returns the images, and what came with them."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError("sample_weight and class_weight have no meaning here; leave them out")
        return x, y

    @staticmethod
    def _scaled_loss(optimizer, loss: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        # The optimiser sums the replicas' gradients.
        return optimizer.scale_loss(loss * Share(tf.shape(x)[0]).fraction)

    def _descend(self, optimizer, tape, scaled_loss, weights, loss, x) -> None:
        """Applies the gradients, or zeros and a note of the step if something is not sound."""
        gradients = tape.gradient(scaled_loss, weights)
        watched = [loss]
        if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # That one expects scaled gradients to overflow, and leaves such steps out.
            watched += [g for g in gradients if g is not None]
        sound = self._note_faults(watched, x, optimizer.iterations + 1)

        def apply(gradients, sound):
            gradients = [None if g is None else tf.where(sound, g, 0.0) for g in gradients]
            optimizer.apply_gradients(zip(gradients, weights, strict=True))

        if self._compiles_parts and not tf.distribute.has_strategy():
            # Keras's optimisers pass over the weights a dozen times where XLA needs three.
            apply = tf.function(apply, jit_compile=True)
        apply(gradients, sound)

    def _note_faults(self, watched: list[tf.Tensor], x: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Returns whether the images and what is watched are sound, and notes the step if not."""
        x, support = tf.convert_to_tensor(x), self.likelihood.support
        low, high = support or (0.0, 1.0)
        # These are scaled to [0, 1].
        surely_sound = x.dtype in (tf.uint8, tf.bool) and low <= 0.0 and high >= 1.0
        images = None if surely_sound else self._scaled(x)
        return self._faults.update_state(watched, images, support, step)

    def _track(self, terms: dict[str, tf.Tensor], x: tf.Tensor) -> dict[str, tf.Tensor]:
        # Weighing by the batch keeps a short last batch from counting as a whole one.
        size = tf.shape(x)[0]
        for name, mean in self._means.items():
            mean.update_state(terms[name], sample_weight=size)
        self._latent_kl.update_state(terms["latent_kl"], sample_weight=size)
        return reducible(self.get_metrics_result())

    def _checked(self, function):
        def run(iterator):
            logs = function(iterator)
            self._faults.raise_first(self.distribute_strategy, self.likelihood)
            return logs

        return run
