"""Texts with their features: the words that images are described with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvlib.check import check_views
from mvlib.data import captions, noun_kinds, nouns
from mvlib.encoders.base import Encoder
from mvlib.encoders.offline import OfflineEncoder
from mvlib.encoders.shipped import NOUN_PROMPT, NOUNS_FILE, PAIRS_FILE, text_features
from mvlib.encoders.towers import check_texts


@dataclass(frozen=True, eq=False)
class TextBank:
    """Texts and their features, row by row; ValueError if they do not fit or one is not finite.

    Attributes
    ----------
    texts : tuple of str
        What a cluster may be named by.
    features : ndarray of shape (n_texts, dim), float32
        By the encoder that the images go through, not normalised.
    """

    texts: tuple[str, ...]
    features: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "texts", tuple(check_texts(self.texts)))
        (features,) = check_views([self.features], argument="features")
        object.__setattr__(self, "features", features)
        if len(self.texts) != len(self.features):
            raise ValueError(
                f"texts has {len(self.texts)} texts and features {len(self.features)} rows: "
                "expected one row a text"
            )

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.texts)


def noun_bank(
    encoder: Encoder,
    size: int | None = 8000,
    prompts: Sequence[str] = (NOUN_PROMPT,),
    *,
    insults: bool = False,
) -> TextBank:
    """Return WordNet's nouns with their features.

    With several prompts a noun's feature is the plain mean of its embeddings, none of them
    normalised, as in TAC's code.

    Parameters
    ----------
    encoder : Encoder
        Of the images that the bank is for.
    size : int or None, default=8000
        Take that many, the most frequent; None takes all 119,034. Without features that
        ship, encoding all under `mvlib.data.PROMPTS` takes most of an hour on two cores.
    prompts : sequence of str, default=("a photo of a {}.",)
        Templates, `{}` stands for the noun. TAC's seven are `mvlib.data.PROMPTS`.
    insults : bool, default=False
        Whether slurs, verdicts on people and obscene words stay, as in the papers and in
        recorded experiments. By default those of `noun_kinds` are left out of the `size` nouns.

    Returns
    -------
    TextBank
        Of the bare nouns, compounds with spaces. For the offline encoder, that prompt and
        up to 8,000 nouns the features that ship are taken, which are rounded to half
        precision before the head.

    Raises
    ------
    ValueError
        If `size` is out of range or a prompt lacks `{}`.
    """
    prompts = check_texts(prompts, argument="prompts")
    for prompt in prompts:
        if prompt.count("{}") != 1:
            raise ValueError(f"prompts has {prompt!r}: expected one {{}} for the noun")
    words = nouns(most_frequent=size)
    shipped = _shipped(encoder, NOUNS_FILE, words) if prompts == [NOUN_PROMPT] else None
    if not insults:
        kinds = noun_kinds()
        rows = [row for row, word in enumerate(words) if kinds[word] != "insult"]
        words = [words[row] for row in rows]
        shipped = None if shipped is None else shipped[rows]
    # Compounds are encoded as WordNet writes them, as in TAC, and shown as people do.
    shown = tuple(word.replace("_", " ") for word in words)
    if shipped is not None:
        return TextBank(shown, shipped)
    features = encoder.encode_texts([prompts[0].replace("{}", word) for word in words])
    for prompt in prompts[1:]:
        features += encoder.encode_texts([prompt.replace("{}", word) for word in words])
    return TextBank(shown, features / np.float32(len(prompts)))


def noun_rows(bank: TextBank, rows: str) -> TextBank:
    """Return a bank of nouns with as many rows of each as a method's authors list.

    Parameters
    ----------
    bank, rows : TextBank and {"unique", "tac", "sic"}
        From `noun_bank`, and as for `mvlib.data.nouns`. A text that is no noun of WordNet keeps
        its row.
    """
    listed, known = Counter(nouns(rows=rows)), set(nouns())
    words = [text.replace(" ", "_") for text in bank.texts]
    times = [listed[word] if word in known else 1 for word in words]
    taken = np.repeat(np.arange(len(bank)), times)
    return TextBank(tuple(bank.texts[row] for row in taken), bank.features[taken])


def caption_bank(encoder: Encoder, name: str = "openclipart") -> TextBank:
    """Return captions with their features, each caption once, in the order of the set.

    For the offline encoder and "openclipart" the features that ship are taken, which are
    rounded to half precision before the head.

    Parameters
    ----------
    encoder, name : Encoder, and {"openclipart", "flickr30k"}, default="openclipart"
        Of the images that the bank is for; and as for `mvlib.data.captions`, whose errors it
        raises.
    """
    texts = captions(name)
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        first.setdefault(text, row)
    shipped = _shipped(encoder, PAIRS_FILE, texts) if name == "openclipart" else None
    if shipped is not None:
        return TextBank(tuple(first), shipped[list(first.values())])
    return TextBank(tuple(first), encoder.encode_texts(list(first)))


def _shipped(encoder: Encoder, file: str, texts: Sequence[str]) -> np.ndarray | None:
    """Return what `encoder` makes of text features that ship, or None if it cannot."""
    if not isinstance(encoder, OfflineEncoder):
        return None
    features = text_features(file, texts, encoder.text_fingerprint)
    return None if features is None else encoder.project_texts(features)
