"""Words to describe images with: WordNet's nouns, captions, prompt templates."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import lzma
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from mvlib.check import check_choice, check_number
from mvlib.data.cards import DataFile
from mvlib.data.download import data_folder, fetch_file
from mvlib.files import embedded_data, shipped_file

# In the order of TAC's code; the ensemble is the mean of their embeddings.
PROMPTS = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)

NOUN_ROWS = ("unique", "tac", "sic")
CAPTION_SETS = ("openclipart", "flickr30k")
_CAPTIONS_AN_IMAGE = 5
_CAPTION_SPLITS = ("train", "val", "test_2016")


@dataclass(frozen=True)
class TextSource:
    """Where a set of texts comes from; for a shipped file, sha256 is of what it unpacks to."""

    title: str
    how_to_get: str
    licence: str
    citation: str
    files: tuple[DataFile, ...]


@cache
def text_sources() -> dict[str, TextSource]:
    """Return what `words.toml` says of the nouns and of the Flickr30k captions."""
    entries = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
    return {
        name: TextSource(**entry | {"files": tuple(DataFile(**f) for f in entry["files"])})
        for name, entry in entries.items()
    }


def nouns(most_frequent: int | None = None, *, rows: str = "unique") -> list[str]:
    """Return the nouns that TAC and SIC describe images with: those of WordNet 3.0.

    They ship with mvlib and are checked by sha256 when they are first read.

    Parameters
    ----------
    most_frequent : int, optional
        Only that many nouns, the most frequent first: by how often WordNet's own texts are
        tagged with the noun, summed over the synsets that hold it in that spelling; ties in the
        order of the file. All 119,034 by default, in that order. 11,916 of them are tagged at
        all.
    rows : {"unique", "tac", "sic"}, default="unique"
        "unique": each noun once. "tac": a row a noun and synset, 146,347 of all nouns, as TAC's
        code encodes them: "head" stands 33 times. "sic": the first noun of each synset, as
        SIC's code does. Rows of one noun stand together under `most_frequent`, else all rows
        are in the order of the file.

    Returns
    -------
    list of str
        Spelt as in the file: with capitals, and `_` between the words of a compound, which TAC
        and SIC leave in their prompts.

    Raises
    ------
    ValueError, FileNotFoundError
        If `most_frequent` is not an integer from 1 to the number of nouns, `rows` is unknown,
        or a file that ships is damaged; if it is missing.

    Notes
    -----
    *Deviations*. The pandas reader of TAC takes the noun "null" for a missing value and prompts
    with "nan"; here it stays a word. SIC's file has 82,114 synsets, and its reader eats the
    first, "entity"; here synsets are told apart by their definitions, so that neighbours with
    one definition count as one: 81,908 rows.

    Source: Li, Y. et al. Image clustering with external guidance. ICML 2024, and its code.
    """
    check_choice("rows", rows, NOUN_ROWS)
    words = _nouns()
    if most_frequent is not None:
        check_number("most_frequent", most_frequent, low=1, high=len(words), integer=True)
        words = _by_frequency()[:most_frequent]
    if rows == "unique":
        return list(words)
    if most_frequent is None:
        return list(_listed(rows))
    times = Counter(_listed(rows))
    return [word for word in words for _ in range(times[word])]


def noun_kinds() -> dict[str, str]:
    """Return what the most frequent sense of each noun of `nouns` is.

    Returns
    -------
    dict of str to str
        "thing" for what is under *physical entity* and no living thing below, "animal",
        "person" (trades, peoples, relatives), "people" for a few words that say no more of
        people than that they are there, "insult" for slurs, verdicts on people and obscene
        words, and "other", such as ideas and acts. By synsets, WordNet's own remarks on usage,
        and a list by hand: no list of insults is complete.

    Raises
    ------
    ValueError, FileNotFoundError
        As `nouns`.
    """
    names = {kind[0]: kind for kind in ("thing", "animal", "person", "insult", "other")}
    names["P"] = "people"
    (kinds,) = _shipped_table("wordnet_noun_kinds.csv.xz")
    return {word: names[kind] for word, kind in zip(_nouns(), kinds[0], strict=True)}


def captions(name: str = "openclipart") -> list[str]:
    """Return the captions of a set of images, in a fixed order.

    Parameters
    ----------
    name : {"openclipart", "flickr30k"}, default="openclipart"
        "openclipart": one caption a drawing, of those outside the evaluation set, as
        `mvlib.data.openclipart_pairs` gives them; it ships with mvlib. "flickr30k":
        155,070 captions of 31,014 photographs, fetched once into `mvlib.data.data_folder`
        and checked: the images of train, val, test_2016 in the order of the files, the five
        captions of an image one after the other, so that ``[::5]`` is one caption an image.

    Raises
    ------
    ValueError
        If there is no such set, or a file on disk is not the expected one.
    FileNotFoundError, DownloadError
        If a file is missing and cannot be fetched.
    """
    if check_choice("name", name, CAPTION_SETS) == "openclipart":
        from mvlib.data.openclipart import openclipart_pairs

        return list(openclipart_pairs().captions)
    source = text_sources()[name]
    paths = [fetch_file(file, data_folder(), source) for file in source.files]
    texts = []
    for split in _CAPTION_SPLITS:
        columns = [_lines(path) for path in paths if path.name.startswith(f"{split}.")]
        lengths = [len(column) for column in columns]
        if len(columns) != _CAPTIONS_AN_IMAGE or len(set(lengths)) > 1:
            raise ValueError(
                f"{source.title}: the files of {split} have {lengths} lines: expected "
                f"{_CAPTIONS_AN_IMAGE} files of one length"
            )
        texts += [text for image in zip(*columns, strict=True) for text in image]
    return texts


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as stream:
        return [line.strip() for line in stream]


@cache
def _listed(rows: str) -> tuple[str, ...]:
    table = _shipped_table("wordnet_nouns.csv.xz")
    if rows == "tac":
        return tuple(word for word, _ in table)
    return tuple(
        word for (_, before), (word, definition) in pairwise(table) if definition != before
    )


@cache
def _nouns() -> tuple[str, ...]:
    return tuple(dict.fromkeys(_listed("tac")))


@cache
def _by_frequency() -> tuple[str, ...]:
    counts = {word: int(n) for word, n in _shipped_table("wordnet_noun_counts.csv.xz")}
    return tuple(sorted(_nouns(), key=lambda word: -counts.get(word, 0)))


def _shipped_table(name: str) -> list[list[str]]:
    """Return the rows of a compressed table that ships, without its header."""
    file = next(file for file in text_sources()["nouns"].files if file.file == name)
    path = shipped_file(embedded_data() / name)
    try:
        content = lzma.decompress(path.read_bytes())
    except lzma.LZMAError as error:
        raise ValueError(f"{path} does not unpack: {error}. Restore it") from error
    if (found := hashlib.sha256(content).hexdigest()) != file.sha256:
        raise ValueError(
            f"{path} unpacks to sha256 {found}: expected {file.sha256}. It ships with mvlib: "
            "restore it or install mvlib again"
        )
    return list(csv.reader(io.StringIO(content.decode(), newline="")))[1:]
