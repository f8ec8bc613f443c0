"""The report: one page that needs nothing besides itself."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mvlib import __version__
from mvlib.report.curate.edits import held_in
from mvlib.report.groups import NEARLY, NumberOfClusters, map_positions
from mvlib.report.image_folder import THUMBS, printable, rows_to_show, thumbnail_uris
from mvlib.report.output import GENERATOR, FolderClustering

METHOD_NAMES = {
    "kmeans": "k-means of the images; words give names alone",
    "cae": "CAE: image features fused with those of nouns and captions",
    "tac": "TAC without training: image features beside those of nouns",
    "ntk": "NTK spectral clustering: nearness of images times the nouns they share",
}
N_COLOURS = 10
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
_MAP_WIDTH, _MAP_MARGIN, _FLATTEST = 1000, 40, 0.6
# Of a number on the map, as on a narrow screen.
_NUMBER_WIDTH, _NUMBER_HEIGHT = 56, 50
_CURVE_WIDTH, _CURVE_HEIGHT = 640, 250
_MOST_SETS, _LONGEST_SET = 60, 12


def rows_inside(result: FolderClustering) -> list[np.ndarray]:
    """Return which images the page holds: those of each group, and at last others."""
    shown = rows_to_show(result.labels, result.confidence)
    # The last groups may have emptied.
    shown += [np.empty(0, np.int64)] * (len(result.groups) - len(shown))
    _, repeats, odd = _findings(result)
    named = {row for _, some, _ in repeats for row in some}.union(odd)
    return [*shown, np.array(sorted(named.difference(*shown)), np.int64)]


def report_html(
    result: FolderClustering,
    *,
    beside: str | Path = ".",
    thumbs: Mapping[int, str] | None = None,
) -> str:
    """Return the report as a page of HTML, whose links to images hold in a folder.

    `thumbs` names small copies in its folder `report_thumbs`, for images not in the page.
    """
    *shown, extra = rows_inside(result)
    rows, most = np.concatenate([*shown, extra]).tolist(), result.max_pixels
    words, repeats, odd = _findings(result)
    uris = thumbnail_uris(
        result.directory, result.files, rows, max_pixels=most, channels=result.channels
    )
    points, height, placed_by = _points(result)
    files = [printable(file) for file in result.files]
    images = {
        row: [
            files[row],
            int(result.labels[row]),
            round(float(result.confidence[row]), 2),
            int(result.next_group[row]),
            *([words[1][row], result.found.neighbours[row].tolist()] if result.found else []),
        ]
        for row in range(len(files))
    }
    folder = Path(__file__).parent
    style, *scripts = (
        Markup((folder / name).read_text(encoding="utf-8"))
        for name in ("report.css", "report.js", "curate/edit.js", "curate/find.js")
    )
    script = Markup("").join(scripts)
    data = {"names": list(result.names), "images": images, "words": words[0]}
    data["extra"] = {row: uris[row] for row in extra.tolist() if row in uris}
    data["thumbs"] = {row: f"{THUMBS}/{name}" for row, name in (thumbs or {}).items()}
    return _template().render(
        generator=GENERATOR,
        version=__version__,
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        title=printable(result.directory.resolve().name) or "images",
        result=result,
        method=METHOD_NAMES[result.method],
        shapes=SHAPES,
        groups=_groups(result, shown, uris, files),
        points=points,
        labels=_label_places(points),
        placed_by=placed_by,
        map_width=_MAP_WIDTH,
        map_height=height,
        curve=_curve(result.suggestion) if result.suggestion else None,
        skipped=[(printable(item.file), item.reason) for item in result.skipped],
        files=files,
        repeats=repeats,
        odd=odd,
        kept_in=str(result.kept_in).replace(str(Path.home()), "~") if result.kept_in else "",
        notes={note: list(map(printable, some)) for note, some in result.notes.items()},
        data=data | {"base": _base(result.directory, beside), **held_in(result)},
    )


def _findings(result: FolderClustering) -> tuple[Any, list[Any], list[int]]:
    """Return words and the numbers of those of each image, sets of repeats, and odd rows."""
    if result.found is None:
        return ([], []), [], []
    words = sorted({word for some in result.found.words for word in some})
    place = {word: number for number, word in enumerate(words)}
    numbers = [[place[word] for word in some] for some in result.found.words]
    repeats = [
        (repeat.kind, repeat.rows[:_LONGEST_SET], repeat.sharpest)
        for repeat in result.found.repeats[:_MOST_SETS]
    ]
    return (words, numbers), repeats, list(result.found.odd)


def _base(directory: Path, beside: str | Path) -> str:
    try:
        path = os.path.relpath(directory.resolve(), Path(beside).resolve())
    except ValueError:
        # Of another drive.
        return f"{directory.resolve().as_uri()}/"
    return f"{quote(Path(path).as_posix(), errors='surrogateescape')}/"


@cache
def _template() -> Any:
    # Names of files and words come from anybody: everything is escaped.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _groups(
    result: FolderClustering, shown: list[np.ndarray], uris: dict[int, str], files: list[str]
) -> list[dict[str, Any]]:
    groups, confidence = [], result.confidence.tolist()
    for group, (name, size) in enumerate(zip(result.groups, result.sizes, strict=True)):
        mean = float(result.confidence[result.labels == group].mean()) if size else 0.0
        about = {"name": name, "size": int(size), "confidence": mean}
        about["colour"] = group % N_COLOURS
        about["shape"] = SHAPES[group // N_COLOURS % len(SHAPES)]
        about["images"] = [
            {"row": row, "file": files[row], "uri": uris[row], "confidence": confidence[row]}
            for row in shown[group].tolist()
            if row in uris
        ]
        groups.append(about)
    return groups


def _points(result: FolderClustering) -> tuple[list[dict[str, Any]], int, str]:
    """Return the points of the map, its height, and how they were placed."""
    positions, rows, method = map_positions(result.embedding, random_state=result.random_state)
    inner = _MAP_WIDTH - 2 * _MAP_MARGIN
    spread = max(float(np.ptp(positions[:, 1])), _FLATTEST)
    height = round(inner * spread) + 2 * _MAP_MARGIN
    places = (inner * positions + [_MAP_MARGIN, height / 2]).round(1)
    order = np.lexsort((-result.confidence[rows], result.labels[rows]))
    columns = rows[order], *places[order].T, result.labels[rows[order]]
    points = [
        dict(zip(("row", "x", "y", "group"), point, strict=True))
        for point in zip(*(column.tolist() for column in columns), strict=True)
    ]
    return points, height, method


def _label_places(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each group that is on the map a place for its number: its middle point.

    A number is crowded that would cover a larger group's.
    """
    labels = []
    # The points come group by group.
    for _, some in groupby(points, key=itemgetter("group")):
        own = list(some)
        places = np.array([(point["x"], point["y"]) for point in own])
        place = own[np.abs(places - np.median(places, axis=0)).sum(axis=1).argmin()]
        crowded = any(
            abs(place["x"] - other["x"]) < _NUMBER_WIDTH
            and abs(place["y"] - other["y"]) < _NUMBER_HEIGHT
            for other in labels
            if not other["crowded"]
        )
        labels.append(place | {"crowded": crowded})
    return labels


def _curve(suggestion: NumberOfClusters) -> dict[str, Any]:
    """Return the silhouettes as places on a chart, its ticks and its highest point."""
    values = np.asarray(suggestion.silhouettes)
    low, high = min(0.0, float(values.min())), max(float(values.max()), 0.05)
    left, right, top, bottom = 60, 16, 16, 62
    width, height = _CURVE_WIDTH - left - right, _CURVE_HEIGHT - top - bottom
    steps = max(len(values) - 1, 1)

    def y_of(value: float) -> float:
        return round(top + height * (high - value) / (high - low), 1)

    points = [
        {
            "k": k,
            "value": float(value),
            "stability": None if np.isnan(stability) else stability,
            "x": round(left + width * number / steps, 1),
            "y": y_of(value),
            "best": k == suggestion.n_clusters,
            # On a narrow screen there is room for every other number, and for the best one.
            "minor": number % 2 == 1 or abs(k - suggestion.n_clusters) == 1,
        }
        for number, (k, value, stability) in enumerate(
            zip(suggestion.candidates, values, suggestion.stabilities, strict=True)
        )
    ]
    enough = values.max() - NEARLY
    ticks = [{"label": f"{value:.2f}", "y": y_of(value)} for value in np.linspace(low, high, 4)]
    return {
        "points": points,
        "ticks": ticks,
        "left": left,
        "right": _CURVE_WIDTH - right,
        "width": _CURVE_WIDTH,
        "height": _CURVE_HEIGHT,
        "n_samples": suggestion.n_samples,
        "nearly": [p["k"] for p in points if not p["best"] and p["value"] >= enough],
        "margin": NEARLY,
    }
