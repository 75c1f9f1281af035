# %% [markdown]
# # A folder with a folder for each class
#
# Pictures sorted into folders, as `keras.utils.image_dataset_from_directory` takes them, become a
# data set whose one factor is the class. Here the classes are scikit-learn's two photographs, and
# the pictures are tiles of them. `folder_by_class.png` shows what each latent does.

# %%
from pathlib import Path

import keras_betavae as kbv

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

STEPS = 1_000
N_TILES = 2_000

# %%
rng = np.random.default_rng(0)
for name, photograph in zip(("china", "flower"), load_sample_images().images, strict=True):
    Path("tiles", name).mkdir(parents=True, exist_ok=True)
    for number in range(N_TILES // 2):
        top, left = (rng.integers(size - 96) for size in photograph.shape[:2])
        tile = Image.fromarray(photograph[top : top + 96, left : left + 96])
        tile.save(Path("tiles", name, f"{number:04d}.jpg"))

# %%
data = kbv.datasets.from_folder("tiles", 48, class_folders=True, cache_dir="cache")
print(data)
keras.utils.set_random_seed(0)
vae = kbv.BetaVAE.from_preset(
    "sprites_quick",
    data,
    likelihood=kbv.likelihoods.Gaussian(0.2, learned=True),
    objective=kbv.objectives.Beta(1.0),
    seed=0,
)
vae.fit(data.to_tf_data(batch_size=32, seed=0, repeat=True), steps_per_epoch=STEPS, verbose=2)

# %%
print(kbv.evaluate(vae, data, scores=["explicitness_score", "active_units"]))
inspection = kbv.evaluation.inspect(vae, data)
picture = inspection.pictures(vae, data.images_at(range(8)))["traversal"]
kbv.visualization.write_png("folder_by_class.png", picture)
