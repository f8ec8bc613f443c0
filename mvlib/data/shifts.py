"""Shifts of domain: the same images in other colours, as sketches, or under noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from mvlib.check import RandomState, check_choice, check_number, resolve_seed
from mvlib.data.images import ImageLike, check_images, read_image

SHIFTS = ("recolour", "sketch", "gaussian_noise")

# Standard deviations of ImageNet-C's Gaussian noise, on [0, 1].
NOISE_SIGMAS = (0.08, 0.12, 0.18, 0.26, 0.38)
_HUE_STEP = 36.0
# How dark a line is that a step from black to white leaves, before it is cut at black.
_LINE_GAINS = (4.0, 3.0, 2.0, 1.5, 1.0)
# Weights of red, green and blue in luma (ITU-R BT.601), and the chroma plane's two axes.
_LUMA = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([_LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def recolour(image: ImageLike, severity: int = 1) -> np.ndarray:
    """Return an image with every hue turned, and the brightness of every pixel kept.

    The chroma of a pixel is turned by 36 degrees a step of severity, 180 at the most, in the
    YIQ plane. A colour that leaves the cube of RGB is paled until it is back: luma stays
    the same, up to rounding, and greys, black and white do not change at all.
    """
    pixels, angle = _unit(image), np.deg2rad(_HUE_STEP * _severity(severity))
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    luma = (pixels @ _LUMA)[..., np.newaxis]
    chroma = pixels @ (np.linalg.inv(_YIQ) @ turn @ _YIQ).T - luma
    # The share of each channel's chroma that fits between its luma and 0 or 1.
    room = np.where(chroma > 0, 1 - luma, luma)
    share = np.divide(room, np.abs(chroma), out=np.ones_like(chroma), where=chroma != 0)
    share = np.clip(share.min(axis=2, keepdims=True), 0, 1)
    return _bytes(np.rint(255 * (luma + share * chroma)))


def sketch(image: ImageLike, severity: int = 1) -> np.ndarray:
    """Return an edge drawing: dark lines on white where brightness changes.

    A pixel is the darker the longer Sobel's gradient of luma there; lines get fainter with
    severity. An evenly coloured image becomes white. All three channels are the same.
    """
    gain = _LINE_GAINS[_severity(severity) - 1]
    # Repeating the border's pixels leaves no line along it.
    luma = np.pad(_unit(image) @ _LUMA, 1, mode="edge")
    along = luma[:-2] + 2 * luma[1:-1] + luma[2:]
    across = luma[:, :-2] + 2 * luma[:, 1:-1] + luma[:, 2:]
    # Over four, so that a step from black to white has length 1.
    length = np.hypot(along[:, 2:] - along[:, :-2], across[2:] - across[:-2]) / 4
    grey = _bytes(np.rint(255 * (1 - np.clip(gain * length, 0, 1))))
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


def gaussian_noise(
    image: ImageLike, severity: int = 1, random_state: RandomState = None
) -> np.ndarray:
    """Return an image under ImageNet-C's Gaussian noise.

    The noise has standard deviation 0.08, 0.12, 0.18, 0.26 or 0.38, by severity, on values
    from 0 to 1, independent in each pixel and channel. Values are cut at 0 and 1, and
    rounded down as in the authors' code: Hendrycks and Dietterich (2019), Benchmarking
    neural network robustness to common corruptions and perturbations, section 3.

    *Deviations*: the authors cut their images to 224 x 224 first and store them as JPEG of
    quality 85; here an image keeps its size and is not compressed. An encoder that scales a
    smaller image up scales the noise's grains with it.
    """
    sigma = NOISE_SIGMAS[_severity(severity) - 1]
    pixels = _unit(image)
    noise = np.random.default_rng(_seed(random_state)).normal(scale=sigma, size=pixels.shape)
    return _bytes(255 * np.clip(pixels + noise, 0, 1))


def shift_images(
    images: Sequence[ImageLike] | np.ndarray,
    name: str,
    severity: int = 1,
    random_state: RandomState = None,
) -> list[Image.Image] | np.ndarray:
    """Shift all images of a set the same way.

    Parameters
    ----------
    images : sequence of path, PIL image or uint8 ndarray, or uint8 ndarray (n, h, w, 3)
        As `mvlib.data.load_images` gives them.
    name, severity : {"recolour", "sketch", "gaussian_noise"}, and int, default=1
        Which shift, see the function of that name; and 1 to 5.
    random_state : int, optional
        Seed of the noise, of which each image gets its own; the other shifts are deterministic.

    Returns
    -------
    list of PIL.Image.Image, or ndarray (n, h, w, 3), uint8
        In the order of `images`, each of its own size; an array for an array.

    Raises
    ------
    ValueError
        If there are no images, one cannot be read, `name` is unknown, or `severity` or
        `random_state` is out of range.
    """
    check_choice("name", name, SHIFTS)
    _severity(severity)
    check_images(images)
    if name == "gaussian_noise":
        seeds = np.random.SeedSequence(_seed(random_state)).generate_state(len(images))
        pairs = zip(images, seeds.tolist(), strict=True)
        shifted = [gaussian_noise(image, severity, seed) for image, seed in pairs]
    else:
        shift: Callable[..., np.ndarray] = {"recolour": recolour, "sketch": sketch}[name]
        shifted = [shift(image, severity) for image in images]
    if isinstance(images, np.ndarray):
        return np.stack(shifted)
    return [Image.fromarray(each) for each in shifted]


def _severity(severity: int) -> int:
    return int(check_number("severity", severity, low=1, high=len(NOISE_SIGMAS), integer=True))


def _seed(random_state: RandomState) -> int | None:
    if random_state is None:
        return None
    return resolve_seed(random_state)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


def _unit(image: ImageLike) -> np.ndarray:
    """Return an image as (height, width, 3), float64, from 0 to 1."""
    return np.asarray(read_image(*check_images([image]))) / 255
