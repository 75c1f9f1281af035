# %% [markdown]
# # Train a β-VAE on sprites, watch it, score it and ship it
#
# A few minutes on two cores. `tensorboard --logdir runs/example` shows the training.

# %%
from pathlib import Path

import keras_betavae as kbv

import keras
import numpy as np

STEPS_PER_EPOCH = 200
EPOCHS = 6
N_IMAGES = 20_000
RUN = Path("runs/example")

# %%
keras.utils.set_random_seed(0)
data = kbv.datasets.load_sprites()
vae = kbv.BetaVAE.from_preset("sprites_quick", input_shape=data.image_shape, seed=0)
untrained_codes = data.encode_with(vae, N_IMAGES)[1]

# %% [markdown]
# Scores reach `logs`, so Keras's own callbacks can act on them.

# %%
RUN.mkdir(parents=True, exist_ok=True)
history = vae.fit(
    data.to_tf_data(batch_size=64, seed=0, repeat=True),
    epochs=EPOCHS,
    steps_per_epoch=STEPS_PER_EPOCH,
    callbacks=[
        kbv.callbacks.DisentanglementMetric(data, RUN, n_images=N_IMAGES),
        kbv.callbacks.LatentActivity(RUN),
        kbv.callbacks.LatentTraversal(data.images_at([0, 300_000 % len(data)]), RUN),
        keras.callbacks.ModelCheckpoint(
            RUN / "best.keras", monitor="beta_vae_score", mode="max", save_best_only=True
        ),
        keras.callbacks.TensorBoard(RUN),
    ],
)

# %% [markdown]
# A score means something beside its controls only.

# %%
factors, codes = data.encode_with(vae, N_IMAGES)
pixels = data.encode_with(kbv.metrics.pixel_codes, N_IMAGES)[1]
for name, representation in {
    "trained": codes,
    "untrained": untrained_codes,
    "PCA": kbv.metrics.pca_codes(pixels),
}.items():
    score = kbv.metrics.beta_vae_score(factors, representation, factor_names=data.factor_names)
    print(f"{name:<10} {score:.3f}")

# %% [markdown]
# What each latent does, the one with the largest KL first.

# %%
code = np.asarray(vae.encode(data.images_at([0]))[0])[0]
rows = kbv.visualization.traverse(vae, code, latents=np.argsort(-np.asarray(vae.latent_kl)))
kbv.visualization.write_traversal(RUN / "traversal.gif", rows)

# %%
vae.save(RUN / "vae.keras")
vae.export(RUN / "saved_model" / "1")
