"""SMART's settings, data set by data set, as in the authors' code."""

from __future__ import annotations

from types import MappingProxyType

_COLUMNS = (
    "batch_size",
    "epochs",
    "learning_rate",
    "temperature",
    "lambda1",
    "lambda2",
    "embedding_dim",
)

_ROWS = {
    "bdgp": (3000, 500, 5e-5, 1.0, 1.0, 1.0, 30),
    "handwritten": (2000, 500, 1e-4, 1.0, 1.0, 1.0, 100),
    "wiki": (3000, 500, 1e-4, 1.0, 1.0, 1.0, 20),
    "mnist-usps": (2000, 500, 2e-4, 0.8, 30.0, 10.0, 10),
    "nus-wide": (2000, 500, 6e-5, 0.3, 50.0, 10.0, 30),
    "reuters-dim10": (2000, 500, 1e-4, 1.0, 1.0, 1.0, 10),
    "hdigit": (2000, 500, 1e-4, 0.6, 10.0, 1.0, 10),
    "deep-animal": (2000, 100, 1e-6, 1.0, 30.0, 5.0, 200),
    "other": (2000, 500, 1e-4, 1.0, 10.0, 1.0, 30),
}

# Read-only, so that no caller changes another's settings.
PAPER_SETTINGS = MappingProxyType(
    {
        name: MappingProxyType(dict(zip(_COLUMNS, row, strict=True)))
        for name, row in _ROWS.items()
    }
)
