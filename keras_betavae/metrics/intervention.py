"""Scores that fix one factor and look at which codes stay."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from keras_betavae.metrics import _adagrad
from keras_betavae.metrics._check import check_factors_and_codes

Protocol = Literal["higgins", "locatello", "scale_free"]

_BLOCK_VALUES = 2**24


def beta_vae_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    protocol: Protocol = "higgins",
    n_pairs: int = 64,
    n_train: int = 10_000,
    n_test: int = 5_000,
    factor_names: Sequence[str] | None = None,
    classifier: Any = None,
    seed: int = 0,
) -> float:
    r"""Returns the disentanglement metric score of the β-VAE paper.

    .. math::
        z_\mathrm{diff} = \frac{1}{L} \sum_{l=1}^{L} |z_{1,l} - z_{2,l}|

    Each point draws a factor y and L pairs of images that share the value of y while
    all else is independent; a linear classifier tells y from z_diff, and the score is
    its accuracy on points of its own. The pairs are gathered from the encoded images:
    the second of a pair is drawn from the others that share y's value with the first.
    With few images per value, pairs repeat and the score comes out too high: of pure
    noise, with dSprites' factors, by 0.01 to 0.03 with 1,000 images, by 0.2 with 200.

    The published protocols disagree, in factors and above all in the classifier, and
    their scores must not be compared with each other:

    - `"higgins"`: all factors but one named `shape`, as the paper has it (all of them,
      where `factor_names` are not given); raw z_diff; a
      linear softmax fitted to the negative log likelihood by Adagrad with learning rate
      1e-2, from zero weights on batches of 100, until 10,000 steps raise the training
      accuracy by less than 0.001 (and at the most for 50,000 steps).
    - `"locatello"`: all factors; raw z_diff; scikit-learn's `LogisticRegression` with
      its defaults, whose L2 penalty makes small codes score low.
    - `"scale_free"`: the factors of `"locatello"`; z_diff standardised by the training
      points; `LogisticRegression` without regularisation, as it is after at most 100
      iterations of L-BFGS. No rescaling of a code changes it.

    Args:
        factors: Integer classes, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        protocol: See above.
        n_pairs: L, pairs per point.
        n_train: Points that the classifier is fitted to.
        n_test: Points that it is scored on.
        factor_names: One name per factor, by which `"higgins"` leaves out the shape; it
            takes all factors when they are not named.
        classifier: A scikit-learn classifier that takes the place of the protocol's, on
            raw z_diff.
        seed: Seed of the draws.

    Returns:
        The accuracy, from 0 to 1 (best). Chance is about one over the number of
        factors, and what codes score that ignore the images. It saturates: codes of
        some factors alone can score 1, and an untrained network scores well above
        chance, so report those controls beside it.

    Raises:
        ValueError: If the arrays do not fit each other or hold NaN, a factor in use has
            one value or a value of one image, fewer than two factors are in use, or an
            option is out of range.

    References:
        Higgins et al. 2017, section 3. Locatello et al. 2019, appendix C
        (`"locatello"`: as in disentanglement_lib).

    Example:
        >>> factors = np.stack(np.meshgrid(range(8), range(8)), -1).reshape(-1, 2)
        >>> beta_vae_score(factors, factors / 8.0, n_train=500, n_test=200)
        1.0
    """
    factors, codes = check_factors_and_codes(factors, codes)
    if protocol not in _CLASSIFIERS:
        raise ValueError(f"protocol must be one of {', '.join(_CLASSIFIERS)}, got {protocol!r}")
    for name, value in (("n_pairs", n_pairs), ("n_train", n_train), ("n_test", n_test)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    factors = factors[:, _factors_in_use(factors, protocol, factor_names)]
    rng = np.random.default_rng(seed)
    labels = rng.integers(factors.shape[1], size=n_train + n_test)
    first, second = _draw_pairs(factors, labels, n_pairs, rng)
    z_diff = _mean_differences(codes, first, second)
    points = z_diff[:n_train], labels[:n_train], z_diff[n_train:], labels[n_train:]
    if classifier is not None:
        return _accuracy(classifier, *points)
    return float(_CLASSIFIERS[protocol](*points, rng))


def _factors_in_use(factors, protocol, factor_names) -> list[int]:
    names = range(factors.shape[1]) if factor_names is None else list(factor_names)
    if len(names) != factors.shape[1]:
        raise ValueError(f"factor_names has {len(names)} names for {factors.shape[1]} factors")
    used = [k for k, name in enumerate(names) if protocol != "higgins" or name != "shape"]
    if len(used) < 2:
        raise ValueError(f"the score tells factors apart and needs two, got {len(used)}")
    for k in used:
        counts = np.unique(factors[:, k], return_counts=True)[1]
        if len(counts) == 1:
            raise ValueError(f"factor {names[k]!r} has one value; leave its column out")
        if counts.min() == 1:
            raise ValueError(
                f"factor {names[k]!r} has a value of one image, which makes no pair; encode more "
                "images"
            )
    return used


def _draw_pairs(factors, labels, n_pairs, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draws (n_points, n_pairs) pairs of two images that share the factor of the label."""
    n_samples, n_factors = factors.shape
    # Per factor: the images sorted by value, and where each image's value begins and ends.
    order = np.argsort(factors, axis=0, kind="stable")
    ranked = np.take_along_axis(factors, order, axis=0)
    own_rank = np.empty_like(order)
    np.put_along_axis(own_rank, order, np.arange(n_samples)[:, None], axis=0)
    columns = range(n_factors)
    starts = np.stack([np.searchsorted(ranked[:, k], factors[:, k]) for k in columns])
    ends = np.stack([np.searchsorted(ranked[:, k], factors[:, k], "right") for k in columns])
    first = rng.integers(n_samples, size=(len(labels), n_pairs))
    factor = labels[:, None]
    rank = rng.integers(starts[factor, first], ends[factor, first] - 1)
    rank += rank >= own_rank[first, factor]
    return first, order[rank, factor]


def _mean_differences(codes, first, second) -> np.ndarray:
    """Returns the mean over pairs of |codes[first] - codes[second]|, in bounded memory."""
    n_points, n_pairs = first.shape
    # Unsigned bytes would wrap around below zero.
    codes = codes.astype(np.promote_types(codes.dtype, np.float32), copy=False)
    block = max(1, _BLOCK_VALUES // (n_pairs * codes.shape[1]))
    z_diff = np.empty((n_points, codes.shape[1]), codes.dtype)
    for start in range(0, n_points, block):
        stop = start + block
        difference = codes[first[start:stop]]
        difference -= codes[second[start:stop]]
        np.abs(difference, out=difference).mean(axis=1, out=z_diff[start:stop])
    return z_diff


def _higgins(x_train, y_train, x_test, y_test, rng) -> float:
    weights, bias = _adagrad.fit_softmax(x_train, y_train, rng)
    return np.mean((x_test @ weights + bias).argmax(axis=1) == y_test)


def _locatello(x_train, y_train, x_test, y_test, rng) -> float:
    from sklearn.linear_model import LogisticRegression

    del rng
    return _accuracy(LogisticRegression(), x_train, y_train, x_test, y_test)


def _scale_free(x_train, y_train, x_test, y_test, rng) -> float:
    from sklearn.linear_model import LogisticRegression

    del rng
    x_train, x_test = x_train.astype(np.float64), x_test.astype(np.float64)
    mean, std = x_train.mean(axis=0), x_train.std(axis=0)
    alive = std > 1e-12 * np.abs(x_train).max(axis=0)
    if not alive.any():
        return np.mean(np.bincount(y_train).argmax() == y_test)
    # Rounding to float32 hides the last bits, in which rescaled codes differ.
    x_train, x_test = (
        ((x[:, alive] - mean[alive]) / std[alive]).astype(np.float32) for x in (x_train, x_test)
    )
    classifier = LogisticRegression(C=np.inf)
    return _accuracy(classifier, x_train, y_train, x_test, y_test)


def _accuracy(classifier: Any, x_train, y_train, x_test, y_test) -> float:
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # The protocols take the classifier as it is after its iterations.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return float(clone(classifier).fit(x_train, y_train).score(x_test, y_test))


_CLASSIFIERS = {"higgins": _higgins, "locatello": _locatello, "scale_free": _scale_free}
