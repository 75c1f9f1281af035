"""The linear classifiers of beta_vae_score's protocols."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_betavae.metrics._estimators import fitting, make_estimator
from keras_betavae.metrics._samples import standardize

LEARNING_RATE = 1e-2
BATCH = 100
CHECK_EVERY = 10_000
MIN_GAIN = 1e-3
MAX_STEPS = 50_000
_BLOCK = 64
"""Columns to standardize at a time, so that float64 copies stay in the caches."""


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
    # A row of zeros has no gradient, and fills the last batch of a pass.
    inputs = np.zeros((len(x) + 1, x.shape[1] + 1), np.float32)
    inputs[:-1, :-1], inputs[:-1, -1] = x, 1.0
    # z_diff of 64 pairs of binary pixels fits into 16 bits, and reading it takes most of the time.
    with np.errstate(over="ignore"):
        half = inputs.astype(np.float16)
    read = half if np.array_equal(half, inputs) else inputs
    targets = np.eye(labels.max() + 1, dtype=np.float32)[np.append(labels, 0)].T
    weights: Any = np.zeros((len(targets), inputs.shape[1]), np.float32)
    squares = np.full_like(weights, 1e-7)
    batches, best = _batches(len(x), rng), 0.0
    for start in range(0, MAX_STEPS, CHECK_EVERY):
        n_steps = min(CHECK_EVERY, MAX_STEPS - start)
        order = np.stack(list(itertools.islice(batches, n_steps)))
        weights, squares = _adagrad()(read, targets, weights, squares, order)
        score = np.mean((weights.numpy() @ inputs[:-1].T).argmax(axis=0) == labels)
        if score < best + MIN_GAIN:
            break
        best = max(best, score)
    weights = weights.numpy()
    return weights[:, :-1].T, weights[:, -1]


def _batches(n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields the rows of batches, pass after pass; the last of a pass is filled with `n`."""
    while True:
        order = rng.permutation(n).astype(np.int32)
        yield from np.pad(order, (0, -n % BATCH), constant_values=n).reshape(-1, BATCH)


@functools.cache
def _adagrad() -> Callable:
    """Returns a compiled function that takes steps, without the interpreter's lock."""
    import tensorflow as tf

    def steps(inputs, targets, weights, squares, order):
        n = tf.shape(inputs)[0] - 1

        def step(number, weights, squares):
            chosen = order[number]
            batch = tf.cast(tf.gather(inputs, chosen), tf.float32)
            logits = tf.matmul(weights, batch, transpose_b=True)
            errors = tf.nn.softmax(logits, axis=0) - tf.gather(targets, chosen, axis=1)
            size = tf.math.count_nonzero(chosen < n, dtype=tf.float32)
            gradient = tf.matmul(errors, batch) / size
            squares += gradient**2
            weights -= LEARNING_RATE * gradient / tf.sqrt(squares)
            return number + 1, weights, squares

        def is_left(number, *_):
            return number < tf.shape(order)[0]

        return tf.while_loop(is_left, step, (0, weights, squares))[1:]

    compiled = tf.function(steps, jit_compile=True, autograph=False)

    def run(*arrays: np.ndarray) -> tuple[Any, Any]:
        with tf.device("CPU:0"):  # The score must not depend on whether there is a GPU.
            return compiled(*arrays)

    return run


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
    # Rounding to float32 hides the last bits, in which rescaled codes differ.
    parts = []
    for start in range(0, x_train.shape[1], _BLOCK):
        train, test = (x[:, start : start + _BLOCK] for x in (x_train, x_test))
        alive = train.std(axis=0, dtype=np.float64) > 1e-12 * np.abs(train).max(axis=0)
        scaled = standardize(train[:, alive], test[:, alive])
        parts.append([x.astype(np.float32) for x in scaled])
    x_train, x_test = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
    if not x_train.shape[1]:
        return np.mean(np.bincount(y_train).argmax() == y_test)
    classifier = LogisticRegression(C=np.inf)
    return accuracy(classifier, x_train, y_train, x_test, y_test)


def accuracy(classifier: Any, x_train, y_train, x_test, y_test, seed: int = 0) -> float:
    """Returns the test accuracy of a fresh copy of a scikit-learn classifier."""
    with fitting():
        return float(make_estimator(classifier, seed).fit(x_train, y_train).score(x_test, y_test))


PROTOCOLS = {"higgins": _higgins, "locatello": _locatello, "scale_free": _scale_free}
