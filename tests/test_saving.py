import importlib
import inspect
import json
import pkgutil
import shutil
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_betavae
from keras_betavae import BetaVAE, networks
from keras_betavae.likelihoods import Gaussian
from keras_betavae.networks.layers import (
    Conv2DTranspose,
    Coordinates,
    DepthToSpace,
    SpatialBroadcast,
    Translations,
)
from keras_betavae.objectives import Beta, Capacity
from tests.examples import LIKELIHOODS, NETWORKS, OBJECTIVES, SCHEDULES
from tests.examples import MODELS as EXAMPLES
from tests.helpers import (
    EAGER,
    SHAPE,
    dtype_policy,
    no_graphs,
    patterns,
    run_python,
    tiny_networks,
    tiny_vae,
    weights_of,
)

REGISTERED = {
    **{
        name: kind[-1]
        for kinds in (OBJECTIVES, SCHEDULES, LIKELIHOODS)
        for name, kind in kinds.items()
    },
    **{name: member.make() for name, member in EXAMPLES.items()},
    "Coordinates": Coordinates(name="places"),
    "DepthToSpace": DepthToSpace(2, name="params"),
    "Translations": Translations(seed=3),
    "SpatialBroadcast": SpatialBroadcast((4, 6), name="places"),
    "Conv2DTranspose": Conv2DTranspose(
        3, (4, 4), strides=(2, 2), padding="same", activation="tanh", name="params"
    ),
}
MODELS = {
    "beta_learned_gaussian": (Beta(4.0), Gaussian(0.3, learned=True)),
    "capacity_gaussian": (Capacity(10.0, 5.0, n_steps=7), Gaussian(0.3)),
}


@keras.saving.register_keras_serializable(package="tests")
class Scale(layers.Layer):
    """A user's own layer."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return self.factor * inputs

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def registered_classes():
    modules = [keras_betavae] + [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(keras_betavae.__path__, "keras_betavae.")
        if not module.name.endswith("__main__")
    ]
    return {
        value
        for module in modules
        for _, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__.startswith("keras_betavae")
        and (keras.saving.get_registered_name(value) or "").startswith("keras_betavae>")
    }


def trained(objective=None, likelihood=None, **options):
    vae = tiny_vae(objective, likelihood, **{"compile": EAGER, **options})
    vae.fit(patterns(8), batch_size=8, shuffle=False, verbose=0)
    return vae


def essence(config):
    """A configuration without what Keras notes about how a network came to be built."""
    if isinstance(config, dict):
        return {name: essence(part) for name, part in config.items() if name != "build_config"}
    return [essence(part) for part in config] if isinstance(config, list | tuple) else config


def saved_and_loaded(vae, folder):
    vae.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


@no_graphs()
def assert_same_outputs(vae, other):
    images, codes = patterns(5), np.eye(3, dtype="float32")
    for method, argument in (("encode", images), ("reconstruct", images), ("decode", codes)):
        np.testing.assert_array_equal(
            getattr(vae, method)(argument), getattr(other, method)(argument)
        )
    np.testing.assert_array_equal(vae.sample(3, seed=1), other.sample(3, seed=1))
    np.testing.assert_array_equal(vae.elbo(images, seed=1), other.elbo(images, seed=1))


def assert_all_equal(weights, others):
    for weight, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(weight, other)


def test_every_registered_class_is_among_the_examples():
    assert {value.__name__ for value in registered_classes()} == set(REGISTERED)


@pytest.mark.parametrize("name", REGISTERED)
def test_registered_classes_round_trip_through_json(name):
    made = REGISTERED[name]
    text = json.dumps(keras.saving.serialize_keras_object(made))
    # Keras empties the configuration that it reads.
    again = keras.saving.deserialize_keras_object(json.loads(text), safe_mode=True)
    assert type(again) is type(made)
    assert json.loads(text)["registered_name"] == f"keras_betavae>{name}"
    again_text = json.dumps(keras.saving.serialize_keras_object(again))
    assert essence(json.loads(again_text)) == essence(json.loads(text))


@pytest.mark.parametrize("name", REGISTERED)
def test_a_config_holds_every_argument_of_the_constructor(name):
    made = REGISTERED[name]
    arguments = inspect.signature(type(made).__init__).parameters
    named = {
        name
        for name, argument in arguments.items()
        if argument.kind not in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL) and name != "self"
    }
    assert named <= set(made.get_config())


@pytest.mark.parametrize("model", MODELS)
def test_a_trained_model_comes_back_whole(model, tmp_path):
    vae = trained(*MODELS[model], log_var_limit=15.0)
    loaded = saved_and_loaded(vae, tmp_path)
    assert type(loaded) is BetaVAE
    assert essence(loaded.get_config()) == essence(vae.get_config())
    assert_all_equal(weights_of(vae), weights_of(loaded))
    assert_same_outputs(vae, loaded)
    assert int(loaded.step) == int(vae.step) == 1
    assert_all_equal(
        [variable.numpy() for variable in vae.optimizer.variables],
        [variable.numpy() for variable in loaded.optimizer.variables],
    )
    np.testing.assert_array_equal(vae.seed_generator.state, loaded.seed_generator.state)


def test_weights_alone_restore_the_optimizer_and_the_random_stream(tmp_path):
    vae = trained()
    vae.save_weights(tmp_path / "model.weights.h5")
    other = tiny_vae(seed=3, compile=EAGER)
    other.load_weights(tmp_path / "model.weights.h5")
    for model in (vae, other):
        model.fit(patterns(8), shuffle=False, verbose=0)
    assert_all_equal(weights_of(vae), weights_of(other))


@pytest.mark.parametrize(
    "options",
    [
        {"jit_compile": True, "steps_per_execution": 4},
        {"run_eagerly": True, "jit_compile": False},
    ],
    ids=str,
)
def test_a_loaded_model_is_compiled_as_it_was(options, tmp_path):
    vae = tiny_vae(optimizer=keras.optimizers.Adam(3e-3, beta_1=0.8), compile=options)
    loaded = saved_and_loaded(vae, tmp_path)
    assert loaded.optimizer.get_config() == vae.optimizer.get_config()
    for name in ("jit_compile", "steps_per_execution", "run_eagerly"):
        assert getattr(loaded, name) == getattr(vae, name), name


def test_a_model_in_mixed_precision_comes_back_and_trains_on(tmp_path):
    with dtype_policy("mixed_float16"):
        vae = trained(optimizer="sgd")
    loaded = saved_and_loaded(vae, tmp_path)
    assert isinstance(loaded.optimizer, keras.optimizers.LossScaleOptimizer)
    for network in ("encoder", "decoder"):
        ours, theirs = (
            {layer.name: layer.compute_dtype for layer in getattr(model, network).layers[1:]}
            for model in (vae, loaded)
        )
        assert theirs == ours
        # Its outputs are float32, and all that is in between is not.
        assert set(theirs.values()) == {"float16", "float32"}
    for model in (vae, loaded):
        model.fit(patterns(8), shuffle=False, verbose=0)
    assert_all_equal(weights_of(vae), weights_of(loaded))


def test_a_model_that_was_told_not_to_scale_its_loss_comes_back_so(tmp_path):
    with dtype_policy("mixed_float16"):
        vae = tiny_vae(compile={"auto_scale_loss": False, "jit_compile": False})
    loaded = saved_and_loaded(vae, tmp_path)
    assert type(loaded.optimizer) is type(vae.optimizer) is keras.optimizers.Adam


def test_a_compiled_model_that_never_trained_comes_back_compiled_or_not(tmp_path):
    vae = tiny_vae()
    loaded = saved_and_loaded(vae, tmp_path)
    assert loaded.compiled
    assert_same_outputs(vae, loaded)
    bare = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert not bare.compiled
    assert_all_equal(weights_of(vae), weights_of(bare))


def test_an_uncompiled_model_comes_back_uncompiled(tmp_path):
    vae = BetaVAE(**tiny_networks())
    loaded = saved_and_loaded(vae, tmp_path)
    assert not loaded.compiled
    assert_all_equal(weights_of(vae), weights_of(loaded))
    loaded.compile("sgd", **EAGER)
    loaded.fit(patterns(8), verbose=0)
    assert int(loaded.step) == 1


@pytest.mark.parametrize("family", NETWORKS)
def test_the_papers_networks_come_back(family, tmp_path):
    shape = (32, 3) if family == "conv1d" else (16, 16, 3)
    vae = BetaVAE(
        getattr(networks, f"{family}_encoder")(shape, 4),
        getattr(networks, f"{family}_decoder")(4, shape),
    )
    images = np.random.default_rng(0).random((2, *shape), dtype="float32")
    loaded = saved_and_loaded(vae, tmp_path)
    with no_graphs():
        np.testing.assert_array_equal(vae.reconstruct(images), loaded.reconstruct(images))


class Hub:
    """What Keras uses of huggingface_hub, in a folder."""

    def __init__(self, folder):
        self.folder = folder

    def HfApi(self, **_):
        return self

    def create_repo(self, name, **_):
        return types.SimpleNamespace(repo_id=name)

    def upload_folder(self, *, repo_id, folder_path, **_):
        shutil.copytree(folder_path, self.folder / repo_id)

    def snapshot_download(self, repo_id, **_):
        return str(self.folder / repo_id)


def test_a_model_is_shared_by_a_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("keras.src.saving.saving_lib.huggingface_hub", Hub(tmp_path))
    monkeypatch.setattr("keras.src.saving.saving_lib.check_pydot", lambda: False)
    vae, images = tiny_vae(compile=EAGER), patterns(16)
    vae.fit(images, epochs=1, verbose=0)
    vae.save("hf://someone/patterns-betavae")
    loaded = keras.saving.load_model("hf://someone/patterns-betavae")
    assert int(loaded.optimizer.iterations) == 1
    np.testing.assert_array_equal(loaded.sample(2), vae.sample(2))
    for ours, theirs in zip(weights_of(loaded), weights_of(vae), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_custom_networks_with_a_custom_layer_come_back(tmp_path):
    image, z = keras.Input(SHAPE, name="picture"), keras.Input((2,), name="code")
    h = layers.BatchNormalization()(Scale(0.5)(layers.Flatten()(image)))
    decoded = layers.Reshape(SHAPE)(Scale(2.0)(layers.Dense(64)(z)))
    vae = BetaVAE(
        keras.Model(image, [layers.Dense(2)(h), layers.Dense(2)(h)]), keras.Model(z, decoded)
    )
    vae.compile("sgd", **EAGER)
    vae.fit(patterns(8), batch_size=8, verbose=0)
    loaded = saved_and_loaded(vae, tmp_path)
    assert any(isinstance(layer, Scale) for layer in loaded.encoder.layers)
    assert_all_equal(weights_of(vae), weights_of(loaded))
    with no_graphs():
        np.testing.assert_array_equal(vae.reconstruct(patterns(4)), loaded.reconstruct(patterns(4)))


def test_a_clone_has_the_configuration_and_other_weights():
    vae = tiny_vae(Capacity(10.0, 5.0))
    clone = BetaVAE.from_config(vae.get_config())
    assert essence(clone.get_config()) == essence(vae.get_config())
    assert np.any(clone.encoder.weights[0].numpy() != vae.encoder.weights[0].numpy())


PLAIN_TENSORFLOW = """
import json, sys
absent = ["keras", "keras_betavae", "tensorflow_probability", "tf_keras"]
sys.modules.update(dict.fromkeys(absent))  # Importing them is an error.
import numpy as np, tensorflow as tf
folder = sys.argv[1]
model = tf.saved_model.load(folder + "/model")
given = np.load(folder + "/given.npz")
images = tf.constant(given["images"])
signatures = model.signatures
encoded = model.encode(images)
result = {
    "mean": encoded["mean"],
    "log_var": encoded["log_var"],
    "decode": model.decode(tf.constant(given["codes"])),
    "reconstruct": model.reconstruct(images),
    "serve": model.serve(images),
    "one": model.reconstruct(images[:1]),
    "sample": model.sample(tf.constant(4), tf.constant(7)),
    "other_sample": model.sample(tf.constant(2), tf.constant(8)),
    "signature_default": list(signatures["serving_default"](x=images).values())[0],
    "signature_mean": signatures["encode"](x=images)["mean"],
    "signature_decode": list(signatures["decode"](z=tf.constant(given["codes"])).values())[0],
    "signature_sample": list(
        signatures["sample"](n=tf.constant(4), seed=tf.constant(7)).values()
    )[0],
}
np.savez(folder + "/result.npz", **{name: value.numpy() for name, value in result.items()})
assert not any(sys.modules[name] for name in absent)
print(json.dumps(sorted(signatures)))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A trained model, its folder, what plain TensorFlow made of it, and its signatures."""
    folder = tmp_path_factory.mktemp("export")
    vae = BetaVAE(**tiny_networks(units=(128,)), objective=Capacity(), log_var_limit=0.01)
    vae.compile("sgd", **EAGER)
    vae.fit(patterns(8), batch_size=8, verbose=0)
    vae.export(folder / "model", verbose=False)
    codes = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    np.savez(folder / "given.npz", images=patterns(5), codes=codes)
    process = run_python(PLAIN_TENSORFLOW, folder)
    assert process.returncode == 0, process.stderr
    signatures = json.loads(process.stdout.splitlines()[-1])
    return vae, folder, dict(np.load(folder / "result.npz")), codes, signatures


def test_a_saved_model_runs_without_keras_and_has_every_endpoint(exported):
    *_, signatures = exported
    endpoints = {"serve", "encode", "decode", "reconstruct", "sample"}
    assert {*endpoints, "serving_default"} <= set(signatures)


def test_a_saved_model_gives_what_the_model_gives(exported):
    vae, _, result, codes, _ = exported
    images = patterns(5)
    mean, log_var = vae.encode(images)
    reconstruction = vae.reconstruct(images)
    for name, expected in {
        "mean": mean,
        "log_var": log_var,
        "decode": vae.decode(codes),
        "reconstruct": reconstruction,
        "serve": reconstruction,
        "one": reconstruction[:1],
        "sample": vae.sample(4, seed=7),
        "other_sample": vae.sample(2, seed=8),
        "signature_default": reconstruction,
        "signature_mean": mean,
        "signature_decode": vae.decode(codes),
        "signature_sample": vae.sample(4, seed=7),
    }.items():
        np.testing.assert_allclose(result[name], expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_saved_model_holds_its_weights_once_and_no_optimizer(exported):
    vae, folder, *_ = exported
    data = sum(path.stat().st_size for path in (folder / "model").glob("variables/*.data-*"))
    assert data < 1.1 * 4 * vae.count_params()


def test_a_loaded_model_is_exported_and_stays_as_it_was(tmp_path):
    twin = trained()
    vae = saved_and_loaded(twin, tmp_path)
    assert_exports(vae, tmp_path, tolerance=1e-5)
    for model in (vae, twin):
        model.fit(patterns(8), shuffle=False, verbose=0)
    assert_all_equal(weights_of(vae), weights_of(twin))


def test_a_model_in_mixed_precision_is_exported(tmp_path):
    with dtype_policy("mixed_float16"):
        vae = BetaVAE(**tiny_networks())
    assert_exports(vae, tmp_path, tolerance=1e-2)


@no_graphs()
def outputs(vae, images):
    return vae.reconstruct(images), vae.sample(2, seed=1)


def assert_exports(vae, tmp_path, tolerance):
    vae.export(tmp_path / "model", verbose=False)
    served = tf.saved_model.load(tmp_path / "model")
    reconstruction = served.serve(tf.constant(patterns(3)))
    assert reconstruction.dtype == tf.float32
    samples = served.sample(tf.constant(2), tf.constant(1))
    for found, expected in zip((reconstruction, samples), outputs(vae, patterns(3)), strict=True):
        np.testing.assert_allclose(found, expected, atol=tolerance)


def test_export_refuses_an_unknown_format(tmp_path):
    with pytest.raises(ValueError, match="format"):
        tiny_vae().export(tmp_path / "model", format="pickle")
