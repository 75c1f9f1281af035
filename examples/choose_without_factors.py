# %% [markdown]
# # Choosing a β without ground-truth factors
#
# Trains three seeds of two values of β on sprites, ranks the six models by UDR, which uses no
# factors, and compares the ranking with scores that do. Half an hour on two cores.

# %%
from functools import partial

import keras_betavae as kbv

import keras
import numpy as np
from scipy.stats import spearmanr

BETAS = (4.0, 16.0)
SEEDS = (0, 1, 2)
STEPS = 2_500
N_IMAGES = 20_000

data = kbv.datasets.load_sprites()
batch_size = kbv.presets.get("higgins_quick").batch_size


# %%
def train(beta, seed):
    """Returns a β-VAE trained for `STEPS`."""
    keras.utils.set_random_seed(seed)
    vae = kbv.BetaVAE.from_preset(
        "higgins_quick",
        input_shape=data.image_shape,
        objective=kbv.objectives.Beta(beta),
        seed=seed,
    )
    images = data.to_tf_data(batch_size, seed=seed, repeat=True)
    vae.fit(images, steps_per_epoch=STEPS, verbose=0)
    return vae


models = {(beta, seed): train(beta, seed) for beta in BETAS for seed in SEEDS}

# %% [markdown]
# Without factors: UDR compares the seeds of one β with each other. Only codes of the same
# images and the KL of each latent go in.

# %%
codes, kl = {}, {}
for name, vae in models.items():
    factors, codes[name] = data.encode_with(vae, N_IMAGES, seed=0)
    kl[name] = kbv.evaluation.inspect(vae, data, n=1_000).kl

udr = {}
for method in ("lasso", "spearman"):
    udr[method] = {}
    for beta in BETAS:
        names = [(beta, seed) for seed in SEEDS]
        scores = kbv.metrics.udr_scores(
            [codes[name] for name in names], latent_kl=[kl[name] for name in names], method=method
        )
        udr[method] |= dict(zip(names, scores, strict=True))

# %% [markdown]
# With factors, from the same codes.

# %%
CHECKS = ("beta_vae_score", "factor_vae_score", "mig_score", "dci_disentanglement")
SCORES = {
    **{name: kbv.metrics.SCORES[name] for name in CHECKS[:3]},
    "dci_scores": partial(kbv.metrics.dci_scores, estimator="random_forest"),
}
checks = {
    name: kbv.evaluation.evaluate_codes(
        factors, codes[name], scores=SCORES, factor_names=data.factor_names
    )
    for name in models
}

# %%
print(f"{'β':>4} {'seed':>4} {'latents':>7} {'UDR lasso':>10} {'spearman':>9}", *CHECKS)
for beta, seed in models:
    name = beta, seed
    active = int((kl[name] > 0.01).sum())
    line = f"{beta:>4g} {seed:>4} {active:>7} {udr['lasso'][name]:>10.3f}"
    line += f" {udr['spearman'][name]:>9.3f} "
    print(line + " ".join(f"{checks[name][check]:>{len(check)}.3f}" for check in CHECKS))

for method, scores in udr.items():
    means = {beta: np.mean([scores[beta, seed] for seed in SEEDS]) for beta in BETAS}
    best = max(scores, key=scores.get)
    print(f"\nUDR ({method}) chooses β = {max(means, key=means.get):g}, and of all seed {best[1]}")
    for check in CHECKS:
        true = {name: checks[name][check] for name in models}
        means = {beta: np.mean([true[beta, seed] for seed in SEEDS]) for beta in BETAS}
        rank = 1 + sum(value > true[best] for value in true.values())
        agreement = spearmanr(list(scores.values()), [true[name] for name in scores]).statistic
        print(
            f"  {check:<20} would choose β = {max(means, key=means.get):g}, puts UDR's model at "
            f"{rank} of {len(models)}; rank correlation {agreement:+.2f}"
        )
