"""The papers' encoders and decoders, as plain functional Keras models."""

from keras_betavae.networks import layers
from keras_betavae.networks.architectures import (
    are_dense,
    broadcast_decoder,
    broadcast_encoder,
    burgess_decoder,
    burgess_encoder,
    conv_decoder,
    conv_encoder,
    dense_decoder,
    dense_encoder,
    discriminator,
    fitting_shapes,
    locatello_decoder,
    locatello_encoder,
)

__all__ = [
    "are_dense",
    "broadcast_decoder",
    "broadcast_encoder",
    "burgess_decoder",
    "burgess_encoder",
    "conv_decoder",
    "conv_encoder",
    "dense_decoder",
    "dense_encoder",
    "discriminator",
    "fitting_shapes",
    "layers",
    "locatello_decoder",
    "locatello_encoder",
]
