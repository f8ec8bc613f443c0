"""One image file, of whatever kind, as RGB; what was done to it goes into `info["notes"]`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from mvlib.data.images import eight_bits

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"}
    | {".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
RAW_SUFFIXES = frozenset({".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".raw"})
# Of a suffix: the package that reads it, as Python imports it and as pip names it.
OPTIONAL = dict.fromkeys((".heic", ".heif"), ("pillow_heif", "pillow-heif")) | dict.fromkeys(
    RAW_SUFFIXES, ("rawpy", "rawpy")
)
# People take these for images too, so a report that left them out would look wrong.
UNREAD_SUFFIXES = frozenset({".ico", ".jxl", ".psd", ".svg", ".tga"})

MAX_PIXELS = 50_000_000
# PostScript would start a program, so what may be opened is a list.
_FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP",
)  # fmt: skip
_BITS_A_SAMPLE = 258

DEEP = "more than 8 bits a pixel, scaled by the range that it uses"
MISSING = "pixels that are no numbers (NaN), filled with the mean of the others"
FRAMES = "several pages or frames, of which the first was read"
CHANNELS = "more than 4 channels, of which the first three were read"
PROFILE = "a colour profile, which was applied"
UNIFORM = "one colour throughout"
# In an order that stays: what is kept of an image has them by their place.
NOTES = (DEEP, MISSING, FRAMES, CHANNELS, PROFILE, UNIFORM)


class UnreadableImage(ValueError):
    """An image that cannot be used; its message is the reason."""


def unread(suffix: str) -> str | None:
    """Return why files of a suffix are not read, or None."""
    if suffix in UNREAD_SUFFIXES:
        return f"{suffix[1:].upper()} files are not read: convert it to JPEG or PNG"
    if suffix in OPTIONAL and find_spec(OPTIONAL[suffix][0]) is None:
        return (
            f"{suffix[1:].upper()} files need the package {OPTIONAL[suffix][1]} "
            "(pip install 'mvlib[formats]'), or convert it to JPEG"
        )
    return None


@cache
def readable_formats() -> list[str]:
    """Return the formats that may be opened, with those of optional packages."""
    Image.init()
    if find_spec("pillow_heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return [name for name in _FORMATS if name in Image.OPEN]


def decode(
    path: str | Path, max_pixels: int, short_side: int, channels: Sequence[int] | None = None
) -> Image.Image:
    """Return an image in RGB, upright, not much larger than asked; errors of any kind."""
    notes: list[str] = []
    suffix = Path(path).suffix.lower()
    if suffix in RAW_SUFFIXES:
        shown = _raw(path, max_pixels)
    elif suffix in (".tif", ".tiff") and (channels or not _by_pillow(path)):
        shown = _tiff(path, max_pixels, channels, notes)
    else:
        with Image.open(path, formats=readable_formats()) as image:
            # JPEG decodes to a half, a quarter or an eighth at a fraction of the cost.
            image.draft("RGB", (short_side, short_side))
            _check_size(*image.size, max_pixels)
            # A photo of a phone may hold a second picture for depth.
            if getattr(image, "is_animated", False) and image.format != "MPO":
                notes.append(FRAMES)
            image.load()
            shown = _on_white(_profiled(_chosen(_upright(image), channels, notes), notes))
    factor = min(shown.size) // (2 * short_side)
    shown = shown.reduce(factor + 1) if factor else shown
    if all(low == high for low, high in shown.getextrema()):
        notes.append(UNIFORM)
    shown.info = {"notes": tuple(notes)}
    return shown


def too_large(max_pixels: int, width: int | None = None, height: int | None = None) -> str:
    """Return the reason why an image is not decoded."""
    size = f"{width} x {height} pixels" if width else "its header names too many pixels"
    return f"too large: {size}, more than {max_pixels / 1e6:g} megapixels"


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnreadableImage(too_large(max_pixels, width, height))
    if min(width, height) < 1:
        raise UnreadableImage("an image without pixels")


def _raw(path: str | Path, max_pixels: int) -> Image.Image:
    import rawpy

    with rawpy.imread(str(path)) as raw:
        _check_size(raw.sizes.width // 2, raw.sizes.height // 2, max_pixels)
        return Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True))


def _by_pillow(path: str | Path) -> bool:
    """Say whether Pillow reads a TIFF file, and all its bits."""
    try:
        with Image.open(path, formats=("TIFF",)) as image:
            bits = image.tag_v2.get(_BITS_A_SAMPLE, (8,))
            return len(bits) == 1 or max(bits) <= 8
    except Image.UnidentifiedImageError:
        return False


def _tiff(
    path: str | Path, max_pixels: int, channels: Sequence[int] | None, notes: list[str]
) -> Image.Image:
    from tifffile import TiffFile, TiffFileError

    try:
        with TiffFile(path) as file:
            page = file.pages.first
            _check_size(page.imagewidth, page.imagelength, max_pixels)
            if page.samplesperpixel == 1 and channels:
                planes = [file.pages[c].asarray() for c in _existing(channels, len(file.pages))]
                channels = None
            else:
                notes += [FRAMES] * (len(file.pages) > 1)
                values, axis = page.asarray(), page.axes.find("S")
                planes = [values] if axis < 0 else list(np.moveaxis(values, axis, 0))
            is_rgb = page.photometric.name == "RGB"
    except TiffFileError as error:
        raise Image.UnidentifiedImageError from error
    if channels:
        planes = [planes[c] for c in _existing(channels, len(planes))]
    elif len(planes) > 4:
        notes.append(CHANNELS)
    planes = planes[:3] if len(planes) > 2 else planes[:1]
    if any(plane.shape != planes[0].shape or plane.ndim != 2 for plane in planes):
        raise UnreadableImage("pages of more than one shape")
    if planes[0].dtype != np.uint8:
        _note_numbers(np.stack(planes), notes)
        # The colours of one picture keep their proportions; measured channels have none.
        planes = eight_bits(np.stack(planes)) if is_rgb else [eight_bits(p) for p in planes]
    return Image.merge("RGB", [Image.fromarray(planes[j % len(planes)]) for j in range(3)])


def _existing(channels: Sequence[int], count: int) -> Sequence[int]:
    if max(channels) >= count:
        raise UnreadableImage(f"channel {max(channels)} was asked for, and it has {count}")
    return channels


def _note_numbers(values: np.ndarray, notes: list[str]) -> None:
    notes.append(DEEP)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        notes.append(MISSING)


def _chosen(
    image: Image.Image, channels: Sequence[int] | None, notes: list[str]
) -> Image.Image:
    """Return an image of 8 bits, of the channels that were asked for."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        _note_numbers(values, notes)
        image = Image.fromarray(eight_bits(values))
    if not channels:
        return image
    bands = (image.convert("RGBA") if image.mode == "P" else image).split()
    chosen = [bands[c] for c in _existing(channels, len(bands))]
    return Image.merge("RGB", chosen) if len(chosen) == 3 else chosen[0]


def _profiled(image: Image.Image, notes: list[str]) -> Image.Image:
    """Return an image in sRGB, if it holds a colour profile that can be read."""
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    has_alpha = image.has_transparency_data
    if image.mode not in ("RGB", "RGBA", "L", "CMYK"):
        image = image.convert("RGBA" if has_alpha else "RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        changed = ImageCms.profileToProfile(image, source, _srgb(), outputMode=mode)
    # A profile that does not fit is worth no image.
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    notes.append(PROFILE)
    return changed


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


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
