import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image, ImageOps

from keras_betavae.datasets import FactorDataset, from_tfds

N = 7


def made(feature, rng, shape=None):
    """Values of a feature, the numbers of the examples where they are labels."""
    if isinstance(feature, dict | tfds.features.FeaturesDict):
        return {name: made(each, rng) for name, each in feature.items()}
    if isinstance(feature, tfds.features.Image):
        return rng.integers(0, 256, (N, *feature.shape), dtype="uint8")
    if isinstance(feature, tfds.features.ClassLabel):
        return rng.integers(0, feature.num_classes, N)
    values = rng.random((N, *feature.shape))
    return (values * 2).astype(feature.np_dtype)


@pytest.fixture
def examples(monkeypatch):
    """Lets a builder give made examples, and returns them by the data set's name."""
    given = {}

    def as_dataset(builder, **options):
        rng = np.random.default_rng(0)
        given[builder.name] = {
            name: made(feature, rng) for name, feature in builder.info.features.items()
        }
        return tf.data.Dataset.from_tensor_slices(given[builder.name])

    with tfds.testing.mock_data(as_dataset_fn=as_dataset):
        yield given


@pytest.mark.parametrize(
    ("name", "factor_names", "sizes"),
    [
        (
            "shapes3d",
            ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"),
            (10, 10, 10, 8, 4, 15),
        ),
        ("mnist", ("label",), (10,)),
    ],
)
def test_labels_become_factors(examples, tmp_path, name, factor_names, sizes):
    data = from_tfds(name, cache_dir=tmp_path)
    assert isinstance(data, FactorDataset)
    assert set(data.factor_names) == set(factor_names)
    if sizes:
        assert dict(zip(data.factor_names, data.factor_sizes, strict=True)) == dict(
            zip(factor_names, sizes, strict=True)
        )
    given = examples[name]
    np.testing.assert_array_equal(data.images_at(np.arange(N)), given["image"])
    for k, factor in enumerate(data.factor_names):
        labels = given.get(f"label_{factor}", given.get(factor))
        np.testing.assert_array_equal(data.factors_at(np.arange(N))[:, k], labels)


def test_attributes_within_attributes_become_factors(examples, tmp_path):
    data = from_tfds("celeb_a", image_size=32, cache_dir=tmp_path)
    given = examples["celeb_a"]
    assert data.image_shape == (32, 32, 3)
    assert set(data.factor_names) == set(given["attributes"])
    assert set(data.factor_sizes) == {2}
    for k, factor in enumerate(data.factor_names):
        np.testing.assert_array_equal(
            data.factors_at(np.arange(N))[:, k], given["attributes"][factor]
        )
    expected = ImageOps.fit(Image.fromarray(given["image"][3]), (32, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(data.images_at([3])[0], expected)


def test_images_are_decoded_once(examples, tmp_path):
    first = from_tfds("mnist", cache_dir=tmp_path)
    examples.clear()
    again = from_tfds("mnist", cache_dir=tmp_path)
    assert not examples
    everything = np.arange(N)
    np.testing.assert_array_equal(again.images_at(everything), first.images_at(everything))
    np.testing.assert_array_equal(again.factors_at(everything), first.factors_at(everything))
    from_tfds("mnist", "test", cache_dir=tmp_path)
    assert examples


def test_sizes_may_be_height_and_width(examples, tmp_path):
    data = from_tfds("mnist", image_size=(8, 12), crop=False, cache_dir=tmp_path)
    assert data.image_shape == (8, 12, 1)
    first = Image.fromarray(examples["mnist"]["image"][0, ..., 0])
    expected = first.resize((12, 8), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(data.images_at([0])[0, ..., 0], expected)


def test_images_of_many_sizes_need_one(examples, tmp_path):
    with pytest.raises(ValueError, match="give image_size"):
        from_tfds("oxford_flowers102", cache_dir=tmp_path)


def test_a_data_set_without_images_is_refused(examples, tmp_path):
    with pytest.raises(ValueError, match="feature image"):
        from_tfds("imdb_reviews", cache_dir=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_tensorflow_datasets_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match="pip install tensorflow-datasets"):
        from_tfds("mnist", cache_dir=tmp_path)


def test_black_first_images_do_not_hide_that_images_are_binary(monkeypatch, tmp_path):
    images = np.zeros((N, 28, 28, 1), "uint8")
    images[2, 3], images[4, 5] = 1, 1
    labels = np.arange(N)

    def as_dataset(builder, **options):
        return tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})

    with tfds.testing.mock_data(as_dataset_fn=as_dataset):
        data = from_tfds("mnist", cache_dir=tmp_path / "binary")
        np.testing.assert_array_equal(data.images_at(labels), 255 * images)
        images[6, 7] = 9
        with pytest.raises(ValueError, match="0 and 1 only and others up to 9"):
            from_tfds("mnist", cache_dir=tmp_path / "mixed")
    assert not [path for path in (tmp_path / "mixed").rglob("*") if path.is_file()]
