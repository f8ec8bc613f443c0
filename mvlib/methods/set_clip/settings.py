"""Set-CLIP's settings, as in the authors' code."""

from __future__ import annotations

from types import MappingProxyType

_NAMES = ("contrast_1", "contrast_2", "sdd", "mmd", "clip")
_SHARED = {"batch_size": 64, "n_epochs": 32, "learning_rate": 1e-3}


def _settings(weights: tuple[float, ...], pairs_per_batch: int) -> MappingProxyType:
    named = MappingProxyType(dict(zip(_NAMES, weights, strict=True)))
    return MappingProxyType({"weights": named, "pairs_per_batch": pairs_per_batch, **_SHARED})


# Read-only, so that no caller changes another's settings.
PAPER_SETTINGS = MappingProxyType(
    {
        "vit": _settings((0.1, 0.1, 0.6, 0.1, 1.0), 21),
        "resnet-34": _settings((0.15, 0.15, 0.7, 0.2, 1.0), 22),
    }
)
