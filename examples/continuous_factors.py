# %% [markdown]
# # Continuous factors
#
# Scores of codes that are known to be perfect, mixed or noise, for factors that are measured: a
# position, a log-normal mass, and a class.

# %%
from keras_betavae.evaluation import evaluate_codes, side_by_side

import numpy as np

N_SAMPLES = 10_000
SCORES = ["mig_score", "dcimig_score", "modularity_score", "sap_score", "infomec_scores"]

rng = np.random.default_rng(0)
position, mass = rng.uniform(-1.0, 1.0, N_SAMPLES), rng.lognormal(size=N_SAMPLES)
kind = rng.integers(0, 3, N_SAMPLES)

# %% [markdown]
# In an array of floats, a column with values that are not whole is a continuous factor. (A data set
# of `from_arrays` recognizes them too, or takes their names as `continuous=`.)

# %%
factors = np.stack([position, mass, kind], axis=1)
codes = {
    "linear": factors,
    # The score does not ask for a straight line where it takes quantile bins.
    "monotone": np.stack([position**3, np.log(mass), kind], axis=1),
    "rotated": np.stack([position + np.log(mass), position - np.log(mass), kind], axis=1),
    "noise": rng.normal(size=factors.shape),
}
tables = {
    name: evaluate_codes(factors, each, scores=SCORES, factor_names=["position", "mass", "kind"])
    for name, each in codes.items()
}
print(side_by_side(tables))
