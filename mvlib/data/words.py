"""Words to describe images with: WordNet's nouns, captions, prompt templates."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import lzma
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mvlib.check import check_choice, check_number
from mvlib.data.cards import DataFile
from mvlib.data.download import data_folder, fetch_file
from mvlib.files import embedded_data

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

CAPTION_SETS = ("openclipart", "flickr30k")
_CAPTIONS_AN_IMAGE = 5
_CAPTION_SPLITS = ("train", "val", "test_2016")


@dataclass(frozen=True)
class TextSource:
    """Where a set of texts comes from.

    Attributes
    ----------
    title, how_to_get, licence, citation : str
        For people.
    files : tuple of DataFile
        The sha256 of a shipped file is that of the bytes it unpacks to.
    """

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


def nouns(most_frequent: int | None = None) -> list[str]:
    """Return the nouns that TAC describes images with: those of WordNet 3.0.

    They ship with mvlib and are checked by sha256 when they are first read.

    *Deviations*: TAC encodes the file's 146,347 rows, so a noun of several synsets counts
    several times in its filter and its softmax; here each noun counts once. Its reader,
    pandas, takes the nouns "nan" and "null" for missing values and prompts with "nan"; here
    they stay words.

    Parameters
    ----------
    most_frequent : int, optional
        Return only that many, the most frequent first: by how often WordNet's own texts
        are tagged with the noun, summed over the synsets that hold it in that spelling;
        ties in the order of the file. All 119,034 by default, in the order of the file.
        11,916 of them are tagged at all.

    Returns
    -------
    list of str
        Each once, spelt as in the file: with capitals, and `_` between the words of a
        compound, which TAC leaves in its prompts.

    Raises
    ------
    ValueError
        If `most_frequent` is not an integer from 1 to the number of nouns, or a file that
        ships is damaged.
    FileNotFoundError
        If a file that ships is missing.

    References
    ----------
    Li, Y. et al. Image clustering with external guidance. ICML 2024, and its code.
    """
    words = _nouns()
    if most_frequent is None:
        return list(words)
    check_number("most_frequent", most_frequent, low=1, high=len(words), integer=True)
    return list(_by_frequency()[:most_frequent])


def captions(name: str = "openclipart") -> list[str]:
    """Return the captions of a set of images.

    Parameters
    ----------
    name : {"openclipart", "flickr30k"}, default="openclipart"
        "openclipart": one caption a drawing, of those outside the evaluation set, as
        `mvlib.data.openclipart_pairs` gives them; it ships with mvlib. "flickr30k":
        155,070 captions of 31,014 photographs, fetched once into `mvlib.data.data_folder`
        and checked.

    Returns
    -------
    list of str
        In a fixed order. "flickr30k": the images of train, val, test_2016 in the order of
        the files, the five captions of an image one after the other, so that ``[::5]`` is
        one caption an image.

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
def _nouns() -> tuple[str, ...]:
    rows = _shipped_table("wordnet_nouns.csv.xz")
    return tuple(dict.fromkeys(word for word, _ in rows))


@cache
def _by_frequency() -> tuple[str, ...]:
    counts = {word: int(n) for word, n in _shipped_table("wordnet_noun_counts.csv.xz")}
    return tuple(sorted(_nouns(), key=lambda word: -counts.get(word, 0)))


def _shipped_table(name: str) -> list[list[str]]:
    """Return the rows of a compressed table that ships, without its header."""
    file = next(file for file in text_sources()["nouns"].files if file.file == name)
    path = embedded_data() / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} ships with mvlib and is missing: install mvlib again")
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
