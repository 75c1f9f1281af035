# %% [markdown]
# # The objectives side by side
#
# Trains every objective and model from several seeds on sprites with an equal budget: the same
# networks, optimizer, steps and images per step, one published weight each. Each seed's model is
# scored by `evaluate`; the table has means and standard deviations over the seeds.

# %%
import keras_betavae as kbv
from keras_betavae.objectives import DIP, Beta, BetaTC, Capacity, SemiSupervised

import keras
import numpy as np

SEEDS = (0, 1, 2)
STEPS = 1_000
N_IMAGES = 20_000
BATCH = 128
N_LABELED = 1_000
SCORES = ("beta_vae_score_locatello", "factor_vae_score", "mig_score", "sap_score", "active_units")

data = kbv.datasets.load_sprites()


# %% [markdown]
# A pair is two images, and FactorVAE's batch is split in two, so each sees `BATCH` images a
# step.


# %%
def images(seed):
    """Returns batches without labels."""
    return data.to_tf_data(BATCH, seed=seed, repeat=True)


def pairs(seed):
    """Returns as many images in pairs that differ in one factor."""
    return data.to_pairs(k_changed=1, batch_size=BATCH // 2, seed=seed)


def labeled(seed):
    """Returns batches half of which have labels, of `N_LABELED` images."""
    return data.to_partly_labeled(N_LABELED, BATCH, seed=seed)


few_labels = SemiSupervised(Beta(4.0), data.factor_sizes, gamma=10.0)
METHODS = {
    "Beta(8)": (kbv.BetaVAE, {"objective": Beta(8.0)}, images),
    "Capacity(25)": (kbv.BetaVAE, {"objective": Capacity(1000.0, 25.0, STEPS)}, images),
    "BetaTC(6)": (kbv.BetaVAE, {"objective": BetaTC(beta=6.0, n_data=len(data))}, images),
    "FactorVAE(30)": (kbv.FactorVAE, {"gamma": 30.0}, images),
    "DIP-I(10)": (kbv.BetaVAE, {"objective": DIP("i", 10.0, 100.0)}, images),
    "DIP-II(10)": (kbv.BetaVAE, {"objective": DIP("ii", 10.0, 10.0)}, images),
    "AdaGVAE(1)": (kbv.AdaGVAE, {"objective": Beta(1.0)}, pairs),
    "1,000 labels": (kbv.BetaVAE, {"objective": few_labels}, labeled),
}


# %%
def train(method, seed):
    """Returns the trained model's terms on 1,000 images, in nats, and its scores."""
    model, arguments, batches = METHODS[method]
    keras.utils.set_random_seed(seed)
    vae = model(
        encoder=kbv.networks.locatello_encoder(data.image_shape, 10),
        decoder=kbv.networks.locatello_decoder(10, data.image_shape),
        seed=seed,
        **arguments,
    )
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(batches(seed), steps_per_epoch=STEPS, verbose=0)
    table = kbv.evaluate(vae, data, scores=SCORES, n=N_IMAGES, seed=0)
    images = data.images_at(data.sample_indices(1_000, seed=0))
    kl = float(kbv.evaluation.inspect(vae, data, n=1_000).kl.sum())
    elbo = float(np.mean(vae.elbo(images, seed=0)))
    return {"reconstruction": -elbo - kl, "KL": kl, **table}


# %%
results = {}
for method in METHODS:
    results[method] = [train(method, seed) for seed in SEEDS]
    if method == next(iter(METHODS)):
        print("| method |", " | ".join(results[method][0]), "|")
        print("| --- |", " | ".join("---:" for _ in results[method][0]), "|")
    cells = []
    for name in results[method][0]:
        values = [result[name] for result in results[method]]
        digits = 1 if name in ("reconstruction", "KL", "active_units") else 3
        cells.append(f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}")
    print(f"| {method} |", " | ".join(cells), "|", flush=True)
