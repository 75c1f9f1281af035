"""What docs/serving.md and the soak say must run; constraints.txt must name all requirements."""

import gc
import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import keras_betavae as kbv
from tests.serving_stub import grpc_server, rest_server

ROOT = Path(__file__).parents[1]


TEXT = (ROOT / "docs" / "serving.md").read_text("utf-8")


@pytest.fixture(scope="module")
def vae():
    return kbv.BetaVAE(
        kbv.networks.dense_encoder((64, 64, 1), 10, (16,)),
        kbv.networks.dense_decoder(10, (64, 64, 1), (16,)),
    )


@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
def test_python_and_shell_blocks_of_serving_run_in_order(vae, tmp_path, monkeypatch):
    for package in ("onnxruntime", "tf2onnx", "ai_edge_litert", "tensorflow_serving"):
        pytest.importorskip(package)
    python = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (shell,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {"vae": vae}
    exec(compile(python[0], "docs/serving.md", "exec"), names)
    with (
        rest_server(tmp_path / "saved_model" / "1", "betavae") as rest,
        grpc_server(tmp_path / "saved_model" / "1", "betavae") as grpc,
    ):
        ports = {"localhost:8501": f"localhost:{rest}", "localhost:8500": f"localhost:{grpc}"}

        def here(code):
            return re.sub("localhost:850[01]", lambda match: ports[match.group()], code)

        for code in python[1:]:
            exec(compile(here(code), "docs/serving.md", "exec"), names)
        if shutil.which("curl"):
            command = here(shell).replace("curl", "curl --silent --fail")
            answers = subprocess.check_output(["sh", "-ec", command], timeout=60).decode()
            status, end = json.JSONDecoder().raw_decode(answers)
            assert status["model_version_status"][0]["state"] == "AVAILABLE"
            sampled = json.loads(answers[end:])["outputs"]
            np.testing.assert_allclose(sampled, vae.sample(1, seed=0), atol=1e-5)
    mean = vae.encode(names["images"])[0]
    for name in ("mean", "grpc_mean", "onnx_mean", "litert_mean"):
        np.testing.assert_allclose(names[name], mean, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(names["codes"]["mean"], mean, atol=1e-5)
    np.testing.assert_allclose(names["rest_codes"]["mean"], mean, atol=1e-5)
    for name in ("rest_images", "onnx_images", "litert_images"):
        np.testing.assert_allclose(names[name], vae.decode(mean), atol=1e-4, err_msg=name)
    assert names["pictures"].shape == (16, 64, 64, 1)


def test_the_table_of_signatures_is_that_of_the_saved_model(vae, tmp_path):
    vae.export(tmp_path / "1", verbose=False)
    documented = {
        name
        for row in re.findall(r"^\| (`.*?) \| `", TEXT, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert documented >= set(tf.saved_model.load(tmp_path / "1").signatures)


def test_the_soak_counts_no_trace_after_the_first_call(vae, capsys, monkeypatch):
    soak = runpy.run_path(str(ROOT / "benchmarks" / "soak.py"))

    def export(command, check):
        vae.export(command[-1], verbose=False)

    monkeypatch.setattr(subprocess, "run", export)
    gc.collect()
    gc.disable()  # It would drop the functions of earlier tests while they are counted.
    try:
        soak["main"](40)
    finally:
        gc.enable()
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[-2:] == ["traces", "functions"]
    counts = {tuple(row.split()[-2:]) for row in rows}
    assert len(rows) == 10
    assert len(counts) == 1


def setup_arguments():
    import setuptools

    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
        runpy.run_path(str(ROOT / "setup.py"))
    return given


def requirements():
    given = setup_arguments()
    extras = {k: v for k, v in given["extras_require"].items() if k != "benchmark"}
    every = {*given["install_requires"], *(r for each in extras.values() for r in each)}
    return sorted(map(Requirement, every), key=lambda each: canonicalize_name(each.name))


def pinned(file):
    lines = (ROOT / file).read_text().splitlines()
    assert not [line for line in lines if "://" in line or "@" in line]
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_constraints_name_a_version_of_every_requirement():
    versions = pinned("constraints.txt")
    for requirement in requirements():
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, requirement
        assert requirement.specifier.contains(version), requirement


def test_the_least_constraints_are_the_bounds_of_setup():
    bounds = {
        canonicalize_name(requirement.name): specifier.version
        for requirement in requirements()
        for specifier in requirement.specifier
        if specifier.operator == ">="
    }
    # TensorFlow Probability takes any tf-keras, which must be that of TensorFlow's own version.
    bounds["tf-keras"] = bounds["tensorflow"]
    # What others need beside these, and do not say: TensorBoard 2.20 imports pkg_resources, and
    # TensorFlow Datasets 4.9.3 takes any tensorflow-metadata, the latest of which wants a later
    # protobuf.
    bounds |= {"setuptools": "80.10.2", "tensorflow-metadata": "1.17.1"}
    assert pinned("constraints-min.txt") == bounds


def test_the_workflow_runs_every_python_of_setup():
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8")
    (versions,) = re.findall(r"python-version: \[(.*)\]", text)
    named = [line.rsplit(" ", 1)[1] for line in setup_arguments()["classifiers"] if ":: 3." in line]
    assert re.findall(r"3\.\d+", versions) == named
