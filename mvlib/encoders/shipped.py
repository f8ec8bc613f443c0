"""Features of the frozen towers that ship with mvlib, in half precision."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvlib.data import describe
from mvlib.files import embedded_data, shipped_file

NOUN_PROMPT = "a photo of a {}."
N_NOUNS = 8000
HEADS_FILE = "offline_heads.safetensors"
PAIRS_FILE = "openclipart_features.npz"
NOUNS_FILE = f"nouns_{N_NOUNS}.npz"


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    """What the offline encoder's heads are trained on.

    Attributes
    ----------
    ids : tuple of str
        The drawings, as `mvlib.data.openclipart_pairs` names them: none of the evaluation
        set is among them.
    image_features : ndarray of shape (n_pairs, 1280), float32
        Of the drawings, by EfficientNet-Lite2.
    text_features : ndarray of shape (n_pairs, 384), float32
        Of their captions, by MiniLM.
    class_image_features : ndarray of shape (1000, 1280), float32
        Rows of the ImageNet classifier that EfficientNet-Lite2 was trained with.
    class_text_features : ndarray of shape (1000, 384), float32
        Of "a photo of a {}." with the names of those classes, by MiniLM.
    image_fingerprint, text_fingerprint : str
        Of the towers, as `OfflineEncoder` has them.
    """

    ids: tuple[str, ...]
    image_features: np.ndarray
    text_features: np.ndarray
    class_image_features: np.ndarray
    class_text_features: np.ndarray
    image_fingerprint: str
    text_fingerprint: str


def training_features() -> TrainingFeatures:
    """Return the pairs' features, which ship, so that heads can be trained anywhere.

    They are those of the towers to half precision. The classifier's rows come from the
    installed package.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing or damaged.
    """
    from mvlib.encoders.offline import classifier_rows

    stored = _read(PAIRS_FILE)
    return TrainingFeatures(
        ids=tuple(stored["ids"].tolist()),
        image_features=stored["image_features"].astype(np.float32),
        text_features=stored["text_features"].astype(np.float32),
        class_image_features=classifier_rows().numpy(),
        class_text_features=stored["class_text_features"].astype(np.float32),
        image_fingerprint=str(stored["image_fingerprint"]),
        text_fingerprint=str(stored["text_fingerprint"]),
    )


def text_features(file: str, texts: Sequence[str], fingerprint: str) -> np.ndarray | None:
    """Return the text tower's features of the first texts of a file that ships, or None.

    `NOUNS_FILE` has "a photo of a {}." with `mvlib.data.nouns(most_frequent=8000)`,
    `PAIRS_FILE` the captions of Open Clip Art. None: of other texts, or by another tower.
    """
    stored, n = _read(file), len(texts)
    same = str(stored["text_fingerprint"]) == fingerprint
    if not same or not np.array_equal(stored["text_digests"][:n], text_digests(texts)):
        return None
    return stored["text_features"][:n].astype(np.float32)


def text_digests(texts: Sequence[str]) -> np.ndarray:
    """Return 8 bytes that stand for each text, uint64 (n,)."""
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:8] for text in texts)
    return np.frombuffer(digests, "<u8")


def class_texts() -> list[str]:
    """Return "a photo of a {}." with each of ImageNet's 1000 prompt names, in their order."""
    return [NOUN_PROMPT.format(name) for name in describe("imagenet-1k").prompt_names]


def _read(name: str) -> dict[str, np.ndarray]:
    path = shipped_file(embedded_data() / name)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    # Damaged bytes raise errors of many kinds.
    except Exception as error:
        raise ValueError(
            f"{path} is damaged ({error}): restore it or install mvlib again"
        ) from error
