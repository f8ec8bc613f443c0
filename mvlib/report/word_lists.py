"""The texts that groups are told apart and named by."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.files import open_regular, shorten

if TYPE_CHECKING:
    from mvlib.encoders import Encoder, TextBank

_PROMPT = "a photo of a {}."
_N_NOUNS = 8000
# Of these, the first, which are the most frequent: words that people would use for a title.
N_COMMON = 1500
# What an image can show, without trades and other words of what somebody is.
_SHOWN = ("thing", "animal", "people")
_LONGEST = 1000
# Of a table, the column that is read, if there are several.
_COLUMNS = ("word", "words", "name", "noun", "label", "text", "caption", "class")
_TABLES, _SEPARATORS = (".csv", ".tsv"), ",;\t"
_PLAIN = ("", ".txt", ".text", ".lst", ".list")


def given_texts(
    given: str | Path | Sequence[str] | None, argument: str, *, fewest: int = 1
) -> tuple[str, ...]:
    """Return the texts of a list, or of a file, one a line: each once, with single spaces.

    A table (.csv, .tsv) is read by its column of words.
    """
    if given is None:
        return ()
    source, texts = "list", given
    if isinstance(given, str | Path):
        source = str(given)
        suffix = Path(given).suffix.lower()
        if suffix not in (*_PLAIN, *_TABLES):
            raise ValueError(
                f"{argument}={source!r} is of a kind that is not read: expected a text file, "
                "one entry a line, or a table (.csv, .tsv) with a column 'word'"
            )
        texts = _lines(given, argument)
        if suffix in _TABLES:
            texts = _column(texts, f"{argument}={source!r}")
    cleaned = tuple(dict.fromkeys(filter(None, (" ".join(text.split()) for text in texts))))
    for text in cleaned:
        if not text.isprintable() or len(text) > _LONGEST:
            what = f"{len(text)} characters" if text.isprintable() else "control characters"
            raise ValueError(
                f"{argument}={source!r} has an entry of {what}, {shorten(repr(text))}: "
                f"expected plain text, at most {_LONGEST} characters an entry"
            )
    if len(cleaned) < fewest:
        found = f"holds {len(cleaned)} text" if cleaned else "holds no text"
        raise ValueError(
            f"{argument}={source!r} {found}: expected {fewest} or more, one a line"
        )
    return cleaned


def _lines(path: str | Path, argument: str) -> list[str]:
    try:
        with open_regular(path) as stream:
            content = stream.read()
        # As some editors save, with a mark in front.
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        return content.decode("utf-16" if wide else "utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read ({getattr(error, 'strerror', '')})"
        if isinstance(error, UnicodeDecodeError):
            problem = f"is not UTF-8 (byte {error.start})"
        raise ValueError(
            f"{argument}={str(path)!r} {problem}: expected UTF-8 text, one entry a line"
        ) from error


def _column(lines: list[str], source: str) -> list[str]:
    separator = max(_SEPARATORS, key=lines[0].count) if lines else ","
    rows = [row for row in csv.reader(lines, delimiter=separator) if row]
    names = [name.strip().lower() for name in rows[0]] if rows else []
    known = [names.index(name) for name in _COLUMNS if name in names]
    if not known and len(names) > 1:
        raise ValueError(
            f"{source} has the columns {shorten(', '.join(map(repr, names)))}: expected one of "
            f"them to be called {_COLUMNS[0]!r}"
        )
    column = known[0] if known else 0
    return [row[column] for row in rows[bool(known) :] if len(row) > column]


def text_banks(
    encoder: Encoder,
    words: Sequence[str],
    captions: Sequence[str],
    *,
    method: str,
    block: Sequence[str] = (),
) -> dict[str, TextBank]:
    """Return the encoded nouns and captions that a method uses, without those of `block`."""
    from mvlib import encoders
    from mvlib.data import noun_kinds

    if words:
        prompts = [_PROMPT.format(word) for word in words]
        nouns = encoders.TextBank(tuple(words), encoder.encode_texts(prompts))
    else:
        nouns = encoders.noun_bank(encoder, size=_N_NOUNS, prompts=(_PROMPT,))
    blocked = {text.casefold() for text in block}
    kinds = noun_kinds()
    rows = [
        row
        for row, text in enumerate(nouns.texts)
        if text.casefold() not in blocked
        and (words or (not text[:1].isupper() and kinds[text.replace(" ", "_")] in _SHOWN))
    ]
    if not rows:
        raise ValueError("block leaves no word to name groups by: expected a shorter list")
    banks = {
        "nouns": encoders.TextBank(tuple(nouns.texts[j] for j in rows), nouns.features[rows])
    }
    if method != "cae":
        return banks
    if captions:
        bank = encoders.TextBank(tuple(captions), encoder.encode_texts(list(captions)))
    else:
        bank = encoders.caption_bank(encoder, "openclipart")
    return banks | {"captions": bank}


def kinds_of(texts: Sequence[str]) -> list[str]:
    """Return the kind of each noun, as of `mvlib.data.noun_kinds`; "other" for other texts."""
    from mvlib.data import noun_kinds

    kinds = noun_kinds()
    return [kinds.get(text.replace(" ", "_"), "other") for text in texts]
