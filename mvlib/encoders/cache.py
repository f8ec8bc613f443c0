"""Features kept on disk under a key made of all that they depend on."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from mvlib.encoders.preprocessing import ImageLike, read_image
from mvlib.files import replacing, sha256_of

# Part of every key: raised when the same inputs come to give other features.
_VERSION = "1"


class FeatureCache:
    """A folder of feature arrays, or nothing at all.

    Parameters
    ----------
    folder : str, Path, bool or None, default=None
        Where they are kept. None: `MVLIB_CACHE` if set, else `features` in the user's
        cache folder. False: nowhere, each call computes.

    Attributes
    ----------
    folder : Path or None
        None where nothing is kept.

    Raises
    ------
    ValueError
        If `folder` is none of these.
    """

    def __init__(self, folder: str | Path | bool | None = None):
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

    def get(self, key: str, shape: tuple[int, int]) -> np.ndarray | None:
        """Return the features under `key`, or None where there are none of that shape.

        A file that is damaged counts as none.
        """
        if self.folder is None:
            return None
        try:
            # A zip archive checks its own bytes while they are read.
            with np.load(self._path(key), allow_pickle=False) as stored:
                features = stored["features"]
        # Damaged bytes raise errors of many kinds.
        except Exception:
            return None
        good = features.shape == shape and features.dtype == np.float32
        return features if good and np.isfinite(features).all() else None

    def put(self, key: str, features: np.ndarray) -> None:
        """Keep `features` under `key`; a folder that cannot be written only warns."""
        if self.folder is None:
            return
        try:
            with replacing(self._path(key)) as temporary:
                np.savez(temporary, features=features)
        except OSError as error:
            warnings.warn(
                f"features were computed but not cached in {self.folder}: {error}",
                stacklevel=2,
            )

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"


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
    """Return the sha256 of a file's bytes, or of the RGB pixels and size of an image.

    Raises
    ------
    ValueError
        If the file cannot be read. The message names it.
    """
    if isinstance(image, str | Path):
        try:
            return sha256_of(image)
        except OSError as error:
            raise ValueError(f"{image} cannot be read as an image: {error}") from error
    pixels = np.asarray(read_image(image) if isinstance(image, Image.Image) else image)
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()
