# %% [markdown]
# # A table
#
# The codes of scikit-learn's breast cancer data (569 tumors, 30 measurements), the elbo of a model
# of benign tumors as an anomaly score, and a report. The diagnosis is used only to test.

# %%
import keras_betavae as kbv

import keras
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

STEPS = 1_000


def train(data, latent_dim, seed=0):
    """Returns a model that keeps the units of the table."""
    keras.utils.set_random_seed(seed)
    vae = kbv.BetaVAE.from_preset(
        "vectors",
        input_shape=data.image_shape,
        latent_dim=latent_dim,
        standardization=data.mean_and_std(),
        seed=seed,
    )
    batches = data.to_tf_data(batch_size=64, seed=seed, repeat=True)
    vae.fit(batches, steps_per_epoch=STEPS, verbose=0)
    return vae


# %%
frame = load_breast_cancer(as_frame=True).frame
frame["diagnosis"] = frame.pop("target").map({0: "malignant", 1: "benign"})
table = kbv.datasets.from_table(frame, factors=["diagnosis"])
print(table)

# %% [markdown]
# Which measurements go together: a report of codes, traversals and scores.

# %%
vae = train(table, latent_dim=8)
print(kbv.evaluate(vae, table, scores=["explicitness_score", "active_units"]))
print(kbv.report(vae, table, "table.html"))

# %% [markdown]
# Anomalies: a model of benign tumors finds the malignant ones, and the benign ones that were held
# out, by their elbo (in nats, and in the units of the table).

# %%
benign, unseen = table.only({"diagnosis": 0}).split(test=0.3, seed=0)
vae = train(benign, latent_dim=8)
malignant = table.only({"diagnosis": 1})
parts = [part.images_at(range(len(part))) for part in (unseen, malignant)]
usual, unusual = (vae.elbo(part, n_samples=50, seed=0).numpy() for part in parts)
area = roc_auc_score([0] * len(usual) + [1] * len(unusual), [*-usual, *-unusual])
print(f"area under the ROC curve {area:.3f}; mean elbo {usual.mean():.1f}, {unusual.mean():.1f}")
