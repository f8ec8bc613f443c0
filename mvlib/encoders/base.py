"""The interface of every encoder, and encoders by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mvlib.check import check_choice
from mvlib.data.images import ImageLike
from mvlib.encoders.towers import FeatureCache
from mvlib.ops.rows import unit_rows


class Encoder(ABC):
    """Images and texts to points of one space, made by `mvlib.encoders.load`.

    Features are cached by content, before normalisation. `device`, `precision` and `cache` are
    as for `load`; features are float32 always.

    Attributes
    ----------
    name : str
        As given to `load`.
    dim, image_size : int
        Number of features, and side of the square that the image tower sees, in pixels.
    fingerprint : str
        sha256 over all weights and the preprocessing: encoders of one fingerprint and one
        precision give the same features, up to rounding.
    """

    name: str
    dim: int
    image_size: int
    fingerprint: str

    def __init__(
        self, device: torch.device, precision: str, cache: str | Path | bool | None = None
    ):
        self.device, self.precision = device, precision
        self.cache = FeatureCache(cache)

    def encode_images(
        self,
        images: Sequence[ImageLike] | np.ndarray,
        *,
        batch_size: int | None = None,
        normalize: bool = False,
        resize: int | None = None,
    ) -> np.ndarray:
        """Return the features of images, float32 (n, dim).

        Parameters
        ----------
        images : sequence of path or PIL image, or uint8 ndarray of shape (n, h, w, 3)
            They may differ in size. Transparent parts become white, EXIF orientation is
            applied.
        batch_size : int, optional
            Images a forward pass; by default 64 on a GPU, and 16 on a CPU, whose caches hold
            no more.
        normalize : bool, default=False
            Whether each row is divided by its length.
        resize : int, optional
            Length of the short side, in pixels, before the central square of `image_size` is
            cut out. Default `image_size`; TAC takes 256 on the ImageNet family.

        Raises
        ------
        ValueError
            If there is no image, one cannot be read (the message names it), a parameter is out
            of range, or the precision makes a feature overflow.
        """
        return _finished(self._image_features(images, batch_size, resize), normalize)

    def encode_texts(
        self, texts: Sequence[str], *, batch_size: int = 256, normalize: bool = False
    ) -> np.ndarray:
        """Return the features of texts, float32 (n, dim).

        Parameters
        ----------
        texts : sequence of str
            What is longer than the text tower's context is cut off there.
        batch_size : int, default=256
            Texts a forward pass. They are sorted by length for it; the result is not.
        normalize : bool, default=False
            Whether each row is divided by its length.

        Raises
        ------
        ValueError
            If there is no text, one is not a str, a parameter is out of range, or the precision
            makes a feature overflow.
        """
        return _finished(self._text_features(texts, batch_size), normalize)

    @abstractmethod
    def _image_features(
        self,
        images: Sequence[ImageLike] | np.ndarray,
        batch_size: int | None,
        resize: int | None,
    ) -> np.ndarray:
        """Return the features of images, float32 (n, dim), not normalised."""

    @abstractmethod
    def _text_features(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        """Return the features of texts, float32 (n, dim), not normalised."""


def _finished(features: np.ndarray, normalize: bool) -> np.ndarray:
    if not normalize:
        return features
    return unit_rows(features)


def load(
    name: str = "offline",
    *,
    device: str = "auto",
    precision: str = "float32",
    pretrained: str | Path | None = None,
    cache: str | Path | bool | None = None,
) -> Encoder:
    """Return an encoder of images and texts.

    Parameters
    ----------
    name : str, default="offline"
        "offline": EfficientNet-Lite2 and MiniLM joined by two trained heads, all from
        installed packages. Its image tower is supervised on ImageNet: it is not CLIP, and
        none of its numbers stands beside those of a CLIP paper.
        "openclip:ARCH/TAG": any model of open_clip, such as "openclip:ViT-B-32/openai".
    device : str, default="auto"
        As for `mvlib.ops.resolve_device`.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Of the frozen towers. TAC runs CLIP in float16 on a GPU.
    pretrained : str or Path, optional
        A checkpoint on disk. For open_clip: the weights, in place of its hub. For
        "offline": heads that `Heads.save` wrote, in place of those that ship.
    cache : str, Path, bool or None, default=None
        Where features are kept, so that the same images or texts are encoded once. None:
        `MVLIB_CACHE`, else the user's cache folder. False: nowhere.

    Raises
    ------
    ValueError
        If a name is unknown, the device cannot be used, or a checkpoint does not fit.
    FileNotFoundError
        If weights are missing and cannot be downloaded. The message says what to do.
    ModuleNotFoundError
        If mvlib was installed without its extra `vision`.
    """
    from mvlib.encoders.openclip import PREFIX, OpenCLIPEncoder
    from mvlib.ops.device import resolve_device

    is_openclip = isinstance(name, str) and name.startswith(PREFIX)
    if not is_openclip:
        check_choice("name", name, ("offline", f"{PREFIX}ARCH/TAG"))
    where = resolve_device(device)
    try:
        if is_openclip:
            return OpenCLIPEncoder(name, where, precision, pretrained, cache)
        from mvlib.encoders.offline import OfflineEncoder

        return OfflineEncoder(where, precision, pretrained, cache)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the encoder {name!r} needs the package {error.name}: install mvlib[vision]",
            name=error.name,
        ) from error
