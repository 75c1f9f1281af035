# %% [markdown]
# # Digits of 28×28
#
# An array as `keras.datasets.mnist.load_data()` returns it, uint8 (n, 28, 28), becomes a data set,
# and a preset is fitted to it. Offline, scikit-learn's digits stand in, scaled from 8×8. What each
# latent does is drawn to `digits.png`.

# %%
import keras_betavae as kbv

import keras
import numpy as np
from sklearn.datasets import load_digits

STEPS = 1_000

# %%
digits = load_digits()
small = digits.images[..., None] / 16
large = keras.ops.image.resize(small, (28, 28), interpolation="bicubic")[..., 0]
images = np.rint(np.clip(large, 0, 1) * 255).astype("uint8")
data = kbv.datasets.from_arrays(images, factors=digits.target, names=["digit"])
train, test = data.split(test=0.1, seed=0)

# %%
keras.utils.set_random_seed(0)
vae = kbv.BetaVAE.from_preset("higgins_chairs", train, latent_dim=10, optimizer="adam", seed=0)
batches = train.to_tf_data(batch_size=64, seed=0, repeat=True)
vae.fit(batches, steps_per_epoch=STEPS, verbose=2)

# %%
print(vae.evaluate(test.to_tf_data(64, shuffle=False), verbose=0, return_dict=True))
print(kbv.evaluate(vae, test, scores=["explicitness_score", "active_units"]))
inspection = kbv.evaluation.inspect(vae, data)
picture = inspection.pictures(vae, test.images_at(range(8)))["traversal"]
kbv.visualization.write_png("digits.png", picture)
