"""An estimate of the capacity that a data set needs."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_betavae._utils.checks import whole
from keras_betavae.models.beta_vae import BetaVAE
from keras_betavae.objectives import Beta


def estimate_capacity(
    model_or_preset: BetaVAE | str,
    data: Any,
    *,
    beta: float = 1.0,
    steps: int = 2_000,
    batch_size: int = 64,
    seed: int = 0,
    verbose: int | str = 0,
) -> float:
    r"""Returns the KL that good reconstructions need, for `Capacity(max_capacity=...)`.

    Trains a new model with `Beta(beta)` and returns its mean KL over the last tenth of the
    steps, in nats. β must be low enough for good reconstructions; look at them. If training stops
    early, the KL is still rising slowly.

    Args:
        model_or_preset: A compiled model, whose networks, likelihood and optimizer are copied
            untrained (the model itself does not change), or the name of a preset, which is fitted
            to the data (of a `tf.data.Dataset`, only to the shape of its images) and to `steps`.
        data: Images as an `ImageDataset`, or a `tf.data.Dataset` of batches of images.
        beta: Weight of the KL, at least 0.
        steps: Training steps, at least 10.
        batch_size: Images per step; not used if `data` has batches.
        seed: Seed of the weights, the order of the images and the codes.
        verbose: As in `keras.Model.fit`.

    Returns:
        A KL in nats.

    Raises:
        TypeError: If the data are neither.
        ValueError: If a number is out of range, the preset is unknown or the model is not
            compiled.

    References:
        Burgess et al., Understanding disentangling in β-VAE, 2017, which advises this.

    Example:
        >>> from keras_betavae.datasets import load_sprites
        >>> data = load_sprites(orientation=2, pos_x=4, pos_y=4)
        >>> estimate_capacity("sprites_quick", data) > 0.0  # doctest: +SKIP
        True
    """
    if whole("steps", steps) < 10:
        raise ValueError(f"steps must be at least 10, got {steps}")
    objective, is_stream = Beta(beta), isinstance(data, tf.data.Dataset)
    if not is_stream and not hasattr(data, "to_tf_data"):
        raise TypeError(
            f"data must be an ImageDataset or a tf.data.Dataset, got {type(data).__name__}; "
            "datasets.from_arrays takes arrays"
        )
    with _seeded(seed):
        vae = _new_model(model_or_preset, data, is_stream, objective, steps, seed)
    batches = data.repeat() if is_stream else data.to_tf_data(batch_size, seed=seed, repeat=True)
    last = steps // 10
    vae.fit(batches, steps_per_epoch=steps - last, verbose=verbose)
    history = vae.fit(batches, steps_per_epoch=last, verbose=verbose).history
    return float(history["kl_loss"][-1])


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds Python's generator, which seeds Keras's initializers, and restores it."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _new_model(
    like: BetaVAE | str, data: Any, is_stream: bool, objective: Beta, steps: int, seed: int
) -> BetaVAE:
    """Returns an untrained model like another one or a preset's."""
    if isinstance(like, str):
        shape = {"input_shape": _image_shape(data)} if is_stream else {}
        fitted = None if is_stream else data
        like = BetaVAE.from_preset(like, fitted, verbose=False, steps=steps, **shape)
    if not like.compiled:
        raise ValueError("the model must be compiled: its optimizer is copied")
    vae = BetaVAE(
        encoder=_untrained(like.encoder),
        decoder=_untrained(like.decoder),
        objective=objective,
        likelihood=like.likelihood.from_config(like.likelihood.get_config()),
        log_var_limit=like.log_var_limit,
        seed=seed,
        dtype=like.dtype_policy,
    )
    optimizer = like.optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    vae.compile(
        type(optimizer).from_config(optimizer.get_config()),
        jit_compile=like.get_compile_config()["jit_compile"],
    )
    return vae


def _untrained(network: keras.Model) -> keras.Model:
    """Returns a copy with new weights; what layers were adapted to the data stays."""
    copy = keras.models.clone_model(network)
    layers = (each._flatten_layers(include_self=False) for each in (network, copy))
    for old, new in zip(*layers, strict=True):
        if isinstance(old, keras.layers.Normalization):
            new.set_weights(old.get_weights())
            new.finalize_state()
    return copy


def _image_shape(data: tf.data.Dataset) -> tuple[int, ...]:
    spec = data.element_spec[0] if isinstance(data.element_spec, tuple) else data.element_spec
    if not isinstance(spec, tf.TensorSpec):
        raise ValueError(f"data must be batches of images, got {data.element_spec}")
    return tuple(spec.shape[1:])
