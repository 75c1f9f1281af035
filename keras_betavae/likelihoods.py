"""Likelihoods: distributions over images, made from the decoder's output."""

import abc
import functools
import math
from collections.abc import Sequence

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from keras_betavae._utils.checks import SetOnce

MIN_SCALE = 1e-3
"""The lower bound of a learned σ, in the images' units: keeps σ above 0 for perfect copies."""


class Likelihood(SetOnce, abc.ABC):
    """Base of all likelihoods: a map from decoder output to p(x|z).

    A subclass implements `__call__` and is registered with
    `keras.saving.register_keras_serializable`. Its attributes are set once, in the constructor: a
    compiled step would not see a later change.

    Attributes:
        support: The closed interval in which images must lie, or None for all reals.
        takes_logits: Whether the decoder must return logits, without an activation.
    """

    support: tuple[float, float] | None = None
    takes_logits = False

    @property
    def weights(self) -> list[keras.Variable]:
        """The variables that the model trains in addition to the networks; usually empty."""
        return []

    @abc.abstractmethod
    def __call__(self, params: tf.Tensor) -> tfd.Independent:
        """Returns p(x|z) over whole images.

        Args:
            params: The decoder's unactivated output, `(batch, *image_shape)`.

        Returns:
            A distribution of batch shape (batch,) and event shape `image_shape`; its
            `log_prob` is summed over pixels, in nats, and its `mean()` is the image to show.
        """

    def in_units(self, units: Sequence[float]) -> "Likelihood":
        """Returns this likelihood with its scale in `units`; only `Gaussian` supports them.

        Raises:
            ValueError: If this likelihood does not support units.
        """
        raise ValueError(
            f"standardization needs the likelihood Gaussian, got {type(self).__name__}; pass "
            "likelihood=Gaussian(learned=True)"
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments, JSON-serializable."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Likelihood":
        """Creates the likelihood from `get_config`'s dictionary."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_betavae")
class Bernoulli(Likelihood):
    r"""Independent Bernoulli pixels; the decoder returns the logits.

    .. math:: \log p(x|z) = \sum_i x_i \log \sigma(l_i) + (1 - x_i) \log(1 - \sigma(l_i))

    Images are in [0, 1]. As in the papers, gray values are targets of the cross-entropy. The
    bound is then not a density over gray images, and the loss of a perfect reconstruction
    is the images' own entropy. `subtract_entropy` subtracts this constant of each image from
    the loss,

    .. math:: \log p(x|z) + \sum_i H(x_i) = -\sum_i \mathrm{KL}(x_i \,\|\, \sigma(l_i))

    with H the entropy of a Bernoulli variable with mean x_i, in nats. The log_prob is then at
    most 0, and 0 at x = σ(l); the gradients of the networks are the same.

    Args:
        subtract_entropy: Whether `log_prob` is the negative divergence from the image.

    References:
        Higgins et al. 2017, appendix A.1.

    Example:
        >>> p = Bernoulli()(tf.zeros((1, 2, 2, 1)))
        >>> round(float(p.log_prob(tf.ones((1, 2, 2, 1)))[0] / tf.math.log(0.5)), 6)
        4.0
    """

    support = (0.0, 1.0)
    takes_logits = True

    def __init__(self, subtract_entropy: bool = False):
        self.subtract_entropy = bool(subtract_entropy)

    def __call__(self, params: tf.Tensor) -> tfd.Independent:
        """Returns independent Bernoulli pixels with logits `params`."""
        pixel = _GrayBernoulli if self.subtract_entropy else _Bernoulli
        return tfd.Independent(pixel(logits=params, dtype=params.dtype), _event_rank(params))

    def get_config(self) -> dict:
        """Returns `{"subtract_entropy": ...}`."""
        return {"subtract_entropy": self.subtract_entropy}


@keras.saving.register_keras_serializable(package="keras_betavae")
class ContinuousBernoulli(Likelihood):
    r"""Independent continuous Bernoulli pixels; the decoder returns the logits.

    .. math::

        \log p(x|z) = \sum_i x_i \log \sigma(l_i) + (1 - x_i) \log(1 - \sigma(l_i))
        + \log \frac{l_i}{\tanh(l_i / 2)}

    A normalizer, 2 at l = 0, turns `Bernoulli`'s cross-entropy into a density over gray images in
    [0, 1]. Unlike the cross-entropy, its log_prob may exceed 0. The mean image is not σ(l) but
    1 / (1 - exp(-l)) - 1 / l.

    References:
        Loaiza-Ganem & Cunningham, The continuous Bernoulli: fixing a pervasive error in
        variational autoencoders, NeurIPS 2019.

    Example:
        >>> p = ContinuousBernoulli()(tf.zeros((1, 2, 2, 1)))
        >>> abs(round(float(p.log_prob(tf.ones((1, 2, 2, 1)))[0]), 5))
        0.0
    """

    support = (0.0, 1.0)
    takes_logits = True

    def __call__(self, params: tf.Tensor) -> tfd.Independent:
        """Returns independent continuous Bernoulli pixels with logits `params`."""
        return tfd.Independent(
            _ContinuousBernoulli(logits=params, dtype=params.dtype), _event_rank(params)
        )


@keras.saving.register_keras_serializable(package="keras_betavae")
class Gaussian(Likelihood):
    r"""Independent normal pixels with one scale, fixed or learned; the decoder returns the means.

    .. math:: \log p(x|z) = -\sum_i \left(\frac{(x_i - m_i)^2}{2 \sigma^2}
        + \log \sigma \sqrt{2\pi}\right)

    The factor ½ is included, so β keeps its meaning; a smaller σ acts like a smaller β. A learned
    σ = MIN_SCALE + exp(w), shared by all pixels and images, is trained with the networks
    (σ-VAE); its optimum is the root mean square of x - m. The lower bound MIN_SCALE = 0.001
    keeps σ above 0 for perfectly reconstructed images.

    With `units`, σ is in units of u_i for each column or channel, such as their standard
    deviations: x_i has the standard deviation σ u_i, and log p(x|z) is in the units of x.

    Models that are given the same instance train the same w; the result of `from_config` has its
    own, which starts at `scale`.

    Args:
        scale: σ, the standard deviation in the images' units, or in `units`, above 0. If σ is
            learned, its initial value, above MIN_SCALE.
        learned: Whether σ is trained.
        units: u, above 0, one for each entry of the last axis; None for 1.

    Raises:
        ValueError: If `scale` is not above 0 or not finite, or is learned and not above
            MIN_SCALE; or if `units` are not finite numbers above 0.

    References:
        Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014, appendix C.2.
        Rybkin, Daniilidis & Levine, Simple and Effective VAE Training with Calibrated
        Decoders, ICML 2021.

    Example:
        >>> Gaussian(0.1).get_config()
        {'scale': 0.1, 'learned': False, 'units': None}
        >>> [w.name for w in Gaussian(0.1, learned=True).weights]
        ['log_scale']
    """

    def __init__(
        self, scale: float = 1.0, learned: bool = False, units: Sequence[float] | None = None
    ):
        self.scale = _checked_scale(scale)
        self.learned = bool(learned)
        self.units = None if units is None else [_checked_scale(unit) for unit in units]
        if self.learned and self.scale <= MIN_SCALE:
            raise ValueError(f"a learned scale must start above {MIN_SCALE}, got {scale}")

    @functools.cached_property
    def _weights(self) -> list[keras.Variable]:
        # Created lazily: a variable initializes TensorFlow, and presets are made at import.
        if not self.learned:
            return []
        w = math.log(self.scale - MIN_SCALE)
        return [keras.Variable(w, dtype="float32", autocast=False, name="log_scale")]

    @property
    def weights(self) -> list[keras.Variable]:
        """Returns w, log(σ - MIN_SCALE), if σ is learned."""
        return list(self._weights)

    def in_units(self, units: Sequence[float]) -> "Gaussian":
        """Returns this likelihood with its scale measured in `units`."""
        return Gaussian(self.scale, self.learned, units)

    @property
    def sigma(self) -> tf.Tensor:
        """The current σ, a float32 scalar in the images' units, or in `units`."""
        if not self.learned:
            return tf.constant(self.scale, "float32")
        return MIN_SCALE + tf.exp(tf.convert_to_tensor(self._weights[0]))

    def __call__(self, params: tf.Tensor) -> tfd.Independent:
        """Returns independent normal pixels with means `params`."""
        scale = tf.cast(self.sigma, params.dtype) if self.learned else self.scale
        if self.units is not None:
            scale *= tf.constant(self.units, params.dtype)
        return tfd.Independent(tfd.Normal(params, scale), _event_rank(params))

    def get_config(self) -> dict:
        """Returns the constructor's arguments, the scale as it was given."""
        return {"scale": self.scale, "learned": self.learned, "units": self.units}


@keras.saving.register_keras_serializable(package="keras_betavae")
class Laplace(Likelihood):
    r"""Independent Laplace pixels with one fixed scale; the decoder returns the locations.

    .. math:: \log p(x|z) = -\sum_i \left(\frac{|x_i - m_i|}{b} + \log 2b\right)

    The absolute error instead of `Gaussian`'s squared error; a smaller b acts like a
    smaller β.

    Args:
        scale: b, the mean absolute deviation in the images' units, above 0.

    Raises:
        ValueError: If `scale` is not above 0 or not finite.

    Example:
        >>> p = Laplace(0.5)(tf.zeros((1, 2, 2, 1)))
        >>> float(p.log_prob(tf.ones((1, 2, 2, 1)))[0])
        -8.0
    """

    def __init__(self, scale: float = 1.0):
        self.scale = _checked_scale(scale)

    def __call__(self, params: tf.Tensor) -> tfd.Independent:
        """Returns independent Laplace pixels with locations `params`."""
        return tfd.Independent(_Laplace(params, self.scale), _event_rank(params))

    def get_config(self) -> dict:
        """Returns `{"scale": ...}`."""
        return {"scale": self.scale}


class _Bernoulli(tfd.Bernoulli):
    """A Bernoulli whose log_prob computes one softplus instead of TFP's two."""

    def _log_prob(self, event):
        return -tf.nn.sigmoid_cross_entropy_with_logits(event, self.logits)


class _GrayBernoulli(_Bernoulli):
    """A Bernoulli whose log_prob is -KL(Bernoulli(x) || self), with its maximum at the mean."""

    def _log_prob(self, event):
        # tfd.Bernoulli(probs=event).entropy() has NaN gradients for pixels of 0 or 1.
        entropy = -tf.math.xlogy(event, event) - tf.math.xlog1py(1.0 - event, -event)
        return super()._log_prob(event) + entropy

    def _mode(self):
        return self._mean()


class _ContinuousBernoulli(tfd.ContinuousBernoulli):
    """A continuous Bernoulli whose mean avoids expm1, which ONNX lacks."""

    def _mean(self, logits=None):
        logits = self.logits if logits is None else logits
        is_near = tf.abs(logits) < 0.5
        far = tf.where(is_near, tf.ones_like(logits), logits)
        # The poles of the two terms cancel near 0.
        near = 0.5 + logits / 12.0 - logits**3 / 720.0 + logits**5 / 30240.0
        return tf.where(is_near, near, 0.5 + 0.5 / tf.tanh(0.5 * far) - 1.0 / far)


class _Laplace(tfd.Laplace):
    """A Laplace with one scale, whose mean avoids a broadcast of shapes, which ONNX lacks."""

    def _mean(self):
        return tf.identity(self.loc)


def _checked_scale(scale: float) -> float:
    if not 0.0 < scale < math.inf:
        raise ValueError(f"scale must be a finite number above 0, got {scale}")
    return float(scale)


def _event_rank(params: tf.Tensor) -> int:
    return len(params.shape) - 1
