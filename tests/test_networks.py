import inspect
import itertools
import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_betavae import networks
from keras_betavae.networks.fitting import map_sizes
from keras_betavae.networks.layers import Conv2DTranspose, SpatialBroadcast

LATENTS = [(256, 10), (256, 10)]
# The kernels in order, as published for 64×64, of three channels here and ten latents; those of a
# transposed convolution are (height, width, filters, channels of its input).
ENCODERS = {
    "dense": [(12288, 1200), (1200, 1200), (1200, 10), (1200, 10)],
    "conv": [
        *[(4, 4, 3, 32), (4, 4, 32, 32), (4, 4, 32, 64), (4, 4, 64, 64)],
        *[(1024, 256), *LATENTS],
    ],
    "burgess": [
        *[(4, 4, 3, 32), (4, 4, 32, 32), (4, 4, 32, 32), (4, 4, 32, 32)],
        *[(512, 256), (256, 256), *LATENTS],
    ],
    "locatello": [
        *[(4, 4, 3, 32), (4, 4, 32, 32), (2, 2, 32, 64), (2, 2, 64, 64)],
        *[(1024, 256), *LATENTS],
    ],
    "patch": [
        *[(4, 4, 3, 32), (3, 3, 34, 64), (3, 3, 64, 64)],
        *[(1024, 256), *LATENTS],
    ],
}
DECODERS = {
    "dense": [(10, 1200), (1200, 1200), (1200, 1200), (1200, 12288)],
    "conv": [
        *[(10, 256), (256, 1024)],
        *[(4, 4, 64, 64), (4, 4, 32, 64), (4, 4, 32, 32), (4, 4, 3, 32)],
    ],
    "burgess": [
        *[(10, 256), (256, 256), (256, 512)],
        *[(4, 4, 32, 32), (4, 4, 32, 32), (4, 4, 32, 32), (4, 4, 3, 32)],
    ],
    "broadcast": [
        *[(3, 3, 12, 64), (3, 3, 64, 64)],
        *[(4, 4, 32, 64), (4, 4, 32, 32), (4, 4, 3, 32)],
    ],
    "patch": [
        *[(12, 128), (128, 64), (3, 3, 64, 64)],
        *[(4, 4, 32, 64), (4, 4, 12, 32)],
    ],
}
# Those of an image of another side, one channel and ten latents.
OTHER_SIDES = {
    ("locatello", 32): [(4, 4, 1, 32), (2, 2, 32, 64), (2, 2, 64, 64), (1024, 256), *LATENTS],
    ("locatello", 256): [
        *[(4, 4, 1, 32), (4, 4, 32, 32), (4, 4, 32, 32), (4, 4, 32, 32)],
        *[(2, 2, 32, 64), (2, 2, 64, 64), (1024, 256), *LATENTS],
    ],
}
SAME = {"broadcast_encoder": "conv_encoder", "locatello_decoder": "conv_decoder"}
ELSEWHERE = {"conv1d_encoder", "conv1d_decoder"}  # tests/test_vectors.py
TRANSPOSED = (keras.layers.Conv2DTranspose, Conv2DTranspose)
NARROW = {"units": (16,)}


def encoder_of(family, shape, latent_dim, **options):
    return getattr(networks, f"{family}_encoder")(shape, latent_dim, **options)


def decoder_of(family, latent_dim, shape, **options):
    return getattr(networks, f"{family}_decoder")(latent_dim, shape, **options)


def kernels_of(model):
    return [weight.shape for weight in model.weights if weight.name == "kernel"]


def layers_of(model, *kinds):
    return [layer for layer in model.layers if type(layer) in kinds]


def test_every_network_is_listed_here():
    functions = {name for name, _ in inspect.getmembers(networks, inspect.isfunction)}
    listed = {f"{name}_encoder" for name in ENCODERS} | {f"{name}_decoder" for name in DECODERS}
    found = {name for name in functions if name.endswith(("_encoder", "_decoder"))}
    assert found == listed | set(SAME) | ELSEWHERE
    for name, other in SAME.items():
        assert getattr(networks, name) is getattr(networks, other)


@pytest.mark.parametrize("family", ENCODERS)
def test_encoders_are_the_published_ones(family):
    encoder = encoder_of(family, (64, 64, 3), 10)
    assert kernels_of(encoder) == ENCODERS[family]
    *hidden, mean, log_var = layers_of(encoder, keras.layers.Dense, keras.layers.Conv2D)
    assert {layer.activation.__name__ for layer in hidden} == {"relu"}
    assert mean.activation.__name__ == log_var.activation.__name__ == "linear"
    for layer in layers_of(encoder, keras.layers.Conv2D):
        stride = 4 if layer.input.shape[1] == 64 and family == "patch" else 2
        assert (layer.strides, layer.padding) == ((stride, stride), "same")
    assert len(encoder.weights) == 2 * len(ENCODERS[family])  # A bias each.


@pytest.mark.parametrize("family", DECODERS)
def test_decoders_are_the_published_ones(family):
    decoder = decoder_of(family, 10, (64, 64, 3))
    assert kernels_of(decoder) == DECODERS[family]
    *hidden, last = layers_of(decoder, keras.layers.Dense, keras.layers.Conv2D, *TRANSPOSED)
    activation = "tanh" if family == "dense" else "relu"
    assert {layer.activation.__name__ for layer in hidden} == {activation}
    assert last.activation.__name__ == "linear"
    for layer in layers_of(decoder, *TRANSPOSED):
        assert (layer.strides, layer.padding) == ((2, 2), "same")
    for layer in layers_of(decoder, keras.layers.Conv2D):
        assert (layer.strides, layer.padding) == ((1, 1), "same")
    for layer in layers_of(decoder, SpatialBroadcast):
        assert layer.output.shape == (None, 8, 8, 12)
    assert len(decoder.weights) == 2 * len(DECODERS[family])


@pytest.mark.parametrize(("family", "side"), OTHER_SIDES)
def test_for_other_sides_layers_go_or_come_next_to_the_image(family, side):
    assert kernels_of(encoder_of(family, (side, side, 1), 10)) == OTHER_SIDES[family, side]


@pytest.mark.parametrize("side", [32, 128, 256])
@pytest.mark.parametrize("family", ["conv", "burgess", "broadcast"])
def test_decoders_double_up_to_any_side(family, side):
    decoder = decoder_of(family, 10, (side, side, 1))
    assert decoder.output_shape == (None, side, side, 1)
    *inner, _ = DECODERS[family]
    more = {32: -1, 128: 1, 256: 2}[side]
    # Another side takes away or repeats the last but one; the last has the image's channels.
    inner = inner[:more] if more < 0 else inner + [(4, 4, 32, 32)] * more
    assert kernels_of(decoder) == [*inner, (4, 4, 1, inner[-1][2])]


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("family", ["dense", "conv", "broadcast"])
def test_networks_map_images_to_codes_and_back(family, channels):
    shape, latent_dim = (32, 32, channels), 7
    images = np.random.default_rng(0).random((2, *shape), dtype="float32")
    narrow = NARROW if family == "dense" else {}
    mean, log_var = encoder_of(family, shape, latent_dim, **narrow)(images)
    assert mean.shape == log_var.shape == (2, latent_dim)
    params = decoder_of(family, latent_dim, shape, **narrow)(mean)
    assert params.shape == images.shape
    assert np.any(mean != log_var)
    assert np.all(np.isfinite(params))


@pytest.fixture
def dtype_policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    ("family", "policy"),
    [
        ("dense", "mixed_float16"),
        ("conv", "mixed_bfloat16"),
        ("conv", "mixed_float16"),
        ("broadcast", "mixed_bfloat16"),
    ],
)
def test_codes_and_parameters_are_float32_under_a_mixed_policy(dtype_policy, family, policy):
    dtype_policy(policy)
    shape, narrow = (32, 32, 1), NARROW if family == "dense" else {}
    encoder = encoder_of(family, shape, 3, **narrow)
    decoder = decoder_of(family, 3, shape, **narrow)
    outputs = encoder(np.random.default_rng(0).random((8, *shape), dtype="float32"))
    params = decoder(outputs[0])
    assert [keras.backend.standardize_dtype(x.dtype) for x in (*outputs, params)] == ["float32"] * 3
    # They were computed in float32 and not cast to it: 16 bits do not hold them.
    half = policy.removeprefix("mixed_")
    for x in (*outputs, params):
        assert np.any(keras.ops.cast(keras.ops.cast(x, half), "float32") != x)
    # All before them is in 16 bits.
    kinds = (keras.layers.Dense, keras.layers.Conv2D, *TRANSPOSED)
    for model, n_last in ((encoder, 2), (decoder, 1)):
        dtypes = [layer.compute_dtype for layer in model.layers if isinstance(layer, kinds)]
        assert dtypes == [half] * (len(dtypes) - n_last) + ["float32"] * n_last
        assert len(dtypes) > n_last


@settings(max_examples=10, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    latent_dim=st.integers(1, 5),
    units=st.lists(st.integers(1, 4), max_size=2),
)
def test_dense_networks_take_any_shape(shape, latent_dim, units):
    encoder = networks.dense_encoder(shape, latent_dim, units)
    decoder = networks.dense_decoder(latent_dim, shape, units)
    assert encoder.input_shape == decoder.output_shape == (None, *shape)
    assert encoder.output_shape == [(None, latent_dim)] * 2
    assert decoder.input_shape == (None, latent_dim)


def test_networks_of_one_process_have_their_own_weights():
    first, second = (networks.conv_encoder((32, 32, 1), 10) for _ in range(2))
    assert not {id(weight) for weight in first.weights} & {id(weight) for weight in second.weights}
    assert np.any(first.weights[0].numpy() != second.weights[0].numpy())


def test_relu_layers_of_burgess_et_al_keep_the_variance():
    # He et al. 2015: Var(w) = 2 / fan-in, so that half of the units being 0 changes no variance.
    encoder, decoder = (
        encoder_of("burgess", (64, 64, 1), 10),
        decoder_of("burgess", 10, (64, 64, 1)),
    )
    *hidden, _, _ = layers_of(encoder, keras.layers.Conv2D, keras.layers.Dense)
    hidden += layers_of(decoder, keras.layers.Conv2DTranspose, keras.layers.Dense)
    for layer in hidden:
        kernel = layer.kernel.numpy()
        variance = 2 / (kernel[..., 0].size)
        error = 5 * variance * (3 / kernel.size) ** 0.5
        assert kernel.var() == pytest.approx(variance, abs=error)


CONVOLUTIONAL = ("conv", "burgess", "locatello", "broadcast", "patch")


@given(
    shape=st.tuples(st.integers(8, 300), st.integers(8, 300), st.integers(1, 5)),
    least=st.integers(1, 2),
)
def test_each_side_is_halved_until_few_places_are_left(shape, least):
    maps = map_sizes(shape, 1, least)
    assert maps[0][0] == shape[:2]
    assert [after for _, after in maps[:-1]] == [before for before, _ in maps[1:]]
    for axis in range(2):
        sides = [shape[axis], *(after[axis] for _, after in maps)]
        assert 4 <= sides[-1] <= 6 or (least == 2 and sides[-1] in (2, 3) and shape[axis] <= 12)
        for number, (before, after) in enumerate(itertools.pairwise(sides)):
            halves = before > 6 or number < least
            assert after == (math.ceil(before / 2) if halves else before)


@pytest.mark.parametrize(
    "shape",
    [(8, 8, 1), (28, 28, 1), (8, 300, 2), (17, 9, 5), (96, 128, 3), (178, 218, 3)],
    ids=str,
)
@pytest.mark.parametrize("family", CONVOLUTIONAL)
def test_convolutional_networks_take_any_size(family, shape):
    encoder, decoder = encoder_of(family, shape, 10), decoder_of(family, 10, shape)
    assert networks.fitting_shapes(encoder, decoder) == (shape, 10)
    # What is next to the code does not depend on the size, so neither does the number of weights
    # by much: 36 places instead of 16 at most.
    for network in (encoder, decoder):
        assert network.count_params() < 36 * 64 * 256 + 500_000


@settings(max_examples=8, deadline=None)
@given(
    family=st.sampled_from(CONVOLUTIONAL),
    shape=st.tuples(st.integers(8, 300), st.integers(8, 300), st.integers(1, 5)),
)
def test_convolutional_networks_give_back_the_size_they_get(family, shape):
    images = np.random.default_rng(0).random((1, *shape), dtype="float32")
    mean, _ = encoder_of(family, shape, 2)(images)
    params = decoder_of(family, 2, shape)(mean)
    assert params.shape == images.shape
    assert np.all(np.isfinite(params))


@pytest.mark.parametrize("shape", [(13, 8), (9, 15), (64, 33)])
def test_decoders_mirror_the_maps_of_their_encoders(shape):
    """A decoder's convolution is the transpose of the encoder's, also where a side is odd."""
    encoder, decoder = encoder_of("conv", (*shape, 1), 3), decoder_of("conv", 3, (*shape, 1))
    rng = np.random.default_rng(0)
    down = layers_of(encoder, keras.layers.Conv2D)
    up = [layer for layer in decoder.layers if "onv" in layer.name or layer.name == "params"]
    for first, last in zip(down, reversed(up), strict=True):
        x = rng.normal(size=(1, *first.input.shape[1:])).astype("float32")
        y = rng.normal(size=(1, *first.output.shape[1:])).astype("float32")
        assert last.input.shape[1:3] == y.shape[1:3]
        kernel = rng.normal(size=(4, 4, x.shape[-1], y.shape[-1])).astype("float32")
        conv = keras.ops.conv(x, kernel, first.strides, "same")
        back = keras.layers.Conv2DTranspose(x.shape[-1], 4, last.strides, "same", use_bias=False)
        back.build(y.shape)
        back.kernel.assign(kernel)
        cut = np.asarray(back(y))[:, : x.shape[1], : x.shape[2]]
        np.testing.assert_allclose(np.vdot(conv, y), np.vdot(x, cut), rtol=1e-4)


@pytest.mark.parametrize(
    "shape", [(7, 64, 1), (64, 4, 1), (64, 64), (64,), (64, 64, 1, 1)], ids=str
)
def test_convolutional_networks_refuse_other_shapes(shape):
    message = f"sides of at least 8, got \\({', '.join(map(str, shape))}.*dense_encoder"
    for family in CONVOLUTIONAL:
        with pytest.raises(ValueError, match=message):
            encoder_of(family, shape, 10)
        with pytest.raises(ValueError, match=message):
            decoder_of(family, 10, shape)


@pytest.mark.parametrize("shape", [(), (0, 64, 1), (64, 64, 0), (-64, -64, 1), (None, None, 1)])
def test_networks_refuse_empty_and_unknown_dimensions(shape):
    for family in ("dense", "conv", "burgess", "locatello", "broadcast"):
        with pytest.raises(ValueError, match="image shape must hold whole numbers of at least 1"):
            encoder_of(family, shape, 10)
        with pytest.raises(ValueError, match="image shape must hold whole numbers of at least 1"):
            decoder_of(family, 10, shape)


@pytest.mark.parametrize("latent_dim", [0, -1])
def test_networks_refuse_a_code_without_latents(latent_dim):
    for family in ("dense", "conv", "burgess", "locatello", "broadcast"):
        with pytest.raises(ValueError, match=f"latent_dim must be at least 1, got {latent_dim}"):
            encoder_of(family, (64, 64, 1), latent_dim)
        with pytest.raises(ValueError, match=f"latent_dim must be at least 1, got {latent_dim}"):
            decoder_of(family, latent_dim, (64, 64, 1))
