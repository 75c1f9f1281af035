import time
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from sklearn.datasets import load_digits, load_sample_images

from keras_betavae import BetaVAE
from keras_betavae.datasets import FactorDataset, ImageDataset, from_arrays, from_folder
from keras_betavae.datasets.user import folder
from tests.helpers import run_python, tiny_networks

RED, BLUE = (255, 0, 0), (0, 0, 255)


def noise(height, width, channels=3, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def save(path, picture, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    picture.save(path, **options)
    return path


def flat(path, level, size=(6, 5), **options):
    """Saves a grey picture of one level, which tells it from others."""
    return save(path, Image.new("L", size, level), **options)


def levels(data):
    images = data.images_at(np.arange(len(data)))
    return np.rint(images.mean(axis=(1, 2, 3))).astype(int).tolist()


def decoded(path, *args, **options):
    (image,) = from_folder(path.parent, *args, **options).images_at([0])
    assert image.dtype == np.uint8
    return image


# Which pictures.


def test_pictures_of_all_kinds_and_folders_come_sorted_by_path(tmp_path):
    names = {
        "b/z.png": 10,
        "b/a.jpg": 20,
        "a.webp": 30,
        "a/deep/er/x.jpeg": 40,
        "a/deep.bmp": 50,
        "B.GIF": 60,
        "c.TIFF": 70,
        "c.Tif": 80,
        "a/é ü.PNG": 90,
        "10.JPG": 100,
        "9.png": 110,
    }
    for name, level in names.items():
        flat(tmp_path / name, level, format="jpeg" if name.endswith("JPG") else None)
    data = from_folder(str(tmp_path), 8, channels=1)
    assert type(data) is ImageDataset
    assert data.image_shape == (8, 8, 1)
    np.testing.assert_allclose(levels(data), [names[name] for name in sorted(names)], atol=2)


def test_hidden_and_other_files_are_left_out(tmp_path):
    flat(tmp_path / "seen.png", 10)
    flat(tmp_path / "folder.png" / "seen.png", 20)
    for name in (".hidden.png", ".hidden/a.png", "a/.hidden/b/c.png", "._seen.png"):
        flat(tmp_path / name, 99)
    flat(tmp_path / "picture.ico", 99)
    for name in ("notes.txt", "png", "a.png.txt", "a.npy", "a.jpg~"):
        (tmp_path / name).write_text("no picture")
    assert levels(from_folder(tmp_path, 8)) == [20, 10]


def test_a_hidden_folder_may_be_asked_for(tmp_path):
    flat(tmp_path / ".cache" / "a.png", 10)
    assert levels(from_folder(tmp_path / ".cache", 8)) == [10]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image_size": 0}, "at least 1, got 0"),
        ({"image_size": (8, -1)}, r"at least 1, got \(8, -1\)"),
        ({"image_size": (8, 8, 3)}, r"one or two integers, at least 1, got \(8, 8, 3\)"),
        ({"image_size": 8.0}, "one or two integers, at least 1, got 8.0"),
        ({"channels": 2}, "channels must be 1 or 3, got 2"),
        ({"channels": 4}, "channels must be 1 or 3, got 4"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, arguments, words):
    flat(tmp_path / "a.png", 10)
    with pytest.raises(ValueError, match=words):
        from_folder(tmp_path, **arguments)


@pytest.mark.parametrize("size", [7, (7, 7), [7, 7], np.int64(7), np.array([7, 7])], ids=str)
def test_a_size_is_a_side_or_a_height_and_a_width(tmp_path, size):
    flat(tmp_path / "a.png", 10)
    assert from_folder(tmp_path, size).images_at([0]).shape == (1, 7, 7, 3)
    assert from_folder(tmp_path, (7, 9), 1).images_at([0]).shape == (1, 7, 9, 1)


def test_folders_without_pictures_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*missing"):
        from_folder(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"holds no pictures \(.png, .jpg"):
        from_folder(tmp_path)
    path = flat(tmp_path / "a.png", 10)
    with pytest.raises(FileNotFoundError, match=r"no folder .*a\.png"):
        from_folder(path)


# What is in them.


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.png", {}), ("a.bmp", {}), ("a.tiff", {}), ("a.webp", {"lossless": True})],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_the_right_size_stays_as_it_is(tmp_path, name, options, channels):
    pixels = noise(9, 7)
    path = save(tmp_path / name, pixels, **options)
    if channels == 1:  # ITU-R 601-2 luma.
        pixels = np.rint(pixels @ [0.299, 0.587, 0.114])[..., np.newaxis]
    np.testing.assert_allclose(decoded(path, (9, 7), channels), pixels, atol=channels == 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_pictures_have_equal_channels(tmp_path, channels):
    pixels = noise(9, 7, 1)
    image = decoded(save(tmp_path / "a.png", pixels), (9, 7), channels)
    np.testing.assert_array_equal(image, np.stack([pixels] * channels, axis=-1))


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_shows_a_white_ground(tmp_path, name, channels):
    pixels = noise(9, 7, 4)
    pixels[0, :, 3], pixels[1, :, 3] = 0, 255
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    image = decoded(save(tmp_path / name, pixels, **options), (9, 7), channels)
    share = pixels[..., 3:] / 255
    expected = share * pixels[..., :3] + (1 - share) * 255
    if channels == 1:
        expected = expected @ [[0.299], [0.587], [0.114]]
    np.testing.assert_allclose(image, expected, atol=1.5)
    assert (image[0] == 255).all()


def test_grey_and_transparent_pictures_have_a_white_ground(tmp_path):
    pixels = noise(9, 7, 2)
    image = decoded(save(tmp_path / "a.png", Image.fromarray(pixels, "LA")), (9, 7), 1)
    share = pixels[..., 1] / 255
    np.testing.assert_allclose(image[..., 0], share * pixels[..., 0] + (1 - share) * 255, atol=1.5)


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_the_transparent_colour_of_a_palette_is_white(tmp_path, name):
    index = np.array([[0, 1, 2], [2, 1, 0]], "uint8")
    palette = np.array([[10, 200, 30], [0, 0, 0], [90, 5, 250]], "uint8")
    picture = Image.fromarray(index, "P")
    picture.putpalette(palette.tobytes())
    path = save(tmp_path / name, picture, transparency=1)
    palette[1] = 255
    np.testing.assert_array_equal(decoded(path, (2, 3)), palette[index])


def test_a_transparent_grey_level_is_white(tmp_path):
    pixels = noise(4, 4, 1)
    pixels[0] = 7
    path = save(tmp_path / "a.png", pixels, transparency=7)
    expected = np.where(pixels == 7, 255, pixels)
    np.testing.assert_array_equal(decoded(path, 4, 1)[..., 0], expected)


def test_one_bit_is_black_and_white(tmp_path):
    lit = noise(9, 7, 1) > 127
    for name in ("a.png", "a.tif"):
        path = save(tmp_path / name / name, Image.fromarray(lit))
        np.testing.assert_array_equal(decoded(path, (9, 7), 1)[..., 0], 255 * lit)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path, name):
    values = np.linspace(0, 65_535, 256).astype("uint16").reshape(16, 16)
    path = save(tmp_path / name, values)
    with Image.open(path) as picture:
        assert picture.mode == "I;16"
    image = decoded(path, 16)
    np.testing.assert_allclose(image, np.stack([values / 257] * 3, axis=-1), atol=1)
    assert image.min() == 0
    assert image.max() == 255


@pytest.mark.parametrize("channels", [1, 3])
def test_a_cmyk_jpeg_has_its_colours(tmp_path, channels):
    path = save(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 200, 255, 30)), quality=95)
    colour = (255 - np.array([0, 200, 255])) * (255 - 30) / 255
    expected = colour if channels == 3 else [colour @ [0.299, 0.587, 0.114]]
    image = decoded(path, 8, channels)
    np.testing.assert_allclose(image, np.broadcast_to(expected, image.shape), atol=6)


TURNS = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_turned_photographs_are_turned_upright(tmp_path, name):
    stored = np.repeat(np.repeat(np.array([[0, 60, 120], [250, 190, 90]]), 16, 0), 16, 1)
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / str(orientation) / name
        # Pillow 13.0 garbles turned TIFF files of one channel that are not compressed.
        options = {"compression": "tiff_lzw"} if name == "a.tif" else {"quality": 95}
        save(path, stored.astype("uint8"), exif=exif, **options)
        upright = turn(stored)
        image = decoded(path, upright.shape, 1)
        np.testing.assert_allclose(image[..., 0], upright, atol=8, err_msg=str(orientation))


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tif", "a.png"])
def test_of_several_frames_the_first_is_taken(tmp_path, name):
    frames = [Image.fromarray(noise(9, 7, 1, seed=seed)) for seed in range(3)]
    options = {"lossless": True} if name == "a.webp" else {}
    path = save(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], **options)
    with Image.open(path) as picture:
        assert picture.n_frames == 3
    np.testing.assert_array_equal(decoded(path, (9, 7), 1)[..., 0], np.asarray(frames[0]))


# Sizes.


def test_the_middle_is_kept_and_not_the_left(tmp_path):
    picture = Image.new("RGB", (60, 20), BLUE)
    picture.paste(RED, (0, 0, 30, 20))
    tall = picture.transpose(Image.Transpose.TRANSPOSE)
    wide_image = decoded(save(tmp_path / "wide" / "a.png", picture), 10)
    tall_image = decoded(save(tmp_path / "tall" / "a.png", tall), 10)
    for image in (wide_image, tall_image.swapaxes(0, 1)):
        np.testing.assert_array_equal(image[:, :2], np.broadcast_to(RED, (10, 2, 3)))
        np.testing.assert_array_equal(image[:, 8:], np.broadcast_to(BLUE, (10, 2, 3)))


@pytest.mark.parametrize(
    ("size", "box"),
    # Height and width of the picture, and the left, top, right and bottom of what is kept.
    [
        ((20, 30), (7, 0, 23, 20)),
        ((60, 16), (0, 20, 16, 40)),
        ((10, 8), (0, 0, 8, 10)),
        ((5, 80), (38, 0, 42, 5)),
    ],
    ids=str,
)
@pytest.mark.parametrize("crop", [True, False])
def test_pictures_are_scaled_as_by_pillow(tmp_path, size, box, crop):
    path = save(tmp_path / "a.png", noise(*size))
    with Image.open(path) as picture:
        expected = picture.resize((8, 10), Image.Resampling.LANCZOS, box if crop else None)
    np.testing.assert_array_equal(decoded(path, (10, 8), crop=crop), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
@pytest.mark.parametrize("crop", [True, False])
def test_the_smallest_pictures_fill_the_image(tmp_path, size, crop):
    path = save(tmp_path / "a.png", Image.new("RGB", size, (9, 8, 7)))
    np.testing.assert_array_equal(
        decoded(path, 8, crop=crop), np.broadcast_to((9, 8, 7), (8, 8, 3))
    )


@pytest.mark.parametrize("crop", [True, False])
def test_huge_photographs_are_decoded_small_and_look_the_same(tmp_path, monkeypatch, crop):
    y, x = np.mgrid[:1500, :2000]
    pixels = np.stack([x / 2000, y / 1500, (x + y) / 3500], axis=-1) * 255
    path = save(tmp_path / "a.jpg", pixels.astype("uint8"), quality=90)
    with Image.open(path) as picture:
        box = (250, 0, 1750, 1500) if crop else None
        expected = np.asarray(picture.resize((64, 64), Image.Resampling.LANCZOS, box))
    sizes, upright = [], ImageOps.exif_transpose
    monkeypatch.setattr(
        ImageOps, "exif_transpose", lambda picture: sizes.append(picture.size) or upright(picture)
    )
    image = decoded(path, 64, crop=crop)
    assert sizes == [(250, 188)]
    np.testing.assert_allclose(image.astype(int), expected, atol=3)


def test_a_turned_photograph_keeps_its_details(tmp_path):
    stored = np.repeat(np.arange(100) // 10 % 2 * 255, 1600).reshape(100, 1600).astype("uint8")
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "a.jpg", stored, exif=exif, quality=95)
    image = decoded(path, (10, 100), 1)[..., 0]
    np.testing.assert_allclose(image, np.tile(np.rot90(stored, -1)[0], (10, 1)), atol=8)


# Factors.


def listed(tmp_path, content, n=5):
    """A folder of pictures 0.png, 1.png … of levels 0, 10 … and a CSV file's factors."""
    for number in range(n):
        flat(tmp_path / "pictures" / f"{number}.png", 10 * number)
    path = tmp_path / "factors.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return from_folder(tmp_path / "pictures", 4, factors=path)


def table(data):
    return data.factors_at(np.arange(len(data))).tolist()


def test_numbers_are_sorted_as_numbers_and_text_as_text(tmp_path):
    data = listed(
        tmp_path,
        "path,number,text,mixed\n"
        "0.png,9,9,9\n1.png,10,ten,ten\n2.png,-1.5,10,10\n3.png,1e1,Ten,-1\n4.png, 9.0 , 9 ,9\n",
    )
    assert data.factor_names == ("number", "text", "mixed")
    assert data.factor_sizes == (3, 4, 4)
    # Texts: 10, 9, Ten, ten; mixed: -1, 10, 9, ten.
    assert table(data) == [[1, 1, 2], [2, 3, 3], [0, 0, 1], [2, 2, 0], [1, 1, 2]]


def test_codes_that_python_reads_as_numbers_stay_apart(tmp_path):
    data = listed(tmp_path, "path,code\n0.png,1_0\n1.png,10\n2.png,1_0\n")
    assert table(data) == [[1], [0], [1]]


def test_rows_may_come_in_any_order_and_leave_pictures_out(tmp_path):
    data = listed(tmp_path, "path,a,b\n3.png,y,1\n0.png,x,1\n4.png,x,2\n1.png,y,1\n")
    assert levels(data) == [0, 10, 30, 40]
    assert table(data) == [[0, 0], [1, 0], [1, 0], [0, 1]]
    assert not data.is_grid


def test_a_full_grid_is_one_whatever_the_order_of_rows(tmp_path):
    rows = [f"{i}.png,{'ab'[i // 2]},{10 * (i % 2)}" for i in (2, 0, 3, 1)]
    data = listed(tmp_path, "\n".join(["path,letter,number", *rows]))
    assert data.is_grid
    assert data.factor_sizes == (2, 2)
    first, second = data.sample_pairs(20, 1, seed=0)
    assert ((data.factors_at(first) != data.factors_at(second)).sum(axis=1) == 1).all()


def test_csv_as_spreadsheets_write_it(tmp_path):
    for name in ("a, b.png", "folder/ü.png"):
        flat(tmp_path / "pictures" / name, 200)
    data = listed(
        tmp_path,
        b'\xef\xbb\xbf"path", "shape" ,size\r\n'
        b'"a, b.png","round, ""flat""\r\nand so on",1\r\n\r\n'
        b'folder/\xc3\xbc.png,"round, ""flat""",1\r\n'
        b"0.png,square,2\r\n",
    )
    assert data.factor_names[1] == "size"
    assert levels(data) == [0, 200, 200]
    assert table(data) == [[2, 1], [1, 0], [0, 0]]


def test_names_and_values_lose_their_blanks(tmp_path):
    data = listed(tmp_path, "path, shape , size\n 0.png , a , 1\n1.png,a,1\n")
    assert data.factor_names == ("shape", "size")
    assert data.factor_sizes == (1, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    {
        "unknown picture": ("path,a\n0.png,1\n9.png,1\n", r"lists 9\.png, not in"),
        "hidden picture": ("path,a\n.5.png,1\n", r"lists \.5\.png, not in"),
        "outside": ("path,a\n../pictures/0.png,1\n", "lists ../pictures/0.png, not in"),
        "listed twice": ("path,a\n0.png,1\n1.png,1\n0.png,2\n", r"lists 0\.png twice"),
        "short row": ("path,a,b\n0.png,1,1\n1.png,1\n", r"1\.png.*has not 3 values"),
        "long row": ("path,a\n0.png,1,1\n", r"0\.png.*has not 2 values"),
        "no rows": ("path,a\n", "and rows"),
        "blank rows": ("path,a\n\n\n", "and rows"),
        "one column": ("path\n0.png\n", "one or more of factors"),
        "empty": ("", "no CSV file with a head"),
        "Latin-1": ("path,a\n0.png,é\n".encode("latin-1"), "no CSV file.*utf-8"),
        "UTF-16": ("path,a\n0.png,1\n".encode("utf-16"), "no CSV file.*utf-8"),
        "NUL in a name": (b"path,a\n0.png\0,1\n", "no CSV file.*NUL"),
        "NUL in a value": (b"path,a\n0.png,x\0\n1.png,x\n", "no CSV file.*NUL"),
        "NUL in the head": (b"path,a\0\n0.png,x\n", "no CSV file.*NUL"),
        "open quote": ('path,a\n0.png,"x\n', "no CSV file"),
        "not a number": ("path,a\n0.png,1\n1.png,nan\n", "a has values that are NaN"),
        "empty cell": ("path,a,b\n0.png,1,2\n1.png, ,3\n", r"factors\.csv.*1\.png.*empty cells"),
        "one name twice": ("path,a,a\n0.png,1,1\n", "2 different ones, got .'a', 'a'"),
    }.values(),
)
def test_csv_files_that_do_not_do_are_refused(tmp_path, content, words):
    with pytest.raises(ValueError, match=f"(?s){words}"):
        listed(tmp_path, content)


def test_a_missing_csv_file_is_named(tmp_path):
    flat(tmp_path / "0.png", 10)
    with pytest.raises(FileNotFoundError, match=r"no file .*factors\.csv"):
        from_folder(tmp_path, factors=tmp_path / "factors.csv")


# The cache.


@pytest.fixture
def pictures(tmp_path):
    for number in range(5):
        save(tmp_path / "pictures" / f"{number}.png", noise(9, 7, seed=number))
    return tmp_path / "pictures"


@pytest.fixture
def opened(monkeypatch):
    """Names of the pictures that are opened."""
    names, open_it = [], Image.open
    monkeypatch.setattr(folder.Image, "open", lambda path: names.append(path.name) or open_it(path))
    return names


def images_of(data):
    return data.images_at(np.arange(len(data)))


def test_cached_pictures_are_decoded_once_and_are_the_same(tmp_path, pictures, opened):
    plain = images_of(from_folder(pictures, 8))
    opened.clear()
    cache = tmp_path / "a" / "cache"
    first = from_folder(pictures, 8, cache_dir=cache)
    assert sorted(opened) == [f"{number}.png" for number in range(5)]
    opened.clear()
    second = from_folder(str(pictures), (8, 8), cache_dir=str(cache))
    for data in (first, second):
        np.testing.assert_array_equal(images_of(data), plain)
    assert opened == []
    (file,) = cache.iterdir()
    assert file.name.startswith("pictures-")
    np.testing.assert_array_equal(np.load(file), plain)
    assert isinstance(second._images.array, np.memmap)


def change(pictures):
    save(pictures / "3.png", noise(9, 7, seed=99))


def change_a_byte(pictures):
    # The same size in bytes: only the time tells.
    data = bytearray((pictures / "flat.bmp").read_bytes())
    data[-1] ^= 255
    time.sleep(0.01)
    (pictures / "flat.bmp").write_bytes(data)


@pytest.mark.parametrize(
    ("act", "options"),
    {
        "changed": (change, {}),
        "changed within": (change_a_byte, {}),
        "added": (lambda pictures: flat(pictures / "new" / "9.png", 5), {}),
        "removed": (lambda pictures: (pictures / "0.png").unlink(), {}),
        "renamed": (lambda pictures: (pictures / "0.png").rename(pictures / "9.png"), {}),
        "another size": (lambda pictures: None, {"image_size": 6}),
        "grey": (lambda pictures: None, {"channels": 1}),
        "stretched": (lambda pictures: None, {"crop": False}),
    }.values(),
)
def test_what_changes_is_decoded_anew(tmp_path, pictures, act, options):
    flat(pictures / "flat.bmp", 100)
    cache = tmp_path / "cache"
    from_folder(pictures, **{"image_size": 8}, cache_dir=cache)
    act(pictures)
    options = {"image_size": 8, **options}
    data = from_folder(pictures, cache_dir=cache, **options)
    np.testing.assert_array_equal(images_of(data), images_of(from_folder(pictures, **options)))
    # What has changed takes the place of what was there; other options stand beside it.
    assert len(list(cache.iterdir())) == (2 if options != {"image_size": 8} else 1)


def test_folders_of_one_name_do_not_share_a_cache(tmp_path):
    for parent, level in (("a", 10), ("b", 20)):
        flat(tmp_path / parent / "pictures" / "0.png", level)
    for parent, level in (("a", 10), ("b", 20)):
        data = from_folder(tmp_path / parent / "pictures", 8, cache_dir=tmp_path / "cache")
        assert levels(data) == [level]


def test_cached_pictures_have_factors(tmp_path, pictures, opened):
    path = tmp_path / "factors.csv"
    path.write_text("path,a\n4.png,1\n2.png,2\n")
    for decodes in (True, False):
        opened.clear()
        data = from_folder(pictures, 8, factors=path, cache_dir=tmp_path / "cache")
        assert sorted(opened) == (["2.png", "4.png"] if decodes else [])
        assert isinstance(data, FactorDataset)
        assert table(data) == [[1], [0]]
    np.testing.assert_array_equal(images_of(data), images_of(from_folder(pictures, 8))[[2, 4]])


def test_more_pictures_than_a_block_are_cached_in_order(tmp_path):
    for number in range(300):
        flat(tmp_path / "pictures" / f"{number:03}.bmp", number % 251, (1, 1))
    data = from_folder(tmp_path / "pictures", 1, 1, cache_dir=tmp_path / "cache")
    assert levels(data) == [number % 251 for number in range(300)]


def test_a_broken_picture_leaves_nothing_in_the_cache(tmp_path, pictures):
    (pictures / "3.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"3\.png cannot be read as a picture"):
        from_folder(pictures, 8, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    save(pictures / "3.png", noise(9, 7))
    assert len(from_folder(pictures, 8, cache_dir=tmp_path / "cache")) == 5


def test_a_cut_cache_is_named_and_not_believed(tmp_path, pictures):
    cache = tmp_path / "cache"
    from_folder(pictures, 8, cache_dir=cache)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is damaged; delete it"):
        from_folder(pictures, 8, cache_dir=cache)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, pictures):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file cannot be written to; choose another"):
        from_folder(pictures, 8, cache_dir=tmp_path / "file")


# Broken pictures.


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tif"])
@pytest.mark.parametrize("damage", ["half", "text", "empty", "head"])
def test_broken_pictures_are_named(tmp_path, suffix, damage):
    flat(tmp_path / "a.png", 10)
    path = save(tmp_path / f"b.{suffix}", noise(40, 40))
    whole = path.read_bytes()
    path.write_bytes(
        {
            "half": whole[: len(whole) // 2],
            "text": b"This is no picture.\n" * 9,
            "empty": b"",
            "head": whole[:12],
        }[damage]
    )
    data = from_folder(tmp_path, 8)
    assert len(data) == 2
    with pytest.raises(ValueError, match=rf"b\.{suffix} cannot be read as a picture"):
        data.images_at([0, 1])
    assert (data.images_at([0]) == 10).all()


def test_a_picture_that_is_deleted_later_is_named(tmp_path, pictures):
    data = from_folder(pictures, 8)
    (pictures / "2.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"2\.png"):
        data.images_at([1, 2])
    assert data.images_at([1, 3]).shape == (2, 8, 8, 3)


def test_a_broken_picture_stops_the_stream_by_its_name(tmp_path, pictures):
    (pictures / "2.png").write_text("no picture")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"2\.png cannot be read"):
        list(from_folder(pictures, 8).to_tf_data(2))


def test_every_file_is_closed(pictures):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        images_of(from_folder(pictures, 8))


# Streams and training.


def test_a_pass_shows_every_picture_once(tmp_path):
    for number in range(25):
        flat(tmp_path / f"{number}.png", 10 * number)
    data = from_folder(tmp_path, 4, 1)
    dataset = data.to_tf_data(4, seed=0)
    seen = [[int(image[0, 0, 0]) // 10 for batch in dataset for image in batch] for _ in range(2)]
    assert sorted(seen[0]) == sorted(seen[1]) == list(range(25))
    assert seen[0] != seen[1]
    train, test = data.split(0.2)
    assert sorted(levels(train) + levels(test)) == [10 * number for number in range(25)]


def test_pictures_come_in_the_order_asked_for(pictures):
    data = from_folder(pictures, 8)
    everything = images_of(data)
    np.testing.assert_array_equal(data.images_at([4, 0, 4, 2]), everything[[4, 0, 4, 2]])
    assert data.images_at([]).shape == (0, 8, 8, 3)


def photographs(tmp_path):
    """Tiles of real photographs, as JPEG."""
    for number, photograph in enumerate(load_sample_images().images):
        for y in range(0, 400, 40):
            for x in range(0, 640, 40):
                tile = photograph[y : y + 40, x : x + 40]
                save(tmp_path / str(number) / f"{y}-{x}.jpg", tile)
    data = from_folder(tmp_path, 8)
    assert len(data) == 320
    return data


def digits(tmp_path):
    digits = load_digits()
    data = from_arrays(digits.images / 16, digits.target, ["digit"])
    assert data.factor_sizes == (10,)
    np.testing.assert_array_equal(data.factors_at(np.arange(1_797))[:, 0], digits.target)
    return data


@pytest.mark.parametrize("real", [photographs, digits])
def test_a_model_learns_from_real_pictures(tmp_path, real):
    data = real(tmp_path)
    keras.utils.set_random_seed(0)
    vae = BetaVAE(**tiny_networks(data.image_shape, units=(64,)), seed=0)
    vae.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=False)
    history = vae.fit(
        data.to_tf_data(32, seed=0, repeat=True), steps_per_epoch=20, epochs=3, verbose=0
    ).history["reconstruction_loss"]
    assert history[0] > history[1] > history[2]
    assert history[2] < 0.95 * history[0]


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_pictures_of_no_known_range_are_refused(tmp_path, dtype):
    Image.fromarray(np.full((4, 4), 1, dtype)).save(tmp_path / "0.tif")
    with pytest.raises(ValueError, match=r"0\.tif cannot be read .* has no range"):
        from_folder(tmp_path, 4).images_at([0])


def test_a_forked_process_decodes_too(tmp_path):
    flat(tmp_path / "0.png", 50)
    script = """
import os, sys
from keras_betavae.datasets import from_folder
data = from_folder(sys.argv[1], 4)
data.images_at([0])
child = os.fork()
if not child:
    os._exit(0 if (data.images_at([0]) == 50).all() else 1)
print(os.waitpid(child, 0)[1])
"""
    process = run_python(script, tmp_path)
    assert process.stdout.split() == ["0"], process.stderr
