"""Samples of the terms of the evidence bounds."""

from typing import Any

import tensorflow as tf

from keras_betavae.models._forward import log_likelihood_of
from keras_betavae.objectives import kl_per_latent


def sampled_bounds(
    vae: Any, x: tf.Tensor, seeds: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns log p(x|z) and log p(z)/q(z|x), (n_samples, batch), and the KL, (batch,).

    Args:
        vae: The model.
        x: Images, `(batch, *image_shape)`.
        seeds: A seed for each sample, (n_samples, 2).
    """
    posterior, prior, images = vae.posterior(x), vae.prior, vae.scaled(x)

    def sampled(seed):
        z = posterior.sample(seed=seed)
        log_ratio = prior.log_prob(z) - posterior.log_prob(z)
        return log_likelihood_of(images, vae.likelihood_of(z)), log_ratio

    # One sample at a time: memory does not grow with the number of samples.
    log_likelihoods, log_ratios = tf.map_fn(
        sampled, seeds, fn_output_signature=("float32", "float32")
    )
    return log_likelihoods, log_ratios, tf.reduce_sum(kl_per_latent(posterior, prior), axis=-1)
