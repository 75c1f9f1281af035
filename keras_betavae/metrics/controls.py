"""Untrained representations as controls for scores."""

import numpy as np

from keras_betavae.metrics._estimators import fitting


def pixel_codes(images: np.ndarray) -> np.ndarray:
    """Returns the images themselves as codes.

    Args:
        images: uint8 `(n, *image_shape)`, 0 to 255, as in `FactorDataset.encode_with`; or
            floats, which are not rescaled.

    Returns:
        float32 (n, pixels), 0 to 1 for uint8.

    Example:
        >>> pixel_codes(np.full((2, 8, 8, 1), 255, "uint8")).shape
        (2, 64)
    """
    scale = np.float32(255 if images.dtype.kind in "iu" else 1)
    return images.reshape(len(images), -1) / scale


def pca_codes(pixels: np.ndarray, n_components: int = 10, seed: int = 0) -> np.ndarray:
    """Returns the principal components of the pixels, by scikit-learn's `PCA`.

    A component whose variance is only rounding error is 0.

    Args:
        pixels: Codes of `pixel_codes`, (n, pixels).
        n_components: Components kept; the paper keeps 10.
        seed: Seed of the randomized solver.

    Returns:
        Floats (n, n_components).

    References:
        Higgins et al. 2017, Fig. 6, the control "PCA".

    Example:
        >>> pca_codes(np.random.default_rng(0).random((50, 20)), n_components=3).shape
        (50, 3)
    """
    from sklearn.decomposition import PCA

    # Constant pixels have no shares of a variance.
    with fitting(), np.errstate(invalid="ignore"):
        codes = PCA(n_components, random_state=int(seed) % 2**32).fit_transform(pixels)
    std = codes.std(axis=0)
    codes[:, std <= 100 * np.finfo(codes.dtype).eps * std.max()] = 0.0
    return codes


def ica_codes(pixels: np.ndarray, n_components: int = 10, seed: int = 0) -> np.ndarray:
    """Returns the independent components of the pixels, by scikit-learn's `FastICA`.

    Args:
        pixels: Codes of `pixel_codes`, (n, pixels).
        n_components: Components kept; the paper keeps 10.
        seed: Seed of the initial values.

    Returns:
        Floats (n, n_components) of unit variance, after at most 1,000 iterations if the
        algorithm does not converge. If the pixels vary in fewer directions, the last are 0.

    References:
        Higgins et al. 2017, Fig. 6, the control "ICA".

    Example:
        >>> ica_codes(np.random.default_rng(0).random((500, 20)), n_components=3).shape
        (500, 3)
    """
    # Whitening is cheap on the principal components, which span the same subspace.
    return independent(pca_codes(pixels, n_components, seed), seed)


def independent(components: np.ndarray, seed: int) -> np.ndarray:
    """Returns the independent components of principal components, as `ica_codes`."""
    from sklearn.decomposition import FastICA

    ica = FastICA(whiten="unit-variance", random_state=int(seed) % 2**32, max_iter=1_000, tol=1e-2)
    found = np.zeros_like(components)
    n_varying = np.count_nonzero(np.ptp(components, axis=0))  # Those of least variance come last.
    if n_varying:
        with fitting():
            found[:, :n_varying] = ica.fit_transform(components[:, :n_varying])
    return found
