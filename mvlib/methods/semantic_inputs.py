"""What the methods that cluster images with words accept, turned into features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvlib.check import check_choice
from mvlib.encoders import Encoder, TextBank

PRECISIONS = ("float32", "float16")

# What CAE's description leaves open, and open_clip's plainest template.
PLAIN_PROMPT = ("a photo of a {}.",)


def image_features(
    argument: str, images: Any, encoder: Encoder | None = None, precision: str = "float32"
) -> np.ndarray:
    """Return the features of images, given as features or raw.

    Parameters
    ----------
    argument : str
        The caller's name for the images.
    images : array-like of shape (n_samples, n_features), or raw images
        Features are taken as they are. Raw images are a sequence of paths or PIL images,
        or a uint8 array of shape (n_samples, height, width, 3).
    encoder : Encoder, optional
        Needed for raw images.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds the features to half precision, in which TAC stores them.

    Returns
    -------
    ndarray of shape (n_samples, n_features), float32
        Not normalised.

    Raises
    ------
    ValueError
        If raw images come without an encoder, or the features are empty, not numeric, not
        2-d, not finite, or all zero in some row.
    """
    if not _is_raw(images):
        return check_features(argument, images, precision)
    if encoder is None:
        raise ValueError(
            f"{argument} holds raw images and there is no encoder: expected features of shape "
            "(n_samples, n_features), or an encoder such as encoder='offline'"
        )
    if len(images) == 0:
        raise ValueError(f"{argument} is empty: expected at least one image")
    return check_features(argument, encoder.encode_images(images), precision)


def text_bank(
    argument: str,
    texts: Any,
    encoder: Encoder | None = None,
    prompts: Sequence[str] | None = None,
    precision: str = "float32",
) -> TextBank:
    """Return words with their features, given as a bank, as strings or as features.

    Parameters
    ----------
    argument : str
        The caller's name for the words.
    texts : TextBank, sequence of str, or array-like of shape (n_words, n_features)
        The words. Features that come without their words are named "0", "1", ... by row.
    encoder : Encoder, optional
        Needed for strings.
    prompts : sequence of str, optional
        Templates with {} for the word, for strings alone: the features are the plain mean
        over the templates, not normalised before (as in TAC's code). None takes the
        strings as they are.
    precision : {"float32", "float16"}, default="float32"
        As in `image_features`.

    Returns
    -------
    TextBank
        Features float32, not normalised.

    Raises
    ------
    ValueError
        If strings come without an encoder, a template has no {}, or the features are
        empty, not numeric, not 2-d, not finite, or all zero in some row.
    """
    if isinstance(texts, TextBank):
        return TextBank(tuple(texts.texts), check_features(argument, texts.features, precision))
    if isinstance(texts, str | Mapping) or not hasattr(texts, "__getitem__"):
        raise ValueError(
            f"{argument} is of type {type(texts).__name__}: expected a TextBank, a list of "
            "str, or features of shape (n_words, n_features)"
        )
    if len(texts) == 0:
        raise ValueError(f"{argument} is empty: expected at least one word")
    if not isinstance(texts, torch.Tensor) and isinstance(texts[0], str):
        if encoder is None:
            raise ValueError(
                f"{argument} holds strings and there is no encoder: expected a TextBank or "
                "features, or an encoder such as encoder='offline'"
            )
        features = prompted_features(encoder, list(texts), prompts)
        return TextBank(tuple(map(str, texts)), check_features(argument, features, precision))
    features = check_features(argument, texts, precision)
    return TextBank(tuple(str(row) for row in range(len(features))), features)


def prompted_features(
    encoder: Encoder, words: list[str], prompts: Sequence[str] | None
) -> np.ndarray:
    """Return the plain mean of the words' embeddings over the templates.

    Parameters
    ----------
    encoder : Encoder
        Of the texts.
    words : list of str
        The words.
    prompts : sequence of str or None
        Templates with {} for the word; None takes the words as they are.

    Returns
    -------
    ndarray of shape (n_words, n_features), float32

    Raises
    ------
    ValueError
        If there is no template, or one without {}.
    """
    if prompts is None:
        return encoder.encode_texts(words)
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not prompts or not all("{}" in prompt for prompt in prompts):
        raise ValueError(f"prompts={prompts!r}: expected templates with {{}} for the word")
    total = sum(
        encoder.encode_texts([prompt.replace("{}", word) for word in words])
        for prompt in prompts
    )
    return total / np.float32(len(prompts))


def check_features(argument: str, X: Any, precision: str = "float32") -> np.ndarray:
    """Return features as a finite float32 matrix without empty rows.

    Parameters
    ----------
    argument : str
        The caller's name for them.
    X : array-like or Tensor of shape (n_samples, n_features)
        What came.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds to half precision first.

    Returns
    -------
    ndarray of shape (n_samples, n_features), float32

    Raises
    ------
    ValueError
        If they are empty, not numeric, not 2-d, not finite (after rounding), or all zero in
        some row, which has no direction.
    """
    try:
        X = X.detach().cpu().numpy() if isinstance(X, torch.Tensor) else X
        features = np.ascontiguousarray(X, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{argument} is not numeric: {error}") from error
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(
            f"{argument} has shape {features.shape}: expected (n_samples, n_features), "
            "neither of them 0"
        )
    if check_choice("precision", precision, PRECISIONS) == "float16":
        with np.errstate(over="ignore"):
            features = features.astype(np.float16).astype(np.float32)
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{argument} holds NaN or infinity in row {int(finite.argmin())}"
            f"{' (as float16)' if precision == 'float16' else ''}: expected finite numbers"
        )
    filled = features.any(axis=1)
    if not filled.all():
        raise ValueError(
            f"{argument} is all zero in row {int(filled.argmin())}: expected a direction"
        )
    return features


def rounded(values: torch.Tensor, precision: str) -> torch.Tensor:
    """Return float32 values as `precision` holds them.

    Parameters
    ----------
    values : Tensor
        What to round.
    precision : {"float32", "float16"}
        "float16" rounds to half precision.
    """
    return values.half().float() if precision == "float16" else values


def check_same_space(**features: np.ndarray) -> None:
    """Raise unless all features have one width.

    Parameters
    ----------
    **features : ndarray of shape (n_rows, n_features)
        Features by the caller's name for them.

    Raises
    ------
    ValueError
        If their widths differ.
    """
    widths = {argument: X.shape[1] for argument, X in features.items()}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{argument} {width}" for argument, width in widths.items())
        raise ValueError(
            f"the numbers of features differ ({listed}): expected images and words of one "
            "space, made by the same encoder"
        )


def _is_raw(images: Any) -> bool:
    if isinstance(images, np.ndarray):
        return images.ndim == 4 or images.dtype.kind in "OU"
    if isinstance(images, torch.Tensor) or not hasattr(images, "__getitem__"):
        return False
    first = images[0] if len(images) else None
    return isinstance(first, str | Path) or hasattr(first, "getbands")
