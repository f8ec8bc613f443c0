"""Finding images: by words, by example; copies, bursts, and those that are like no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mvlib.ops import top_k, unit_rows
from mvlib.report.curate.features import Known, cache_of, known_of
from mvlib.report.formats import MAX_PIXELS
from mvlib.report.image_folder import ImageFolder, find_images

if TYPE_CHECKING:
    from mvlib.encoders import Encoder, TextBank

_WORDS, _NEIGHBOURS, _MOST_ODD = 5, 8, 24
# Photos of a burst are this near in time and in features; of near copies' hashes, all but so
# many bits are equal.
_SECONDS, _BURST_COSINE = 3.0, 0.9
_BITS, _COPY_COSINE = 10, 0.95
_FAR = 4.0


@dataclass(frozen=True)
class Repeat:
    """Images that show the same: "copies" byte for byte, "near copies" or a "burst"."""

    kind: str
    rows: tuple[int, ...]
    sharpest: int


@dataclass(frozen=True)
class Findings:
    """The words and images nearest to each image, repeats, and rows unlike all others."""

    words: tuple[tuple[str, ...], ...]
    neighbours: np.ndarray
    repeats: tuple[Repeat, ...]
    odd: tuple[int, ...]


def findings(known: Known, look: np.ndarray, features: np.ndarray, nouns: TextBank) -> Findings:
    """Return what there is to find, by how images look and by features beside words."""
    X = unit_rows(np.asarray(look, dtype=np.float32))
    _, nearest = top_k(
        unit_rows(features), unit_rows(nouns.features), min(_WORDS, len(nouns.texts))
    )
    words = tuple(tuple(nouns.texts[j] for j in row) for row in nearest.tolist())
    n = len(X)
    cosines, others = top_k(X, X, min(_NEIGHBOURS + 1, n))
    own = others == np.arange(n)[:, np.newaxis]
    # Where copies tie, an image may not be among its own nearest: then the last one goes.
    own[~own.any(axis=1), -1] = True
    others, cosines = others[~own].reshape(n, -1), cosines[~own].reshape(n, -1)
    repeats = tuple(_repeats(known, others, cosines))
    copies = {row for repeat in repeats for row in repeat.rows}
    mean = cosines.mean(axis=1) if n > 1 else np.ones(n)
    spread = 1.4826 * np.median(np.abs(mean - np.median(mean)))
    far = np.flatnonzero(mean < np.median(mean) - _FAR * spread)
    odd = [row for row in far[np.argsort(mean[far])].tolist() if row not in copies]
    return Findings(words, others, repeats, tuple(odd[:_MOST_ODD]))


def _repeats(known: Known, others: np.ndarray, cosines: np.ndarray) -> list[Repeat]:
    n = len(others)
    rows, columns, cosine = (
        np.arange(n).repeat(others.shape[1]),
        others.ravel(),
        cosines.ravel(),
    )
    differ = np.bitwise_count(known.hashes[rows] ^ known.hashes[columns])
    taken = np.where(known.taken < 0, np.nan, known.taken)
    apart = np.abs(taken[rows] - taken[columns])
    linked = (differ <= _BITS) & (cosine >= _COPY_COSINE)
    linked |= (apart <= _SECONDS) & (cosine >= _BURST_COSINE)
    _, first, back = np.unique(known.digests, return_index=True, return_inverse=True)
    pairs = np.hstack([[rows[linked], columns[linked]], [np.arange(n), first[back]]])
    graph = coo_array((np.ones(pairs.shape[1]), pairs), shape=(n, n))
    _, part = connected_components(graph, directed=False)
    found = []
    for number in np.flatnonzero(np.bincount(part) > 1):
        own = np.flatnonzero(part == number)
        kind = "near copies"
        if len({known.digests[row] for row in own}) == 1:
            kind = "copies"
        elif np.ptp(taken[own]) <= _SECONDS * len(own):
            kind = "burst"
        sharpest = int(own[known.sharpness[own].argmax()])
        found.append(Repeat(kind, tuple(own.tolist()), sharpest))
    return found


def search_folder(
    directory: str | Path,
    words: str | None = None,
    *,
    like: str | Path | None = None,
    n: int = 20,
    encoder: str | Encoder = "offline",
    pretrained: str | Path | None = None,
    cache: str | Path | None = None,
) -> list[tuple[str, float]]:
    """Return the files of a folder nearest to words or to an image, with their cosines."""
    from mvlib import encoders

    if (words is None) == (like is None):
        raise ValueError("words and like: expected one of them")
    kept = cache_of(cache)
    if isinstance(encoder, str):
        encoder = encoders.load(encoder, pretrained=pretrained, cache=kept.folder or False)
    settings = {"cache": kept, "max_pixels": MAX_PIXELS, "channels": None}
    if words is not None:
        query = encoder.encode_texts([f"a photo of a {words}."])
    else:
        example, read = known_of(
            ImageFolder(Path(like).parent, (Path(like).name,)), encoder, **settings
        )
        if read.skipped:
            raise ValueError(f"like={str(like)!r}: {read.skipped[0].reason}")
        query = example.features
    known, folder = known_of(find_images(directory), encoder, **settings)
    if not folder.files:
        raise ValueError(f"directory={str(directory)!r} holds no usable image")
    features = known.features
    if words is not None and hasattr(encoder, "project_images"):
        features = encoder.project_images(features)
    n = min(n, len(folder.files))
    cosines, rows = top_k(unit_rows(query), unit_rows(features), n)
    return [(folder.files[row], float(c)) for row, c in zip(rows[0], cosines[0], strict=True)]
