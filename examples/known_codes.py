# %% [markdown]
# # What the scores give to codes that are known
#
# Draws factors of dSprites' sizes and scores known codes: the factors themselves, the factors
# with latents of noise, a rotation of the factors, and noise for many and for few images, which
# shows the biases of the scores. A minute or two on two cores; no images are needed.

# %%
import keras_betavae as kbv
from keras_betavae.evaluation.score_table import side_by_side

import numpy as np

N_IMAGES = 20_000
FEW = 1_000
SIZES = (3, 6, 40, 32, 32)
NAMES = ("shape", "scale", "orientation", "pos_x", "pos_y")


# %%
def forest(factors, codes):
    """Returns the DCI scores by random forests, which take seconds."""
    return kbv.metrics.dci_scores(factors, codes, estimator="random_forest", n_jobs=-1)


def score(codes, factors):
    """Returns the fast scores, InfoMEC and DCI."""
    evaluate = kbv.evaluation.evaluate_codes
    fast = evaluate(factors, codes, scores="fast", factor_names=NAMES)
    slow = {"infomec_scores": kbv.metrics.SCORES["infomec_scores"], "dci_scores": forest}
    return {**fast, **evaluate(factors, codes, scores=slow)}


# %%
rng = np.random.default_rng(0)
factors = rng.integers(SIZES, size=(N_IMAGES, len(SIZES)))
sizes = np.array(SIZES)
truth = (factors - (sizes - 1) / 2) / np.sqrt((sizes**2 - 1) / 12)
rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
noise = rng.normal(size=(N_IMAGES, 10))

tables = {
    "factors": score(truth, factors),
    "and 5 of noise": score(np.concatenate([truth, noise[:, :5]], axis=1), factors),
    "rotated": score(truth @ rotation, factors),
    "noise": score(noise, factors),
    f"noise, {FEW:,} images": score(noise[:FEW], factors[:FEW]),
}
print(side_by_side(tables))
