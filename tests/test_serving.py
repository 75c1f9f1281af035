import numpy as np
import pytest
import tensorflow as tf

from keras_betavae.export.served_model import ServedModel
from tests.helpers import patterns


def test_it_does_what_the_model_does(exported):
    vae, path = exported
    served, images = ServedModel(path), patterns(5, dtype="uint8")
    for one, other in zip(served.encode(images), vae.encode(images), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(served.reconstruct(images), vae.reconstruct(images), atol=1e-5)
    np.testing.assert_allclose(served.encode(images / 255.0)[0], vae.encode(images)[0], atol=1e-5)
    z = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(served.decode(z), vae.decode(z.astype("float32")), atol=1e-5)
    np.testing.assert_allclose(served.sample(3, seed=7), vae.sample(3, seed=7), atol=1e-5)


def test_what_is_no_saved_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no SavedModel"):
        ServedModel(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="damaged SavedModel"):
        ServedModel(tmp_path)


def test_a_saved_model_of_something_else_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    with pytest.raises(ValueError, match="lacks encode, decode, reconstruct, sample"):
        ServedModel(tmp_path / "other")
