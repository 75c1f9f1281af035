# %% [markdown]
# # Networks, objective and data of one's own
#
# Any encoder that gives `[mean, log_var]` and any decoder of unactivated images will do. Here a
# small network learns scikit-learn's 8×8 digits under a capacity that rises.

# %%
import keras_betavae as kbv

import keras
import numpy as np
from sklearn.datasets import load_digits

EPOCHS = 30

# %%
digits = load_digits()
images = np.rint(digits.images[..., None] * (255 / 16)).astype("uint8")
data = kbv.datasets.FactorDataset(images, ["digit"], [10], factors=digits.target[:, None])

# %%
image = keras.Input((8, 8, 1))
h = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(image)
h = keras.layers.Dense(64, activation="relu")(keras.layers.Flatten()(h))
heads = [keras.layers.Dense(4, name=name)(h) for name in ("mean", "log_var")]
encoder = keras.Model(image, heads)

z = keras.Input((4,))
h = keras.layers.Dense(64, activation="relu")(z)
h = keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64)(h))
decoder = keras.Model(z, h)

# %% [markdown]
# The capacity rises to 6 nats over the first half of the training.

# %%
steps_per_epoch = -(-len(data) // 64)
vae = kbv.BetaVAE(
    encoder,
    decoder,
    objective=kbv.objectives.Capacity(
        gamma=20.0, max_capacity=6.0, n_steps=max(EPOCHS * steps_per_epoch // 2, 1)
    ),
    seed=0,
)
vae.compile(keras.optimizers.Adam(1e-3))
vae.fit(data.to_tf_data(batch_size=64, seed=0), epochs=EPOCHS)

# %% [markdown]
# The bound on log p(x) with 1 and with 100 importance samples, in nats per image.

# %%
some = images[:100]
print("ELBO          ", float(np.mean(vae.elbo(some, n_samples=100, seed=0))))
print("log-likelihood", float(np.mean(vae.log_likelihood(some, n_samples=100, seed=0))))
