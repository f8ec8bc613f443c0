"""The texts that groups are told apart and named by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.files import open_regular

if TYPE_CHECKING:
    from mvlib.encoders import Encoder, TextBank

_PROMPT = "a photo of a {}."
_N_NOUNS = 8000
# Of these, the first, which are the most frequent: words that people would use for a title.
N_COMMON = 1500
# WordNet lists them too. They say what somebody is worth, which no image shows, and the
# images may be of people.
_VERDICTS = frozenset(
    {"ass", "bastard", "brute", "bum", "coon", "coward", "crook", "drunk", "drunkard", "fiend"}
    | {"fool", "freak", "gangster", "half-breed", "idiot", "imbecile", "jerk", "killer"}
    | {"liar", "loser", "madman", "maniac", "murderer", "nigger", "racketeer", "savage"}
    | {"slave", "slob", "son of a bitch", "thief", "traitor", "tramp", "villain", "whore"}
    | {"wretch", "yokel"}
)


def given_texts(given: str | Path | Sequence[str] | None, argument: str) -> tuple[str, ...]:
    """Return the texts of a list, or of a file, one a line: each once, with single spaces."""
    if given is None:
        return ()
    source, texts = "list", given
    if isinstance(given, str | Path):
        source = str(given)
        try:
            with open_regular(given) as stream:
                texts = stream.read().decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            problem = f"cannot be read ({getattr(error, 'strerror', '')})"
            if isinstance(error, UnicodeDecodeError):
                problem = f"is not UTF-8 (byte {error.start})"
            raise ValueError(
                f"{argument}={source!r} {problem}: expected UTF-8 text, one entry a line"
            ) from error
    cleaned = tuple(dict.fromkeys(filter(None, (" ".join(text.split()) for text in texts))))
    if not cleaned:
        raise ValueError(f"{argument}={source!r} holds no text: expected one entry a line")
    return cleaned


def text_banks(
    encoder: Encoder, words: Sequence[str], captions: Sequence[str], *, method: str
) -> dict[str, TextBank]:
    """Return the encoded nouns and captions that a method uses."""
    from mvlib import encoders

    if words:
        prompts = [_PROMPT.format(word) for word in words]
        nouns = encoders.TextBank(tuple(words), encoder.encode_texts(prompts))
    else:
        nouns = _fit_for_names(encoders.noun_bank(encoder, size=_N_NOUNS, prompts=(_PROMPT,)))
    if method != "cae":
        return {"nouns": nouns}
    if captions:
        bank = encoders.TextBank(tuple(captions), encoder.encode_texts(list(captions)))
    else:
        bank = encoders.caption_bank(encoder, "openclipart")
    return {"nouns": nouns, "captions": bank}


def _fit_for_names(bank: TextBank) -> TextBank:
    """Leave out nouns that name what cannot be seen: proper ones, and verdicts on people."""
    from mvlib.encoders import TextBank

    rows = [
        row
        for row, text in enumerate(bank.texts)
        if not text[:1].isupper() and text not in _VERDICTS
    ]
    return TextBank(tuple(bank.texts[row] for row in rows), bank.features[rows])
