"""The table of the papers' architectures."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Dense:
    """Fully connected layers between the image or vector and the code.

    Attributes:
        encoder: Units of each ReLU layer of the encoder.
        decoder: Units of each tanh layer of the decoder.
        source: Publication.
    """

    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    source: str


@dataclasses.dataclass(frozen=True)
class Convolutional:
    """Convolutions of stride 2, then dense layers; the decoder mirrors them.

    These are the layers published for 64×64, which is halved four times, to 4×4; `layers_for`
    adapts them to other sizes.

    Attributes:
        filters: Filters of each convolution of the encoder, from the image to the code.
        kernels: Side of each convolution's kernel; all kernels of the decoder have side 4.
        dense: Units of each dense layer, from the coarsest feature maps to the code.
        source: Publication.
        initializer: Keras's initializer of the kernels of ReLU layers.
    """

    filters: tuple[int, ...]
    kernels: tuple[int, ...]
    dense: tuple[int, ...]
    source: str
    initializer: str = "glorot_uniform"

    def layers_for(self, n: int) -> list[tuple[int, int]]:
        """Returns (filters, kernel) of `n` layers, the published ones nearest to the code.

        Further layers, like the first, come before them.
        """
        published = list(zip(self.filters, self.kernels, strict=True))
        return published[:1] * (n - len(published)) + published[-n:]


@dataclasses.dataclass(frozen=True)
class Broadcast:
    """A code broadcast to a grid, 3×3 convolutions, and transposed convolutions that double sides.

    The grid is that of the second coarsest feature maps, 8×8 for an image of 64×64.

    Attributes:
        filters: Filters of each 3×3 convolution on the grid.
        doubling: Filters of each 4×4 transposed convolution of stride 2, except the last.
        source: Publication.
    """

    filters: tuple[int, ...]
    doubling: int
    source: str


@dataclasses.dataclass(frozen=True)
class Patches:
    """Networks that read and draw images as patches of pixels.

    The decoder broadcasts the code to the grid of `Broadcast`.

    Attributes:
        patch: Side of the patches of the encoder's first convolution.
        filters: Filters of that convolution, and of each 3×3 convolution of stride 2 after it.
        dense: Units of the dense layer between the coarsest feature maps and the code.
        units: Units of the decoder's dense layers at each cell of the grid.
        mixing: Filters of the 3×3 convolution after them.
        doubling: Filters of each 4×4 transposed convolution of stride 2, except the last.
        source: Publication.
    """

    patch: int
    filters: tuple[int, int]
    dense: int
    units: tuple[int, ...]
    mixing: int
    doubling: int
    source: str


DENSE = Dense((1200, 1200), (1200, 1200, 1200), "Higgins et al. 2017, Table 1 (2D shapes)")
CONV = Convolutional(
    (32, 32, 64, 64),
    (4, 4, 4, 4),
    (256,),
    "Higgins et al. 2017, Table 1 (chairs, faces, CelebA)",
)
BURGESS = Convolutional(
    (32, 32, 32, 32),
    (4, 4, 4, 4),
    (256, 256),
    "Burgess et al. 2017, appendix, which names no initializer; He et al. 2015",
    # Under γ |KL - C|, a layer of Glorot's dies within 3,000 steps (benchmarks/live_units.py).
    "he_normal",
)
LOCATELLO = Convolutional((32, 32, 64, 64), (4, 4, 2, 2), (256,), "Locatello et al. 2019, Table 1")
BROADCAST = Broadcast(
    (64, 64), 32, "after Watters et al. 2019, on the 8×8 grid of Locatello et al. 2020"
)
PATCHES = Patches(4, (32, 64), 256, (128, 64), 64, 32, "ours, after BROADCAST and Shi et al. 2016")
