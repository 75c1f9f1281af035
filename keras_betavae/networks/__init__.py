"""The papers' encoders and decoders, as plain functional Keras models.

An encoder maps images `(batch, *image_shape)` to `[mean, log_var]`, each
(batch, latent_dim); a decoder maps codes (batch, latent_dim) to the likelihood's
unactivated parameters `(batch, *image_shape)`.
"""

from keras_betavae.networks import layers
from keras_betavae.networks.convolutional import (
    broadcast_decoder,
    broadcast_encoder,
    burgess_decoder,
    burgess_encoder,
    conv_decoder,
    conv_encoder,
    locatello_decoder,
    locatello_encoder,
    patch_decoder,
    patch_encoder,
)
from keras_betavae.networks.dense import dense_decoder, dense_encoder, discriminator
from keras_betavae.networks.fitting import are_dense, fitting_shapes
from keras_betavae.networks.signals import conv1d_decoder, conv1d_encoder
from keras_betavae.networks.standardization import standardized

__all__ = [
    "are_dense",
    "broadcast_decoder",
    "broadcast_encoder",
    "burgess_decoder",
    "burgess_encoder",
    "conv1d_decoder",
    "conv1d_encoder",
    "conv_decoder",
    "conv_encoder",
    "dense_decoder",
    "dense_encoder",
    "discriminator",
    "fitting_shapes",
    "layers",
    "locatello_decoder",
    "locatello_encoder",
    "patch_decoder",
    "patch_encoder",
    "standardized",
]
