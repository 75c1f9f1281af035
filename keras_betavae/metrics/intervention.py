"""Scores that fix one factor and measure which codes vary least."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from keras_betavae.metrics import _linear
from keras_betavae.metrics._differences import mean_differences
from keras_betavae.metrics._samples import (
    as_classes,
    check_counts,
    check_factors_and_codes,
    standardize,
)

Protocol = Literal["higgins", "locatello", "scale_free"]

_BLOCK_VALUES = 2**18
_MAX_PAIRINGS = 64


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

    For each point, a factor y and L pairs of images are drawn. The images of a pair share the
    value of y; all other factors are independent. A linear classifier predicts y from z_diff,
    and the score is its accuracy on further points. The pairs are drawn from the encoded
    images without replacement: the 2L images of a point are distinct, so the point has the
    same distribution as with newly rendered images. If there are fewer than L disjoint pairs,
    pairs are drawn with replacement. A value with only one image is not drawn. Different points
    may share images, which raises the score if there are few images: by 0.02 for pure noise
    with 1,000 images and the factors of dSprites.

    The published protocols differ in the factors and above all in the classifier. Do not
    compare their scores with each other:

    - `"higgins"`: all factors except one named `shape`, as in the paper (without
      `factor_names`, all factors); raw z_diff; a linear softmax fitted to the negative log
      likelihood by Adagrad with learning rate 1e-2, from zero weights on batches of 100,
      until 10,000 steps raise the training accuracy by less than 0.001 (at most 50,000
      steps).
    - `"locatello"`: all factors; raw z_diff; scikit-learn's `LogisticRegression` with
      its defaults, whose L2 penalty makes small codes score low.
    - `"scale_free"`: the factors of `"locatello"`; z_diff standardized by the training
      points; `LogisticRegression` without regularization, with at most 100 iterations of
      L-BFGS. Rescaling a code does not change the score.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        protocol: See above.
        n_pairs: L, pairs per point.
        n_train: Points that the classifier is fitted to.
        n_test: Points that it is scored on.
        factor_names: One name per factor, from which `"higgins"` finds the shape to leave out.
        classifier: A scikit-learn classifier that replaces the protocol's, on raw z_diff.
        seed: Seed of the draws, and of a `classifier` that is not seeded.

    Returns:
        The accuracy, from 0 to 1 (best). Chance level, the score of codes that ignore the
        images, is about one over the number of factors. The score saturates: codes of only
        some factors can score 1, and an untrained network scores well above chance, so
        report controls with it.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, a factor in use has only
            one value or no value with two images, fewer than two factors are in use, or
            an option is out of range.

    References:
        Higgins et al. 2017, section 3. Locatello et al. 2019, appendix C
        (`"locatello"`: as in disentanglement_lib).

    Example:
        >>> factors = np.stack(np.meshgrid(range(8), range(8)), -1).reshape(-1, 2)
        >>> beta_vae_score(factors, factors / 8.0, n_train=500, n_test=200)
        1.0
    """
    factors, codes = check_factors_and_codes(factors, codes)
    if protocol not in _linear.PROTOCOLS:
        raise ValueError(
            f"protocol must be one of {', '.join(_linear.PROTOCOLS)}, got {protocol!r}"
        )
    check_counts(n_pairs=n_pairs, n_train=n_train, n_test=n_test)
    names = range(factors.shape[1]) if factor_names is None else list(factor_names)
    if len(names) != factors.shape[1]:
        raise ValueError(f"factor_names has {len(names)} names for {factors.shape[1]} factors")
    used = [k for k, name in enumerate(names) if protocol != "higgins" or name != "shape"]
    used_names = [names[k] for k in used]
    factors = as_classes(factors[:, used], n_factors=2, in_pairs=True, names=used_names)
    rng = np.random.default_rng(seed)
    labels = rng.integers(factors.shape[1], size=n_train + n_test)
    first, second = _draw_pairs(factors, labels, n_pairs, rng)
    z_diff = mean_differences(codes, first, second)
    x_train, x_test = z_diff[:n_train], z_diff[n_train:]
    y_train, y_test = labels[:n_train], labels[n_train:]
    if classifier is not None:
        return _linear.accuracy(classifier, x_train, y_train, x_test, y_test, seed)
    return float(_linear.PROTOCOLS[protocol](x_train, y_train, x_test, y_test, rng))


def factor_vae_score(
    factors: np.ndarray,
    codes: np.ndarray,
    *,
    n_per_vote: int = 64,
    n_train: int = 10_000,
    n_test: int = 5_000,
    min_std: float = 0.05,
    seed: int = 0,
) -> float:
    r"""Returns the disentanglement score of the FactorVAE paper.

    .. math::
        d = \operatorname{argmin}_j \,
        \frac{\operatorname{Var}_{x | y_k = y}(z_j)}{\operatorname{Var}_x(z_j)}

    For each vote, a factor k and L images that share one of its values are drawn; d is the code
    that varies least among them, relative to all images. The majority of the training votes
    assigns a factor to each d, and the score is its accuracy on further votes. The L images
    are drawn without replacement, so a vote has the same distribution as with newly rendered
    images. If a value has fewer than L images, they are drawn with replacement, which makes
    the variance too small: encode more images, or lower L. A value with only one image is not
    drawn.

    Args:
        factors: Integer classes, or floats of continuous factors, (n_samples, n_factors).
        codes: Codes of the same images, (n_samples, latent_dim).
        n_per_vote: L, images per vote.
        n_train: Votes that assign the factors.
        n_test: Votes that are scored.
        min_std: Codes with a standard deviation below this, in the codes' units, are left out:
            a collapsed code would win every vote.
        seed: Seed of the draws.

    Returns:
        The accuracy, from 0 to 1 (best); 0 if all codes are left out. Chance level is about one
        over the number of factors. A score of 1 does not mean that no code is mixed: a code may
        encode two factors and still leave one factor to each other code. Apart from
        `min_std`, rescaling a code does not change the score.

        Different votes may share images, which raises the score of noise if there are few
        images: 0.25 instead of 0.2 with 1,000 images and the factors of dSprites.

    Raises:
        ValueError: If the arrays do not fit each other or have NaN, there are fewer than two
            factors, one has only one value or no value with two images, or a number is
            out of range.

    References:
        Kim & Mnih, Disentangling by Factorising, ICML 2018, section 4. Locatello et al.
        2019, appendix C (the numbers of images and votes, `min_std`).

    Example:
        >>> factors = np.stack(np.meshgrid(range(8), range(8)), -1).reshape(-1, 2)
        >>> factor_vae_score(factors, factors / 8.0, n_train=500, n_test=200)
        1.0
    """
    factors, codes = check_factors_and_codes(factors, codes)
    factors = as_classes(factors, n_factors=2, in_pairs=True)
    check_counts(n_train=n_train, n_test=n_test)
    if n_per_vote < 2:
        raise ValueError(f"n_per_vote must be at least 2, got {n_per_vote}")
    if not min_std >= 0:
        raise ValueError(f"min_std must be at least 0, got {min_std}")
    codes = codes.astype(np.float64)
    codes = codes[:, (codes.std(axis=0) >= min_std) & (np.ptp(codes, axis=0) > 0)]
    if not codes.shape[1]:
        return 0.0
    (codes,) = standardize(codes)
    rng = np.random.default_rng(seed)
    labels = rng.integers(factors.shape[1], size=n_train + n_test)
    least = _least_varying(codes.astype(np.float32), _draw_groups(factors, labels, n_per_vote, rng))
    votes = np.zeros((factors.shape[1], codes.shape[1]), np.intp)
    np.add.at(votes, (labels[:n_train], least[:n_train]), 1)
    return float(np.mean(votes.argmax(axis=0)[least[n_train:]] == labels[n_train:]))


def _draw_pairs(factors, labels, n_pairs, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draws (n_points, n_pairs) pairs of two images that share the factor of the label.

    The images of each value are paired at random, and the pairs of a point are drawn from one
    pairing, so no image occurs twice in a point. Several pairings share the points of a factor;
    with only one, all points would have the same few pairs.
    """
    first = np.empty((len(labels), n_pairs), np.int32)
    second = np.empty_like(first)
    for k, classes in enumerate(factors.T):
        points = np.flatnonzero(labels == k)
        counts = np.bincount(classes)
        rank = np.arange(len(classes)) - np.repeat(np.cumsum(counts) - counts, counts)
        lefts = np.flatnonzero((rank % 2 == 0) & (rank + 1 < np.repeat(counts, counts)))
        drawn = lefts[_draw_distinct(np.full(len(points), len(lefts)), n_pairs, rng).T]
        n_pairings = max(1, min(_MAX_PAIRINGS, drawn.size // (4 * len(lefts))))
        for part in np.array_split(np.arange(len(points)), n_pairings):
            order = _shuffled_by_value(classes, rng)
            first[points[part]] = order[drawn[part]]
            second[points[part]] = order[drawn[part] + 1]
    return first, second


def _draw_groups(factors, labels, size, rng) -> np.ndarray:
    """Draws (n_points, size) images that share one value of the factor of the label."""
    groups = np.empty((len(labels), size), np.int32)
    for k, classes in enumerate(factors.T):
        points = np.flatnonzero(labels == k)
        counts = np.bincount(classes)
        starts = np.cumsum(counts) - counts
        drawable = classes[counts[classes] > 1]
        values = drawable[rng.integers(len(drawable), size=len(points))]
        drawn = starts[values] + _draw_distinct(counts[values], size, rng)
        groups[points] = _shuffled_by_value(classes, rng)[drawn.T]
    return groups


def _shuffled_by_value(classes, rng) -> np.ndarray:
    """Returns the images in order of their value, and in random order within each value."""
    shuffled = rng.permutation(len(classes)).astype(np.int32)
    # NumPy sorts integers of up to 16 bits by radix.
    classes = classes.astype(np.min_scalar_type(classes.max()))
    return shuffled[np.argsort(classes[shuffled], kind="stable")]


def _draw_distinct(sizes, n, rng) -> np.ndarray:
    """Draws (n, len(sizes)) integers below the sizes, distinct in each column.

    By Floyd's algorithm (Bentley & Floyd, Programming Pearls: A Sample of Brilliance, CACM
    1987). Columns whose size is below n are drawn with replacement.
    """
    drawn = np.empty((n, len(sizes)), np.int32)
    enough = sizes >= n
    for k in range(n):
        last = np.where(enough, sizes - n + k, sizes - 1).astype(np.int32)
        drawn[k] = rng.random(len(sizes)) * (last + 1)
        repeated = enough & (drawn[:k] == drawn[k]).any(axis=0)
        drawn[k, repeated] = last[repeated]
    return drawn


def _least_varying(codes, groups) -> np.ndarray:
    """Returns the code with the least variance in each group, in bounded memory."""
    block = max(1, _BLOCK_VALUES // (groups.shape[1] * codes.shape[1]))
    parts = (groups[start : start + block] for start in range(0, len(groups), block))
    return np.concatenate([codes[part].var(axis=1).argmin(axis=1) for part in parts])
