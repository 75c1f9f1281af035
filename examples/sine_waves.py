# %% [markdown]
# # Signals
#
# Sine waves of length 256 whose frequency, phase and amplitude are known, and continuous: what the
# latents encode, how well they are disentangled, and response curves.

# %%
import keras_betavae as kbv

import keras
import numpy as np

STEPS = 3_000
N_SIGNALS = 10_000

rng = np.random.default_rng(0)
factors = np.stack(
    [
        rng.uniform(1.0, 3.0, N_SIGNALS),  # Periods.
        rng.uniform(-1.0, 1.0, N_SIGNALS),  # Radians.
        rng.uniform(0.5, 2.0, N_SIGNALS),
    ],
    axis=1,
)
time = np.linspace(-1.0, 1.0, 256)
frequency, phase, amplitude = factors.T[..., None]
signals = amplitude * np.sin(np.pi * frequency * time + phase)
signals += rng.normal(scale=0.1, size=signals.shape)
data = kbv.datasets.from_arrays(
    signals[..., None], factors, ["frequency", "phase", "amplitude"], columns=["volts"]
)
print(data)

# %%
keras.utils.set_random_seed(0)
vae = kbv.BetaVAE.from_preset(
    "signals",
    input_shape=data.image_shape,
    latent_dim=6,
    objective=kbv.objectives.Beta(4.0),
    standardization=data.mean_and_std(),
    seed=0,
)
batches = data.to_tf_data(batch_size=64, seed=0, repeat=True)
vae.fit(batches, epochs=10, steps_per_epoch=STEPS // 10, verbose=2)

# %% [markdown]
# Scores that want classes take quantile bins of the factors; SAP regresses their values.

# %%
print(kbv.evaluate(vae, data, scores=["mig_score", "sap_score", "modularity_score"]))
inspection = kbv.evaluation.inspect(vae, data)
print(inspection.labels)
for name, picture in inspection.pictures(vae, kbv.evaluation.showcase(data)).items():
    kbv.visualization.write_png(f"{name}.png", picture)
