"""Every family of networks on every kind of data under every likelihood, to the report."""

import keras
import numpy as np
import pytest

from keras_betavae import BetaVAE, datasets, networks, report
from keras_betavae.export.served_model import ServedModel
from tests.examples import LIKELIHOODS, NETWORKS, one_of_each
from tests.helpers import EAGER

SHAPES = {
    "digits": (28, 28, 1),
    "odd": (9, 13, 3),
    "bands": (40, 24, 5),
    "table": (6,),
    "signals": (40, 2),
}
IMAGES = ("digits", "odd", "bands")
FITTING = {
    **dict.fromkeys(("conv", "burgess", "locatello", "broadcast", "patch"), IMAGES),
    "dense": tuple(SHAPES),
    "conv1d": ("signals",),
}


def networks_of(family, shape):
    encoder, decoder = (getattr(networks, f"{family}_{part}") for part in ("encoder", "decoder"))
    return encoder(shape, 2), decoder(2, shape)


def test_families_are_tried_on_what_they_take():
    assert set(FITTING) == set(NETWORKS)
    for family, fitting in FITTING.items():
        for name, shape in SHAPES.items():
            if name not in fitting:
                with pytest.raises(ValueError, match="shape must be"):
                    networks_of(family, shape)


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", one_of_each(LIKELIHOODS))
@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family in FITTING for name in FITTING[family]]
)
def test_it_trains_is_saved_exported_and_reported(family, name, likelihood, tmp_path):
    shape = SHAPES[name]
    values = np.random.default_rng(0).random((12, *shape)).astype("float32")
    data = datasets.from_arrays(values)
    images = data.images_at(range(12))
    keras.utils.set_random_seed(0)
    vae = BetaVAE(
        *networks_of(family, shape), likelihood=one_of_each(LIKELIHOODS)[likelihood], seed=0
    )
    vae.compile("adam", **EAGER)
    history = vae.fit(data.to_tf_data(6, seed=0), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    mean = np.asarray(vae.encode(images)[0])
    vae.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.encode(images)[0], mean, rtol=1e-5, atol=1e-6)
    vae.export(tmp_path / "saved_model", verbose=False)
    served = ServedModel(tmp_path / "saved_model")
    np.testing.assert_allclose(served.encode(images)[0], mean, rtol=1e-4, atol=1e-5)
    assert np.asarray(served.decode(mean)).shape == (12, *shape)
    page = report(vae, data, tmp_path / "report.html", scores=(), n=12)
    assert "data:image/png" in page.read_text(encoding="utf-8")
