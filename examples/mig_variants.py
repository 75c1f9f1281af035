# %% [markdown]
# # One set of codes under every MIG
#
# Papers call different quantities MIG. Trains one model on sprites, a quarter of an hour on two
# cores, and scores its codes by each protocol.

# %%
from collections.abc import Callable

import keras_betavae as kbv

import numpy as np
import tensorflow as tf

PRESET = "sprites_full"
N_IMAGES = 10_000

# %%
data = kbv.datasets.load_sprites()
recipe = kbv.presets.get(PRESET)
vae = kbv.BetaVAE.from_preset(PRESET, seed=0)
vae.fit(
    data.to_tf_data(recipe.batch_size, seed=0, repeat=True),
    steps_per_epoch=recipe.steps,
    verbose=2,
)
factors, moments = data.encode_with(lambda x: tf.concat(vae.encode(x), axis=-1), N_IMAGES)
means, log_vars = np.split(moments, 2, axis=1)
noise = np.random.default_rng(0).standard_normal(means.shape)
samples = means + np.exp(0.5 * log_vars) * noise

# %%
mig = kbv.metrics.mig_score
variants: dict[str, Callable] = {
    "Locatello et al.: means, 20 bins": lambda f: mig(f, means),
    "means, 20 bins, Miller's correction": lambda f: mig(f, means, estimator="corrected"),
    "means, 50 bins": lambda f: mig(f, means, n_bins=50),
    "means, nearest neighbors": lambda f: mig(f, means, estimator="knn"),
    "samples, 20 bins (RMIG over the entropy)": lambda f: mig(f, samples),
    "Chen et al.: samples, mixture of posteriors": lambda f: mig(f, means, log_vars=log_vars),
}
print(f"| {'protocol':<44} | five factors | without shape |")
print(f"| {'-' * 44} | -----------: | ------------: |")
for name, score in variants.items():
    print(f"| {name:<44} | {score(factors):>12.3f} | {score(factors[:, 1:]):>13.3f} |")
