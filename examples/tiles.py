# %% [markdown]
# # Tiles of 96×128
#
# Images need not be square, nor need their sides be powers of two. Tiles of scikit-learn's two
# photographs train with a Gaussian likelihood of a learned scale; `tiles.png` shows some of them
# above their reconstructions.

# %%
import keras_betavae as kbv

import keras
import numpy as np
from sklearn.datasets import load_sample_images

STEPS = 2_000
N_TILES = 2_000

# %%
rng = np.random.default_rng(0)
tiles, names = [], []
for name, photograph in zip(("china", "flower"), load_sample_images().images, strict=True):
    for _ in range(N_TILES // 2):
        top, left = rng.integers(photograph.shape[0] - 96), rng.integers(photograph.shape[1] - 128)
        tiles.append(photograph[top : top + 96, left : left + 128])
        names.append(name)
data = kbv.datasets.from_arrays(np.stack(tiles), factors=names, names=["photograph"])

# %%
keras.utils.set_random_seed(0)
vae = kbv.BetaVAE(
    encoder=kbv.networks.patch_encoder(data.image_shape, 32),
    decoder=kbv.networks.patch_decoder(32, data.image_shape),
    likelihood=kbv.likelihoods.Gaussian(0.2, learned=True),
    seed=0,
)
vae.compile(keras.optimizers.Adam(2e-3))
vae.fit(data.to_tf_data(batch_size=16, seed=0, repeat=True), steps_per_epoch=STEPS, verbose=2)

# %%
print(kbv.evaluate(vae, data, scores=["explicitness_score", "active_units"]))
shown = kbv.visualization.reconstructions(vae, data.images_at(rng.integers(len(data), size=6)))
kbv.visualization.write_png("tiles.png", kbv.visualization.image_grid(shown))
