import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from mvlib.data.images import check_images
from mvlib.encoders import read_image
from mvlib.encoders.towers import resize_and_crop


def picture(height=20, width=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_path_an_array_and_an_open_image_read_alike(tmp_path):
    pixels = picture()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for image in (pixels, Image.fromarray(pixels), tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(np.asarray(read_image(image)), pixels)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white_and_half_transparent_black_grey(mode, tmp_path):
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 255))
    image.putpixel((1, 2), (0, 0, 0, 0))
    image.convert(mode).save(tmp_path / "a.png")
    pixels = np.asarray(read_image(tmp_path / "a.png"))
    assert (pixels[2, 1].tolist(), pixels[0, 0].tolist()) == ([255] * 3, [0] * 3)
    pixels = np.asarray(read_image(Image.new("RGBA", (2, 2), (0, 0, 0, 128))))
    assert pixels[0, 0].tolist() == [127, 127, 127]


def test_a_photograph_taken_on_its_side_is_turned_upright(tmp_path):
    pixels = picture()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), np.rot90(pixels, -1))


def test_sixteen_bit_greys_keep_their_upper_bits(tmp_path):
    Image.fromarray(np.full((3, 3), 0x80FF, np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(read_image(tmp_path / "a.png"))[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize("content", [None, b"", b"not an image", "cut off", "folder"])
def test_an_unreadable_file_is_named(content, tmp_path):
    path = tmp_path / "broken.png"
    if content == "folder":
        path.mkdir()
    elif content == "cut off":
        Image.fromarray(picture(200, 200)).save(path)
        path.write_bytes(path.read_bytes()[:5000])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png cannot be read"):
        read_image(path)


def test_a_file_of_too_many_pixels_is_named_and_not_decoded(tmp_path):
    path = tmp_path / "huge.png"
    Image.fromarray(picture(40, 50)).save(path)
    with pytest.raises(ValueError, match=r"huge\.png has 50 x 40 pixels"):
        read_image(path, max_pixels=1999)
    assert read_image(path, max_pixels=2000).size == (50, 40)


@pytest.mark.parametrize(("height", "width"), [(31, 57), (57, 31), (16, 16), (5, 40), (64, 33)])
@pytest.mark.parametrize(("resize", "crop"), [(16, 16), (24, 16), (33, 20)])
def test_scaling_and_cutting_equal_torchvisions(height, width, resize, crop):
    from torchvision import transforms

    image = Image.fromarray(picture(height, width))
    bicubic = transforms.InterpolationMode.BICUBIC
    theirs = transforms.CenterCrop(crop)(transforms.Resize(resize, bicubic)(image))
    assert np.array_equal(resize_and_crop(image, resize, crop), np.asarray(theirs))


NO_IMAGES = [
    [], "a.png", Image.new("RGB", (2, 2)), [1, 2], [picture().astype(float)], picture(),
    np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 1), np.uint8), np.zeros((0, 4, 4, 3), np.uint8),
    {"a.png"}, None,
]  # fmt: skip
test_what_is_no_sequence_of_images_is_refused = refuses(
    check_images, *(({"images": images}, "images") for images in NO_IMAGES)
)
