"""Opening an image that may be damaged, huge or odd, without trusting it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mvlib.check import check_number

MAX_PIXELS = 50_000_000
# PostScript would start a program, so what may be opened is a list.
_FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP",
)  # fmt: skip
_MAX_ASPECT = 8


class UnreadableImage(ValueError):
    """An image that cannot be used; its message is the reason."""


def open_image(
    path: str | Path, *, max_pixels: int = MAX_PIXELS, short_side: int = 512
) -> Image.Image:
    """Return an image in RGB as a person would see it, its first frame if it has several."""
    check_number("max_pixels", max_pixels, low=1, integer=True)
    check_number("short_side", short_side, low=1, integer=True)
    (image,) = open_images([path], max_pixels=max_pixels, short_side=short_side)
    if isinstance(image, UnreadableImage):
        raise image
    return image


def open_images(
    paths: Sequence[str | Path], *, max_pixels: int = MAX_PIXELS, short_side: int = 512
) -> list[Image.Image | UnreadableImage]:
    """Return each image as `open_image` does, or why it cannot be used."""
    _readable_formats()
    # Pillow warns of odd metadata and of size; the size is checked here. The filter is the
    # process's own, so it is set once, around all threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")
        return list(pool.map(lambda path: _try(path, max_pixels, short_side), paths))


def square_enough(image: Image.Image) -> Image.Image:
    """Return the middle of an image whose long side is over 8 times the short one."""
    width, height = image.size
    longest = _MAX_ASPECT * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(width - longest, 0) // 2, max(height - longest, 0) // 2
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))


def _try(path: str | Path, max_pixels: int, short_side: int) -> Image.Image | UnreadableImage:
    try:
        return _decode(path, max_pixels, short_side)
    except UnreadableImage as reason:
        return reason
    except Image.UnidentifiedImageError:
        return UnreadableImage("not an image, or of a format that is not read")
    except Image.DecompressionBombError:
        return UnreadableImage(_too_large(max_pixels))
    # A damaged file can raise nearly anything from a decoder.
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            return UnreadableImage(f"cannot be read ({error.strerror})")
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        return UnreadableImage(f"damaged or cut off ({said})")


def _decode(path: str | Path, max_pixels: int, short_side: int) -> Image.Image:
    with Image.open(path, formats=_readable_formats()) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise UnreadableImage(_too_large(max_pixels, width, height))
        if min(width, height) < 1:
            raise UnreadableImage("an image without pixels")
        # JPEG decodes to a half, a quarter or an eighth at a fraction of the cost.
        image.draft("RGB", (short_side, short_side))
        image.load()
        shown = _on_white(_eight_bits(_upright(image)))
    factor = min(shown.size) // (2 * short_side)
    return shown.reduce(factor + 1) if factor else shown


@cache
def _readable_formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _too_large(max_pixels: int, width: int | None = None, height: int | None = None) -> str:
    size = f"{width} x {height} pixels" if width else "its header names too many pixels"
    return f"too large: {size}, more than {max_pixels / 1e6:g} megapixels"


def _eight_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith(("I", "F")):
        return image
    # Convert() would clip them at 255: nearly all white.
    values = np.asarray(image, dtype=np.float64)
    low, high = (0.0, 65535.0) if image.mode.startswith("I") else (values.min(), values.max())
    scaled = (values - low) / (high - low if high > low else 1.0)
    return Image.fromarray((np.clip(scaled, 0, 1) * 255).round().astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    # An image with broken EXIF data is still an image.
    except Exception:
        return image
