"""z_diff, the mean difference of pairs of codes, in bounded memory."""

import numpy as np

_BLOCK_VALUES = 2**18
_FEWEST_BITS = 64
"""With fewer codes, packing them saves nothing."""


def mean_differences(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the mean over pairs of |codes[first] - codes[second]|.

    Codes of 0 and 1, such as the pixels of binary images, are compared as packed bits. Counting
    the bits that differ gives the same numbers as subtraction.

    Args:
        codes: Codes, (n_samples, latent_dim).
        first: Indices, (n_points, n_pairs).
        second: Indices, (n_points, n_pairs).

    Returns:
        Floats (n_points, latent_dim).
    """
    # Unsigned bytes would wrap around below zero.
    dtype = np.promote_types(codes.dtype, np.float32)
    z_diff = np.empty((len(first), codes.shape[1]), dtype)
    is_binary = codes.shape[1] >= _FEWEST_BITS and bool(((codes == 0) | (codes == 1)).all())
    codes = _packed(codes) if is_binary else codes.astype(dtype, copy=False)
    block = max(1, _BLOCK_VALUES // (first.shape[1] * codes.shape[1]))
    for start in range(0, len(first), block):
        rows = slice(start, start + block)
        if is_binary:
            different = codes[first[rows]]
            different ^= codes[second[rows]]
            z_diff[rows] = _count(different, z_diff.shape[1])
            z_diff[rows] /= first.shape[1]
            continue
        difference = codes[first[rows]]
        difference -= codes[second[rows]]
        np.abs(difference, out=difference).mean(axis=1, out=z_diff[rows])
    return z_diff


def _packed(codes: np.ndarray) -> np.ndarray:
    """Returns codes of 0 and 1 as bits in 64-bit words."""
    bits = np.packbits(np.ascontiguousarray(codes != 0), axis=1)
    return np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)


def _count(bits: np.ndarray, n_bits: int) -> np.ndarray:
    """Returns how often each bit is set, (n_points, n_bits), of (n_points, n_pairs, n_words).

    Full adders turn three words of one weight into a word of that weight and a word of the next,
    until one word of each weight is left: the binary digits of all counts.
    """
    counts = np.zeros((len(bits), n_bits), np.int64 if bits.shape[1] >= 2**15 else np.int16)
    weight = 1
    while bits.shape[1]:
        carried = []
        while bits.shape[1] > 1:
            n = bits.shape[1] // 3
            # Two that are left over are added to a third that is empty.
            a, b = (bits[:, k : 3 * n : 3] if n else bits[:, k : k + 1] for k in (0, 1))
            either = a ^ b
            if n:
                c = bits[:, 2 : 3 * n : 3]
                carried.append((a & b) | (c & either))
                either ^= c
            else:
                carried.append(a & b)
            bits = np.concatenate([either, bits[:, 3 * n if n else 2 :]], axis=1)
        digits = np.unpackbits(np.ascontiguousarray(bits[:, 0]).view(np.uint8), axis=1)
        counts += digits[:, :n_bits].astype(counts.dtype) * weight
        bits = np.concatenate(carried, axis=1) if carried else bits[:, :0]
        weight *= 2
    return counts
