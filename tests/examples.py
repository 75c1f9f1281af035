"""One of everything, listed once: what the tests of a whole kind go through.

An objective's first example is the one that models are fitted with.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from keras_betavae import AdaGVAE, BetaVAE, FactorVAE, GroupVAE, networks
from keras_betavae.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Laplace
from keras_betavae.objectives import (
    DIP,
    Beta,
    BetaTC,
    Capacity,
    Cascade,
    ControlledCapacity,
    SemiSupervised,
    TargetReconstruction,
)
from keras_betavae.objectives.schedules import Cosine, Cyclical, Linear, Staircase
from tests.helpers import patterns, tiny_networks

N = 64  # Images in a fit.
LABELS = np.random.default_rng(0).integers(-1, 3, (N, 2))
PARTNERS = patterns(N)[::-1]

OBJECTIVES = {
    "Beta": [Beta(2.0), Beta(0.0), Beta(Cosine(0.0, 2.0, 20))],
    "Capacity": [Capacity(1.0, 2.0, n_steps=20), Capacity(Cosine(1.0, 9.0, 5), 5.0, 7, 0.5)],
    "ControlledCapacity": [
        ControlledCapacity(Linear(0.5, 3.0, n_steps=20), initial_beta=1.0),
        ControlledCapacity(2.0, "pi"),
        ControlledCapacity(Staircase(0.5, 3.0, 5, 4), "incremental", kp=0.1, smoothing=1),
    ],
    "Cascade": [
        Cascade(Beta(2.0), [(2, 1)], beta=Linear(0.0, 1.0, n_steps=3)),
        Cascade(BetaTC(beta=2.0, n_data=N), [(1, 1), (3, 1)]),
    ],
    "TargetReconstruction": [TargetReconstruction(8.0), TargetReconstruction(-3.0, kp=0.5)],
    "BetaTC": [
        BetaTC(beta=2.0, n_data=N),
        BetaTC(2.0, Cyclical(0.5, 6.0, n_steps=8), 0.5, n_data=N, sampling="mws"),
    ],
    "DIP": [DIP("i", 1.0, 1.0), DIP("ii", Linear(1.0, 10.0, n_steps=10), 5.0)],
    "SemiSupervised": [
        SemiSupervised(Beta(1.0), (3, 6), 2.0),
        SemiSupervised(DIP("ii"), (3, 6), Linear(0.0, 10.0, 10), latents=(1, 0), loss="l2"),
    ],
}
SCHEDULES = {
    "Linear": [Linear(0.5, 4.0, n_steps=12), Linear(4.0, 0.5, n_steps=7)],
    "Cosine": [Cosine(0.5, 4.0, n_steps=12)],
    "Staircase": [Staircase(0.5, 4.0, n_steps=5, n_stairs=3, ramp=0.5)],
    "Cyclical": [Cyclical(0.5, 4.0, n_steps=12, n_cycles=3, ramp=0.75)],
}
LIKELIHOODS = {
    "Bernoulli": [Bernoulli(), Bernoulli(subtract_entropy=True)],
    "ContinuousBernoulli": [ContinuousBernoulli()],
    "Gaussian": [Gaussian(), Gaussian(0.1), Gaussian(3.0), Gaussian(0.5, learned=True)],
    "Laplace": [Laplace(), Laplace(0.1), Laplace(3.0)],
}
# Each is a pair of functions of `networks`, such as `conv_encoder` and `conv_decoder`.
NETWORKS = ("dense", "conv", "conv1d", "burgess", "locatello", "broadcast", "patch")


class Member(NamedTuple):
    """A model: what makes it, and what comes with the images in a fit."""

    make: Any
    y: np.ndarray | None = None


def factor_vae():
    small = networks.discriminator(3, units=(16, 16))
    return FactorVAE(**tiny_networks(), gamma=Linear(0.0, 2.0, 20), discriminator=small, seed=0)


def beta_vae(objective):
    return BetaVAE(**tiny_networks(), objective=objective, seed=0)


MODELS = {
    "BetaVAE": Member(partial(beta_vae, Beta(2.0))),
    "FactorVAE": Member(factor_vae),
    "AdaGVAE": Member(
        lambda: AdaGVAE(**tiny_networks(), objective=Beta(2.0), average="product", seed=0), PARTNERS
    ),
    "GroupVAE": Member(lambda: GroupVAE(**tiny_networks(), shared=(0,), seed=0), PARTNERS),
}
# The models, and a BetaVAE with every example of an objective.
FAMILY = MODELS | {
    f"{name}-{number}": Member(partial(beta_vae, objective), LABELS if objective.n_labels else None)
    for name, objectives in OBJECTIVES.items()
    for number, objective in enumerate(objectives)
}


def one_of_each(examples):
    """The first example of each kind, by its name."""
    return {name: kind[0] for name, kind in examples.items()}


def all_of(examples):
    """All examples, by the kind's name and a number."""
    return {f"{name}-{i}": part for name, kind in examples.items() for i, part in enumerate(kind)}
