"""Traversals: one latent varies and the others are fixed."""

import math
import os
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from keras_betavae._utils.names import one_line
from keras_betavae._utils.protocols import Decoder
from keras_betavae.visualization.images import image_grid, labeled_grid, write_animation, write_png

Span: TypeAlias = Literal["limit", "range", "quantiles"]
SPANS = ("limit", "range", "quantiles")
_LEAST_TOLD = 0.05
"""Nats; a latent with less mutual information with a factor is not labeled with it."""
_LEAST_SHARE = 0.2
"""Of the mutual information of a factor's most informative latent."""


def traverse(
    model: Decoder,
    code: np.ndarray,
    *,
    latents: Sequence[int] | np.ndarray | None = None,
    limit: float = 3.0,
    n_steps: int = 11,
    values: np.ndarray | None = None,
) -> np.ndarray:
    """Returns decoded images in which one latent varies and the others are fixed.

    Args:
        model: Anything with a method `decode`, from codes (n, latent_dim) to images.
        code: The code to vary, (latent_dim,): an image's, or zeros, the prior mean.
        latents: The latents to vary, one row each; None for all.
        limit: Each latent varies from -limit to limit, in units of the prior's standard
            deviation.
        n_steps: Images per row, at least 2.
        values: Other values of each latent, from `traversal_values`.

    Returns:
        float32 images (rows, n_steps, height, width, channels), from one call of the
        decoder.

    Raises:
        ValueError: If `code` is not a vector, `n_steps` is below 2, or `values` has another shape.
    """
    code = np.asarray(code, dtype=np.float32)
    if code.ndim != 1:
        raise ValueError(f"code must have the shape (latent_dim,), got {code.shape}")
    if values is None:
        values = traversal_values("limit", n_steps, limit=limit)
    values = np.asarray(values, dtype=np.float32)
    if values.ndim not in (1, 2) or (values.ndim == 2 and len(values) != len(code)):
        raise ValueError(
            f"values must have the shape (n_steps,) or ({len(code)}, n_steps), got {values.shape}"
        )
    rows = np.arange(len(code)) if latents is None else np.asarray(latents)
    codes = np.tile(code, (len(rows), values.shape[-1], 1))
    codes[np.arange(len(rows)), :, rows] = values if values.ndim == 1 else values[rows]
    images = np.asarray(model.decode(codes.reshape(-1, len(code))))
    return images.reshape(len(rows), values.shape[-1], *images.shape[1:])


def traversal_values(
    span: Span = "limit",
    n_steps: int = 11,
    *,
    limit: float = 3.0,
    codes: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the values of latents in a traversal.

    Args:
        span: `"limit"`: evenly from -limit to limit; `"range"`: evenly from each latent's
            smallest to its largest value in `codes`; `"quantiles"`: those of the prior, a
            standard normal, at (i + ½) / n_steps, so that all steps are equally likely.
        n_steps: Number of values, at least 2.
        limit: Limit in units of the prior's standard deviation.
        codes: Codes (n, latent_dim), for `"range"`.

    Returns:
        (n_steps,), or (latent_dim, n_steps) for `"range"`.

    Raises:
        ValueError: If `span` is unknown, `n_steps` below 2, `limit` not above 0, or codes are
            missing.

    Example:
        >>> traversal_values("quantiles", 3).round(2)
        array([-0.97,  0.  ,  0.97])
    """
    if n_steps < 2:
        raise ValueError(f"n_steps must be at least 2, got {n_steps}")
    if span == "limit":
        if not 0.0 < limit < math.inf:
            raise ValueError(f"limit must be a finite number above 0, got {limit}")
        return np.linspace(-limit, limit, n_steps)
    if span == "quantiles":
        from scipy.stats import norm

        return norm.ppf((np.arange(n_steps) + 0.5) / n_steps)
    if span != "range":
        raise ValueError(f"span must be one of {', '.join(SPANS)}, got {span!r}")
    if codes is None:
        raise ValueError("the span 'range' needs codes")
    codes = np.asarray(codes)
    return np.linspace(codes.min(axis=0), codes.max(axis=0), n_steps, axis=-1)


def latent_labels(
    kl: np.ndarray,
    information: np.ndarray | None = None,
    factor_names: Sequence[str] = (),
    *,
    threshold: float = 0.01,
) -> list[str]:
    """Returns a label for each latent: its number, its KL, and the factor that it encodes.

    Args:
        kl: The KL of each latent in nats, (latent_dim,).
        information: Mutual information in nats, (latent_dim, n_factors), from
            `metrics.mutual_information`; None if no factors are known.
        factor_names: A name for each factor.
        threshold: A latent with at most this KL, in nats, gets no factor; nor does a latent whose
            mutual information with its factor, or the KL, which bounds what the decoder receives
            of it, is below 0.05 nats, the error of the estimate, or below a fifth of the mutual
            information of the factor's most informative latent.

    Returns:
        The labels, in the order of the latents.

    Example:
        >>> latent_labels([2.5, 0.0], [[0.1, 1.2], [0.0, 0.0]], ("shape", "pos_x"))
        ['z0  2.5 nats  pos_x', 'z1  0.0 nats  no factor']
    """
    labels = []
    for latent, value in enumerate(np.asarray(kl)):
        label = f"z{latent}  {value:z.1f} nats"
        if information is not None:
            known = np.asarray(information)
            factor = known[latent].argmax()
            least = max(_LEAST_TOLD, _LEAST_SHARE * known[:, factor].max())
            follows = value > threshold and min(known[latent, factor], value) >= least
            label += f"  {one_line(factor_names[factor]) if follows else 'no factor'}"
        labels.append(label)
    return labels


def interpolate(
    model: Decoder, first: np.ndarray, second: np.ndarray, *, n_steps: int = 11
) -> np.ndarray:
    """Returns decoded images on straight lines between codes.

    Args:
        model: As in `traverse`.
        first: Codes to start from, (n, latent_dim).
        second: Codes to end at, of the same shape.
        n_steps: Images per row, both ends included, at least 2.

    Returns:
        float32 images (n, n_steps, height, width, channels), from one call of the decoder.

    Raises:
        ValueError: If the codes' shapes differ or `n_steps` is below 2.
    """
    first, second = np.asarray(first, np.float32), np.asarray(second, np.float32)
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(
            f"first and second must have the same shape (n, latent_dim), got {first.shape} and "
            f"{second.shape}"
        )
    if n_steps < 2:
        raise ValueError(f"n_steps must be at least 2, got {n_steps}")
    codes = np.linspace(first, second, n_steps, axis=1, dtype=np.float32)
    images = np.asarray(model.decode(codes.reshape(-1, first.shape[1])))
    return images.reshape(len(first), n_steps, *images.shape[1:])


def write_traversal(
    path: str | os.PathLike,
    rows: np.ndarray,
    labels: Sequence[str] | None = None,
    *,
    zoom: int = 1,
) -> None:
    """Writes a traversal as a PNG, with all steps side by side, or as an animation.

    Args:
        path: A file that ends in `.png`, `.gif` or `.webp`; an animation plays forward and
            backward, with the latents side by side.
        rows: Images from `traverse`, (rows, n_steps, height, width, channels).
        labels: A label for each row, in a PNG.
        zoom: As in `image_grid`.

    Raises:
        ValueError: If the file has another ending.
    """
    check_ending(path)
    if os.fspath(path).lower().endswith(".png"):
        grid = image_grid(rows, zoom=zoom)
        write_png(path, grid if labels is None else labeled_grid(rows, labels, zoom=zoom))
    else:
        n_steps = rows.shape[1]
        order = [*range(n_steps), *range(n_steps - 2, 0, -1)]
        write_animation(path, [image_grid(rows[None, :, step], zoom=zoom) for step in order])


def check_ending(path: str | os.PathLike) -> None:
    """Checks the name of a file for `write_traversal`.

    Raises:
        ValueError: If the file has another ending.
    """
    if not os.fspath(path).lower().endswith((".png", ".gif", ".webp")):
        raise ValueError(f"the file must end in .png, .gif or .webp, got {os.fspath(path)!r}")
