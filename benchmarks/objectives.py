"""Trains every objective on sprites with the same networks and images, and scores the models.

    python benchmarks/objectives.py [METHOD ...] [--seeds 10 11 12 13 14] [--out FOLDER]

METHOD is one of `METHODS`, which trains the convolutional networks of Locatello et al. 2019, or one
with `_broadcast` behind it, whose decoder is `broadcast_decoder`. The kernels of ReLU layers are
drawn as by He et al., without which `capacity` does not learn. The loss of each model is of `STEPS`
batches of `BATCH` images, under Adam, whose learning rate falls from 1e-3 along a cosine.
`factor_vae` takes as many images again for its discriminator, whose learning rate is the same (in
the paper both are 1e-4). `semi_supervised` takes half of each batch from the `N_LABELED` images.
The capacity of both capacity methods rises to 18 nats. `cascade` is `sprites_full` with the same
shares of the training, and has 16 latents, the others 10. FOLDER/objectives.csv has the columns of
`recipes.py`'s table; a run that is there already is not run again.
"""

import recipes

STEPS = 5_000
BATCH = 128
N_LABELED = 1_000
METHODS = (
    *("beta_1", "beta_4", "beta_8", "capacity", "controlled_capacity", "target_reconstruction"),
    *("beta_tc", "cascade", "factor_vae", "dip_i", "dip_ii", "ada_gvae", "semi_supervised"),
)
BROADCAST = "_broadcast"


def build(name: str, data, seed: int) -> tuple:
    """Returns a new model, its batches, its steps, and the images of a step."""
    import keras_betavae as kbv
    from keras_betavae.objectives import (
        DIP,
        Beta,
        BetaTC,
        Capacity,
        Cascade,
        ControlledCapacity,
        Linear,
        SemiSupervised,
        TargetReconstruction,
    )

    import keras

    method, kind, arguments, latents = name.removesuffix(BROADCAST), kbv.BetaVAE, {}, 10
    batches = data.to_tf_data(BATCH, seed=seed, repeat=True)
    if method == "factor_vae":
        kind, arguments = kbv.FactorVAE, {"gamma": 30.0}
        batches = data.to_tf_data(2 * BATCH, seed=seed, repeat=True)
    elif method == "ada_gvae":
        kind, arguments = kbv.AdaGVAE, {"objective": Beta(1.0)}
        batches = data.to_pairs(k_changed=1, batch_size=BATCH // 2, seed=seed)
    elif method == "semi_supervised":
        objective = SemiSupervised(Beta(4.0), data.factor_sizes, gamma=10.0)
        arguments = {"objective": objective}
        batches = data.to_partly_labeled(N_LABELED, BATCH, seed=seed)
    else:
        n_data = len(data)
        falling = Linear(8.0, 1.0, n_steps=250, delay=750)
        arguments["objective"] = {
            "beta_1": Beta(1.0),
            "beta_4": Beta(4.0),
            "beta_8": Beta(8.0),
            "capacity": Capacity(1000.0, 18.0, n_steps=4_000),
            "controlled_capacity": ControlledCapacity(Linear(0.5, 18.0, n_steps=4_000)),
            "target_reconstruction": TargetReconstruction(80.0),
            "beta_tc": BetaTC(beta=6.0, n_data=n_data),
            "cascade": Cascade(
                BetaTC(beta=falling, n_data=n_data),
                opening=[(1_000, 6)],
                beta=Linear(0.0, 1.0, n_steps=500, delay=750),
            ),
            "dip_i": DIP("i", 10.0, 100.0),
            "dip_ii": DIP("ii", 10.0, 10.0),
        }[method]
        latents = 16 if method == "cascade" else 10
    is_broadcast = name.endswith(BROADCAST)
    decoder = kbv.networks.broadcast_decoder if is_broadcast else kbv.networks.conv_decoder
    vae = kind(
        encoder=kbv.networks.locatello_encoder(data.image_shape, latents),
        decoder=decoder(latents, data.image_shape),
        seed=seed,
        **arguments,
    )
    for number, layer in enumerate((*vae.encoder.layers, *vae.decoder.layers)):
        if getattr(layer, "activation", None) is keras.activations.relu:
            drawn = keras.initializers.HeNormal(1_000 * seed + number)
            layer.kernel.assign(drawn(layer.kernel.shape))
    rate = keras.optimizers.schedules.CosineDecay(1e-3, STEPS)
    options = {}
    if method == "factor_vae":
        options["discriminator_optimizer"] = keras.optimizers.Adam(rate, beta_1=0.5, beta_2=0.9)
    vae.compile(keras.optimizers.Adam(rate), **options)
    return vae, batches, STEPS, BATCH


if __name__ == "__main__":
    recipes.main(build, METHODS)
