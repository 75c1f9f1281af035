"""The linear classifier of Higgins et al., as their paper trains it."""

import numpy as np
from threadpoolctl import threadpool_limits

LEARNING_RATE = 1e-2
BATCH = 100
CHECK_EVERY = 10_000
MIN_GAIN = 1e-3
MAX_STEPS = 50_000


@threadpool_limits.wrap(limits=1, user_api="blas")  # The products are too small to share.
def fit_softmax(
    x: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    r"""Fits a linear softmax to the mean negative log likelihood by Adagrad.

    .. math:: w \leftarrow w - \eta \, g / \sqrt{10^{-7} + \textstyle\sum g^2}

    with η = `LEARNING_RATE` from zero weights on shuffled batches of `BATCH`, until
    `CHECK_EVERY` steps have raised the training accuracy by less than `MIN_GAIN` over
    the best before, or `MAX_STEPS` are done. The loss itself is no sign of convergence:
    on separable classes it falls for ever.

    Args:
        x: Inputs, (n, n_inputs).
        labels: Classes from 0, (n,).
        rng: Draws the order of the batches.

    Returns:
        Weights (n_inputs, n_classes) and bias (n_classes,).

    References:
        Higgins et al. 2017, appendix A.4; Duchi, Hazan & Singer, Adaptive Subgradient
        Methods for Online Learning and Stochastic Optimization, JMLR 2011.
    """
    inputs = np.concatenate([x, np.ones((len(x), 1))], axis=1, dtype=np.float32)
    targets = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    weights = np.zeros((inputs.shape[1], targets.shape[1]), np.float32)
    squares = np.full_like(weights, 1e-7)
    best, step = 0.0, 0
    while step < MAX_STEPS:
        order = rng.permutation(len(inputs))
        for start in range(0, len(inputs), BATCH):
            chosen = order[start : start + BATCH]
            batch = inputs[chosen]
            probabilities = batch @ weights
            probabilities -= probabilities.max(axis=1, keepdims=True)
            np.exp(probabilities, out=probabilities)
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            probabilities -= targets[chosen]
            gradient = batch.T @ probabilities / len(batch)
            squares += gradient * gradient
            weights -= LEARNING_RATE * gradient / np.sqrt(squares)
            step += 1
            if step % CHECK_EVERY == 0:
                accuracy = np.mean((inputs @ weights).argmax(axis=1) == labels)
                if accuracy < best + MIN_GAIN:
                    return weights[:-1], weights[-1]
                best = max(best, accuracy)
    return weights[:-1], weights[-1]
