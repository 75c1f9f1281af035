"""How a model is compiled, saved, loaded and exported."""

import os
from typing import Any

import keras
import tensorflow as tf

from keras_betavae import networks
from keras_betavae.export import saved_model as _export

_UNUSED = ("loss", "loss_weights", "metrics", "weighted_metrics")


class PersistentModel(keras.Model):
    """A model with a loss and a random stream of its own, which Keras would not save.

    A subclass has the attributes `encoder`, `decoder`, `image_shape`, `latent_dim`,
    `seed_generator` and `_own_weights` (what `optimizer` trains) and the methods `encode`,
    `decode`, `reconstruct` and `sample`.
    """

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        *,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        **unsupported: Any,
    ) -> None:
        """Configures training. The loss is the model's own, so none is passed.

        Args:
            optimizer: A Keras optimiser or its name.
            run_eagerly: As in `keras.Model.compile`.
            steps_per_execution: As in `keras.Model.compile`.
            jit_compile: Whether XLA compiles the whole step. "auto" leaves the choice to Keras
                where there is a GPU. On a CPU it compiles the whole step if the networks are
                but dense layers, and else only the optimiser's part, since XLA convolves
                slowly there; with a `tf.distribute.Strategy` neither.
            auto_scale_loss: As in `keras.Model.compile`.
            **unsupported: Nothing else.

        Raises:
            TypeError: If a loss, metrics or other arguments are given.
        """
        if unsupported:
            raise TypeError(
                f"compile takes no {', '.join(unsupported)}: the loss is the model's own, given "
                "by its objective and likelihood"
            )
        self._auto_scale_loss, self._jit_choice = auto_scale_loss, jit_compile
        with self.distribute_strategy.scope():
            is_distributed = tf.distribute.has_strategy()
        on_one_cpu = not (is_distributed or tf.config.list_logical_devices("GPU"))
        if jit_compile == "auto" and on_one_cpu and not run_eagerly:
            jit_compile = networks.are_dense(self.encoder, self.decoder)
            self._compiles_parts = not jit_compile
        else:
            self._compiles_parts = False
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        # A model that is saved before its first step then loads as any other.
        with self.distribute_strategy.scope():
            self.optimizer.build(self._own_weights)

    def compile_from_config(self, config: dict) -> None:
        """Compiles as a saved model was; Keras calls this when it loads one."""
        config = keras.saving.deserialize_keras_object(config)
        # Keras adds its own arguments, a loss among them, which are None.
        self.compile(**{name: value for name, value in config.items() if name not in _UNUSED})

    def get_compile_config(self) -> dict:
        """Returns `compile`'s arguments, of which Keras forgets one and replaces "auto"."""
        config = super().get_compile_config()
        if not config:
            return config
        given = {"auto_scale_loss": self._auto_scale_loss, "jit_compile": self._jit_choice}
        return {**config, **given}

    def save_own_variables(self, store: dict) -> None:
        """Saves the states of the random streams, which Keras leaves out."""
        super().save_own_variables(store)
        store["seed_generator"] = self.seed_generator.state.numpy()
        store["other_seeds"] = [state.numpy() for state in self._other_states]

    def load_own_variables(self, store: dict) -> None:
        """Restores what `save_own_variables` saved."""
        store = {name: store[name] for name in store.keys()}  # noqa: SIM118 (not a dict)
        self.seed_generator.state.assign(store.pop("seed_generator"))
        states = store.pop("other_seeds", ())
        # Weights may go to a model of other layers, whose streams then stay as they are.
        if len(states) == len(self._other_states):
            for variable, state in zip(self._other_states, states, strict=True):
                variable.assign(state)
        super().load_own_variables(store)

    @property
    def _other_states(self) -> list:
        """The states of all other random streams, those of layers such as `Dropout` among them."""
        known = {id(weight) for weight in (*self.weights, self.seed_generator.state)}
        return [variable for variable in self.variables if id(variable) not in known]

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        *,
        verbose: bool = True,
        **options: Any,
    ) -> None:
        """Writes the model for serving.

        All formats take images as floats in the data's own range (so that uint8 images must be
        divided by 255 before) in batches of any size, and need neither Keras nor this package
        to run.

        "tf_saved_model" is the folder of one version, in the layout of TensorFlow Serving.
        `tf.saved_model.load(filepath)` has the methods `encode(x)` → `mean`, `log_var`;
        `decode(z)`; `reconstruct(x)`, also under the name `serve`; and `sample(n, seed)`; and
        signatures of the same names and inputs, whose outputs are `mean` and `log_var`, or
        `images`. `serving_default` reconstructs. `assets.extra` holds a request for each, by
        which a server warms up. The folder is written aside and moved into place, over
        a SavedModel that is there.

        "onnx" and "litert" are folders that hold `encoder.onnx` and `decoder.onnx`, or
        `encoder.tflite` and `decoder.tflite`: x → `mean`, `log_var` and z → `images`.

        Args:
            filepath: The folder.
            format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
            verbose: Whether to say what was written.
            **options: `options`, a `tf.saved_model.SaveOptions`; `opset_version` of ONNX;
                attributes of `tf.lite.TFLiteConverter`, such as `optimizations`.

        Raises:
            FileExistsError: If the folder of a SavedModel holds something else.
            ImportError: If a package that the format needs is missing.
            ValueError: If the format is unknown or lacks an operation of the networks, or, for
                ONNX and LiteRT, the networks compute in another precision than float32.
        """
        path = os.fspath(filepath)
        if format == "tf_saved_model":
            _export.saved_model(self, path, **options)
        elif format in _export.FORMATS:
            _export.networks(self, path, format, **options)
        else:
            raise ValueError(f"format must be one of {', '.join(_export.FORMATS)}, got {format!r}")
        if verbose:
            print(f"Exported to {path}")
