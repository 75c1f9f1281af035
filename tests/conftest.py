"""Set before TensorFlow and NumPy are imported."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Test processes run side by side; thread pools in each would fight over the cores.
for variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
):
    os.environ.setdefault(variable, "1")
# keras_betavae sets it where it is imported before TensorFlow, as in the processes that tests
# start; with other convolutions the last digits differ.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
