"""The presets' names, which the command line knows without importing TensorFlow."""

PRESETS = (
    "sprites_quick",
    "sprites_full",
    "higgins_quick",
    "capacity_quick",
    "higgins_dsprites",
    "higgins_chairs",
    "higgins_faces",
    "higgins_celeba",
    "burgess_dsprites",
    "burgess_celeba",
    "locatello_beta",
    "locatello_capacity",
    "locatello_tc",
    "locatello_factor",
    "locatello_dip_i",
    "locatello_dip_ii",
)
