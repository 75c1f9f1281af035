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
    expected = vae.sample(3, seed=7)
    for n, seed in ((3, 7), (np.int64(3), np.int64(7))):
        np.testing.assert_allclose(served.sample(n, seed=seed), expected, atol=1e-5)
    assert served.sample(3).shape == expected.shape
    with pytest.raises(ValueError, match=r"images must have the shape \(batch, 8, 8, 1\), got \(5"):
        served.encode(images[:, :4])
    with pytest.raises(ValueError, match="8-bit pixels from 0 to 255, got int64 from 0 to 510"):
        served.encode(2 * images.astype("int64"))


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
