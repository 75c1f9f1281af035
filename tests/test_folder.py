import errno
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import EpsImagePlugin, Image, ImageOps

from keras_betavae.datasets import FactorDataset, ImageDataset, from_folder
from keras_betavae.datasets.user.folder import count_other_proportions
from tests.released_files import exit_code, forked

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
    """Saves a gray picture of one level, which tells it from others."""
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image_size": 0}, "at least 1, got 0"),
        ({"image_size": (8, 8, 3)}, r"one or two integers, at least 1, got \(8, 8, 3\)"),
        ({"image_size": 8.0}, "one or two integers, at least 1, got 8.0"),
        ({"channels": 2}, "channels must be 1 or 3, got 2"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, arguments, words):
    flat(tmp_path / "a.png", 10)
    with pytest.raises(ValueError, match=words):
        from_folder(tmp_path, **arguments)


def test_folders_without_pictures_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing does not exist"):
        from_folder(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"holds no pictures \(.png, .jpg"):
        from_folder(tmp_path)
    path = flat(tmp_path / "a.png", 10)
    with pytest.raises(FileNotFoundError, match=r"a\.png does not exist or is not a folder"):
        from_folder(path)
    with pytest.raises(FileNotFoundError, match=r"factors\.csv does not exist"):
        from_folder(tmp_path, factors=tmp_path / "factors.csv")


# What is in them.


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.png", {}), ("a.ppm", {}), ("a.tiff", {}), ("a.webp", {"lossless": True})],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_the_right_size_stays_as_it_is(tmp_path, name, options, channels):
    pixels = noise(9, 7)
    path = save(tmp_path / name, pixels, **options)
    if channels == 1:  # ITU-R 601-2 luma.
        pixels = np.rint(pixels @ [0.299, 0.587, 0.114])[..., np.newaxis]
    np.testing.assert_allclose(decoded(path, (9, 7), channels), pixels, atol=channels == 1)


@pytest.mark.parametrize(("name", "channels"), [("a.png", 1), ("a.webp", 3)])
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


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_the_transparent_color_of_a_palette_is_white(tmp_path, name):
    index = np.array([[0, 1, 2], [2, 1, 0]], "uint8")
    palette = np.array([[10, 200, 30], [0, 0, 0], [90, 5, 250]], "uint8")
    picture = Image.fromarray(index, "P")
    picture.putpalette(palette.tobytes())
    path = save(tmp_path / name, picture, transparency=1)
    palette[1] = 255
    np.testing.assert_array_equal(decoded(path, (2, 3)), palette[index])


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_gray_is_scaled_and_not_clipped(tmp_path, name):
    values = np.linspace(0, 65_535, 256).astype("uint16").reshape(16, 16)
    path = save(tmp_path / name, values)
    with Image.open(path) as picture:
        assert picture.mode == "I;16"
    image = decoded(path, 16)
    np.testing.assert_allclose(image, np.stack([values / 257] * 3, axis=-1), atol=1)
    assert image.min() == 0
    assert image.max() == 255


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


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_turned_photographs_are_turned_upright(tmp_path, name):
    stored = np.repeat(np.repeat(np.array([[0, 60, 120], [250, 190, 90]]), 16, 0), 16, 1)
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / str(orientation) / name
        save(path, stored.astype("uint8"), exif=exif, quality=95)
        upright = turn(stored)
        image = decoded(path, upright.shape, 1)
        np.testing.assert_allclose(image[..., 0], upright, atol=8, err_msg=str(orientation))
        assert count_other_proportions(path.parent, upright.shape) == (0, 1)
        assert count_other_proportions(path.parent, upright.shape[::-1]) == (1, 1)


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


def test_whole_numbers_are_classes_and_may_be_continuous(tmp_path):
    rows = "\n".join(f"{i}.png,{2**60 + i},{10**20 + i}" for i in range(25))
    with pytest.warns(UserWarning, match="the factor id has 25 integers for 25 images"):
        data = listed(tmp_path, f"path,id,large\n{rows}\n", n=25)
    assert data.factor_sizes == (25, 25)
    again = from_folder(
        tmp_path / "pictures", 4, factors=tmp_path / "factors.csv", continuous=["id"]
    )
    assert list(again.continuous) == ["id"]


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


@pytest.mark.parametrize(
    ("content", "words"),
    {
        "unknown picture": ("path,a\n0.png,1\n9.png,1\n", r"lists 9\.png, not in"),
        "outside": ("path,a\n../pictures/0.png,1\n", "lists ../pictures/0.png, not in"),
        "listed twice": ("path,a\n0.png,1\n1.png,1\n0.png,2\n", r"lists 0\.png twice"),
        "no header": ("0.png,1\n1.png,2\n", r"must begin with a header, got 0\.png,1"),
        "short row": ("path,a,b\n0.png,1,1\n1.png,1\n", r"1\.png.*must have 3 values"),
        "long row": ("path,a\n0.png,1,1\n", r"0\.png.*must have 2 values"),
        "no rows": ("path,a\n", "and rows"),
        "one column": ("path\n0.png\n", "one or more of factors"),
        "empty": ("", "not a CSV file with a header"),
        "Latin-1": ("path,a\n0.png,é\n".encode("latin-1"), "not a CSV file.*utf-8"),
        "NUL in a value": (b"path,a\n0.png,x\0\n1.png,x\n", "not a CSV file.*NUL"),
        "open quote": ('path,a\n0.png,"x\n', "not a CSV file"),
        "not a number": ("path,a\n0.png,1\n1.png,nan\n", "a has values that are NaN"),
        "empty cell": ("path,a,b\n0.png,1,2\n1.png, ,3\n", r"factors\.csv.*1\.png.*empty cells"),
        "one name twice": ("path,a,a\n0.png,1,1\n", "2 different ones, got .'a', 'a'"),
    }.values(),
)
def test_csv_files_that_do_not_do_are_refused(tmp_path, content, words):
    with pytest.raises(ValueError, match=f"(?s){words}"):
        listed(tmp_path, content)


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

    def opening(file, **options):
        names.append(Path(file.name).name)
        return open_it(file, **options)

    monkeypatch.setattr(Image, "open", opening)
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
        "another size": (lambda pictures: None, {"image_size": 6}),
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


def test_a_broken_picture_leaves_nothing_in_the_cache(tmp_path, pictures):
    (pictures / "3.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"3\.png cannot be read as a picture"):
        from_folder(pictures, 8, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    save(pictures / "3.png", noise(9, 7))
    assert len(from_folder(pictures, 8, cache_dir=tmp_path / "cache")) == 5
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is damaged; delete it"):
        from_folder(pictures, 8, cache_dir=tmp_path / "cache")
    with pytest.raises(PermissionError, match=r"3.png cannot be written to; choose another"):
        from_folder(pictures, 8, cache_dir=pictures / "3.png")


# Broken pictures.


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tif"])
@pytest.mark.parametrize("damage", ["half", "text"])
def test_broken_pictures_are_named(tmp_path, suffix, damage):
    flat(tmp_path / "a.png", 10)
    path = save(tmp_path / f"b.{suffix}", noise(40, 40))
    whole = path.read_bytes()
    path.write_bytes(
        {
            "half": whole[: len(whole) // 2],
            "text": b"This is no picture.\n" * 9,
        }[damage]
    )
    data = from_folder(tmp_path, 8)
    assert len(data) == 2
    with pytest.raises(ValueError, match=rf"b\.{suffix} cannot be read as a picture"):
        data.images_at([0, 1])
    assert (data.images_at([0]) == 10).all()


def assert_refused(folder, name, words):
    """Expects an error that names a picture, with and without a cache."""
    for options in ({}, {"cache_dir": folder.parent / "cache"}):
        with pytest.raises(ValueError, match=words) as caught:
            from_folder(folder, 8, **options).images_at([0])
        assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0", b"%PDF-1.4", b"8BPS"])
def test_formats_that_are_not_listed_are_never_decoded(tmp_path, monkeypatch, content):
    def forbidden(*args, **kwargs):
        raise AssertionError(f"{args} is started")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", forbidden)
    (tmp_path / "p").mkdir()
    if b"EPSF" in content:
        Image.new("RGB", (9, 7)).save(tmp_path / "p" / "b.png", format="EPS")
        with Image.open(tmp_path / "p" / "b.png") as picture:
            assert picture.format == "EPS"  # Whatever its name.
    else:
        (tmp_path / "p" / "b.png").write_bytes(content)
    assert_refused(tmp_path / "p", "b.png", "cannot identify image file")


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "link to a device"])
def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path, kind):
    (tmp_path / "p").mkdir()
    os.mkfifo(tmp_path / "pipe")
    if kind == "pipe":
        (tmp_path / "pipe").rename(tmp_path / "p" / "a.png")
    else:
        target = tmp_path / "pipe" if kind == "link to a pipe" else "/dev/zero"
        (tmp_path / "p" / "a.png").symlink_to(target)
    assert_refused(tmp_path / "p", "a.png", "is not a regular file")


def test_a_link_to_a_picture_is_followed(tmp_path):
    path = flat(tmp_path / "elsewhere.png", 50)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.png").symlink_to(path)
    assert levels(from_folder(tmp_path / "p", 8)) == [50]


def test_a_picture_that_unpacks_to_too_many_pixels_is_refused(tmp_path, monkeypatch):
    flat(tmp_path / "p" / "a.png", 50, size=(90, 70))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3_000)
    assert_refused(tmp_path / "p", "a.png", r"6300 pixels\) exceeds limit of 6000 pixels")


@pytest.mark.parametrize(("name", "dtype"), [("tif", "float32"), ("png", "uint16")])
def test_the_range_of_deep_grays_is_found_over_the_folder_or_given(tmp_path, name, dtype):
    values = np.arange(12, dtype=dtype).reshape(3, 4) * 372  # 12 bits: 0 to 4,092.
    save(tmp_path / f"a.{name}", values)
    save(tmp_path / "b" / f"b.{name}", values[::-1] // 2)
    values = values.astype(float)
    flat(tmp_path / "c.png", 70)  # Has 8 bits, and stays as it is.
    first, second, third = images_of(from_folder(tmp_path, (3, 4), 1))[..., 0]
    np.testing.assert_allclose(first, values * 255 / 4_092, atol=0.51)
    np.testing.assert_allclose(second, values[::-1] // 2 * 255 / 4_092, atol=0.51)
    assert (third == 70).all()
    for options in ({}, {"cache_dir": tmp_path / ".cache"}):
        given = from_folder(tmp_path, (3, 4), 1, value_range=(1_000, 3_000), **options)
        expected = ((values - 1_000.0) / 2_000).clip(0, 1) * 255
        np.testing.assert_allclose(images_of(given)[0, ..., 0], expected, atol=0.51)
    with pytest.raises(ValueError, match="value_range must be two increasing numbers"):
        from_folder(tmp_path, value_range=(9, 9))


@pytest.mark.parametrize("magic", ["P2", "P5"])
def test_the_values_of_a_portable_graymap_are_its_own(tmp_path, magic):
    values = np.arange(12).reshape(3, 4) * 372
    text = " ".join(map(str, values.ravel())).encode()
    body = text if magic == "P2" else values.astype(">u2").tobytes()
    (tmp_path / "a.pgm").write_bytes(f"{magic} 4 3 4095\n".encode() + body)
    given = from_folder(tmp_path, (3, 4), 1, value_range=(1_000, 3_000))
    expected = ((values - 1_000.0) / 2_000).clip(0, 1) * 255
    np.testing.assert_allclose(images_of(given)[0, ..., 0], expected, atol=0.51)
    found = images_of(from_folder(tmp_path, (3, 4), 1))[0, ..., 0]
    np.testing.assert_allclose(found, values * 255 / 4_092, atol=0.51)


def test_white_may_be_the_lowest_value_of_a_tiff(tmp_path):
    values = np.arange(12, dtype="uint16").reshape(3, 4) * 372
    save(tmp_path / "a.tif", values, tiffinfo={262: 0})
    given = from_folder(tmp_path, (3, 4), 1, value_range=(1_000, 3_000))
    expected = 255 - ((values - 1_000.0) / 2_000).clip(0, 1) * 255
    np.testing.assert_allclose(images_of(given)[0, ..., 0], expected, atol=0.51)


def test_the_folder_of_a_picture_is_its_class(tmp_path):
    for name, level in (("dog/1.png", 10), ("cat/deep/1.png", 20), ("cat/0.png", 30)):
        flat(tmp_path / "p" / name, level)
    data = from_folder(tmp_path / "p", 8, class_folders=True)
    assert (data.factor_names, data.factor_sizes) == (("class",), (2,))
    assert levels(data) == [30, 20, 10]
    assert table(data) == [[0], [0], [1]]
    with pytest.raises(ValueError, match="class_folders must be left out if a CSV"):
        from_folder(tmp_path / "p", class_folders=True, factors="a.csv")
    flat(tmp_path / "other" / "only" / "0.png", 1)
    with pytest.raises(ValueError, match=r"needs two or more folders, but .*other has only"):
        from_folder(tmp_path / "other", class_folders=True)
    flat(tmp_path / "p" / "a.png", 1)
    with pytest.raises(ValueError, match=r"a folder for each class, but .* holds a\.png"):
        from_folder(tmp_path / "p", class_folders=True)


def test_pictures_of_other_proportions_are_counted(tmp_path):
    for number, size in enumerate([(64, 48), (128, 96), (48, 64), (65, 48), (64, 64)]):
        flat(tmp_path / f"{number}.png", 0, size)
    turned = Image.Exif()
    turned[0x0112] = 6
    flat(tmp_path / "turned.jpg", 0, (48, 64), exif=turned)
    assert count_other_proportions(tmp_path, (48, 64)) == (3, 6)
    assert count_other_proportions(tmp_path, 32) == (5, 6)
    assert count_other_proportions(tmp_path, 32, n=2) == (2, 2)
    (tmp_path / "damaged.png").touch()
    (tmp_path / "some.csv").write_text("path,a\n0.png,1\n4.png,2\n")
    assert count_other_proportions(tmp_path, 32, factors=tmp_path / "some.csv") == (1, 2)


def test_pictures_of_runs_are_no_data(tmp_path):
    flat(tmp_path / "a.png", 1)
    flat(tmp_path / "runs" / "first" / "pictures" / "traversal.png", 1)
    for name in ("config.json", "data.json"):
        (tmp_path / "runs" / "first" / name).touch()
    assert len(from_folder(tmp_path, 8)) == 1


def test_pictures_of_no_known_range_are_refused(tmp_path):
    save(tmp_path / "p" / "0.tif", Image.fromarray(np.full((4, 4), 1, "float32")))
    assert_refused(tmp_path / "p", "0.tif", "its mode F has no range")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EMFILE, OSError), (errno.EACCES, PermissionError), (errno.ENOENT, FileNotFoundError)],
)
def test_a_picture_that_cannot_be_read_now_is_not_called_damaged(
    tmp_path, monkeypatch, number, kind
):
    flat(tmp_path / "p" / "a.png", 50)

    def failing(path, flags):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(kind, match=os.strerror(number)) as caught:
        from_folder(tmp_path / "p", 8).images_at([0])
    assert str(tmp_path / "p" / "a.png") in str(caught.value)
    monkeypatch.undo()

    def unreadable(file, **options):  # Read errors of the system do not name the file.
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Image, "open", unreadable)
    with pytest.raises(OSError, match=r"Input/output error: .*a.png"):
        from_folder(tmp_path / "p", 8).images_at([0])


def test_a_broken_picture_stops_the_stream_by_its_name(tmp_path, pictures):
    (pictures / "2.png").write_text("no picture")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"2\.png cannot be read"):
        list(from_folder(pictures, 8).to_tf_data(2))


# Streams.


def test_pictures_are_streamed_and_split_and_decoded_after_a_fork(tmp_path):
    for number in range(25):
        flat(tmp_path / f"{number:02}.png", 10 * number)
    data = from_folder(tmp_path, 4, 1)
    dataset = data.to_tf_data(4, seed=0)
    seen = [[int(image[0, 0, 0]) // 10 for batch in dataset for image in batch] for _ in range(2)]
    assert sorted(seen[0]) == sorted(seen[1]) == list(range(25))
    assert seen[0] != seen[1]
    train, test = data.split(0.2)
    assert sorted(levels(train) + levels(test)) == [10 * number for number in range(25)]
    np.testing.assert_array_equal(data.images_at([4, 0, 4])[:, 0, 0, 0], [40, 0, 40])
    child = forked(lambda: np.testing.assert_array_equal(data.images_at([5]), 50))
    assert exit_code(child) == 0
