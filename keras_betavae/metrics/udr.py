"""Model selection without factors: the agreement of seeds on their latents."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from keras_betavae.metrics._estimators import fitting
from keras_betavae.metrics._samples import check_codes, standardize


def udr_scores(
    codes: Sequence[np.ndarray],
    *,
    latent_kl: Sequence[np.ndarray] | None = None,
    method: Literal["lasso", "spearman"] = "lasso",
    threshold: float = 0.01,
    kl_power: float = 0.0,
) -> list[float]:
    r"""Returns the unsupervised disentanglement ranking of models that differ in their seed.

    .. math::
        \mathrm{UDR}_{ij} = \frac{1}{2} \left(
        \sum_b w_b \frac{(\max_a R_{ab})^2}{\sum_a R_{ab}} +
        \sum_a w_a \frac{(\max_b R_{ab})^2}{\sum_b R_{ab}}\right)

    with R the similarity of latent a of model i and latent b of model j, among the d informative
    latents of each. Their weights w are 1 / d, or proportional to a power of their KL.
    Disentangled models with different seeds find the same latents, up to order and sign; entangled
    models find different ones. A model's score is the median over the other models.

    Args:
        codes: The posterior means of each model for the same images in the same order,
            each (n_samples, latent_dim); latent_dim may differ.
        latent_kl: The mean KL of each latent of each model in nats, (latent_dim,) each, which
            determines the informative latents. None uses the variance of the means instead.
        method: `"lasso"`: R is the absolute coefficient of latent a in scikit-learn's
            `Lasso(alpha=0.1)` that predicts latent b, both standardized, of model j for
            the score of model j. `"spearman"`: the absolute rank correlation.
        threshold: A latent with a larger KL (or variance) is informative.
        kl_power: The weight of a latent is proportional to its KL (or variance) to this power.
            0 is as published. With 2, which `tune` uses, latents of little information count
            little, so that the score depends less on the number of latents.

    Returns:
        A score per model, from 0 to 1 (best), in the order of `codes`. A model without
        informative latents scores 0, and counts as 0 in the medians of the others. The penalty
        limits `"lasso"` to 0.9 if seeds find the same uncorrelated latents. Models with few
        informative latents score higher, even if they miss factors: compare reconstructions
        too.

    Raises:
        ValueError: If there are fewer than two models, codes are not finite or differ in length,
            `latent_kl` does not fit them, or an option is out of range.

    References:
        Duan et al., Unsupervised Model Selection for Variational Disentangled
        Representation Learning, ICLR 2020, section 4 (the penalty and the direction of
        the regression: as in disentanglement_lib).

    Example:
        >>> first = np.random.default_rng(0).normal(size=(500, 3))
        >>> second = -first[:, [2, 0, 1]]
        >>> [round(score, 2) for score in udr_scores([first, second])]
        [0.9, 0.9]
    """
    if method not in ("lasso", "spearman"):
        raise ValueError(f"method must be lasso or spearman, got {method!r}")
    if not threshold >= 0:
        raise ValueError(f"threshold must be at least 0, got {threshold}")
    if not 0 <= kl_power < np.inf:
        raise ValueError(f"kl_power must be at least 0 and finite, got {kl_power}")
    informative, weights = _informative(codes, latent_kl, threshold, kl_power)
    similarities = (_lasso if method == "lasso" else _spearman)(informative)
    pairs = np.array(
        [
            [_agreement(each, w, own) for each, w in zip(row, weights, strict=True)]
            for row, own in zip(similarities, weights, strict=True)
        ]
    ).T
    return [float(np.median(np.delete(row, j))) for j, row in enumerate(pairs)]


def _informative(
    codes, latent_kl, threshold, kl_power
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns each model's informative codes, standardized, and their weights."""
    codes = [check_codes(c) for c in codes]
    if len(codes) < 2:
        raise ValueError(f"codes must be those of at least 2 models, got {len(codes)}")
    if len({len(c) for c in codes}) > 1:
        raise ValueError(f"codes must be of the same images, got {[len(c) for c in codes]}")
    if latent_kl is None:
        latent_kl = [c.var(axis=0, dtype=np.float64) for c in codes]
    latent_kl = [np.asarray(kl) for kl in latent_kl]
    shapes = [kl.shape for kl in latent_kl]
    if shapes != [c.shape[1:] for c in codes]:
        raise ValueError(
            f"latent_kl must have a value for each latent of each model, got shapes {shapes} for "
            f"codes {[c.shape for c in codes]}"
        )
    if not all(np.isfinite(kl).all() for kl in latent_kl):
        raise ValueError("latent_kl must be finite")
    kept = [standardize(c[:, kl > threshold])[0] for c, kl in zip(codes, latent_kl, strict=True)]
    # In parts of the largest, which does not overflow.
    parts = [kl[kl > threshold] / kl.max(initial=0.0) for kl in latent_kl]
    return kept, [part.astype(np.float64) ** kl_power for part in parts]


def _lasso(codes: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Yields each model's similarities to all models, (latents, latents of the other) each."""
    from sklearn.linear_model import Lasso

    # One fit predicts the latents of all models, so the source is prepared once.
    targets, ends = np.hstack(codes), np.cumsum([c.shape[1] for c in codes])[:-1]
    for source in codes:
        coefficients = np.zeros((targets.shape[1], source.shape[1]))
        if coefficients.size:
            with fitting():
                found = Lasso(alpha=0.1).fit(source, targets).coef_
            coefficients = np.abs(found).reshape(coefficients.shape)
        yield np.split(coefficients.T, ends, axis=1)


def _spearman(codes: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
    from scipy.stats import rankdata

    ranks = [standardize(rankdata(c, axis=0))[0] for c in codes]
    for source in ranks:
        with fitting():
            found = [np.abs(source.T @ target) / len(source) for target in ranks]
        yield found


def _agreement(similarity: np.ndarray, weights: np.ndarray, other: np.ndarray) -> float:
    """Returns the agreement; `weights` are those of the columns, `other` those of the rows."""
    if not similarity.size:
        return 0.0
    sides = []
    for matrix, w in ((similarity, weights), (similarity.T, other)):
        total = matrix.sum(axis=0)
        strength = matrix.max(axis=0) ** 2 / np.where(total > 0, total, 1)
        sides.append(np.average(strength, weights=w))
    return float(np.mean(sides))
