"""The methods that the package needs of a model."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Encoder(Protocol):
    """Maps images to codes: `BetaVAE`, `ServedModel`, or any class of your own."""

    def encode(self, images: Any, /) -> Sequence[Any]:
        """Returns arrays for images (n, *image_shape), first the codes (n, latent_dim)."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """Maps codes to images: `BetaVAE`, `ServedModel`, or any class of your own."""

    def decode(self, codes: Any, /) -> Any:
        """Returns images (n, *image_shape), 0 to 1, for codes (n, latent_dim)."""
        ...


@runtime_checkable
class Autoencoder(Encoder, Decoder, Protocol):
    """Encodes, decodes, and does both in one call."""

    def reconstruct(self, images: Any, /) -> Any:
        """Returns images (n, *image_shape), 0 to 1, decoded from the codes of images."""
        ...
