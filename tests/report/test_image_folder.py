"""Images are found and opened whatever a folder holds; what is left out has a reason."""

import io
import os
import struct
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from report_stand_ins import ColourEncoder, write_patches

from mvlib.report import find_images, formats, open_images
from mvlib.report.formats import CHANNELS, DEEP, FRAMES, MISSING, PROFILE, UNIFORM
from mvlib.report.image_folder import UnreadableImage, encode_folder, printable, square_enough


def png_of_claimed_size(width, height):
    """Return a PNG that claims a size and holds next to no pixels."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 10))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels


def reason(path, **settings):
    (found,) = open_images([path], **settings)
    assert isinstance(found, UnreadableImage)
    return str(found)


def opened(path, **settings):
    (image,) = open_images([path], **settings)
    return image


def test_images_are_found_in_the_order_of_their_paths_and_hidden_ones_passed_over(tmp_path):
    names = ("b.PNG", "a.jpeg", "sub/deep/c.webp", "sub/notes.txt", "sub/README")
    for name in (*names, ".thumbs/a.png", "._a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_images(tmp_path)
    assert found.files == ("a.jpeg", "b.PNG", "sub/deep/c.webp")
    assert found.others == ("sub/README", "sub/notes.txt")
    assert found.skipped == ()


def test_links_to_folders_and_what_cannot_be_an_image_are_named_and_not_opened(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").write_bytes(b"x")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "itself.png").symlink_to(tmp_path / "itself.png")
    (tmp_path / "linked.png").symlink_to(tmp_path / "sub" / "a.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "drawing.SVG").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.png")
    found = find_images(tmp_path)
    assert found.files == ("linked.png", "sub/a.png")
    expected = {"itself.png": "cannot be read", "sub/loop": "not followed"}
    expected |= {"empty.jpg": "empty file", "drawing.SVG": "SVG", "pipe.png": "regular"}
    assert [item.file for item in found.skipped] == sorted(expected)
    assert all(expected[item.file] in item.reason for item in found.skipped)


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    write_patches(tmp_path / "open", (1, 0, 0))
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def scandir_of_no_root(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_of_no_root)
    found = find_images(tmp_path)
    assert found.files == ("open/red0.png",)
    (item,) = found.skipped
    assert item.file == "closed"
    assert "Permission denied" in item.reason


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_no_folder_is_an_error(tmp_path, kind):
    path = tmp_path / kind
    if kind == "file":
        path.write_bytes(b"x")
    with pytest.raises(ValueError, match="directory=.*expected a folder of images"):
        find_images(path)


def test_a_name_that_is_not_utf8_can_still_be_written():
    name = os.fsdecode(b"caf\xe9.png")
    assert printable(name) == "caf\\xe9.png"
    assert printable("café.png") == "café.png"


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    path = tmp_path / "huge.png"
    # Next to no pixels: decoding it would say "cut off" and not "too large".
    path.write_bytes(png_of_claimed_size(10_000, 5_001))
    assert "too large: 10000 x 5001 pixels, more than 50 megapixels" in reason(path)
    # Beyond Pillow's own bound it is Pillow that stops.
    path.write_bytes(png_of_claimed_size(60_000, 60_000))
    assert "too large" in reason(path)
    path.write_bytes(png_of_claimed_size(30, 20))
    assert "too large" in reason(path, max_pixels=599)
    assert "damaged" in reason(path, max_pixels=600)


def test_damaged_and_false_images_have_reasons(tmp_path):
    stream = io.BytesIO()
    Image.effect_noise((200, 200), 90).save(stream, "JPEG")
    for name, content, words in (
        ("cut.jpg", stream.getvalue()[:3000], "damaged or cut off"),
        ("text.png", b"not an image at all", "not an image"),
        ("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        ("empty.png", b"", "not an image"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert words in reason(path)
    assert "cannot be read (No such file" in reason(tmp_path / "gone.png")


def test_transparency_is_white_and_the_first_frame_counts(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert opened(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert opened(tmp_path / "moving.gif").getpixel((0, 0)) == (255, 0, 0)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    shown = np.asarray(opened(tmp_path / "deep.png"))[..., 0]
    np.testing.assert_allclose(shown, ramp / 257, atol=1)


def test_an_image_stands_as_its_exif_data_say(tmp_path):
    image = Image.new("RGB", (40, 20), "white")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert opened(tmp_path / "turned.jpg").size == (20, 40)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_large_images_come_smaller_but_not_too_small(tmp_path, suffix):
    Image.new("RGB", (900, 500), "green").save(tmp_path / f"large.{suffix}")
    width, height = opened(tmp_path / f"large.{suffix}", short_side=100).size
    assert 100 <= min(width, height) < 200
    assert width / height == pytest.approx(1.8, abs=0.05)


def test_the_middle_of_a_strip_is_kept():
    strip = Image.new("L", (1, 1000))
    strip.putdata(list(range(250)) * 4)
    middle = square_enough(strip)
    assert middle.size == (1, 8)
    assert middle.getpixel((0, 0)) == strip.getpixel((0, 496))
    assert square_enough(Image.new("L", (8, 1))).size == (8, 1)


def test_an_image_that_fails_moves_to_the_skipped_ones_and_the_rest_keep_their_rows(tmp_path):
    write_patches(tmp_path, (3, 2, 0))
    (tmp_path / "green00.png").write_bytes(b"text")
    features, folder = encode_folder(find_images(tmp_path), ColourEncoder().encode_images)
    assert folder.files == ("green0.png", "green1.png", "red0.png", "red1.png", "red2.png")
    assert [item.file for item in folder.skipped] == ["green00.png"]
    assert (features[:2, 1] > 0).all()
    assert (features[2:, 0] > 0).all()


def test_deep_and_float_images_are_seen_as_their_eight_bit_copies(tmp_path):
    """Pictures of 12 bits in a file of 16, of floats, and with NaN."""
    pattern = (np.indices((64, 64)).sum(axis=0) // 8 % 2).astype(float)
    plain = np.where(pattern > 0, 255, 0)
    kinds = {
        f"{bits}.tif": (pattern * (2**bits - 1)).astype("uint16") for bits in (10, 12, 14, 16)
    } | {
        "float.tif": pattern.astype("float32"),
        "double.tif": pattern * 1e-3 - 7,
        "signed.tif": (pattern * 900 - 400).astype("int16"),
        "narrow.tif": (pattern * 90 + 20000).astype("uint16"),
    }
    for name, values in kinds.items():
        tifffile.imwrite(tmp_path / name, values)
        image = opened(tmp_path / name)
        np.testing.assert_allclose(np.asarray(image)[..., 1], plain, atol=1)
        assert image.info["notes"] == (DEEP,)
    holes = pattern.astype("float32")
    holes[:3, :3] = np.nan
    tifffile.imwrite(tmp_path / "holes.tif", holes)
    image = opened(tmp_path / "holes.tif")
    np.testing.assert_allclose(np.asarray(image)[4:, 4:, 0], plain[4:, 4:], atol=1)
    assert np.ptp(np.asarray(image)[:3, :3]) == 0
    assert 100 < np.asarray(image)[0, 0, 0] < 155
    assert image.info["notes"] == (DEEP, MISSING)
    tifffile.imwrite(tmp_path / "none.tif", np.full((9, 9), np.nan, "float32"))
    assert "no pixel is a finite number" in reason(tmp_path / "none.tif")


def test_channels_of_a_measurement_are_scaled_each_and_chosen_by_number(tmp_path):
    planes = np.zeros((5, 32, 40), "uint16")
    for channel in range(5):
        planes[channel, :, 8 * channel : 8 * channel + 8] = 800 * (channel + 1)
    for name, values, how in (
        ("separate.tif", planes, {"planarconfig": "separate"}),
        ("inside.tif", np.moveaxis(planes, 0, 2), {"planarconfig": "contig"}),
        ("pages.tif", planes, {}),
    ):
        tifffile.imwrite(tmp_path / name, values, photometric="minisblack", **how)
        image = np.asarray(opened(tmp_path / name, channels=(4, 3, 0)))
        lit = image.max(axis=0) > 190
        assert [np.flatnonzero(lit[:, band])[0] for band in range(3)] == [32, 24, 0]
        grey = np.asarray(opened(tmp_path / name, channels=[2]))
        assert np.ptp(grey, axis=2).max() == 0
        assert np.ptp(grey) > 0
        said = reason(tmp_path / name, channels=[9])
        assert "channel 9 was asked for, and it has 5" in said
        notes = opened(tmp_path / name).info["notes"]
        assert (FRAMES if name == "pages.tif" else CHANNELS) in notes
    colours = np.zeros((8, 8, 3), "uint16")
    colours[..., 0], colours[..., 1] = 4000, 1000
    tifffile.imwrite(tmp_path / "deep_colour.tif", colours, photometric="rgb")
    assert opened(tmp_path / "deep_colour.tif").getpixel((0, 0)) == (249, 62, 0)
    Image.new("RGB", (8, 8), (10, 20, 30)).save(tmp_path / "plain.png")
    assert opened(tmp_path / "plain.png", channels=[2]).getpixel((0, 0)) == (30, 30, 30)


def test_a_colour_profile_is_applied_and_a_broken_one_is_not(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    swapped = bytearray(lab.tobytes())
    # The tags of the red and the green primary change places, and the name goes.
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    content = bytes(swapped).replace(b"s\0R\0G\0B", b"s\0W\0A\0P")
    image = Image.new("RGB", (8, 8), (200, 0, 0))
    image.save(tmp_path / "swapped.png", icc_profile=content)
    found = opened(tmp_path / "swapped.png")
    assert found.getpixel((0, 0))[1] > 150 > found.getpixel((0, 0))[0]
    assert PROFILE in found.info["notes"]
    for name, profile in (("same.png", lab.tobytes()), ("broken.png", b"no profile")):
        image.save(tmp_path / name, icc_profile=profile)
        assert opened(tmp_path / name).getpixel((0, 0)) == (200, 0, 0)


def test_what_is_special_in_an_image_is_said_of_it(tmp_path):
    frames = [Image.effect_noise((8, 8), 90) for _ in range(2)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "pages.tif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "blue.png")
    for name in ("moving.gif", "pages.tif"):
        assert opened(tmp_path / name).info["notes"] == (FRAMES,)
    _, folder = encode_folder(find_images(tmp_path), ColourEncoder().encode_images)
    assert folder.notes == {UNIFORM: ("blue.png",), FRAMES: ("moving.gif", "pages.tif")}


def test_the_limit_is_on_decoded_pixels(tmp_path):
    Image.new("RGB", (1600, 800), "red").save(tmp_path / "photo.jpg")
    Image.new("RGB", (1600, 800), "red").save(tmp_path / "photo.png")
    few = {"max_pixels": 100_000, "short_side": 100}
    assert min(opened(tmp_path / "photo.jpg", **few).size) >= 100
    assert "too large: 1600 x 800" in reason(tmp_path / "photo.png", **few)
    assert opened(tmp_path / "photo.png", max_pixels=1_280_000).size == (1600, 800)
    # Beyond Pillow's own bound, if that is asked for.
    path = tmp_path / "huge.png"
    path.write_bytes(png_of_claimed_size(20_000, 10_000))
    assert "damaged" in reason(path, max_pixels=200_000_000)
    assert Image.MAX_IMAGE_PIXELS < 200_000_000


def test_images_without_a_suffix_are_found_by_how_they_begin(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "photo00", "JPEG")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "shot 2020.07", "PNG")
    (tmp_path / "README").write_text("text")
    (tmp_path / "notes.txt").write_bytes((tmp_path / "photo00").read_bytes())
    found = find_images(tmp_path)
    assert found.files == ("photo00", "shot 2020.07")
    assert found.others == ("README", "notes.txt")


def test_copies_of_servers_and_what_is_excluded_are_named_and_not_used(tmp_path):
    names = (
        "a.png",
        "@eaDir/a.png",
        "sub/#recycle/b.png",
        "Trash/c.png",
        "old/d.png",
        "e_s.png",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_images(tmp_path, exclude=["*_s.*", "old/*"])
    assert found.files == ("a.png",)
    assert [item.file for item in found.skipped] == [
        "@eaDir", "Trash", "e_s.png", "old/d.png", "sub/#recycle",
    ]  # fmt: skip
    assert all("fits the pattern" in item.reason for item in found.skipped)


def test_a_list_of_paths_is_read_with_names_below_their_common_folder(tmp_path):
    for name in ("a/x.png", "a/b/y.png", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    listed = [tmp_path / name for name in ("a/b/y.png", "a/x.png", "a/gone.png", "a/x.png")]
    found = find_images(listed)
    assert (found.directory, found.files) == (tmp_path / "a", ("b/y.png", "x.png"))
    assert [(item.file, item.reason[:14]) for item in found.skipped] == [
        ("gone.png", "cannot be read")
    ]
    with pytest.raises(ValueError, match="empty list"):
        find_images([])


def test_formats_of_optional_packages_are_read_or_their_package_is_named(tmp_path, monkeypatch):
    class Raw:
        sizes = SimpleNamespace(width=40, height=20)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def postprocess(self, **_):
            return np.full((10, 20, 3), 77, np.uint8)

    for name in ("a.nef", "b.heic"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    first, second = find_images(tmp_path).skipped
    assert "NEF files need the package rawpy" in first.reason
    assert "HEIC files need the package pillow-heif" in second.reason
    monkeypatch.setattr(formats, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "rawpy", SimpleNamespace(imread=lambda path: Raw()))
    assert find_images(tmp_path).files == ("a.nef", "b.heic")
    assert opened(tmp_path / "a.nef").getpixel((0, 0)) == (77, 77, 77)
    assert "too large" in reason(tmp_path / "a.nef", max_pixels=100)
    asked = []
    stand_in = SimpleNamespace(register_heif_opener=lambda: asked.append(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
    formats.readable_formats.__wrapped__()
    assert asked == [1]


def test_a_phones_and_a_cameras_own_files_are_read(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pytest.importorskip("rawpy")
    halves = np.zeros((64, 96, 3), np.uint8)
    halves[:, :48] = (200, 40, 40)
    pillow_heif.from_pillow(Image.fromarray(halves)).save(tmp_path / "phone.heic", quality=95)
    # A mosaic whose red sites are bright, with the tags that a camera's file must have.
    sites = np.full((64, 96), 8_000, np.uint16)
    sites[::2, ::2] = 30_000
    ones = (1, 1)
    tags = [
        (33421, 3, 2, (2, 2), True),  # the pattern's size, and its colours
        (33422, 1, 4, bytes([0, 1, 1, 2]), True),
        (50706, 1, 4, bytes([1, 4, 0, 0]), True),
        (50708, 2, 0, "Toy camera", True),
        (50721, 10, 9, (*ones, *(0, 1) * 3, *ones, *(0, 1) * 3, *ones), True),
        (50728, 5, 3, ones * 3, True),
    ]
    settings = {"photometric": 32803, "extratags": tags, "metadata": None}
    tifffile.imwrite(tmp_path / "camera.dng", sites, **settings)
    assert find_images(tmp_path).files == ("camera.dng", "phone.heic")
    red, dark = (opened(tmp_path / "phone.heic").getpixel((x, 30)) for x in (20, 80))
    assert np.abs(np.subtract(red, (200, 40, 40))).max() < 12
    assert max(dark) < 12
    raw = opened(tmp_path / "camera.dng")
    assert raw.size == (48, 32)
    r, g, b = raw.getpixel((20, 10))
    assert r > 200 > 120 > max(g, b)
    assert "too large" in reason(tmp_path / "camera.dng", max_pixels=100)
    assert "too large" in reason(tmp_path / "phone.heic", max_pixels=100)
