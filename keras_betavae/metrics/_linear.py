"""The linear classifiers of beta_vae_score's protocols."""

from typing import Any

import numpy as np

from keras_betavae.metrics._estimators import fitting, make_estimator
from keras_betavae.metrics._samples import standardize

LEARNING_RATE = 1e-2
BATCH = 100
CHECK_EVERY = 10_000
MIN_GAIN = 1e-3
MAX_STEPS = 50_000


def fit_softmax(
    x: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    r"""Fits a linear softmax to the mean negative log likelihood by Adagrad.

    .. math:: w \leftarrow w - \eta \, g / \sqrt{10^{-7} + \textstyle\sum g^2}

    with η = `LEARNING_RATE`, from zero weights, on shuffled batches of `BATCH`, until
    `CHECK_EVERY` steps have raised the best training accuracy by less than `MIN_GAIN`, or
    `MAX_STEPS` are done. The loss itself does not show convergence: on separable classes it
    falls forever.

    Args:
        x: Inputs, (n, n_inputs).
        labels: Classes from 0, (n,).
        rng: Generator for the order of the batches.

    Returns:
        Weights (n_inputs, n_classes) and bias (n_classes,).

    References:
        Higgins et al. 2017, appendix A.4; Duchi, Hazan & Singer, Adaptive Subgradient
        Methods for Online Learning and Stochastic Optimization, JMLR 2011.
    """
    inputs = np.concatenate([x, np.ones((len(x), 1))], axis=1, dtype=np.float32)
    targets = np.eye(labels.max() + 1, dtype=np.float32)[labels].T
    # Classes are the first axis: sums over them then run along the long axis.
    weights = np.zeros((len(targets), inputs.shape[1]), np.float32)
    squares = np.full_like(weights, 1e-7)
    gathered = np.empty((BATCH, inputs.shape[1]), np.float32)
    best, step = 0.0, 0
    while step < MAX_STEPS:
        order = rng.permutation(len(inputs))
        for start in range(0, len(inputs), BATCH):
            chosen = order[start : start + BATCH]
            # Allocating memory in each step would take longer than the products.
            batch = np.take(inputs, chosen, axis=0, out=gathered[: len(chosen)], mode="clip")
            probabilities = weights @ batch.T
            probabilities -= np.maximum.reduce(probabilities)
            np.exp(probabilities, out=probabilities)
            probabilities /= np.add.reduce(probabilities)
            probabilities -= targets[:, chosen]
            gradient = probabilities @ batch
            gradient /= len(batch)
            squares += gradient * gradient
            gradient /= np.sqrt(squares)
            gradient *= LEARNING_RATE
            weights -= gradient
            step += 1
            if step % CHECK_EVERY == 0:
                score = np.mean((weights @ inputs.T).argmax(axis=0) == labels)
                if score < best + MIN_GAIN:
                    return weights[:, :-1].T, weights[:, -1]
                best = max(best, score)
    return weights[:, :-1].T, weights[:, -1]


def _higgins(x_train, y_train, x_test, y_test, rng) -> float:
    # Weights of inputs that are 0 in all training points stay 0.
    alive = x_train.any(axis=0)
    x_train, x_test = (np.compress(alive, x, axis=1) for x in (x_train, x_test))
    with fitting():
        weights, bias = fit_softmax(x_train, y_train, rng)
    return np.mean((x_test @ weights + bias).argmax(axis=1) == y_test)


def _locatello(x_train, y_train, x_test, y_test, rng) -> float:
    from sklearn.linear_model import LogisticRegression

    del rng
    return accuracy(LogisticRegression(), x_train, y_train, x_test, y_test)


def _scale_free(x_train, y_train, x_test, y_test, rng) -> float:
    from sklearn.linear_model import LogisticRegression

    del rng
    alive = x_train.std(axis=0, dtype=np.float64) > 1e-12 * np.abs(x_train).max(axis=0)
    if not alive.any():
        return np.mean(np.bincount(y_train).argmax() == y_test)
    # Rounding to float32 hides the last bits, in which rescaled codes differ.
    x_train, x_test = (
        x.astype(np.float32) for x in standardize(x_train[:, alive], x_test[:, alive])
    )
    classifier = LogisticRegression(C=np.inf)
    return accuracy(classifier, x_train, y_train, x_test, y_test)


def accuracy(classifier: Any, x_train, y_train, x_test, y_test, seed: int = 0) -> float:
    """Returns the test accuracy of a fresh copy of a scikit-learn classifier."""
    with fitting():
        return float(make_estimator(classifier, seed).fit(x_train, y_train).score(x_test, y_test))


PROTOCOLS = {"higgins": _higgins, "locatello": _locatello, "scale_free": _scale_free}
