"""Images in any form: paths, PIL images, arrays of RGB bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 50_000_000
_BITS = (8, 10, 12, 14, 16)

ImageLike = str | Path | Image.Image | np.ndarray


def check_images(images: Sequence[ImageLike] | np.ndarray) -> Sequence[ImageLike] | np.ndarray:
    """Return `images` if it is a sequence of paths, PIL images or RGB arrays, not empty."""
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(
                f"images has shape {images.shape} and dtype {images.dtype}: expected uint8 of "
                "shape (n, height, width, 3), values from 0 to 255"
            )
        if 0 in images.shape:
            raise ValueError(f"images has shape {images.shape}: expected none of them 0")
        return images
    if isinstance(images, str | Path | Image.Image) or not isinstance(images, Sequence):
        raise ValueError(
            f"images is one {type(images).__name__}: expected a sequence of paths or PIL "
            "images, or a uint8 array (n, height, width, 3)"
        )
    if len(images) == 0:
        raise ValueError("images is empty: expected at least one image")
    for i, image in enumerate(images):
        if isinstance(image, np.ndarray):
            check_images(image[np.newaxis])
        elif not isinstance(image, str | Path | Image.Image):
            raise ValueError(
                f"images[{i}] is of type {type(image).__name__}: expected a path, a PIL image "
                "or a uint8 array (height, width, 3)"
            )
    return images


def read_image(image: ImageLike, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return an image as RGB, upright, on white where it was transparent.

    Parameters
    ----------
    image : str, Path, PIL image or uint8 ndarray of shape (height, width, 3)
        The first frame of an animation is taken.
    max_pixels : int, default=50,000,000
        A file of more is not decoded, since it may take all memory.

    Returns
    -------
    PIL.Image.Image
        In mode RGB. EXIF orientation is applied, colour profiles are not, as in the papers'
        code; greys of more than 8 bits are scaled as by `eight_bits`.

    Raises
    ------
    ValueError
        If a file is missing, is not an image, is damaged or too large. The message names it.
    """
    if isinstance(image, np.ndarray):
        return Image.fromarray(np.ascontiguousarray(image))
    if isinstance(image, Image.Image):
        return _upright_rgb(image)
    try:
        with Image.open(image) as opened:
            width, height = opened.size
            if width * height <= max_pixels:
                return _upright_rgb(opened)
    # Decoders raise whatever they like on damaged bytes: SyntaxError, struct.error, ...
    except Exception as error:
        raise ValueError(f"{image} cannot be read as an image: {error}") from error
    raise ValueError(
        f"{image} has {width} x {height} pixels: expected at most {max_pixels:,} in all; "
        "scale it down first"
    )


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Return grey values of any kind as bytes, by the range that they use.

    Parameters
    ----------
    values : ndarray of any shape
        Numbers. NaN and infinity count as missing and become the mean of the others.

    Returns
    -------
    ndarray of that shape, uint8
        Whole numbers from 0 on are divided by the smallest of 2^8, 2^10, 2^12, 2^14 and 2^16,
        less one, that holds them. Others, and those that use less than an eighth of it, go
        from their 0.5th percentile to their 99.5th.

    Raises
    ------
    ValueError
        If no value is finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(numbers)
    if not finite.any():
        raise ValueError("no pixel is a finite number")
    known = numbers[finite]
    lowest, highest = known.min(), known.max()
    whole = np.asarray(values).dtype.kind in "bui" and lowest >= 0
    low, high = 0.0, next((2.0**b - 1 for b in _BITS if highest < 2**b), np.inf)
    if not whole or np.isinf(high) or 0 < highest - lowest < high / 8:
        low, high = np.percentile(known, (0.5, 99.5))
        if low == high:
            low, high = lowest, highest
    scaled = (np.where(finite, numbers, known.mean()) - low) / (high - low or 1.0)
    return (np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)


def _upright_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(eight_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
