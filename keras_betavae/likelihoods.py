"""How the decoder's output becomes a distribution over images."""

import abc
import math

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd


class Likelihood(abc.ABC):
    """Base of all likelihoods: a weightless map from decoder output to p(x|z).

    A subclass implements `__call__` and is registered with
    `keras.saving.register_keras_serializable`.

    Attributes:
        support: The closed interval in which images must lie, or None for all reals.
    """

    support: tuple[float, float] | None = None

    @abc.abstractmethod
    def __call__(self, params: tf.Tensor) -> tfd.Independent:
        """Returns p(x|z) over whole images.

        Args:
            params: The decoder's unactivated output, `(batch, *image_shape)`.

        Returns:
            A distribution of batch shape (batch,) and event shape `image_shape`; its
            `log_prob` sums over pixels, in nats, and its `mean()` is the image shown.
        """

    def get_config(self) -> dict:
        """Returns the constructor's arguments, JSON-serialisable."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Likelihood":
        """Creates the likelihood from `get_config`'s dictionary."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_betavae")
class Bernoulli(Likelihood):
    r"""Independent Bernoulli pixels; the decoder gives the logits.

    .. math:: \log p(x|z) = \sum_i x_i \log \sigma(l_i) + (1 - x_i) \log(1 - \sigma(l_i))

    Images lie in [0, 1]. Grey values are taken as the papers take them, as
    cross-entropy targets; the bound is then not a density over grey images.

    References:
        Higgins et al. 2017, appendix A.1.

    Example:
        >>> p = Bernoulli()(tf.zeros((1, 2, 2, 1)))
        >>> round(float(p.log_prob(tf.ones((1, 2, 2, 1)))[0] / tf.math.log(0.5)), 6)
        4.0
    """

    support = (0.0, 1.0)

    def __call__(self, params):
        """Returns independent Bernoulli pixels with logits `params`."""
        return tfd.Independent(
            tfd.Bernoulli(logits=params, dtype=params.dtype), _event_rank(params)
        )


@keras.saving.register_keras_serializable(package="keras_betavae")
class Gaussian(Likelihood):
    r"""Independent normal pixels of one fixed scale; the decoder gives the means.

    .. math:: \log p(x|z) = -\sum_i \frac{(x_i - m_i)^2}{2 \sigma^2} + \log \sigma \sqrt{2\pi}

    The ½ is part of it, so β keeps its meaning; a smaller σ acts as a smaller β.

    Args:
        scale: σ, the standard deviation in the images' units, above 0.

    Raises:
        ValueError: If `scale` is not above 0 or not finite.

    References:
        Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014, appendix C.2.

    Example:
        >>> Gaussian(0.1).get_config()
        {'scale': 0.1}
    """

    def __init__(self, scale: float = 1.0):
        if not 0.0 < scale < math.inf:
            raise ValueError(f"scale must be a finite number above 0, got {scale}")
        self.scale = float(scale)

    def __call__(self, params):
        """Returns independent normal pixels with means `params`."""
        return tfd.Independent(tfd.Normal(params, self.scale), _event_rank(params))

    def get_config(self) -> dict:
        """Returns `{"scale": ...}`."""
        return {"scale": self.scale}


def _event_rank(params: tf.Tensor) -> int:
    return len(params.shape) - 1
