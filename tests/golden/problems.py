"""Small problems from embedded data, for golden numbers."""

from functools import cache

import numpy as np

from mvlib import data
from mvlib.encoders import TextBank, shipped
from mvlib.encoders.heads import Heads
from mvlib.files import embedded_data


@cache
def digits(n: int = 160) -> list[np.ndarray]:
    """Two views of every so many-th handwritten digit, each feature from 0 to 1."""
    Xs = data.min_max_scale(data.load("handwritten").Xs)
    step = len(Xs[0]) // n
    return [np.ascontiguousarray(X[::step][:n], dtype=np.float32) for X in Xs]


def some(n: int, n_pairs: int) -> np.ndarray:
    """Flags of every so many-th row, `n_pairs` of them."""
    flags = np.zeros(n, dtype=bool)
    flags[:: n // n_pairs] = True
    return flags


def half_shuffled(n_aligned: int = 80) -> tuple[list[np.ndarray], np.ndarray]:
    """The digits, all rows of view 2 shuffled but for `n_aligned`, and flags of these."""
    first, second = digits()
    aligned = some(160, n_aligned)
    rows = np.arange(160)
    rows[~aligned] = np.random.default_rng(0).permutation(rows[~aligned])
    return [first, second[rows]], aligned


@cache
def drawings(n: int = 240) -> np.ndarray:
    """Drawings in the shared space of the shipped heads."""
    stored = shipped._read(shipped.PAIRS_FILE)["image_features"]
    return _heads().project_images(stored[:: len(stored) // n][:n].astype(np.float32))


@cache
def nouns(n: int = 200, n_prompts: int = 3) -> list[TextBank]:
    """Nouns in the same space, a bank a prompt: one prompt ships, the others are near it."""
    texts = data.nouns(most_frequent=shipped.N_NOUNS)
    rows = slice(None, None, len(texts) // n)
    stored = shipped._read(shipped.NOUNS_FILE)["text_features"][rows][:n]
    features = _heads().project_texts(stored.astype(np.float32))
    rng = np.random.default_rng(0)
    banks = []
    for _ in range(n_prompts):
        noise = rng.standard_normal(features.shape, dtype=np.float32)
        scale = 0.5 * np.sqrt(np.square(features).mean()) if banks else 0
        banks.append(TextBank(tuple(texts[rows][:n]), features + np.float32(scale) * noise))
    return banks


@cache
def _heads() -> Heads:
    return Heads.load(embedded_data() / shipped.HEADS_FILE)
