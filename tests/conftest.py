"""Set before TensorFlow and NumPy are imported."""

import os

import pytest

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


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A model and the folder of its SavedModel, to be read only."""
    from tests.helpers import tiny_vae

    vae = tiny_vae()
    path = tmp_path_factory.mktemp("export") / "saved_model" / "1"
    vae.export(path, verbose=False)
    return vae, path
