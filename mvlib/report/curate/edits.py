"""Groups that are held to: what a person corrected, or what an earlier run had found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib.check import check_schema
from mvlib.files import read_json
from mvlib.methods import GroupName
from mvlib.ops import unit_rows
from mvlib.report.groups import group_confidence
from mvlib.report.image_folder import printable

if TYPE_CHECKING:
    from mvlib.report.output import FolderClustering

EDITS_FORMAT = "mvlib edits 1"
NONE = "none of these"
_SCHEMA = Path(__file__).with_name("edits.schema.json")


@dataclass(frozen=True)
class HeldGroup:
    """A group whose name and images are given; its number is wished for."""

    name: GroupName
    files: tuple[str, ...]
    number: int | None = None


@dataclass(frozen=True)
class Edits:
    """Groups to hold to, and images that belong to none."""

    groups: tuple[HeldGroup, ...]
    none: tuple[str, ...] = ()

    def content(self) -> dict[str, Any]:
        """Return them as `edits.schema.json` describes them."""
        groups = [
            ({"number": group.number} if group.number else {})
            | {"name": group.name.title, "files": list(group.files)}
            for group in self.groups
        ]
        return {"format": EDITS_FORMAT, "groups": groups, "none": list(self.none)}


def read_edits(path: str | Path) -> Edits:
    """Return the edits that the page saved; groups of one name are one."""
    content = read_json(path)
    check_schema(Path(path).name, content, _SCHEMA)
    files: dict[str, list[str]] = {}
    for row in content["groups"]:
        files.setdefault(row["name"], []).extend(row["files"])
    none = [*content["none"], *files.pop(NONE, ())]
    times = Counter([*none, *chain.from_iterable(files.values())])
    if twice := [file for file, n_times in times.items() if n_times > 1]:
        raise ValueError(f"{path}: {twice[0]!r} stands in two places: expected one")
    numbers = {row["name"]: row.get("number") for row in reversed(content["groups"])}
    groups = (HeldGroup(GroupName(name), tuple(files[name]), numbers[name]) for name in files)
    return Edits(tuple(groups), tuple(none))


def apply_edits(
    result: FolderClustering, edits: Edits, *, everywhere: bool = False
) -> FolderClustering:
    """Return a clustering in which the edits hold.

    Images that they name are where they put them. In a group that was found, more than half of
    which they put somewhere, the others join the nearest of those groups; other groups stay.
    Groups that are held to keep their numbers as far as those are free. `everywhere` means that
    all other images join the nearest of them.
    """
    held = _held(result, edits)
    labels, none = result.labels, len(edits.groups)
    if everywhere:
        among = np.unique(held[(held >= 0) & (held < none)])
        held[held < 0] = _nearest(result.embedding, held, among, held < 0)
    # Of each: the number it wishes for, its name, its number in `held`.
    groups, free_groups = [], []
    for number, group in enumerate(edits.groups):
        name = group.name
        if result.groups and not name.nouns and (held == number).any():
            found = result.groups[np.bincount(labels[held == number]).argmax()]
            name = replace(found, title=name.title)
        groups.append((group.number, name, number))
    for number, name in enumerate(result.groups):
        own = labels == number
        free = own & (held < 0)
        mates = held[own & (held >= 0) & (held < none)]
        if name.title == NONE:
            held[free] = none
        elif free.any() and len(mates) > free.sum():
            held[free] = _nearest(result.embedding, held, np.unique(mates), free)
        elif free.any() or not own.any():
            free_groups.append((None, name, none + 1 + number))
            held[free] = none + 1 + number
    taken = {number for number, *_ in groups if number}
    spare = (number for number in count(1) if number not in taken)
    groups = [(number or next(spare), *rest) for number, *rest in free_groups + groups]
    groups.sort(key=lambda group: group[0])
    if (held == none).any():
        groups.append((0, GroupName(NONE), none))
    place = {old: new for new, (*_, old) in enumerate(groups)}
    labels = np.array([place[old] for old in held.tolist()], dtype=np.int64)
    aside = place.get(none, -1)
    confidence, rival = _confidence(result.embedding, labels, aside)
    taken = {group.name.title for group in edits.groups}
    names = [
        replace(name, title=f"{name.title} (group {number})")
        if old > none and name.title in taken
        else name
        for number, (_, name, old) in enumerate(groups, 1)
    ]
    changed = {"labels": labels, "groups": tuple(names), "edits": edits}
    return replace(result, confidence=confidence, next_group=rival, **changed)


def held_in(result: FolderClustering) -> dict[str, Any]:
    """Return, for the page, which groups are held to and which is that of no group."""
    titles = result.names
    edited = result.edits.groups if result.edits else ()
    held = [titles.index(group.name.title) for group in edited if group.name.title in titles]
    return {"held": held, "none": titles.index(NONE) if NONE in titles else -1}


def _held(result: FolderClustering, edits: Edits) -> np.ndarray:
    """Return for each image the held group it is put in, their number for none, or -1."""
    groups = {file: k for k, group in enumerate(edits.groups) for file in group.files}
    groups |= dict.fromkeys(edits.none, len(edits.groups))
    held = np.array([groups.get(printable(file), -1) for file in result.files])
    if (held < 0).all():
        raise ValueError(
            f"edits names none of the {len(held)} images of {str(result.directory)!r}: "
            "expected the edits of this folder"
        )
    return held


def _nearest(X: np.ndarray, held: np.ndarray, among: np.ndarray, rows: Any) -> np.ndarray:
    """Return the group, of those `among`, whose centre has the largest cosine to each row."""
    X = unit_rows(np.asarray(X, dtype=np.float64))
    centres = unit_rows(np.stack([X[held == group].mean(axis=0) for group in among]))
    return among[(X[rows] @ centres.T).argmax(axis=1)]


def _confidence(X: np.ndarray, labels: np.ndarray, none: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `group_confidence` where groups may be empty, and one is no group."""
    confidence, rival = np.zeros(len(X)), np.full(len(X), -1, dtype=np.int64)
    inside = labels != none
    if inside.any():
        groups, dense = np.unique(labels[inside], return_inverse=True)
        confidence[inside], next_group = group_confidence(np.asarray(X)[inside], dense)
        rival[inside] = np.where(next_group < 0, -1, groups[next_group])
    return confidence, rival
