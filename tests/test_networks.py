import inspect
import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_betavae import networks
from keras_betavae.networks.layers import Conv2DTranspose, SpatialBroadcast

# As published for 64×64: convolutions (filters, kernel), encoder's and decoder's dense
# layers between the images (or 4×4 maps) and the code, activation of the decoder's dense layers.
PUBLISHED = {
    "dense": ([], [1200, 1200], [1200, 1200, 1200], "tanh"),
    "conv": ([(32, 4), (32, 4), (64, 4), (64, 4)], [256], [256, 1024], "relu"),
    "burgess": ([(32, 4), (32, 4), (32, 4), (32, 4)], [256, 256], [256, 256, 512], "relu"),
    "locatello": ([(32, 4), (32, 4), (64, 2), (64, 2)], [256], [256, 1024], "relu"),
}
CONVOLUTIONAL = [name for name, (convolutions, *_) in PUBLISHED.items() if convolutions]
FAMILIES = [*PUBLISHED, "broadcast"]


def encoder_of(family, shape, latent_dim, **options):
    return getattr(networks, f"{family}_encoder")(shape, latent_dim, **options)


def decoder_of(family, latent_dim, shape, **options):
    return getattr(networks, f"{family}_decoder")(latent_dim, shape, **options)


TRANSPOSED = (keras.layers.Conv2DTranspose, Conv2DTranspose)


def layers_of(model, *kinds):
    return [layer for layer in model.layers if type(layer) in kinds]


def convolutions_of(model, *kinds):
    return [
        (layer.filters, *layer.kernel_size, *layer.strides, layer.activation.__name__)
        for layer in layers_of(model, *kinds)
    ]


def dense_of(model):
    return [
        (layer.units, layer.activation.__name__) for layer in layers_of(model, keras.layers.Dense)
    ]


def affine(n_in, n_out):
    return n_in * n_out + n_out


def test_every_family_is_listed_here():
    functions = {name for name, _ in inspect.getmembers(networks, inspect.isfunction)}
    families = {name.removesuffix("_encoder") for name in functions if name.endswith("_encoder")}
    assert {name for name in families if not name.startswith("_")} - {""} == set(FAMILIES)
    assert {f"{family}_decoder" for family in FAMILIES} <= functions


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("family", FAMILIES)
def test_networks_map_images_to_codes_and_back(family, side, channels):
    shape, latent_dim = (side, side, channels), 7
    images = np.random.default_rng(0).random((2, *shape), dtype="float32")
    narrow = {"units": (16,)} if family == "dense" else {}
    mean, log_var = encoder_of(family, shape, latent_dim, **narrow)(images)
    assert mean.shape == log_var.shape == (2, latent_dim)
    params = decoder_of(family, latent_dim, shape, **narrow)(mean)
    assert params.shape == images.shape
    assert np.any(mean != log_var)
    assert np.all(np.isfinite(params))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 64, 128, 256])
@pytest.mark.parametrize("family", CONVOLUTIONAL)
def test_convolutions_halve_any_side_down_to_four(family, side, channels):
    encoder = encoder_of(family, (side, side, channels), 10)
    decoder = decoder_of(family, 10, (side, side, channels))
    published = PUBLISHED[family][0]
    n_layers = int(math.log2(side)) - 2
    nearest_the_code = published[-min(n_layers, 4) :]
    filters_and_kernels = [conv[:2] for conv in convolutions_of(encoder, keras.layers.Conv2D)]
    assert encoder.output_shape == [(None, 10), (None, 10)]
    assert decoder.output_shape == (None, side, side, channels)
    assert layers_of(encoder, keras.layers.Flatten)[0].input.shape[1:3] == (4, 4)
    assert len(filters_and_kernels) == n_layers
    assert filters_and_kernels[-len(nearest_the_code) :] == nearest_the_code
    assert set(filters_and_kernels[: -len(nearest_the_code)]) <= {published[0]}
    assert len(layers_of(decoder, *TRANSPOSED)) == n_layers


@pytest.mark.parametrize("family", CONVOLUTIONAL)
def test_convolutional_encoders_are_the_published_ones(family):
    convolutions, units, _, _ = PUBLISHED[family]
    encoder = encoder_of(family, (64, 64, 1), 10)
    assert convolutions_of(encoder, keras.layers.Conv2D) == [
        (filters, kernel, kernel, 2, 2, "relu") for filters, kernel in convolutions
    ]
    assert dense_of(encoder) == [(width, "relu") for width in units] + [(10, "linear")] * 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", CONVOLUTIONAL)
def test_convolutional_decoders_are_the_published_ones(family, channels):
    convolutions, _, units, activation = PUBLISHED[family]
    decoder = decoder_of(family, 10, (64, 64, channels))
    inner = [filters for filters, _ in convolutions[:-1]]
    assert dense_of(decoder) == [(width, activation) for width in units]
    assert convolutions_of(decoder, *TRANSPOSED) == [
        *[(filters, 4, 4, 2, 2, "relu") for filters in reversed(inner)],
        (channels, 4, 4, 2, 2, "linear"),
    ]


def test_dense_networks_are_the_published_ones():
    encoder, decoder = networks.dense_encoder((64, 64, 1), 10), networks.dense_decoder(10, (64,))
    assert dense_of(encoder) == [(1200, "relu"), (1200, "relu"), (10, "linear"), (10, "linear")]
    assert dense_of(decoder) == [(1200, "tanh")] * 3 + [(64, "linear")]


@pytest.mark.parametrize("family", PUBLISHED)
def test_parameters_count_as_by_hand(family):
    convolutions, encoder_units, decoder_units, _ = PUBLISHED[family]
    latent_dim, channels, side = 10, 3, 64
    encoder_count, width = 0, channels
    for filters, kernel in convolutions:
        encoder_count += affine(kernel * kernel * width, filters)
        side, width = side // 2, filters
    width = side * side * width
    for units in encoder_units:
        encoder_count += affine(width, units)
        width = units
    encoder_count += 2 * affine(width, latent_dim)
    decoder_count, width = 0, latent_dim
    for units in decoder_units:
        decoder_count += affine(width, units)
        width = units
    if convolutions:
        outputs = [*[filters for filters, _ in convolutions[-2::-1]], channels]
        inputs = [filters for filters, _ in convolutions[::-1]]
        decoder_count += sum(affine(16 * n, m) for n, m in zip(inputs, outputs, strict=True))
    else:
        decoder_count += affine(width, 64 * 64 * channels)
    shape = (64, 64, channels)
    assert encoder_of(family, shape, latent_dim).count_params() == encoder_count
    assert decoder_of(family, latent_dim, shape).count_params() == decoder_count


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_the_broadcast_decoder_doubles_a_grid_of_eight(side, channels):
    decoder = networks.broadcast_decoder(10, (side, side, channels))
    (broadcast,) = layers_of(decoder, SpatialBroadcast)
    assert broadcast.output.shape == (None, 8, 8, 12)
    assert convolutions_of(decoder, keras.layers.Conv2D) == [(64, 3, 3, 1, 1, "relu")] * 2
    doubling = convolutions_of(decoder, *TRANSPOSED)
    assert {geometry[1:5] for geometry in doubling} == {(4, 4, 2, 2)}
    inner = [32] * (int(math.log2(side)) - 4)
    assert [filters for filters, *_ in doubling] == [*inner, channels]
    assert decoder.output_shape == (None, side, side, channels)


def test_the_broadcast_encoder_is_that_of_higgins_chairs():
    first, second = (
        f((64, 64, 1), 10) for f in (networks.broadcast_encoder, networks.conv_encoder)
    )
    for kinds in ((keras.layers.Conv2D,), TRANSPOSED):
        assert convolutions_of(first, *kinds) == convolutions_of(second, *kinds)
    assert dense_of(first) == dense_of(second)


def test_the_broadcast_decoder_counts_as_by_hand():
    grid, doubling = [(9 * 12, 64), (9 * 64, 64)], [(16 * 64, 32), (16 * 32, 32), (16 * 32, 3)]
    expected = sum(affine(n, m) for n, m in grid + doubling)
    assert networks.broadcast_decoder(10, (64, 64, 3)).count_params() == expected


@pytest.fixture
def dtype_policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_codes_and_parameters_are_float32_under_a_mixed_policy(dtype_policy, family, policy):
    dtype_policy(policy)
    shape, narrow = (32, 32, 1), {"units": (16,)} if family == "dense" else {}
    encoder = encoder_of(family, shape, 3, **narrow)
    decoder = decoder_of(family, 3, shape, **narrow)
    outputs = encoder(np.random.default_rng(0).random((8, *shape), dtype="float32"))
    params = decoder(outputs[0])
    assert [keras.backend.standardize_dtype(x.dtype) for x in (*outputs, params)] == ["float32"] * 3
    # They were computed in float32 and not cast to it: they are no numbers of 16 bits.
    half = policy.removeprefix("mixed_")
    for x in (*outputs, params):
        assert np.any(keras.ops.cast(keras.ops.cast(x, half), "float32") != x)
    # All before them is in 16 bits.
    kinds = (keras.layers.Dense, keras.layers.Conv2D, *TRANSPOSED)
    for model, n_last in ((encoder, 2), (decoder, 1)):
        dtypes = [layer.compute_dtype for layer in model.layers if isinstance(layer, kinds)]
        assert dtypes == [half] * (len(dtypes) - n_last) + ["float32"] * n_last
        assert len(dtypes) > n_last


@settings(max_examples=20, deadline=None)
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


@pytest.mark.parametrize("family", FAMILIES)
def test_networks_of_one_process_have_their_own_weights(family):
    first, second = (encoder_of(family, (64, 64, 1), 10) for _ in range(2))
    assert not {id(weight) for weight in first.weights} & {id(weight) for weight in second.weights}
    assert np.any(first.weights[0].numpy() != second.weights[0].numpy())


@pytest.mark.parametrize(
    "shape",
    [(64, 32, 1), (48, 48, 1), (16, 16, 1), (512, 512, 1), (64, 64), (64,), (64, 64, 1, 1)],
    ids=str,
)
@pytest.mark.parametrize("family", [*CONVOLUTIONAL, "broadcast"])
def test_convolutional_networks_refuse_other_shapes(family, shape):
    message = f"side 32, 64, 128 or 256, got \\({', '.join(map(str, shape))}"
    with pytest.raises(ValueError, match=message):
        encoder_of(family, shape, 10)
    with pytest.raises(ValueError, match=message):
        decoder_of(family, 10, shape)


@pytest.mark.parametrize("shape", [(), (0, 64, 1), (64, 64, 0), (-64, -64, 1), (None, None, 1)])
@pytest.mark.parametrize("family", FAMILIES)
def test_networks_refuse_empty_and_unknown_dimensions(family, shape):
    with pytest.raises(ValueError, match="image shape must hold whole numbers of at least 1"):
        encoder_of(family, shape, 10)
    with pytest.raises(ValueError, match="image shape must hold whole numbers of at least 1"):
        decoder_of(family, 10, shape)


@pytest.mark.parametrize("latent_dim", [0, -1])
@pytest.mark.parametrize("family", FAMILIES)
def test_networks_refuse_a_code_without_latents(family, latent_dim):
    with pytest.raises(ValueError, match=f"latent_dim must be at least 1, got {latent_dim}"):
        encoder_of(family, (64, 64, 1), latent_dim)
    with pytest.raises(ValueError, match=f"latent_dim must be at least 1, got {latent_dim}"):
        decoder_of(family, latent_dim, (64, 64, 1))
