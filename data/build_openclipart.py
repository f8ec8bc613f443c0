"""Make the embedded Open Clip Art drawings, their captions and the pairs beside them.

The drawings come from two Debian packages of public-domain clip art, version 1:0.18+dfsg-19.
On Debian or Ubuntu::

    apt-get download openclipart-png openclipart-svg
    for package in openclipart-*.deb; do dpkg -x "$package" packages; done
    python data/build_openclipart.py packages/usr/share/openclipart

writes into the checkout

- `data/embedded/openclipart/<class>/<name>.png` and `index.csv`, the evaluation set;
- `data/embedded/openclipart_pairs.csv`, the captions of all usable drawings beside it;
- `book/_static/cards/openclipart.png`, the contact sheet;

and, into the folder given by `--pairs-to`, the pairs' images, 192 pixels square. Which
drawings are used is in `data/openclipart/choice.toml`. The same packages and Pillow give
the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from openclipart.captions import make_captions
from openclipart.drawings import Drawing, read_drawings, square, write_png
from openclipart.selection import (
    check_names,
    choose_evaluation,
    choose_pairs,
    class_of,
    look,
    name_of,
)
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from mvlib.data import data_folder
from mvlib.files import replacing, sha256_of, write_text

CHECKOUT = Path(__file__).resolve().parents[1]
SIZE, PAIR_SIZE = 128, 192
_CELL, _COLUMNS, _MARGIN = 52, 12, 88


def build(root: Path, pairs_to: Path, checkout: Path = CHECKOUT) -> Counter:
    """Write everything; return how many drawings each class and the pairs have."""
    choice = tomllib.loads((Path(__file__).parent / "openclipart/choice.toml").read_text())
    banished = list(chain.from_iterable(choice["banished"].values()))
    excluded = [*chain.from_iterable(choice["excluded"].values()), *banished]
    drawings, labels, captions, looks = _usable(root, choice, excluded)
    evaluation = choose_evaluation(drawings, labels, looks, excluded)
    pairs = choose_pairs(drawings, looks, evaluation, banished)
    print(f"{len(drawings)} usable drawings, {len(evaluation)} chosen")
    n_left = len(drawings) - len(evaluation) - len(pairs)
    print(f"{n_left} left out of the pairs: near to one of those, or of their series")

    embedded = checkout / "data" / "embedded"
    shutil.rmtree(embedded / "openclipart", ignore_errors=True)
    rows = []
    for i in evaluation:
        drawing, file = drawings[i], f"{labels[i]}/{name_of(drawings[i])}.png".replace(" ", "_")
        _write(square(Image.open(root / "png" / drawing.source), SIZE), embedded, file)
        sha256 = sha256_of(embedded / "openclipart" / file)
        rows.append((file, labels[i], drawing.title, captions[i], sha256, drawing.source))
    header = ("file", "label", "title", "caption", "sha256", "source")
    write_text(embedded / "openclipart" / "index.csv", csv_text(header, rows))

    for old in pairs_to.glob("pair-*.png"):
        old.unlink()
    rows = []
    for i in tqdm(pairs, desc="pairs", disable=None):
        drawing, name = drawings[i], f"pair-{len(rows):04d}"
        image = square(Image.open(root / "png" / drawing.source), PAIR_SIZE)
        with replacing(pairs_to / f"{name}.png") as temporary:
            write_png(image, temporary)
        rows.append((name, drawing.title, captions[i], drawing.source))
    text = csv_text(("id", "title", "caption", "source"), rows)
    write_text(embedded / "openclipart_pairs.csv", text)
    write_text(pairs_to / "openclipart_pairs.csv", text)

    sheet = contact_sheet(embedded / "openclipart")
    with replacing(checkout / "book/_static/cards/openclipart.png") as temporary:
        write_png(sheet.quantize(128, dither=Image.Dither.NONE), temporary)
    return Counter(labels[i] for i in evaluation) + Counter(pairs=len(pairs))


def _usable(
    root: Path, choice: dict, excluded: Sequence[str]
) -> tuple[list[Drawing], list[str | None], list[str], np.ndarray]:
    """Return drawings that show and say something, their classes, captions and looks."""
    drawings = read_drawings(root, choice["junk"])
    check_names(drawings, excluded)
    labels = [class_of(drawing, choice["classes"]) for drawing in drawings]
    captions = make_captions(
        drawings,
        series=choice["series"],
        noise=choice["noise"],
        synonyms=choice["synonyms"],
        labels=labels,
    )
    kept, looks = [], []
    for i, drawing in enumerate(tqdm(drawings, desc="drawings", disable=None)):
        image = square(Image.open(root / "png" / drawing.source), PAIR_SIZE)
        if image and captions[i]:
            kept.append(i)
            looks.append(look(image))
    return (
        [drawings[i] for i in kept],
        [labels[i] for i in kept],
        [captions[i] for i in kept],
        np.stack(looks),
    )


def _write(image: Image.Image, embedded: Path, file: str) -> None:
    with replacing(embedded / "openclipart" / file) as temporary:
        write_png(image, temporary)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV with a header and Unix line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue()


def contact_sheet(folder: Path) -> Image.Image:
    """Return twelve drawings of each class, evenly taken, a labelled row for each."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    size = (_MARGIN + _COLUMNS * _CELL, len(classes) * _CELL)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for row, path in enumerate(classes):
        middle = row * _CELL + _CELL // 2
        draw.text((4, middle), path.name.replace("_", " "), fill="#333", font=font, anchor="lm")
        files = sorted(path.glob("*.png"))
        for column in range(min(_COLUMNS, len(files))):
            with Image.open(files[column * len(files) // _COLUMNS]) as image:
                cell = image.convert("RGB").resize((_CELL - 6, _CELL - 6), Image.LANCZOS)
            sheet.paste(cell, (_MARGIN + column * _CELL + 3, row * _CELL + 3))
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="the packages' usr/share/openclipart")
    parser.add_argument("--pairs-to", type=Path, help="folder for the pairs' images")
    options = parser.parse_args(arguments)
    pairs_to = options.pairs_to or data_folder() / "openclipart-pairs"
    for name, count in build(options.root, pairs_to).items():
        print(f"{count:5d} {name}")


if __name__ == "__main__":
    main()
