"""An encoder from installed packages alone: two frozen towers, joined by trained heads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from mvlib.check import check_choice
from mvlib.encoders import efficientnet, minilm
from mvlib.encoders.base import Encoder
from mvlib.encoders.heads import Heads
from mvlib.encoders.preprocessing import ImageLike
from mvlib.encoders.shipped import HEADS_FILE
from mvlib.encoders.towers import Tower, run_on_images, run_on_texts
from mvlib.files import embedded_data, sha256_of

IMAGE_SIZE = 160
_DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class OfflineEncoder(Encoder):
    """EfficientNet-Lite2 for images, MiniLM for texts, and two heads that join them.

    Made by `mvlib.encoders.load("offline")`; nothing is downloaded. The towers know
    nothing of each other: the heads, two linear maps to 256 features, are trained by CLIP's
    loss on drawings of Open Clip Art with their captions, and on the names of ImageNet's
    classes (see `mvlib.encoders.train_heads`).

    It is not CLIP. Its image tower is supervised: it was trained with the labels of 1.28
    million ImageNet photographs, so clustering with it is not unsupervised in the sense of
    the CLIP literature, and none of its numbers stands beside those of a CLIP paper.

    Parameters
    ----------
    device : torch.device
        Where the towers run.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Of the towers; the heads are float32. "float16" needs a GPU.
    pretrained : str or Path, optional
        Heads that `Heads.save` wrote. Default those that ship.
    cache : str, Path, bool or None
        As for `mvlib.encoders.load`.
    heads : Heads, optional
        In place of `pretrained`.

    Attributes
    ----------
    heads : Heads
        The maps to the joint space, how they were trained and the losses.
    image_fingerprint, text_fingerprint : str
        sha256 over a tower's weights and preprocessing.

    Raises
    ------
    FileNotFoundError, ValueError
        If the heads are missing or damaged, or the precision is unknown.
    """

    def __init__(
        self,
        device: torch.device,
        precision: str = "float32",
        pretrained: str | Path | None = None,
        cache: str | Path | bool | None = None,
        *,
        heads: Heads | None = None,
    ):
        check_choice("precision", precision, _DTYPES)
        if precision == "float16" and device.type == "cpu":
            raise ValueError(
                "precision='float16' is not for device='cpu': expected 'float32' or 'bfloat16'"
            )
        super().__init__(device, precision, cache)
        self.name = "offline"
        self.image_size = IMAGE_SIZE
        self.heads = heads or Heads.load(pretrained or embedded_data() / HEADS_FILE)
        self.dim = self.heads.dim
        self.image_fingerprint = _fingerprint(efficientnet.weight_files(), IMAGE_SIZE)
        self.text_fingerprint = _fingerprint(minilm.weight_files(), minilm.MAX_TOKENS)
        parts = (self.image_fingerprint, self.text_fingerprint, self.heads.fingerprint)
        self.fingerprint = hashlib.sha256(" ".join(parts).encode()).hexdigest()

    def with_heads(self, heads: Heads) -> OfflineEncoder:
        """Return this encoder with other heads, such as `train_heads` gives."""
        other = OfflineEncoder(self.device, self.precision, cache=False, heads=heads)
        other.cache = self.cache
        return other

    def image_tower(
        self,
        images: Sequence[ImageLike] | np.ndarray,
        *,
        batch_size: int = 64,
        resize: int | None = None,
    ) -> np.ndarray:
        """Return what EfficientNet-Lite2 gives, before the heads.

        Parameters
        ----------
        images, batch_size, resize
            As for `encode_images`.

        Returns
        -------
        ndarray of shape (n, 1280), float32
            From 0 to 6.

        Raises
        ------
        ValueError
            As for `encode_images`.
        """

        def forward(batch: torch.Tensor) -> torch.Tensor:
            with self._autocast():
                return self._image_network(batch)

        tower = Tower(
            forward, efficientnet.DIM, f"{self.image_fingerprint} {self.precision}", self.device
        )
        return run_on_images(
            tower, images, self.cache, crop=IMAGE_SIZE, resize=resize, batch_size=batch_size
        )

    def text_tower(self, texts: Sequence[str], *, batch_size: int = 256) -> np.ndarray:
        """Return what MiniLM gives, before the heads.

        Parameters
        ----------
        texts, batch_size
            As for `encode_texts`. A text is cut off at 256 tokens.

        Returns
        -------
        ndarray of shape (n, 384), float32
            Each row of length 1.

        Raises
        ------
        ValueError
            As for `encode_texts`.
        """

        def forward(batch: list[str]) -> torch.Tensor:
            with self._autocast():
                return self._text_network(batch)

        tower = Tower(
            forward, minilm.DIM, f"{self.text_fingerprint} {self.precision}", self.device
        )
        return run_on_texts(tower, texts, self.cache, batch_size=batch_size)

    def project_images(self, features: np.ndarray) -> np.ndarray:
        """Return features of `image_tower`, (n, 1280), in the joint space, (n, dim)."""
        return self.heads.project_images(features)

    def project_texts(self, features: np.ndarray) -> np.ndarray:
        """Return features of `text_tower`, (n, 384), in the joint space, (n, dim)."""
        return self.heads.project_texts(features)

    def _image_features(
        self, images: Sequence[ImageLike] | np.ndarray, batch_size: int, resize: int | None
    ) -> np.ndarray:
        return self.project_images(
            self.image_tower(images, batch_size=batch_size, resize=resize)
        )

    def _text_features(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        return self.project_texts(self.text_tower(texts, batch_size=batch_size))

    @cached_property
    def _image_network(self) -> efficientnet.EfficientNetLite2:
        return efficientnet.EfficientNetLite2(IMAGE_SIZE).to(self.device)

    @cached_property
    def _text_network(self) -> minilm.MiniLM:
        return minilm.MiniLM().to(self.device)

    def _autocast(self) -> AbstractContextManager[object]:
        dtype = _DTYPES[self.precision]
        return torch.autocast(self.device.type, dtype=dtype) if dtype else nullcontext()


def _fingerprint(files: Iterable[Path], setting: int) -> str:
    parts = [sha256_of(file) for file in files]
    return hashlib.sha256(" ".join([*parts, str(setting)]).encode()).hexdigest()
