"""Running a frozen tower over many items: batches, progress, and features kept on disk.

They are kept under a key made of all that they depend on.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from mvlib.check import check_number
from mvlib.data.images import ImageLike, check_images, read_image
from mvlib.files import replacing, sha256_of

# Part of every key: raised when the same inputs come to give other features.
_VERSION = "1"
# Features are cached in pieces of this many: what an interruption can lose.
IMAGES_A_PIECE = 1024
TEXTS_A_PIECE = 4096
_SHOWN_FROM = 64
# The rows of a piece that a batch filled, and their features.
Batches = Iterator[tuple[Sequence[int], torch.Tensor]]


class FeatureCache:
    """A folder of feature arrays, or nothing at all, as `mvlib.encoders.load` takes `cache`."""

    def __init__(self, folder: str | Path | bool | None = None):
        self.folder: Path | None
        if folder is None or folder is True:
            self.folder = default_folder()
        elif folder is False:
            self.folder = None
        elif isinstance(folder, str | Path):
            self.folder = Path(folder).expanduser()
        else:
            raise ValueError(
                f"cache={folder!r} is unknown: expected a folder, None for the default one, "
                "or False for no cache"
            )

    def __bool__(self) -> bool:
        return self.folder is not None

    def get(self, key: str, shape: tuple[int, int] | None = None) -> np.ndarray | None:
        """Return the features under `key`, or None: missing, damaged or of another shape."""
        if self.folder is None:
            return None
        try:
            # A zip archive checks its own bytes while they are read.
            with np.load(_path(self.folder, key), allow_pickle=False) as stored:
                features = stored["features"]
        # Damaged bytes raise errors of many kinds.
        except Exception:
            return None
        good = shape in (None, features.shape) and features.dtype == np.float32
        return features if good and np.isfinite(features).all() else None

    def put(self, key: str, features: np.ndarray) -> None:
        """Keep `features` under `key`; a folder that cannot be written only warns."""
        if self.folder is None:
            return
        try:
            with replacing(_path(self.folder, key)) as temporary:
                np.savez(temporary, features=features)
        except OSError as error:
            warnings.warn(
                f"features were computed but not cached in {self.folder}: {error}", stacklevel=2
            )


def _path(folder: Path, key: str) -> Path:
    return folder / key[:2] / f"{key}.npz"


def default_folder() -> Path:
    """Return where features are cached: `MVLIB_CACHE`, else in the user's cache folder."""
    if folder := os.environ.get("MVLIB_CACHE"):
        return Path(folder).expanduser()
    # What pooch.os_cache gives, without pooch's imports.
    from platformdirs import user_cache_path

    return user_cache_path("mvlib") / "features"


def content_key(*parts: object, items: Iterable[str]) -> str:
    """Return the sha256 of settings and of the items they apply to, in their order."""
    digest = hashlib.sha256()
    for part in (_VERSION, *parts, "items", *items):
        data = str(part).encode()
        # The length first, so that no two lists of parts read alike.
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def image_digest(image: ImageLike) -> str:
    """Return the sha256 of a file's bytes, or of the RGB pixels and size of an image."""
    if isinstance(image, str | Path):
        try:
            return sha256_of(image)
        except OSError as error:
            raise ValueError(f"{image} cannot be read as an image: {error}") from error
    pixels = np.asarray(read_image(image) if isinstance(image, Image.Image) else image)
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Tower:
    """A frozen network that turns a batch into features, `dim` of them.

    `forward` takes a uint8 tensor (b, 3, s, s) of RGB bytes, or a list of b texts, in inference
    mode. `fingerprint` stands for the weights, the preprocessing and the precision.
    """

    forward: Callable[[Any], torch.Tensor]
    dim: int
    fingerprint: str
    device: torch.device


def run_on_images(
    tower: Tower,
    images: Sequence[ImageLike] | np.ndarray,
    cache: FeatureCache,
    *,
    crop: int,
    resize: int | None,
    batch_size: int | None,
) -> np.ndarray:
    """Return a tower's features of images, float32 (n, dim), from `cache` where it has them.

    The short side is brought to `resize` pixels, by default to `crop`, the side of the central
    square that the tower sees. Errors are those of `Encoder.encode_images`.
    """
    images = check_images(images)
    if batch_size is None:
        batch_size = 16 if tower.device.type == "cpu" else 64
    check_number("batch_size", batch_size, low=1, integer=True)
    side = int(
        check_number("resize", crop if resize is None else resize, low=crop, integer=True)
    )

    def prepare(image: ImageLike) -> np.ndarray:
        return resize_and_crop(read_image(image), side, crop)

    def batches(piece: Sequence[ImageLike]) -> Batches:
        for rows, pixels in _prepared(piece, prepare, batch_size):
            batch = torch.from_numpy(pixels).to(tower.device).permute(0, 3, 1, 2)
            yield rows, tower.forward(batch)

    def key(piece: Sequence[ImageLike]) -> str:
        digests = map(image_digest, piece)
        return content_key("images", tower.fingerprint, crop, side, items=digests)

    return _in_pieces(images, IMAGES_A_PIECE, tower.dim, batches, key, cache, "images")


def resize_and_crop(image: Image.Image, resize: int, crop: int) -> np.ndarray:
    """Scale the short side to `resize` (bicubic) and cut the central square out, uint8.

    Sizes are rounded as torchvision's `Resize` and `CenterCrop` round them.
    """
    width, height = image.size
    short = min(width, height)
    width, height = int(resize * width / short), int(resize * height / short)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    return np.asarray(image.crop((left, top, left + crop, top + crop)))


def run_on_texts(
    tower: Tower, texts: Sequence[str], cache: FeatureCache, *, batch_size: int
) -> np.ndarray:
    """Return a tower's features of texts, float32 (n, dim), from `cache` where it has them."""
    texts = check_texts(texts)
    check_number("batch_size", batch_size, low=1, integer=True)

    def batches(piece: list[str]) -> Batches:
        # Texts of one length together, since a batch is padded to its longest.
        order = sorted(range(len(piece)), key=lambda row: len(piece[row]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield rows, tower.forward([piece[row] for row in rows])

    def key(piece: list[str]) -> str:
        return content_key("texts", tower.fingerprint, items=piece)

    return _in_pieces(texts, TEXTS_A_PIECE, tower.dim, batches, key, cache, "texts")


def check_texts(texts: Sequence[str], *, argument: str = "texts") -> list[str]:
    """Return `texts` as a list, unless it is one text, empty, or holds anything but str."""
    if isinstance(texts, str):
        raise ValueError(f"{argument} is one text, {texts!r}: expected a list of texts")
    texts = list(texts)
    if not texts:
        raise ValueError(f"{argument} is empty: expected at least one text")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"{argument}[{i}] is of type {type(text).__name__}: expected a str"
            )
    return texts


def _in_pieces(
    items: Sequence[Any] | np.ndarray,
    length: int,
    dim: int,
    batches: Callable[[Any], Batches],
    key: Callable[[Any], str],
    cache: FeatureCache,
    what: str,
) -> np.ndarray:
    features = np.empty((len(items), dim), np.float32)
    # A caller that comes batch by batch has a bar of its own.
    quiet = None if len(items) > _SHOWN_FROM else True
    with tqdm(total=len(items), desc=what, unit="", disable=quiet, leave=False) as bar:
        for start in range(0, len(items), length):
            piece = items[start : start + length]
            part = features[start : start + length]
            name = key(piece) if cache else ""
            found = cache.get(name, part.shape)
            if found is not None:
                part[:] = found
                bar.update(len(piece))
                continue
            with torch.inference_mode():
                for rows, batch in batches(piece):
                    part[rows] = batch.float().cpu().numpy()
                    bar.update(len(rows))
            if not np.isfinite(part).all():
                raise ValueError(
                    f"a feature of the {what} is not finite: expected finite numbers; the "
                    "precision or the weights do not serve"
                )
            cache.put(name, part)
    return features


def _prepared(
    images: Sequence[ImageLike], prepare: Callable[[ImageLike], np.ndarray], batch_size: int
) -> Iterator[tuple[range, np.ndarray]]:
    """Yield batches of prepared images, one batch ahead of the reader, in threads."""
    # Pillow decodes and scales outside the interpreter's lock.
    with ThreadPoolExecutor(max(1, min(16, torch.get_num_threads()))) as pool:
        waiting: deque[tuple[range, list[Future[np.ndarray]]]] = deque()
        for start in range(0, len(images), batch_size):
            rows = range(start, min(start + batch_size, len(images)))
            waiting.append((rows, [pool.submit(prepare, images[row]) for row in rows]))
            if len(waiting) > 1:
                rows, batch = waiting.popleft()
                yield rows, np.stack([image.result() for image in batch])
        for rows, batch in waiting:
            yield rows, np.stack([image.result() for image in batch])
