"""Images are found and opened whatever a folder holds; what is left out has a reason."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from report_stand_ins import ColourEncoder, write_patches

from mvlib.report import find_images, open_images
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
    assert found.n_other == 2
    assert found.skipped == ()


def test_links_to_folders_and_what_cannot_be_an_image_are_named_and_not_opened(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").write_bytes(b"x")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "itself.png").symlink_to(tmp_path / "itself.png")
    (tmp_path / "linked.png").symlink_to(tmp_path / "sub" / "a.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "phone.HEIC").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.png")
    found = find_images(tmp_path)
    assert found.files == ("linked.png", "sub/a.png")
    expected = {"itself.png": "cannot be read", "sub/loop": "not followed"}
    expected |= {"empty.jpg": "empty file", "phone.HEIC": "HEIC", "pipe.png": "regular"}
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
    features, folder = encode_folder(find_images(tmp_path), ColourEncoder())
    assert folder.files == ("green0.png", "green1.png", "red0.png", "red1.png", "red2.png")
    assert [item.file for item in folder.skipped] == ["green00.png"]
    assert (features[:2, 1] > 0).all()
    assert (features[2:, 0] > 0).all()
