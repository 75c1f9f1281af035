"""The SavedModel's layout, signatures and warm-up; ONNX and LiteRT in their own runtimes."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.tools import saved_model_cli

from keras_betavae import BetaVAE, FactorVAE, __version__, networks
from keras_betavae.export import saved_model as _export
from keras_betavae.export import warmup as _warmup
from keras_betavae.export.served_model import ServedModel
from keras_betavae.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Laplace, Likelihood
from tests.helpers import SHAPE, dtype_policy, patterns, tiny_networks, tiny_vae

# Keras 3.15 looks for what NumPy 2 has not, before it calls tf2onnx.
pytestmark = pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")

SIGNATURES = {
    "encode": (["x"], ["log_var", "mean"]),
    "decode": (["z"], ["images"]),
    "reconstruct": (["x"], ["images"]),
    "serve": (["x"], ["images"]),
    "serving_default": (["x"], ["images"]),
    "sample": (["n", "seed"], ["images"]),
}
CODES = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


# The SavedModel.


def test_the_folder_is_one_version_and_nothing_else(exported):
    _, path = exported
    assert [p.name for p in path.parent.iterdir()] == ["1"]
    assert {"saved_model.pb", "variables", "assets.extra"} <= {p.name for p in path.iterdir()}


def test_each_signature_names_its_inputs_and_outputs(exported):
    signatures = tf.saved_model.load(exported[1]).signatures
    assert {
        name: (
            sorted(signature.structured_input_signature[1]),
            sorted(signature.structured_outputs),
        )
        for name, signature in signatures.items()
    } == SIGNATURES


def test_the_folder_says_what_was_exported(exported):
    vae, path = exported
    said = json.loads((path / "assets" / "model.json").read_text("utf-8"))
    assert said["keras_betavae"] == __version__
    assert said["image_shape"] == list(vae.image_shape)
    assert said["objective"] == {"class": "Beta", "beta": vae.objective.beta}
    assert said["training_steps"] == 0
    assert "uint8 images divided by 255" in said["input"]


def test_the_methods_still_give_plain_tensors(exported):
    vae, path = exported
    served = tf.saved_model.load(path)
    for found, expected in (
        (served.encode(patterns(4))["mean"], vae.encode(patterns(4))[0]),
        (served.decode(CODES), vae.decode(CODES)),
        (served.serve(patterns(4)), vae.reconstruct(patterns(4))),
        (served.sample(3, 7), vae.sample(3, seed=7)),
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_saved_model_cli_shows_and_runs_it(exported, tmp_path, capsys):
    vae, path = exported
    arguments = saved_model_cli.create_parser().parse_args(["show", "--dir", str(path), "--all"])
    arguments.func()
    shown = capsys.readouterr().out
    for name, (inputs, outputs) in SIGNATURES.items():
        _, _, described = shown.partition(f"signature_def['{name}']:")
        described, _, _ = described.partition("Method name is: tensorflow/serving/predict")
        for each in (*(f"inputs['{i}']" for i in inputs), *(f"outputs['{o}']" for o in outputs)):
            assert each in described
    np.save(tmp_path / "x.npy", patterns(4))
    command = ["run", "--dir", str(path), "--tag_set", "serve", "--signature_def", "encode"]
    command += ["--outdir", str(tmp_path), "--inputs", f"x={tmp_path / 'x.npy'}"]
    arguments = saved_model_cli.create_parser().parse_args(command)
    arguments.func()
    for name, expected in zip(("mean", "log_var"), vae.encode(patterns(4)), strict=True):
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), expected, atol=1e-5)


def warmup_of(path):
    records = tf.data.TFRecordDataset(str(path / "assets.extra" / "tf_serving_warmup_requests"))
    return [record.numpy() for record in records]


def test_a_server_reads_the_warm_up_and_each_signature_answers_it(exported):
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    signatures = tf.saved_model.load(exported[1]).signatures
    warmed = []
    for record in warmup_of(exported[1]):
        request = log.PredictionLog.FromString(record).predict_log.request
        warmed.append(request.model_spec.signature_name)
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        outputs = signatures[warmed[-1]](**inputs)
        assert sorted(outputs) == SIGNATURES[warmed[-1]][1]
        assert all(len(output) == 1 for output in outputs.values())
    assert sorted(warmed) == sorted(set(SIGNATURES) - {"serve"})


def test_the_warm_ups_fields_are_those_of_tensorflow_serving():
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    predict = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    model = pytest.importorskip("tensorflow_serving.apis.model_pb2")
    published = {
        "ModelSpec": model.ModelSpec,
        "Input": predict.PredictRequest.InputsEntry,
        "PredictRequest": predict.PredictRequest,
        "PredictLog": log.PredictLog,
        "PredictionLog": log.PredictionLog,
    }
    for message, fields in _warmup._FIELDS.items():
        theirs = published[message].DESCRIPTOR.fields_by_name
        assert {name: theirs[name].number for name in fields} == {
            name: number for name, (number, _) in fields.items()
        }


def test_an_export_replaces_a_version_whole_or_not_at_all(exported, tmp_path, monkeypatch):
    path = tmp_path / "1"
    first, second = exported[0], tiny_vae(seed=1)
    shutil.copytree(exported[1], path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_export, "write_warmup", full)
        with pytest.raises(OSError, match="No space left"):
            second.export(path, verbose=False)
    assert os.listdir(tmp_path) == ["1"]
    np.testing.assert_allclose(ServedModel(path).decode(CODES), first.decode(CODES), atol=1e-6)
    second.export(path, verbose=False)
    np.testing.assert_allclose(ServedModel(path).decode(CODES), second.decode(CODES), atol=1e-6)


def test_an_export_leaves_a_folder_of_other_things_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(FileExistsError, match="holds mine, which was not written by"):
        tiny_vae().export(tmp_path)
    assert os.listdir(tmp_path) == ["mine"]


@pytest.mark.parametrize("linked", ["1", "1/variables/x", "1/assets.extra"])
def test_an_export_deletes_nothing_that_a_link_points_to(tmp_path, linked):
    deployed, path = tmp_path / "deployed", tmp_path / "saved_model" / "1"
    deployed.mkdir()
    for name in ("saved_model.pb", ".hidden"):
        (deployed / name).write_text("precious")
    link = path.parent / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(deployed)
    (path / "saved_model.pb").write_text("old")
    before = (deployed / "saved_model.pb").read_text()
    with pytest.raises(FileExistsError, match=r"symbolic link|was not written by"):
        tiny_vae().export(path)
    assert sorted(os.listdir(deployed)) == [".hidden", "saved_model.pb"]
    assert (deployed / "saved_model.pb").read_text() == before
    assert link.is_symlink()


def test_an_export_to_another_file_system_replaces_nothing():
    vae = tiny_vae()
    vae.export("ram://models/1", verbose=False)
    served = tf.saved_model.load("ram://models/1")
    np.testing.assert_allclose(served.decode(CODES), vae.decode(CODES), atol=1e-6)
    with pytest.raises(FileExistsError, match="already exists"):
        vae.export("ram://models/1", verbose=False)
    assert tf.io.gfile.listdir("ram://models") == ["1"]


# ONNX and LiteRT.


def onnx_outputs(path, **inputs):
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    assert [value.name for value in session.get_inputs()] == list(inputs)
    assert all(value.shape[0] == "batch" for value in session.get_outputs())
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def litert_outputs(path, **inputs):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    return litert.Interpreter(str(path)).get_signature_runner()(**inputs)


RUNTIMES = {"onnx": ("onnx", onnx_outputs), "litert": ("tflite", litert_outputs)}
every_format = pytest.mark.parametrize("format", RUNTIMES)


def assert_runs_as(vae, path, format, tolerance=1e-4):
    suffix, outputs = RUNTIMES[format]
    if format == "onnx":
        pytest.importorskip("tf2onnx")
    vae.export(path, format=format, verbose=False)
    assert sorted(os.listdir(path)) == [f"decoder.{suffix}", f"encoder.{suffix}"]
    rng = np.random.default_rng(0)
    for n in (1, 5):
        x = rng.random((n, *vae.image_shape), dtype="float32")
        z = rng.normal(size=(n, vae.latent_dim)).astype("float32")
        encoded = outputs(path / f"encoder.{suffix}", x=x)
        decoded = outputs(path / f"decoder.{suffix}", z=z)
        assert (sorted(encoded), sorted(decoded)) == (["log_var", "mean"], ["images"])
        mean, log_var = vae.encode(x)
        np.testing.assert_allclose(encoded["mean"], mean, atol=tolerance)
        np.testing.assert_allclose(encoded["log_var"], log_var, atol=tolerance)
        np.testing.assert_allclose(decoded["images"], vae.decode(z), atol=tolerance)


LIKELIHOODS = [Bernoulli(), ContinuousBernoulli(), Gaussian(0.3, learned=True), Laplace(0.3)]


@pytest.mark.slow
@every_format
@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda part: type(part).__name__)
def test_each_likelihood_runs_in_the_formats_own_runtime(format, likelihood, tmp_path):
    # The limit is one that these log-variances do reach.
    vae = BetaVAE(**tiny_networks(), likelihood=likelihood, log_var_limit=0.3)
    assert_runs_as(vae, tmp_path / "networks", format)


@every_format
@pytest.mark.parametrize(
    "kind", ["conv", *(pytest.param(k, marks=pytest.mark.slow) for k in ("burgess", "locatello"))]
)
def test_the_papers_networks_run_in_the_formats_own_runtime(format, kind, tmp_path):
    # Converters take seconds, so a likelihood and a limit that is reached come along.
    shape = (32, 32, 3) if kind == "conv" else (64, 64, 3)
    encoder = getattr(networks, f"{kind}_encoder")(shape, 10)
    decoder = getattr(networks, f"{kind}_decoder")(10, shape)
    likelihood = {"onnx": ContinuousBernoulli(), "litert": Gaussian(0.3, learned=True)}[format]
    vae = BetaVAE(encoder, decoder, likelihood=likelihood, log_var_limit=0.01)
    images = np.random.default_rng(0).random((5, *shape), dtype="float32")
    assert np.max(np.abs(vae.encode(images)[1])) == np.float32(0.01)
    assert_runs_as(vae, tmp_path / "networks", format)


@pytest.fixture
def half_precision():
    with dtype_policy("mixed_float16"):
        return FactorVAE(**tiny_networks(), discriminator=networks.discriminator(3, units=(8,)))


def test_half_precision_is_refused_and_its_weights_run_in_a_twin(half_precision, tmp_path):
    for runtime in RUNTIMES:
        with pytest.raises(ValueError, match="float32, got float16, float32; make"):
            half_precision.export(tmp_path / "networks", format=runtime)
    twin = FactorVAE(**tiny_networks(), discriminator=networks.discriminator(3, units=(8,)))
    half_precision.save_weights(tmp_path / "half.weights.h5")
    twin.load_weights(tmp_path / "half.weights.h5")
    assert_runs_as(twin, tmp_path / "networks", "onnx")
    np.testing.assert_allclose(twin.decode(CODES), half_precision.decode(CODES), atol=1e-2)


class Bessel(Likelihood):
    """A mean that neither format has an operation for."""

    def __call__(self, params):
        p = Gaussian()(params)
        p._mean = lambda: tf.math.bessel_i0e(params)
        return p


@every_format
def test_an_operation_that_the_format_lacks_is_named_and_leaves_no_file(format, tmp_path):
    vae = BetaVAE(**tiny_networks(), likelihood=Bessel())
    words = "(?s)the decoder cannot be written as .*BesselI0e"
    with pytest.raises(ValueError, match=words) as caught:
        vae.export(tmp_path / "out", format=format)
    assert format in str(caught.value).lower()
    assert list(tmp_path.iterdir()) == []


def test_options_reach_the_exporter(tmp_path):
    onnx = pytest.importorskip("onnx")
    tiny_vae().export(tmp_path, format="onnx", opset_version=13, verbose=False)
    encoder = onnx.load(tmp_path / "encoder.onnx")
    assert encoder.opset_import[0].version == 13
    assert [output.name for output in encoder.graph.output] == ["mean", "log_var"]


def test_quantization_calibrates_the_decoder_by_codes(tmp_path):
    vae, images = BetaVAE(**tiny_networks(SHAPE, units=(512,))), patterns(32)
    for layer in (vae.encoder.get_layer("mean"), vae.decoder.layers[-2]):
        layer.set_weights([20.0 * weight for weight in layer.get_weights()])
    vae.export(
        tmp_path,
        format="litert",
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([images[i : i + 1]] for i in range(len(images))),
    )
    size = (tmp_path / "encoder.tflite").stat().st_size
    assert size < 0.5 * 4 * vae.encoder.count_params()  # One byte a weight, not four.
    mean, _ = vae.encode(images[:4])
    expected = np.asarray(vae.decode(mean))
    decoded = litert_outputs(tmp_path / "decoder.tflite", z=np.asarray(mean))["images"]
    encoded = litert_outputs(tmp_path / "encoder.tflite", x=images[:4])["mean"]
    # A range that was read off images, [0, 1], would clip half of these codes.
    assert np.ptp(mean) > 3.0
    assert np.abs(decoded - expected).mean() < 0.1 * expected.std()
    assert np.abs(encoded - mean).mean() < 0.1 * np.std(mean)
