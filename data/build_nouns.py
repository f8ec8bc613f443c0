"""Build the noun list of TAC (ICML 2024) from WordNet 3.0, byte for byte.

    python data/build_nouns.py WORDNET_FOLDER

WORDNET_FOLDER holds `data.noun` and `index.sense` of WordNet 3.0, such as
`/usr/share/wordnet` of Debian's `wordnet-base`. It writes to `data/embedded`
`wordnet_nouns.csv.xz` (a row a noun and synset, in the order of `data.noun`: the word, the
definition without its examples), `wordnet_noun_counts.csv.xz` (how often each noun was
tagged in WordNet's texts, where it was) and `WORDNET_LICENSE`. The unpacked bytes are
checked; the packed ones depend on the version of liblzma.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import lzma
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from mvlib.data.words import text_sources
from mvlib.files import replacing, write_text

_NOUN = "1"
_EXAMPLE = re.compile('".*?"')


def synsets(lines: Iterable[str]) -> Iterator[tuple[str, list[str], str]]:
    """Yield offset, words and definition of each noun synset of `data.noun`."""
    for line in lines:
        # The licence stands on top, indented.
        if line.startswith(" "):
            continue
        columns, _, gloss = line.partition("|")
        fields = columns.split()
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        yield fields[0], words, _EXAMPLE.sub("", gloss.strip()).strip().strip("; ")


def tag_counts(lines: Iterable[str]) -> dict[tuple[str, str], int]:
    """Return how often each noun sense of `index.sense` is tagged, by lemma and offset."""
    counts = {}
    for line in lines:
        key, offset, _, count = line.split()
        lemma, _, rest = key.rpartition("%")
        if rest.startswith(_NOUN):
            counts[lemma, offset] = int(count)
    return counts


def tables(folder: Path) -> dict[str, bytes]:
    """Return the two tables, as unpacked CSV."""
    with open(folder / "index.sense", encoding="utf-8") as stream:
        tagged = tag_counts(stream)
    rows, totals = [], Counter()
    with open(folder / "data.noun", encoding="utf-8") as stream:
        for offset, words, definition in synsets(stream):
            for word in words:
                rows.append((word, definition))
                totals[word] += tagged[word.lower(), offset]
    return {
        "wordnet_nouns.csv.xz": _csv([("word", "definition"), *rows]),
        # A counter keeps the order of the file.
        "wordnet_noun_counts.csv.xz": _csv(
            [("word", "count"), *(item for item in totals.items() if item[1])]
        ),
    }


def licence(folder: Path) -> str:
    """Return WordNet's notice, which stands on top of `data.noun`."""
    with open(folder / "data.noun", encoding="utf-8") as stream:
        notice = [line for line in stream if line.startswith(" ")]
    return "".join(re.sub(r"^ +\d+ ?", "", line).rstrip() + "\n" for line in notice)


def _csv(rows: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def main() -> None:
    """Write the files, or stop where their bytes are not the expected ones."""
    parser = argparse.ArgumentParser(description="Build the noun list from WordNet 3.0.")
    parser.add_argument("wordnet", type=Path, help="folder of data.noun and index.sense")
    folder = parser.parse_args().wordnet
    embedded = Path(__file__).parent / "embedded"
    expected = {file.file: file.sha256 for file in text_sources()["nouns"].files}
    found = tables(folder)
    for name, content in found.items():
        if (sha256 := hashlib.sha256(content).hexdigest()) != expected[name]:
            raise SystemExit(
                f"{name} unpacks to sha256 {sha256}: expected {expected[name]}; "
                f"is {folder} of WordNet 3.0?"
            )
    for name, content in found.items():
        with replacing(embedded / name) as temporary:
            temporary.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    write_text(embedded / "WORDNET_LICENSE", licence(folder))


if __name__ == "__main__":
    main()
