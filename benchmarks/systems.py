"""One recipe in four systems, for `benchmarks/train_step.py`, which runs this file.

    python benchmarks/systems.py SYSTEM NETWORK BATCH CHANNELS MODE

reads a number of steps from each line of its input and answers with the seconds that they took;
at the end of its input it answers with its peak resident memory in MiB. With `flops` for SYSTEM it
prints the multiplications and additions of one image's step.
"""

import itertools
import re
import sys
import time
from pathlib import Path

PRESETS = {
    "dense": "higgins_dsprites",
    "conv": "higgins_chairs",
    "burgess": "burgess_dsprites",
    "locatello": "locatello_beta",
    "broadcast": "higgins_chairs",
    "patch": "sprites_quick",
}
LEARNING_RATE, BETA, LATENTS = 1e-4, 4.0, 10
N_IMAGES = 8_192


def sprites(channels: int):
    """Returns the uint8 images that every system trains on."""
    import keras_betavae as kbv

    import numpy as np

    data = kbv.datasets.load_sprites()
    images = data.images_at(np.random.default_rng(0).integers(len(data), size=N_IMAGES))
    return np.repeat(images, channels, axis=-1)


def ours(network: str, batch: int, channels: int, mode: str, generator: bool = False):
    """`BetaVAE.from_preset` with all that is not the recipe's as it is by default."""
    import keras_betavae as kbv

    import keras
    import tensorflow as tf

    shape, networks = (64, 64, channels), {}
    if network == "broadcast":  # Whose encoder is conv's.
        networks["decoder"] = kbv.networks.broadcast_decoder(LATENTS, shape)
    vae = kbv.BetaVAE.from_preset(
        PRESETS[network],
        input_shape=shape,
        latent_dim=LATENTS,
        **networks,
        objective=kbv.objectives.Beta(BETA),
        likelihood=kbv.likelihoods.Bernoulli(),
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
    )
    if mode == "encode":
        if channels == 1:
            data = kbv.datasets.load_sprites()
        else:
            data = kbv.datasets.from_arrays(sprites(channels))
        return lambda n: data.encode_with(vae, n=n * batch, batch_size=batch)
    if mode == "decode":
        codes = tf.zeros((batch, LATENTS))
        return lambda n: [vae.decode(codes).numpy() for _ in range(n)]
    data = kbv.datasets.from_arrays(sprites(channels))
    batches = data.to_tf_data(batch, repeat=True)
    if generator:
        stream = batches
        batches = tf.data.Dataset.from_generator(
            stream.as_numpy_iterator, output_signature=stream.element_spec
        )
    batches = iter(batches)
    vae.make_train_function()
    return lambda n: [float(vae.train_function(batches)["loss"]) for _ in range(n)]


def plain_keras(network: str, batch: int, channels: int, mode: str):
    """Keras's layers in a `keras.Model` whose `train_step` is written as Keras's guide does."""
    import keras  # Before keras_betavae, which would turn oneDNN on. # isort: skip
    import tensorflow as tf
    from keras import layers
    from tensorflow_probability import distributions as tfd

    import keras_betavae as kbv  # isort: skip

    shape = (64, 64, channels)
    encoder = getattr(kbv.networks, f"{network}_encoder")(shape, LATENTS)
    decoder = getattr(kbv.networks, f"{network}_decoder")(LATENTS, shape)
    if network != "dense":
        last = layers.Conv2DTranspose(channels, 4, strides=2, padding="same")
        decoder = keras.Model(decoder.input, last(decoder.layers[-2].output))

    class VAE(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder
            self.loss_mean = keras.metrics.Mean(name="loss")
            self.prior = tfd.Independent(tfd.Normal(tf.zeros(LATENTS), 1.0), 1)

        @property
        def metrics(self):
            return [self.loss_mean]

        def train_step(self, data):
            x = tf.cast(data, "float32") / 255.0
            with tf.GradientTape() as tape:
                mean, log_var = self.encoder(x, training=True)
                posterior = tfd.Independent(tfd.Normal(mean, tf.exp(0.5 * log_var)), 1)
                logits = self.decoder(posterior.sample(), training=True)
                image = tfd.Independent(tfd.Bernoulli(logits=logits, dtype="float32"), 3)
                kl = tfd.kl_divergence(posterior, self.prior)
                loss = tf.reduce_mean(BETA * kl - image.log_prob(x))
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            self.loss_mean.update_state(loss)
            return {"loss": self.loss_mean.result()}

    vae = VAE()
    vae.compile(keras.optimizers.Adam(LEARNING_RATE))
    if mode == "encode":
        images = sprites(channels)[:batch] / 255.0
        return lambda n: [encoder.predict_on_batch(images) for _ in range(n)]
    if mode == "decode":
        codes = tf.zeros((batch, LATENTS))
        return lambda n: [tf.sigmoid(decoder.predict_on_batch(codes)).numpy() for _ in range(n)]
    images = tf.data.Dataset.from_tensor_slices(sprites(channels))
    batches = images.shuffle(N_IMAGES).repeat().batch(batch).prefetch(tf.data.AUTOTUNE)
    batches = iter(batches)
    vae.make_train_function()
    return lambda n: [float(vae.train_function(batches)["loss"]) for _ in range(n)]


def pytorch(network: str, batch: int, channels: int, mode: str, fused: bool = False):
    """The same network and step in PyTorch, images in the order of strides that is faster here."""
    import torch
    from torch.nn import functional

    encoder, decoder = torch_networks(network, channels)
    form = torch.contiguous_format if network == "dense" else torch.channels_last
    encoder.to(memory_format=form), decoder.to(memory_format=form)
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, lr=LEARNING_RATE, fused=fused or None)
    images = torch.from_numpy(sprites(channels).transpose(0, 3, 1, 2).copy())

    def drawn():
        return images[torch.randint(N_IMAGES, (batch,))].to(memory_format=form).float() / 255

    def step():
        x = drawn()
        mean, log_var = encoder(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        cost = functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum") / batch
        kl = 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum() / batch
        loss = cost + BETA * kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    if mode == "train":
        return lambda n: [step() for _ in range(n)]
    encode = torch.inference_mode()(lambda: encoder(drawn()).chunk(2, dim=1)[0].numpy())
    codes = torch.zeros(batch, LATENTS)
    decode = torch.inference_mode()(lambda: torch.sigmoid(decoder(codes)).numpy())
    return lambda n: [encode() if mode == "encode" else decode() for _ in range(n)]


def torch_networks(network: str, channels: int):
    """Returns the encoder and the decoder."""
    from torch import nn

    pixels = 64 * 64 * channels
    if network == "dense":

        def stack(sizes, activation):
            pairs = itertools.pairwise(sizes)
            return [part for i, o in pairs for part in (nn.Linear(i, o), activation())]

        encoder = [nn.Flatten(), *stack([pixels, 1200, 1200], nn.ReLU)]
        encoder += [nn.Linear(1200, 2 * LATENTS)]
        decoder = stack([LATENTS, 1200, 1200, 1200], nn.Tanh)
        decoder += [nn.Linear(1200, pixels), nn.Unflatten(1, (channels, 64, 64))]
        return nn.Sequential(*encoder), nn.Sequential(*decoder)

    filters = [32] * 4 if network == "burgess" else [32, 32, 64, 64]
    kernels = [4, 4, 2, 2] if network == "locatello" else [4] * 4
    units = [256, 256] if network == "burgess" else [256]
    encoder, n = [], channels
    for width, kernel in zip(filters, kernels, strict=True):
        encoder += [nn.Conv2d(n, width, kernel, 2, (kernel - 2) // 2), nn.ReLU()]
        n = width
    encoder += [nn.Flatten()]
    n *= 16
    for width in units:
        encoder += [nn.Linear(n, width), nn.ReLU()]
        n = width
    encoder += [nn.Linear(n, 2 * LATENTS)]
    decoder, n = [], LATENTS
    for width in [*units, 16 * filters[-1]]:
        decoder += [nn.Linear(n, width), nn.ReLU()]
        n = width
    decoder += [nn.Unflatten(1, (filters[-1], 4, 4))]
    n = filters[-1]
    for width in reversed(filters[:-1]):
        decoder += [nn.ConvTranspose2d(n, width, 4, 2, 1), nn.ReLU()]
        n = width
    decoder += [nn.ConvTranspose2d(n, channels, 4, 2, 1)]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def flops(network: str, mode: str, channels: int) -> int:
    """Returns the additions and multiplications of an image's layers (and gradients)."""
    import math

    import keras_betavae as kbv

    import keras

    shape = (64, 64, channels)
    models = [
        getattr(kbv.networks, f"{network}_encoder")(shape, LATENTS),
        getattr(kbv.networks, f"{network}_decoder")(LATENTS, shape),
    ]
    if mode != "train":
        models = [models[mode == "decode"]]
    counts = []
    for model in models:
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2DTranspose):
                places = math.prod(layer.input.shape[1:3])
            elif isinstance(layer, keras.layers.Conv2D):
                places = math.prod(layer.output.shape[1:3])
            elif isinstance(layer, keras.layers.Dense):
                places = 1
            else:
                continue
            counts.append(2 * places * math.prod(layer.kernel.shape))
    # The images' own gradient is not computed.
    return sum(counts) if mode != "train" else 3 * sum(counts) - counts[0]


SYSTEMS = {
    "ours": ours,
    "generator": lambda *arguments: ours(*arguments, generator=True),
    "keras": plain_keras,
    "torch": pytorch,
    "torch_fused": lambda *arguments: pytorch(*arguments, fused=True),
}


def matrix_product(size: int = 2_048):
    """Returns a function that runs n products and returns nothing."""
    import tensorflow as tf

    a = tf.random.stateless_uniform((size, size), (0, 0))
    return lambda n: [tf.matmul(a, a)[0, 0].numpy() for _ in range(n)]


def main(system: str, network: str, batch: str, channels: str, mode: str) -> None:
    """Answers each line of the input."""
    if system == "flops":
        print(flops(network, mode, int(channels)))
        return
    if system == "peak":
        run = matrix_product()
    else:
        run = SYSTEMS[system](network, int(batch), int(channels), mode)
    run(3)
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        run(int(line))
        print(time.perf_counter() - start, flush=True)
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    print(int(peak[1]) / 1024 if peak else "nan")


if __name__ == "__main__":
    main(*sys.argv[1:])
