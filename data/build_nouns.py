"""Build the noun list of TAC (ICML 2024) from WordNet 3.0, byte for byte.

    python data/build_nouns.py WORDNET_FOLDER

WORDNET_FOLDER holds `data.noun` and `index.sense` of WordNet 3.0, such as
`/usr/share/wordnet` of Debian's `wordnet-base`. It writes to `data/embedded`
`wordnet_nouns.csv.xz` (a row a noun and synset, in the order of `data.noun`: the word, the
definition without its examples), `wordnet_noun_counts.csv.xz` (how often each noun was
tagged in WordNet's texts, where it was), `wordnet_noun_kinds.csv.xz` (what kind of thing each
noun names, a letter a noun) and `WORDNET_LICENSE`. The unpacked bytes are
checked; the packed ones depend on the version of liblzma.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import lzma
import re
from collections import Counter, defaultdict
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


# Of people, and what is said of them: no image shows what somebody is worth. The synsets are
# named by their first word and the beginning of the definition.
_PERSON = ("person", "a human being")
_ANIMAL = ("animal", "a living organism characterized")
_PHYSICAL = ("physical_entity", "")
_VERDICTS = (
    ("bad_person", ""), ("unwelcome_person", ""), ("unfortunate", "a person who suffers"),
    ("simpleton", ""), ("coward", ""), ("ignoramus", ""), ("fool", "a person who lacks good"),
    ("lunatic", ""), ("slave", ""), ("primitive", ""), ("deviate", ""), ("sinner", ""),
)  # fmt: skip
_RUDE = re.compile(
    r"slur\b|offensive (and \w+ )?(\w+ )?(term|name)|derogatory|disparaging|pejorative|obscene"
    r"|vulgar (term|slang)|insulting term|offensive slang"
)
# By hand: what the rules miss, what they take though its common sense is harmless, and the
# words that say no more of people than that they are there.
_INSULTS = """
addict ass bastard beggar bimbo brat broad brute bully bum chick cockney coon coward cretin
cripple crone crook dame drunk drunkard fiend fool freak gangster gypsy hack hag half-breed
harlot heathen hick hillbilly hooker hussy idiot imbecile infidel jerk junkie killer liar
loon loser lunatic madman maniac midget moron murderer nigger pagan pervert prostitute
psychopath racketeer redneck sadist savage slave slob slut son_of_a_bitch spinster sucker
tart thief traitor tramp villain whore witch wretch yokel
"""
_HARMLESS = """
bearer boy captive clown critic diabetic dragon failure foreigner hood junior lifter martyr
operator patient pirate prey principal prisoner queen runner skunk sleeper square
storyteller stranger survivor target user
"""
_PEOPLE = {"person", "people", "human_being", "crowd", "child", "baby", "family"}


def kinds(folder: Path, words: Iterable[str]) -> str:
    """Return a letter a word: thing, animal, person, People, insult, other."""
    first, senses, below, glosses = {}, defaultdict(list), defaultdict(list), {}
    with open(folder / "index.sense", encoding="utf-8") as stream:
        for line in stream:
            key, offset, number, _ = line.split()
            lemma, _, rest = key.rpartition("%")
            if rest.startswith(_NOUN) and number == "1":
                first[lemma] = offset
    with open(folder / "data.noun", encoding="utf-8") as stream:
        lines = [line for line in stream if not line.startswith(" ")]
    for line, (offset, spelt, definition) in zip(lines, synsets(lines), strict=True):
        glosses[offset] = spelt[0], definition
        for word in spelt:
            senses[word].append(offset)
        fields = line.partition("|")[0].split()[4 + 2 * len(spelt) + 1 :]
        for pointer, target in zip(fields[::4], fields[1::4], strict=True):
            if pointer in ("@", "@i"):
                below[target].append(offset)

    def under(*roots: tuple[str, str]) -> set[str]:
        found = [
            offset
            for offset, (word, definition) in glosses.items()
            if any(word == root and definition.startswith(start) for root, start in roots)
        ]
        for offset in found:
            found += below[offset]
        return set(found)

    people, animals, physical = under(_PERSON), under(_ANIMAL), under(_PHYSICAL)
    verdicts = under(*_VERDICTS)

    insults, harmless = _INSULTS.split(), _HARMLESS.split()

    def kind(word: str) -> str:
        own, main = senses[word], first.get(word.lower())
        main = main if main in own else own[0]
        is_thing = main in animals or (main in physical and main not in people)
        rude = [o for o in own if _RUDE.search(glosses[o][1]) and (o == main or o in people)]
        if word in _PEOPLE:
            return "P"
        hard = main in verdicts or (not is_thing and any(o in verdicts for o in own))
        if word in insults or ((rude or hard) and word not in harmless):
            return "i"
        if main in people:
            return "p"
        return "a" if main in animals else "t" if main in physical else "o"

    return "".join(map(kind, words))


def tables(folder: Path) -> dict[str, bytes]:
    """Return the two tables, as unpacked CSV."""
    with open(folder / "index.sense", encoding="utf-8") as stream:
        tagged = tag_counts(stream)
    # A counter keeps the order of the file.
    rows, totals = [], Counter()
    with open(folder / "data.noun", encoding="utf-8") as stream:
        for offset, words, definition in synsets(stream):
            for word in words:
                rows.append((word, definition))
                totals[word] += tagged[word.lower(), offset]
    return {
        "wordnet_nouns.csv.xz": _csv([("word", "definition"), *rows]),
        "wordnet_noun_counts.csv.xz": _csv(
            [("word", "count"), *(item for item in totals.items() if item[1])]
        ),
        "wordnet_noun_kinds.csv.xz": _csv([("kinds",), (kinds(folder, totals),)]),
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
