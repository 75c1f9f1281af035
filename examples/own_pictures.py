# %% [markdown]
# # Pictures of your own
#
# Arrays that you hold (scikit-learn's digits) and a folder of pictures (tiles of its two
# photographs) become data sets, train, and show what each latent does in `digits.png` and
# `photographs.png`.

# %%
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

import keras_betavae as kbv

STEPS = 1_000
N_TILES = 2_000


def train(data, beta, likelihood=None, seed=0):
    """Returns a model trained on the images."""
    keras.utils.set_random_seed(seed)
    vae = kbv.BetaVAE(
        encoder=kbv.networks.dense_encoder(data.image_shape, latent_dim=10, units=(512, 512)),
        decoder=kbv.networks.dense_decoder(10, data.image_shape, units=(512, 512)),
        objective=kbv.objectives.Beta(beta),
        likelihood=likelihood,
        seed=seed,
    )
    vae.compile(keras.optimizers.Adam(1e-3))
    batches = data.to_tf_data(batch_size=64, seed=seed, repeat=True, drop_remainder=True)
    vae.fit(batches, steps_per_epoch=STEPS, verbose=2)
    return vae


def draw(path, vae, data):
    """Draws each latent's traversal around the first image, rows by falling KL."""
    by_kl = kbv.evaluation.inspect(vae, data).by_kl
    code = np.asarray(vae.encode(data.images_at([0]))[0])[0]
    rows = kbv.visualization.traverse(vae, code, latents=by_kl)
    kbv.visualization.write_traversal(path, rows, zoom=256 // (8 * data.image_shape[0]))


# %% [markdown]
# Digits: 1,797 grey images of 8×8 with one factor, the digit; a tenth is held out.

# %%
digits = load_digits()
data = kbv.datasets.from_arrays(digits.images / 16.0, factors=digits.target, names=["digit"])
train_data, test_data = data.split(test=0.1, seed=0)
vae = train(train_data, beta=1.0)
print(vae.evaluate(test_data.to_tf_data(64, shuffle=False), verbose=0, return_dict=True))
print(kbv.evaluate(vae, test_data, scores=["explicitness_score", "active_units"]))
draw("digits.png", vae, data)

# %% [markdown]
# Photographs: tiles in a folder for each picture, which is also the factor that the CSV file names.

# %%
rng = np.random.default_rng(0)
rows = ["tile,photograph"]
for name, photograph in zip(("china", "flower"), load_sample_images().images, strict=True):
    Path("tiles", name).mkdir(parents=True, exist_ok=True)
    for number in range(N_TILES // 2):
        top, left = (rng.integers(size - 96) for size in photograph.shape[:2])
        tile = Image.fromarray(photograph[top : top + 96, left : left + 96])
        tile.save(Path("tiles", name, f"{number:04d}.jpg"))
        rows.append(f"{name}/{number:04d}.jpg,{name}")
Path("tiles.csv").write_text("\n".join(rows))
data = kbv.datasets.from_folder("tiles", image_size=32, factors="tiles.csv", cache_dir="cache")
print(data)
vae = train(data, beta=1.0, likelihood=kbv.likelihoods.Gaussian(0.1))
print(kbv.evaluate(vae, data, scores=["explicitness_score", "active_units"]))
draw("photographs.png", vae, data)
