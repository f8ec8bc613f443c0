"""Groups kept in a file, and new images put into groups that are there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib.check import check_schema
from mvlib.files import check_file, read_json, replacing
from mvlib.methods import GroupName
from mvlib.ops import unit_rows
from mvlib.report.curate.edits import NONE, Edits, HeldGroup
from mvlib.report.image_folder import SkippedFile

if TYPE_CHECKING:
    from mvlib.report.output import FolderClustering

_SCHEMA = Path(__file__).with_name("groups.schema.json")
_ARRAYS = ("labels", "confidence", "next_group", "embedding", "features")
_PLAIN = ("files", "others", "n_asked", "method", "encoder", "words", "random_state")
_PLAIN += ("max_pixels", "channels", "looked_at", "notes")
_FORMAT = 1


def groups_there(path: Path) -> tuple[Edits, dict[str, Any]]:
    """Return the groups of a `groups.json`, to be held to, and how they were made."""
    content = read_json(path)
    check_schema(path.name, content, _SCHEMA)
    files: dict[int, list[str]] = {row["number"]: [] for row in content["groups"]}
    for row in content["images"]:
        if row["group"] not in files:
            raise ValueError(f"{path}: group {row['group']} is not among its groups")
        files[row["group"]].append(row["file"])
    groups, none = [], ()
    for row in content["groups"]:
        name = GroupName(row["name"], tuple(row["words"]), tuple(row["captions"]))
        if row["name"] == NONE:
            none = tuple(files[row["number"]])
        else:
            groups.append(HeldGroup(name, tuple(files[row["number"]]), row["number"]))
    return Edits(tuple(groups), none), content["made"]


def assign(result: FolderClustering, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the group of each new image by its encoder's features, and the cosine to it.

    It is the group whose mean of unit features is nearest; none is put into "none of these".
    """
    features = np.atleast_2d(np.asarray(features, dtype=np.float32))
    if features.ndim != 2 or features.shape[1] != result.features.shape[1]:
        raise ValueError(
            f"features has shape {features.shape}: expected (n, {result.features.shape[1]})"
        )
    X = unit_rows(result.features)
    there = [k for k, size in enumerate(result.sizes) if size and result.names[k] != NONE]
    centres = unit_rows(np.stack([X[result.labels == k].mean(axis=0) for k in there]))
    cosines = unit_rows(features) @ centres.T
    return np.array(there)[cosines.argmax(axis=1)], cosines.max(axis=1)


def save(result: FolderClustering, path: str | Path) -> None:
    """Write groups, images and features as safetensors: no pickle. `load_groups` reads it."""
    from safetensors.numpy import save_file

    head = {name: getattr(result, name) for name in _PLAIN}
    head["format"], head["directory"] = _FORMAT, str(result.directory.absolute())
    head["groups"] = [asdict(group) for group in result.groups]
    head["skipped"] = [[item.file, item.reason] for item in result.skipped]
    arrays = {name: np.ascontiguousarray(getattr(result, name)) for name in _ARRAYS}
    with replacing(path) as new:
        save_file(arrays, new, metadata={"mvlib groups": json.dumps(head)})


def load_groups(path: str | Path) -> FolderClustering:
    """Return what `FolderClustering.save` wrote; ValueError if the file is none of it."""
    from safetensors import SafetensorError, safe_open

    from mvlib.report.output import FolderClustering

    path = check_file(path)
    try:
        with safe_open(path, framework="numpy") as opened:
            head = json.loads(opened.metadata()["mvlib groups"])
            arrays = {name: opened.get_tensor(name) for name in _ARRAYS}
        if head.pop("format") != _FORMAT:
            raise ValueError(f"it is of another format than {_FORMAT}")
        head["directory"], head["files"] = Path(head["directory"]), tuple(head["files"])
        head["others"] = tuple(head["others"])
        head["channels"] = tuple(head["channels"]) if head["channels"] else None
        head["notes"] = {note: tuple(some) for note, some in head["notes"].items()}
        for group in head["groups"]:
            group["nouns"], group["captions"] = map(tuple, (group["nouns"], group["captions"]))
        head["groups"] = tuple(GroupName(**group) for group in head["groups"])
        head["skipped"] = tuple(SkippedFile(*item) for item in head["skipped"])
        return FolderClustering(**head, **arrays, suggestion=None)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no groups of mvlib: {error}") from error
