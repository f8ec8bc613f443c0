import numpy as np
import pytest
from PIL import Image
from refusals import refuses
from scipy import ndimage

from mvlib.data import SHIFTS, load_images, shift_images
from mvlib.data.shifts import NOISE_SIGMAS, gaussian_noise, recolour, sketch

SEVERITIES = (1, 2, 3, 4, 5)
LUMA = np.array([0.299, 0.587, 0.114])


def random_image(height=12, width=9, low=0, high=256, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(low, high, (height, width, 3), dtype=np.uint8)


def black_square():
    image = np.full((20, 24, 3), 255, dtype=np.uint8)
    image[6:14, 7:17] = 0
    return image


@pytest.mark.parametrize("severity", SEVERITIES)
def test_recolouring_keeps_the_brightness_of_pixels_and_leaves_greys_alone(severity):
    image = random_image(40, 40)
    found = recolour(image, severity)
    assert np.abs(found @ LUMA - image @ LUMA).max() <= 0.51
    assert np.abs(found.astype(int) - image).max() > 40
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis, np.newaxis], 3, axis=2)
    np.testing.assert_array_equal(recolour(greys, severity), greys)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_recolouring_turns_chroma_as_a_complex_number(severity):
    # Pale enough that no colour leaves the cube.
    image = random_image(low=110, high=145)
    r, g, b = np.moveaxis(image.astype(float), 2, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    i = 0.5959 * r - 0.2746 * g - 0.3213 * b
    q = 0.2115 * r - 0.5227 * g + 0.3112 * b
    chroma = (i + 1j * q) * np.exp(1j * np.pi * severity / 5)
    i, q = chroma.real, chroma.imag
    # The inverse as broadcast engineers print it, to three digits.
    expected = (y + 0.956 * i + 0.619 * q, y - 0.272 * i - 0.647 * q, y - 1.106 * i + 1.703 * q)
    assert np.abs(recolour(image, severity) - np.stack(expected, axis=2)).max() < 0.8
    if severity == 5:
        # Half a turn, twice.
        back = recolour(recolour(image, 5), 5)
        assert np.abs(back.astype(int) - image).max() <= 2


def test_a_drawing_on_white_stays_on_white_when_recoloured():
    image = black_square()
    image[8:12, 9:15] = (220, 40, 10)
    found = recolour(image, 3)
    untouched = np.ones(image.shape[:2], dtype=bool)
    untouched[8:12, 9:15] = False
    np.testing.assert_array_equal(found[untouched], image[untouched])
    assert found[10, 10].argmax() == 2


@pytest.mark.parametrize(("severity", "gain"), [(1, 4), (2, 3), (3, 2), (4, 1.5), (5, 1)])
def test_a_sketch_is_sobels_gradient_on_white(severity, gain):
    image = random_image()
    luma = image @ LUMA / 255
    along, across = (ndimage.sobel(luma, axis=axis, mode="nearest") for axis in (0, 1))
    expected = 255 * (1 - np.minimum(gain * np.sqrt(along**2 + across**2) / 4, 1))
    found = sketch(image, severity)
    assert found.shape == image.shape
    assert np.abs(found - expected[..., np.newaxis]).max() <= 0.51


def test_a_sketch_has_dark_lines_at_the_edges_and_white_elsewhere():
    found = sketch(black_square())
    assert (found == found[..., :1]).all()
    lines = np.zeros((20, 24), dtype=bool)
    lines[5:15, 6:18] = True
    lines[7:13, 8:16] = False
    assert (found[~lines] == 255).all()
    assert (found[6:14, 7:17][0] == 0).all()
    assert found[lines].max() < 128


def test_an_even_image_becomes_white():
    assert (sketch(np.full((5, 7, 3), 90, dtype=np.uint8)) == 255).all()
    assert (sketch(np.full((1, 1, 3), 90, dtype=np.uint8)) == 255).all()


def test_lines_of_a_sketch_get_fainter_with_severity():
    image = black_square() // 2 + 60
    means = [sketch(image, severity).mean() for severity in SEVERITIES]
    assert means == sorted(means)
    assert means[-1] > means[0]


@pytest.mark.parametrize(
    ("severity", "expected"), [(1, 0.08), (2, 0.12), (3, 0.18), (4, 0.26), (5, 0.38)]
)
def test_noise_has_imagenet_cs_spread_around_the_image(severity, expected):
    image = np.full((100, 100, 3), 128, dtype=np.uint8)
    found = gaussian_noise(image, severity, random_state=0).astype(float) - 128
    # The median deviation does not see what was cut at 0 and 1.
    sigma = np.median(np.abs(found + 0.5)) / 0.6745 / 255
    assert sigma == pytest.approx(expected, rel=0.03)
    # Rounded down: half a level too dark.
    assert found.mean() == pytest.approx(-0.5, abs=4 * 255 * sigma / np.sqrt(found.size))


def test_noise_is_independent_in_pixels_and_channels():
    image = np.full((100, 100, 3), 128, dtype=np.uint8)
    noise = gaussian_noise(image, 1, random_state=3).astype(float) - 127.5
    channels = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.05
    neighbours = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.05


def test_noise_is_the_authors_formula_and_follows_the_seed_alone():
    image = random_image()
    for seed in (7, 8):
        noise = np.random.default_rng(seed).normal(size=image.shape, scale=NOISE_SIGMAS[2])
        expected = np.uint8(np.clip(image / 255.0 + noise, 0, 1) * 255)
        np.testing.assert_array_equal(gaussian_noise(image, 3, random_state=seed), expected)
    assert (gaussian_noise(image, 2) != gaussian_noise(image, 2)).any()


@pytest.mark.parametrize("name", SHIFTS)
def test_a_set_of_images_is_shifted_one_by_one(name):
    images = [random_image(seed=1), Image.fromarray(random_image(5, 6, seed=2))]
    before = [np.array(image) for image in images]
    found = shift_images(images, name, 2, random_state=4)
    assert [image.size for image in found] == [(9, 12), (6, 5)]
    again = shift_images(images[:1], name, 2, random_state=4)
    np.testing.assert_array_equal(np.asarray(again[0]), np.asarray(found[0]))
    assert (np.asarray(found[0]) != before[0]).any()
    for image, kept in zip(images, before, strict=True):
        np.testing.assert_array_equal(np.asarray(image), kept)
    alone = {"recolour": recolour, "sketch": sketch}
    if name in alone:
        np.testing.assert_array_equal(np.asarray(found[1]), alone[name](images[1], 2))


@pytest.mark.parametrize("name", SHIFTS)
def test_an_array_of_images_gives_an_array_and_each_image_noise_of_its_own(name):
    images = np.stack([random_image(seed=seed) for seed in (0, 1, 1)])
    found = shift_images(images, name, random_state=0)
    assert (found.shape, found.dtype) == (images.shape, np.uint8)
    as_list = shift_images(list(images), name, random_state=0)
    np.testing.assert_array_equal(found, np.stack([np.asarray(image) for image in as_list]))
    assert (found[1] != found[2]).any() == (name == "gaussian_noise")


def test_transparent_files_are_shifted_on_white(tmp_path):
    pixels = np.zeros((6, 6, 4), dtype=np.uint8)
    pixels[2:4, 2:4] = (200, 0, 0, 255)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "image.png")
    (found,) = shift_images([tmp_path / "image.png"], "recolour", 3)
    assert np.asarray(found)[0, 0].tolist() == [255, 255, 255]
    assert np.asarray(found)[2, 2].tolist() != [200, 0, 0]


def test_the_embedded_drawings_can_be_shifted():
    paths = load_images("openclipart").images[:3]
    for name in SHIFTS:
        found = shift_images(paths, name, random_state=0)
        assert [image.size for image in found] == [(128, 128)] * 3
        assert {image.mode for image in found} == {"RGB"}


GOOD = {"images": [random_image()], "name": "gaussian_noise", "random_state": 0}
test_bad_input_is_refused_and_named = refuses(
    lambda **change: shift_images(**GOOD | change),
    ({"name": "sketches"}, "Did you mean 'sketch'"),
    ({"severity": 0}, "severity=0 is out of range"),
    ({"severity": 6}, "severity=6"),
    ({"severity": 1.5}, "severity=1.5"),
    ({"severity": float("nan")}, "severity=nan"),
    ({"random_state": -1}, "random_state=-1"),
    ({"random_state": "seed"}, "random_state='seed'"),
    ({"images": []}, "images is empty"),
    ({"images": random_image()}, r"images has shape \(12, 9, 3\)"),
    ({"images": Image.fromarray(random_image())}, "images is one Image"),
    ({"images": "image.png"}, "images is one str"),
    ({"images": [random_image() / 255]}, "dtype float64: expected uint8"),
    ({"images": [random_image()[..., 0]]}, r"images has shape \(1, 12, 9\)"),
    ({"images": [random_image()[:0]]}, r"images has shape \(1, 0, 9, 3\)"),
    ({"images": [3]}, r"images\[0\] is of type int"),
    ({"images": ["no/such.png"]}, r"no/such\.png cannot be read as an image"),
    ({"images": [__file__]}, r"test_shifts\.py cannot be read as an image"),
)
