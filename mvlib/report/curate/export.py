"""Groups as folders of links, copies or moved files, with sidecars; and all of it back again.

What is to be done is written to `export.json` first, so that it can be undone after any end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from mvlib.check import check_choice
from mvlib.files import read_text, replacing, write_text

if TYPE_CHECKING:
    from mvlib.report.output import FolderClustering

KINDS = ("link", "copy", "move")
# Sidecars lie beside the images, "xmp" beside what was exported.
_STEPS = (*KINDS, "sidecar", "xmp")
JOURNAL, FOLDERS = "export.json", "groups"
_FORMAT = "mvlib export 1"
# What one of the usual file systems refuses in a name.
_UNFIT = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
_LONGEST = 60
_SIDECAR = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="mvlib cluster">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/">
   <dc:subject><rdf:Bag><rdf:li>{subject}</rdf:li></rdf:Bag></dc:subject>
   <lr:hierarchicalSubject><rdf:Bag><rdf:li>groups|{level}</rdf:li></rdf:Bag></lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""  # noqa: E501


@dataclass(frozen=True)
class Step:
    """One file to be made: from which, where, and what it will say or how to know it again."""

    kind: str
    source: str
    target: str
    mark: str


def export_groups(
    result: FolderClustering,
    out: str | Path,
    kind: str | None = None,
    *,
    sidecars: bool = False,
    dry_run: bool = False,
) -> list[Step]:
    """Make a folder a group in `out/groups`, or sidecars beside images; return the steps.

    An earlier export of links or copies to `out` is replaced. ValueError, before anything is
    done, if a file is in the way that no export made, or if files were moved there.
    """
    out, directory = Path(out).absolute(), result.directory.absolute()
    earlier = check_export(out, directory, kind)
    steps = _planned(result, out / FOLDERS, kind, sidecars)
    ours = {step.target for step in earlier if _is_ours(step)}
    for step in steps:
        if os.path.lexists(step.target) and step.target not in ours:
            raise ValueError(f"{step.target} is in the way: expected no file that others made")
    if dry_run:
        return steps
    take_back(out, directory)
    _write_journal(out, directory, steps)
    try:
        for step in steps:
            _do(step)
    except BaseException:
        take_back(out, directory)
        raise
    return steps


def check_export(out: str | Path, directory: str | Path, kind: str | None) -> list[Step]:
    """Return the steps of the last export to `out`, if another may replace it."""
    if kind is not None:
        check_choice("export", kind, KINDS)
    earlier = _journal(out, directory)
    if any(step.kind == "move" for step in earlier):
        raise ValueError(
            f"out={str(out)!r} holds images that were moved there: expected another folder, or "
            "--undo first"
        )
    return earlier


def take_back(out: str | Path, directory: str | Path) -> list[Step]:
    """Undo the last export of images to `out`; return what was left, since it was changed."""
    out, left = Path(out).absolute(), []
    for step in reversed(_journal(out, directory)):
        target = Path(step.target)
        if not os.path.lexists(target):
            continue
        if step.kind == "move" and os.path.lexists(step.source) or not _is_ours(step):
            left.append(step)
            continue
        if step.kind == "move":
            Path(step.source).parent.mkdir(parents=True, exist_ok=True)
            _move(target, Path(step.source))
        else:
            target.unlink()
        with suppress(OSError):
            while (target := target.parent).is_relative_to(out / FOLDERS):
                target.rmdir()
    if left:
        _write_journal(out, Path(directory).absolute(), left)
    else:
        (out / JOURNAL).unlink(missing_ok=True)
    return left


def exported(out: str | Path, directory: str | Path) -> list[Path]:
    """Return what exporting to `out` made, which is not to be read as images."""
    steps = _journal(out, directory)
    folders = [Path(out) / FOLDERS] if any(step.kind != "sidecar" for step in steps) else []
    folders += [Path(out) / JOURNAL]
    return folders + [Path(step.target) for step in steps if step.kind == "sidecar"]


def folder_name(number: int, name: str) -> str:
    """Return a group's number and name as a name for a folder, on any file system."""
    fit = _UNFIT.sub("_", name)[:_LONGEST].strip(" .")
    return f"{number:02} {fit}".strip()


def sidecar_text(name: str) -> str:
    """Return XMP with a group's name as `dc:subject` and as a hierarchical one."""
    said = escape("".join(letter for letter in name if letter.isprintable()))
    return _SIDECAR.format(subject=said, level=said.replace("|", "/"))


def _planned(
    result: FolderClustering, folders: Path, kind: str | None, sidecars: bool
) -> list[Step]:
    steps, root = [], result.directory.absolute()
    for file, label in zip(result.files, result.labels.tolist(), strict=True):
        source, name = root / file, result.names[label]
        place = source
        # A link that is moved would point elsewhere, or nowhere.
        if kind and not (kind == "move" and source.is_symlink()):
            place = folders / folder_name(label + 1, name) / file
            mark = _mark(source, kind, place)
            steps.append(Step(kind, str(source), str(place), mark))
        if sidecars:
            target = f"{place}.xmp"
            said = "sidecar" if place == source else "xmp"
            steps.append(Step(said, str(source), target, sidecar_text(name)))
    return steps


def _mark(source: Path, kind: str, target: Path) -> str:
    if kind == "link":
        return os.path.relpath(source.resolve(), target.parent.resolve())
    status = source.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _is_ours(step: Step) -> bool:
    target = Path(step.target)
    if step.kind == "link":
        return target.is_symlink() and os.readlink(target) == step.mark
    if target.is_symlink() or not target.is_file():
        return False
    if step.kind in ("sidecar", "xmp"):
        return target.read_bytes() == step.mark.encode()
    return step.kind == "move" or _mark(target, step.kind, target) == step.mark


def _do(step: Step) -> None:
    source, target = Path(step.source), Path(step.target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):
        raise FileExistsError(f"{target} came while groups were exported")
    if step.kind == "link":
        target.symlink_to(step.mark)
    elif step.kind in ("sidecar", "xmp"):
        write_text(target, step.mark)
    elif step.kind == "move":
        _move(source, target)
    else:
        _copy(source, target)


def _move(source: Path, target: Path) -> None:
    if source.stat().st_dev == target.parent.stat().st_dev:
        source.rename(target)
        return
    _copy(source, target)
    source.unlink()


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as new:
        # With the time of the original, by which a copy is known again.
        shutil.copy2(source, new)


def _write_journal(out: Path, directory: Path, steps: Iterable[Step]) -> None:
    rows = []
    for step in steps:
        base = directory if step.kind == "sidecar" else out
        # Relative, so that both folders can be moved.
        row = {"source": os.path.relpath(step.source, directory)}
        rows.append(asdict(step) | row | {"target": os.path.relpath(step.target, base)})
    write_text(out / JOURNAL, json.dumps({"format": _FORMAT, "steps": rows}, indent=1) + "\n")


def _journal(out: str | Path, directory: str | Path) -> list[Step]:
    """Return the steps of the last export to `out`; all stay inside the two folders."""
    out, directory = Path(out).absolute(), Path(directory).absolute()
    path, steps = out / JOURNAL, []
    if not os.path.lexists(path):
        return []
    try:
        # A file's name need not be UTF-8, which strict readers refuse.
        content = json.loads(read_text(path))
        known = content["format"] == _FORMAT
        for row in content["steps"]:
            step = Step(**{key: str(row[key]) for key in row})
            for name in (step.source, step.target):
                known &= not Path(name).is_absolute() and ".." not in Path(name).parts
            known &= step.kind in _STEPS
            target = (directory if step.kind == "sidecar" else out) / step.target
            steps.append(Step(step.kind, str(directory / step.source), str(target), step.mark))
    except (ValueError, LookupError, TypeError):
        known = False
    if not known:
        raise ValueError(f"{path} is no list of an export: expected another folder")
    return steps
