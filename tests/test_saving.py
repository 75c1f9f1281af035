import importlib
import inspect
import json
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_betavae
from keras_betavae import AdaGVAE, BetaVAE, FactorVAE, GroupVAE, networks
from keras_betavae.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Laplace
from keras_betavae.networks.layers import Conv2DTranspose, SpatialBroadcast
from keras_betavae.objectives import DIP, Beta, BetaTC, Capacity, SemiSupervised
from keras_betavae.objectives.schedules import Cosine, Cyclical, Linear
from tests.helpers import SHAPE, patterns, run_python, tiny_networks, tiny_vae, weights_of

REGISTERED = {
    "BetaVAE": lambda: BetaVAE(
        **tiny_networks(),
        objective=Capacity(10.0, 5.0, n_steps=7, min_capacity=0.5),
        likelihood=Gaussian(0.3),
        log_var_limit=9.0,
        seed=5,
        name="vae",
    ),
    "Beta": lambda: Beta(4.0),
    "Capacity": lambda: Capacity(10.0, 5.0, n_steps=7, min_capacity=0.5),
    "BetaTC": lambda: BetaTC(0.5, Cosine(1.0, 4.0, 7), 2.0, n_data=64, sampling="mws"),
    "DIP": lambda: DIP("ii", 2.0, Linear(0.0, 3.0, 7)),
    "SemiSupervised": lambda: SemiSupervised(
        DIP("i", 2.0, 20.0), (3, 4), Cyclical(0.0, 5.0, 7), latents=(2, 0), loss="l2"
    ),
    "SpatialBroadcast": lambda: SpatialBroadcast(4, name="places"),
    "Conv2DTranspose": lambda: Conv2DTranspose(
        3, (4, 4), strides=(2, 2), padding="same", activation="tanh", name="params"
    ),
    "Linear": lambda: Linear(0.5, 3.0, 7),
    "Cosine": lambda: Cosine(0.5, 3.0, 7),
    "Cyclical": lambda: Cyclical(0.5, 3.0, 7, n_cycles=2, ramp=0.8),
    "FactorVAE": lambda: FactorVAE(
        **tiny_networks(),
        gamma=Linear(0.0, 30.0, 7),
        discriminator=networks.discriminator(3, units=(8,)),
        likelihood=Gaussian(0.3, learnt=True),
        seed=5,
    ),
    "AdaGVAE": lambda: AdaGVAE(**tiny_networks(), objective=Beta(2.0), average="product", seed=5),
    "GroupVAE": lambda: GroupVAE(**tiny_networks(), shared=(0, 2), average="arithmetic", seed=5),
    "Bernoulli": lambda: Bernoulli(subtract_entropy=True),
    "ContinuousBernoulli": ContinuousBernoulli,
    "Gaussian": lambda: Gaussian(0.3, learnt=True),
    "Laplace": lambda: Laplace(0.3),
}
MODELS = {
    "beta_learnt_gaussian": (Beta(4.0), Gaussian(0.3, learnt=True)),
    "beta_bernoulli": (Beta(4.0), Bernoulli()),
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


def trained(objective=None, likelihood=None, epochs=2, **options):
    vae = tiny_vae(objective, likelihood, **options)
    vae.fit(patterns(24), batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return vae


def essence(config):
    """A configuration without what Keras notes about how a network came to be built."""
    if isinstance(config, dict):
        return {name: essence(part) for name, part in config.items() if name != "build_config"}
    return [essence(part) for part in config] if isinstance(config, list | tuple) else config


def saved_and_loaded(vae, folder):
    vae.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


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


def test_every_registered_class_is_listed_here():
    assert {value.__name__ for value in registered_classes()} == set(REGISTERED)


@pytest.mark.parametrize("name", REGISTERED)
def test_registered_classes_round_trip_through_json(name):
    made = REGISTERED[name]()
    text = json.dumps(keras.saving.serialize_keras_object(made))
    # Keras empties the configuration that it reads.
    again = keras.saving.deserialize_keras_object(json.loads(text), safe_mode=True)
    assert type(again) is type(made)
    assert json.loads(text)["registered_name"] == f"keras_betavae>{name}"
    again_text = json.dumps(keras.saving.serialize_keras_object(again))
    assert essence(json.loads(again_text)) == essence(json.loads(text))


@pytest.mark.parametrize("name", REGISTERED)
def test_a_config_holds_every_argument_of_the_constructor(name):
    made = REGISTERED[name]()
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
    assert int(loaded.step) == int(vae.step) == 6
    assert_all_equal(
        [variable.numpy() for variable in vae.optimizer.variables],
        [variable.numpy() for variable in loaded.optimizer.variables],
    )
    np.testing.assert_array_equal(vae.seed_generator.state, loaded.seed_generator.state)


@pytest.mark.parametrize(
    ("optimizer", "jit_compile"), [("adam", False), ("adagrad", False), ("adam", True)]
)
def test_a_loaded_model_trains_on_as_an_unbroken_run(optimizer, jit_compile, tmp_path):
    # The capacity reaches its end in the second half, after the file.
    options = {"optimizer": optimizer, "compile": {"jit_compile": jit_compile}}
    objective = Capacity(10.0, 5.0, n_steps=9)
    unbroken, first_half = (trained(objective, epochs=2, **options) for _ in range(2))
    loaded = saved_and_loaded(first_half, tmp_path)
    histories = [
        vae.fit(patterns(24), batch_size=8, epochs=2, shuffle=False, verbose=0).history
        for vae in (unbroken, loaded)
    ]
    assert histories[0] == histories[1]
    assert histories[0]["capacity"][0] == pytest.approx(5.0 * np.mean([6, 7, 8]) / 9)
    assert_all_equal(weights_of(unbroken), weights_of(loaded))


def test_weights_alone_restore_the_optimizer_and_the_random_stream(tmp_path):
    vae = trained()
    vae.save_weights(tmp_path / "model.weights.h5")
    other = trained(epochs=1, seed=3)
    other.load_weights(tmp_path / "model.weights.h5")
    for model in (vae, other):
        model.fit(patterns(24), batch_size=8, shuffle=False, verbose=0)
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


@pytest.fixture
def mixed_float16():
    """Builds under the policy, then restores the one before, as a new process has it."""
    before = keras.config.dtype_policy()

    def build(function):
        keras.config.set_dtype_policy("mixed_float16")
        try:
            return function()
        finally:
            keras.config.set_dtype_policy(before)

    return build


def test_a_model_in_mixed_precision_comes_back_and_trains_on(mixed_float16, tmp_path):
    vae = mixed_float16(trained)
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
        model.fit(patterns(24), batch_size=8, shuffle=False, verbose=0)
    assert_all_equal(weights_of(vae), weights_of(loaded))


def test_a_model_that_was_told_not_to_scale_its_loss_comes_back_so(mixed_float16, tmp_path):
    options = {"auto_scale_loss": False, "jit_compile": False}
    vae = mixed_float16(lambda: tiny_vae(compile=options))
    loaded = saved_and_loaded(vae, tmp_path)
    assert type(loaded.optimizer) is type(vae.optimizer) is keras.optimizers.Adam


def test_a_compiled_model_that_never_trained_comes_back(tmp_path):
    vae = tiny_vae()
    loaded = saved_and_loaded(vae, tmp_path)
    assert loaded.compiled
    assert_same_outputs(vae, loaded)


def test_an_uncompiled_model_comes_back_uncompiled(tmp_path):
    vae = BetaVAE(**tiny_networks())
    loaded = saved_and_loaded(vae, tmp_path)
    assert not loaded.compiled
    assert_same_outputs(vae, loaded)
    loaded.compile("sgd")
    loaded.fit(patterns(8), verbose=0)
    assert int(loaded.step) == 1


def test_a_model_may_be_loaded_without_compiling(tmp_path):
    vae = trained()
    vae.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert not loaded.compiled
    assert_same_outputs(vae, loaded)


@pytest.mark.parametrize("family", ["conv", "burgess", "locatello"])
def test_the_papers_networks_come_back(family, tmp_path):
    shape = (32, 32, 3)
    vae = BetaVAE(
        getattr(networks, f"{family}_encoder")(shape, 4),
        getattr(networks, f"{family}_decoder")(4, shape),
    )
    images = np.random.default_rng(0).random((2, *shape), dtype="float32")
    loaded = saved_and_loaded(vae, tmp_path)
    np.testing.assert_array_equal(vae.reconstruct(images), loaded.reconstruct(images))


def test_custom_networks_with_a_custom_layer_come_back(tmp_path):
    image, z = keras.Input(SHAPE, name="picture"), keras.Input((2,), name="code")
    h = layers.BatchNormalization()(Scale(0.5)(layers.Flatten()(image)))
    decoded = layers.Reshape(SHAPE)(Scale(2.0)(layers.Dense(64)(z)))
    vae = BetaVAE(
        keras.Model(image, [layers.Dense(2)(h), layers.Dense(2)(h)]), keras.Model(z, decoded)
    )
    vae.compile("adam", jit_compile=False)
    vae.fit(patterns(24), batch_size=8, verbose=0)
    loaded = saved_and_loaded(vae, tmp_path)
    assert any(isinstance(layer, Scale) for layer in loaded.encoder.layers)
    assert_all_equal(weights_of(vae), weights_of(loaded))
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
    vae.compile("adam", jit_compile=False)
    vae.fit(patterns(24), batch_size=8, verbose=0)
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


def test_exporting_leaves_the_model_as_it_was(tmp_path):
    vae, twin = trained(), trained()
    vae.export(tmp_path / "model", verbose=False)
    for model in (vae, twin):
        model.fit(patterns(24), batch_size=8, shuffle=False, verbose=0)
    assert_all_equal(weights_of(vae), weights_of(twin))


@pytest.mark.parametrize("kind", ["uncompiled", "loaded", "mixed_float16"])
def test_any_model_can_be_exported(kind, mixed_float16, tmp_path):
    if kind == "uncompiled":
        vae = BetaVAE(**tiny_networks())
    elif kind == "loaded":
        vae = saved_and_loaded(trained(), tmp_path)
    else:
        vae = mixed_float16(trained)
    vae.export(tmp_path / "model", verbose=False)
    served = tf.saved_model.load(tmp_path / "model")
    images, tolerance = patterns(3), 1e-2 if kind == "mixed_float16" else 1e-5
    reconstruction = served.serve(tf.constant(images))
    assert reconstruction.dtype == tf.float32
    np.testing.assert_allclose(reconstruction, vae.reconstruct(images), atol=tolerance)
    samples = served.sample(tf.constant(2), tf.constant(1))
    np.testing.assert_allclose(samples, vae.sample(2, seed=1), atol=tolerance)


def test_export_refuses_an_unknown_format(tmp_path):
    with pytest.raises(ValueError, match="format"):
        tiny_vae().export(tmp_path / "model", format="pickle")
