"""Preset names and processor features, without importing TensorFlow."""

from pathlib import Path

PRESETS = (
    "sprites_quick",
    "sprites_full",
    "higgins_quick",
    "capacity_quick",
    "vectors",
    "signals",
    "higgins_dsprites",
    "higgins_chairs",
    "higgins_faces",
    "higgins_celeba",
    "burgess_dsprites",
    "burgess_controlled",
    "burgess_celeba",
    "locatello_beta",
    "locatello_capacity",
    "locatello_tc",
    "locatello_factor",
    "locatello_dip_i",
    "locatello_dip_ii",
)
"""The names of all presets."""
PROCESSOR = Path("/proc/cpuinfo")
"""Where Linux lists the processor's features."""


def fastest_precision() -> str:
    """Returns mixed_bfloat16 if the processor's flags show bfloat16 support, otherwise float32."""
    flags = set(PROCESSOR.read_text().split()) if PROCESSOR.is_file() else set()
    return "mixed_bfloat16" if flags & {"avx512_bf16", "amx_bf16"} else "float32"
