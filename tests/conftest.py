"""Variables that are set before TensorFlow and NumPy are imported, and a run that tests share."""

import gc
import os
import subprocess
import sys

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
# XLA compiles for few steps: a third of the time goes into optimizing what they do not repay.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

# It looks again and again through all that is imported, which stays; pytest_collection_finish
# turns it on.
gc.disable()

QUICK = {
    "test_controls",
    "test_differences",
    "test_dip",
    "test_files",
    "test_house",
    "test_layers",
    "test_networks",
    "test_presets",
    "test_responses",
    "test_traversals",
    "test_visualization",
}
"""The files whose tests train nothing and start no process: those of `make quick`."""


def pytest_ignore_collect(collection_path, config):
    """Imports no other files where the quick ones alone are asked for."""
    only_quick = config.option.markexpr.startswith("quick")
    if only_quick and collection_path.suffix == ".py" and collection_path.stem not in QUICK:
        return True
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Gives the files that share `finished_run` to one process."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return file.replace("test_tensorboard", "test_report")

    return ByFile(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session):
    """Gives TensorFlow two logical CPUs, for tests/test_replicas.py, before a test module uses it.

    The process that only hands out tests to others does without TensorFlow.
    """
    if not session.config.pluginmanager.hasplugin("dsession"):
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in QUICK:
            item.add_marker("quick")


def pytest_collection_finish():
    """Lets the garbage collector look at what is made from here on."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def quick_tests_are_quick(request, monkeypatch):
    """Fails a test of the quick files that trains, or starts a process."""
    if request.node.get_closest_marker("quick"):

        def refuse(*_, **__):
            pytest.fail(f"{request.path.stem} is listed as quick in tests/conftest.py")

        if "keras" in sys.modules:
            monkeypatch.setattr(sys.modules["keras"].Model, "fit", refuse)
        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@pytest.fixture(scope="module", autouse=True)
def compile_nothing(request):
    """Lets XLA compile only what a test asks for: that takes longer than most of them train."""
    package = sys.modules.get("keras_betavae")
    with pytest.MonkeyPatch.context() as patch:
        if package is not None and request.path.stem != "test_speed":
            defaults = {**package.BetaVAE.compile.__kwdefaults__, "jit_compile": False}
            patch.setattr(package.BetaVAE.compile, "__kwdefaults__", defaults)
        yield


@pytest.fixture(scope="session", autouse=True)
def leave_graphs_as_they_are():
    """Keeps TensorFlow from optimizing graphs, which takes a third of the time of a short fit.

    Processes that tests start, such as those of test_workers.py, have it.
    """
    if "tensorflow" in sys.modules:
        options = {"disable_meta_optimizer": True}
        sys.modules["tensorflow"].config.optimizer.set_experimental_options(options)


@pytest.fixture(scope="session", autouse=True)
def tune_no_pipelines():
    """Keeps tf.data from tuning Keras's pipelines of arrays.

    The end of `fit` may wait for the tuning thread to wake, 20 s late in a process of many fits.
    """
    if "keras" not in sys.modules:
        yield
        return
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

    options, dataset_of = sys.modules["tensorflow"].data.Options(), ArrayDataAdapter.get_tf_dataset
    options.autotune.enabled = False

    def untuned(adapter):
        return dataset_of(adapter).with_options(options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArrayDataAdapter, "get_tf_dataset", untuned)
        yield


@pytest.fixture(scope="session", autouse=True)
def draw_quickly():
    """Lets matplotlib not fit the parts of a figure to each other: half the time of a picture.

    tests/test_plots.py draws with it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.layout_engine.ConstrainedLayoutEngine.execute", lambda *_: None)
        yield


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A finished run of few steps, with pictures and controls; copy it to change it."""
    from keras_betavae.experiments import runs
    from tests.helpers import narrow_networks, no_graphs, quick_scores

    settings = runs.Settings.from_preset(
        "burgess_dsprites",
        grid=(3, 2, 2, 4, 4),
        latent_dim=2,
        batch_size=16,
        n_images=200,
        steps=5,
        every=2,
    )
    folder = runs.create(tmp_path_factory.mktemp("finished") / "one", settings)
    data = settings.load_data()
    with quick_scores(), narrow_networks(), no_graphs():
        runs.finish(folder, runs.train(folder, data, verbose=0), data)
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A model and the folder of its SavedModel, to be read only."""
    from tests.helpers import tiny_vae

    vae = tiny_vae()
    path = tmp_path_factory.mktemp("export") / "saved_model" / "1"
    vae.export(path, verbose=False)
    return vae, path
