"""CLIP and its kin, through open_clip."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import torch

from mvlib.check import check_choice
from mvlib.data.download import is_offline
from mvlib.data.images import ImageLike
from mvlib.encoders.base import Encoder
from mvlib.encoders.towers import Tower, run_on_images, run_on_texts

PREFIX = "openclip:"
_TIMEOUT_SECONDS = 10
_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


class OpenCLIPEncoder(Encoder):
    """An architecture of open_clip with weights from its hub or from a file.

    Made by `mvlib.encoders.load("openclip:ARCH/TAG")`. Images are prepared as TAC prepares
    them: bicubic scaling of the short side, the central square, the mean and standard deviation
    of the weights' own card (CLIP's, for CLIP). Texts go through the architecture's tokenizer
    and are cut at its context (77 tokens for CLIP).

    Parameters
    ----------
    name : str
        "openclip:ARCH/TAG", such as "openclip:ViT-B-32/openai". With `pretrained` the tag may
        be left out or be any word; a known one still settles activation and preprocessing.
    device, precision, cache : torch.device, str, and str, Path, bool or None
        As for `mvlib.encoders.load`. "float16" is what TAC runs on a GPU: matrices in half
        precision, norms in float32.
    pretrained : str or Path, optional
        A checkpoint on disk: safetensors, or a file of tensors that `torch.save` wrote.

    Raises
    ------
    ValueError
        If architecture, tag or precision is unknown, or the file is no checkpoint of this
        architecture or holds more than tensors.
    FileNotFoundError
        If there is no such file, or the hub cannot be reached.
    """

    def __init__(
        self,
        name: str,
        device: torch.device,
        precision: str = "float32",
        pretrained: str | Path | None = None,
        cache: str | Path | bool | None = None,
    ):
        import open_clip

        check_choice("precision", precision, _PRECISIONS)
        super().__init__(device, precision, cache)
        self.name = name
        architecture, _, tag = name.removeprefix(PREFIX).partition("/")
        check_choice("architecture", architecture, open_clip.list_models())
        if pretrained is None:
            known = open_clip.list_pretrained_tags_by_model(architecture)
            check_choice("tag", tag, known)
        card = open_clip.get_pretrained_cfg(architecture, tag) or {}
        path = _from_hub(name, card) if pretrained is None else Path(pretrained).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"pretrained={str(pretrained)!r} is not a file")
        self._model = _load_model(architecture, path, card, precision).to(device).eval()
        self._tokenize = open_clip.get_tokenizer(architecture)
        self._dtype = open_clip.get_input_dtype(_PRECISIONS[precision]) or torch.float32
        prepared = self._model.visual.preprocess_cfg
        self.image_size = _side(prepared["size"])
        self._mean = torch.tensor(prepared["mean"], device=device).view(3, 1, 1)
        self._std = torch.tensor(prepared["std"], device=device).view(3, 1, 1)
        self.dim = int(open_clip.get_model_config(architecture)["embed_dim"])
        self.fingerprint = _fingerprint(self._model, architecture, prepared)

    def _image_features(
        self,
        images: Sequence[ImageLike] | np.ndarray,
        batch_size: int | None,
        resize: int | None,
    ) -> np.ndarray:
        def forward(batch: torch.Tensor) -> torch.Tensor:
            pixels = (batch.float() / 255 - self._mean) / self._std
            return self._model.encode_image(pixels.to(self._dtype))

        return run_on_images(
            self._tower(forward),
            images,
            self.cache,
            crop=self.image_size,
            resize=resize,
            batch_size=batch_size,
        )

    def _text_features(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        def forward(batch: list[str]) -> torch.Tensor:
            return self._model.encode_text(self._tokenize(batch).to(self.device))

        return run_on_texts(self._tower(forward), texts, self.cache, batch_size=batch_size)

    def _tower(self, forward: Any) -> Tower:
        key = f"{self.fingerprint} {self.precision}"
        return Tower(forward, self.dim, key, self.device)


def _from_hub(name: str, card: dict[str, Any]) -> Path:
    import open_clip

    try:
        if found := _in_hub_cache(card):
            return found
        if is_offline():
            raise FileNotFoundError("MVLIB_OFFLINE is set")
        _check_reachable(card)
        return Path(open_clip.download_pretrained(card))
    # The hub's client has errors of its own for each way in which a network can fail.
    except Exception as error:
        source = card.get("hf_hub") or card.get("url")
        raise FileNotFoundError(
            f"the weights of {name} are not on this machine and could not be downloaded "
            f"({error}). Get the file from {source} and give its path: "
            f"load({name!r}, pretrained='/path/to/file'). The encoder 'offline' needs no "
            "download"
        ) from error


def _in_hub_cache(card: dict[str, Any]) -> Path | None:
    import huggingface_hub
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    repository, _, file = card.get("hf_hub", "").rpartition("/")
    if not repository:
        return None
    safe = Path(file).with_suffix(".safetensors").name if file else HF_SAFE_WEIGHTS_NAME
    for name in (safe, file or HF_WEIGHTS_NAME):
        found = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def _check_reachable(card: dict[str, Any]) -> None:
    """Ask once: the hub's client would retry for most of a minute without a network."""
    import huggingface_hub

    url = huggingface_hub.constants.ENDPOINT if card.get("hf_hub") else card["url"]
    try:
        urlopen(Request(url, method="HEAD"), timeout=_TIMEOUT_SECONDS).close()
    except HTTPError:
        # An answer, whatever it says.
        return


def _load_model(architecture: str, path: Path, card: dict[str, Any], precision: str) -> Any:
    # What open_clip adds to a module has no types.
    import open_clip

    try:
        return open_clip.create_model(
            architecture,
            pretrained=str(path),
            precision=_PRECISIONS[precision],
            # open_clip only warns where a tag's activation is not the architecture's, as
            # for ViT-B-32/openai: its features would be wrong.
            force_quick_gelu=bool(card.get("quick_gelu", False)),
            force_preprocess_cfg={
                key: card[key] for key in ("mean", "std", "interpolation") if key in card
            },
            pretrained_text=False,
            weights_only=True,
        )
    # Damaged bytes raise errors of many kinds.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} cannot be loaded as {architecture} ({reason}). Expected a state dict of "
            "that architecture: a .safetensors file, or one of plain tensors that torch.save "
            "wrote; a TorchScript archive or a pickled model is not loaded, since that could "
            "run its code"
        ) from error


def _side(size: int | Sequence[int]) -> int:
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) > 1:
        raise ValueError(f"the image tower takes images of {size}: expected a square")
    return int(sides.pop())


def _fingerprint(model: torch.nn.Module, architecture: str, prepared: dict[str, Any]) -> str:
    settings = [architecture, *(prepared[key] for key in ("size", "mean", "std"))]
    digest = hashlib.sha256(repr(settings).encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().float().numpy()).data)
    return digest.hexdigest()
