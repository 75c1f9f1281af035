# %% [markdown]
# # How much the classifier matters for a β-VAE score
#
# Scores untrained representations, and the ground truth in two scales, by each protocol, all on
# the four factors without shape, so that only the classifier differs. Some minutes on two cores.

# %%
import keras_betavae as kbv

import keras
import numpy as np

N_IMAGES = 20_000
SEEDS = (0, 1, 2)
PROTOCOLS = ("higgins", "locatello", "scale_free")

# %%
data = kbv.datasets.load_sprites()
factors, pixels = data.encode_with(kbv.metrics.pixel_codes, N_IMAGES)
truth = factors / np.array(data.factor_sizes)


def untrained(preset: str, seed: int) -> np.ndarray:
    """Returns the codes of a network with its first weights."""
    keras.utils.set_random_seed(seed)
    return data.encode_with(kbv.BetaVAE.from_preset(preset), N_IMAGES)[1]


representations = {
    "ground truth": [truth],
    "ground truth / 1000": [truth / 1_000],
    "untrained dense network": [untrained("higgins_dsprites", seed) for seed in SEEDS],
    "untrained conv network": [untrained("locatello_beta", seed) for seed in SEEDS],
    "PCA, 10 components": [kbv.metrics.pca_codes(pixels)],
    "ICA, 10 components": [kbv.metrics.ica_codes(pixels, seed=seed) for seed in SEEDS],
}

# %%
print(f"{'four factors, mean (min–max)':<28}" + "".join(f"{p:>22}" for p in PROTOCOLS))
for name, all_codes in representations.items():
    line = f"{name:<28}"
    for protocol in PROTOCOLS:
        scores = [
            kbv.metrics.beta_vae_score(factors[:, 1:], codes, protocol=protocol)
            for codes in all_codes
        ]
        line += f"{np.mean(scores):>8.3f} ({min(scores):.3f}–{max(scores):.3f})"
    print(line)
