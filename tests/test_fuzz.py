"""Configurations and files that were changed at random: documented errors, and nothing else.

FUZZ_SECONDS is how long each of the slow tests goes on.
"""

import copy
import io
import json
import os
import random
import resource
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_betavae import AdaGVAE, BetaVAE, FactorVAE, GroupVAE, networks
from keras_betavae.experiments import runs
from keras_betavae.experiments.settings import Settings
from keras_betavae.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Laplace
from keras_betavae.objectives import DIP, Beta, BetaTC, Capacity, SemiSupervised
from keras_betavae.objectives.schedules import Cosine, Cyclical, Linear
from tests.helpers import tiny_networks, tiny_vae
from tests.released_files import edited

MADE = {
    "Beta": lambda: Beta(Linear(0.5, 3.0, 7)),
    "Capacity": lambda: Capacity(10.0, 5.0, n_steps=7, min_capacity=0.5),
    "BetaTC": lambda: BetaTC(0.5, Cosine(1.0, 4.0, 7), 2.0, n_data=64, sampling="mws"),
    "DIP": lambda: DIP("ii", 2.0, Linear(0.0, 3.0, 7)),
    "SemiSupervised": lambda: SemiSupervised(
        DIP("i", 2.0, 20.0), (3, 4), Cyclical(0.0, 5.0, 7), latents=(2, 0), loss="l2"
    ),
    "Linear": lambda: Linear(0.5, 3.0, 7),
    "Cosine": lambda: Cosine(0.5, 3.0, 7),
    "Cyclical": lambda: Cyclical(0.5, 3.0, 7, n_cycles=2, ramp=0.8),
    "Bernoulli": lambda: Bernoulli(subtract_entropy=True),
    "ContinuousBernoulli": ContinuousBernoulli,
    "Gaussian": lambda: Gaussian(0.3, learned=True),
    "Laplace": lambda: Laplace(0.3),
}
MODELS = {
    "BetaVAE": lambda: BetaVAE(
        **tiny_networks(), objective=SemiSupervised(Beta(Linear(0, 1, 7)), (3,)), seed=5
    ),
    "FactorVAE": lambda: FactorVAE(
        **tiny_networks(), discriminator=networks.discriminator(3, units=(8,))
    ),
    "AdaGVAE": lambda: AdaGVAE(**tiny_networks(), likelihood=Gaussian(0.3, learned=True)),
    "GroupVAE": lambda: GroupVAE(**tiny_networks(), shared=(0, 2)),
}
# Of networks, sizes too stand in a configuration: what asks for a large one gets it.
VALUES = (None, True, -1, 0, 1, 2.5, 7, "", "i", "relu", [], [1, 2], [[None]], {}, {"a": 1})
ODD_VALUES = (*VALUES, 10**12, -(10**30), 1e308, float("nan"), float("inf"), "nan", [10**12])


def places(value):
    """Yields the containers and keys of all that a configuration holds."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def changed(config, seed, values):
    """Returns a configuration of which some parts were replaced, dropped, added or swapped."""
    rng, config = random.Random(seed), copy.deepcopy(config)
    for _ in range(rng.randint(1, 3)):
        found = list(places(config))
        if not found:
            break
        holder, key = rng.choice(found)
        action = rng.choice(("replace", "replace", "drop", "add", "swap"))
        if action == "replace":
            holder[key] = copy.deepcopy(rng.choice(values))
        elif action == "drop":
            del holder[key]
        elif action == "add" and isinstance(holder, dict):
            holder[rng.choice(("a", "name", "dtype", "config"))] = rng.choice(values)
        else:
            other, other_key = rng.choice(found)
            holder[key] = copy.deepcopy(other[other_key])
    return config


def read_or_refuse(read, *documented):
    """Accepts what can be read or a documented error."""
    try:
        read()
    except documented:
        return False
    return True


def config_reader(made, values):
    whole = json.loads(json.dumps(made.get_config()))

    def read(seed):
        config = changed(whole, seed, values)
        try:
            return read_or_refuse(
                lambda: type(made).from_config(copy.deepcopy(config)), ValueError, TypeError
            )
        except Exception as error:
            raise AssertionError(f"{config} gives {error!r}") from error

    return read


def readers():
    for name, make in MADE.items():
        yield name, lambda make=make: config_reader(make(), ODD_VALUES)
    for name, make in MODELS.items():
        yield name, lambda make=make: config_reader(make(), VALUES)


READERS = dict(readers())
N_EXAMPLES = {name: 4 if name in MODELS else 25 for name in READERS}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_changed_configurations_never_surprise(name):
    read = READERS[name]()

    @settings(deadline=None, max_examples=N_EXAMPLES[name])
    @given(st.integers(0, 2**32))
    def run(seed):
        read(seed)

    run()


SETTINGS = Settings.from_preset("sprites_quick", grid=(3, 2, 4, 4, 4))
CONFIG = json.dumps(vars(SETTINGS))


def settings_reader(folder):
    values = [*ODD_VALUES, "sprites", "folder", "dsprites"]

    def read(seed):
        as_json = json.dumps(changed(json.loads(CONFIG), seed, values)).encode()
        content = as_json if seed % 2 else edited(CONFIG.encode(), seed)
        (folder / "config.json").write_bytes(content)
        try:
            return read_or_refuse(lambda: runs.load_settings(folder), ValueError)
        except Exception as error:
            raise AssertionError(f"{content!r} gives {error!r}") from error

    return read


def archive_reader(folder):
    """Reads a saved model that was changed: its bytes, or those of a file within."""
    vae = tiny_vae()
    vae.save(folder / "whole.keras")
    whole = (folder / "whole.keras").read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def read(seed):
        rng = random.Random(seed)
        if rng.random() < 0.3:
            content = edited(whole, seed)
        else:
            inner = dict(members)
            name = rng.choice(sorted(inner))
            if name == "config.json" and rng.random() < 0.7:
                inner[name] = json.dumps(changed(json.loads(inner[name]), seed, VALUES)).encode()
            else:
                inner[name] = edited(inner[name], seed)
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as archive:
                for each, its in inner.items():
                    archive.writestr(each, its)
            content = file.getvalue()
        (folder / "changed.keras").write_bytes(content)
        try:
            return read_or_refuse(lambda: runs.open_model(folder / "changed.keras"), ValueError)
        except Exception as error:
            raise AssertionError(f"seed {seed} gives {error!r}") from error

    return read


READERS_OF_FILES = {"settings": settings_reader, "archive": archive_reader}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "n_examples"), [("settings", 100), ("archive", 4)])
def test_changed_files_never_surprise(tmp_path, name, n_examples):
    read = READERS_OF_FILES[name](tmp_path)

    @settings(deadline=None, max_examples=n_examples)
    @given(st.integers(0, 2**32))
    def run(seed):
        read(seed)

    run()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*READERS, *READERS_OF_FILES])
def test_changes_never_surprise_for_long(tmp_path, record_property, name):
    read = READERS[name]() if name in READERS else READERS_OF_FILES[name](tmp_path)
    seconds, seed = float(os.environ.get("FUZZ_SECONDS", "60")), time.time_ns()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n, accepted, slowest, end = 0, 0, 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        accepted += read(seed + n)
        slowest, n = max(slowest, time.monotonic() - start), n + 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{name}: {n} read, {accepted} accepted, slowest {slowest:.1f} s, {grown:+.0f} MiB")
    record_property("n", n)
    assert 0 < accepted <= n
    assert grown < 1024


@pytest.mark.parametrize("name", ["Beta", "BetaVAE"])
def test_what_keras_trips_over_is_a_value_error(name):
    made = {**MADE, **MODELS}[name]()
    config = json.loads(json.dumps(made.get_config()))
    part = "beta" if name == "Beta" else "likelihood"
    damaged = {"class_name": "Linear", "module": 5, "registered_name": "i", "config": {}}
    with pytest.raises(ValueError, match=f"config must be that of a {name}: AttributeError"):
        type(made).from_config({**config, part: damaged})


def test_whole_files_are_read(tmp_path):
    """The readers above would accept any error of a whole one, too."""
    (tmp_path / "config.json").write_text(CONFIG)
    assert runs.load_settings(tmp_path) == SETTINGS
    for make in MADE.values():
        made = make()
        assert type(made).from_config(json.loads(json.dumps(made.get_config()))) is not None
    vae = tiny_vae()
    vae.save(tmp_path / "whole.keras")
    loaded = runs.open_model(tmp_path / "whole.keras")
    np.testing.assert_array_equal(loaded.decode(np.ones((1, 3))), vae.decode(np.ones((1, 3))))
