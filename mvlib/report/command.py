"""The subcommand `mvlib cluster`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mvlib.files import check_folder
from mvlib.report.curate.command import (
    EPILOG,
    add_options,
    afterwards,
    beforehand,
    curate_settings,
)
from mvlib.report.word_lists import given_texts

if TYPE_CHECKING:
    from mvlib.report.output import FolderClustering

_LISTED_GROUPS = 30
# A seed is below 2^32, and so is any number of images.
_NO_NUMBER = 2**32
_ENCODERS = "offline, or openclip:MODEL/TAG, whose weights are downloaded"
# Of an option: the argument of `cluster_folder`, what stands for a value, default, help.
_OPTIONS = {
    "-k": ("n_clusters", "K", "auto", "number of groups, at least 2, or auto for a suggestion"),
    "--method": ("method", "METHOD", "kmeans", "kmeans, or cae, tac, ntk, which read words"),
    "--encoder": ("encoder", "NAME", "offline", _ENCODERS),
    "--pretrained": ("pretrained", "FILE", None, "weights on this machine, for openclip"),
    "--words": ("words", "FILE", None, "names to choose from; one a line, or a table"),
    "--captions": ("captions", "FILE", None, "for cae: captions in place of those that ship"),
    "--block": ("block", "FILE", None, "words that must not be names; one a line, or a table"),
    "--exclude": ("exclude", "GLOB", (), "leave out names or paths that fit; may be repeated"),
    "--channels": ("channels", "N[,N,N]", None, "channels or pages to look at, from 0"),
    "--max-megapixels": ("max_pixels", "N", "50", "decode no more of an image"),
    "--out": ("out", "OUT", "report", "folder to write to"),
    "--seed": ("random_state", "N", "0", "the same seed, the same groups"),
    "--device": ("device", "DEVICE", "auto", "auto, cpu, cuda, ..."),
}
_EPILOG = """\
It writes OUT/labels.csv, the group of each image, OUT/skipped.csv, what was left out and why,
and OUT/report.html, which any browser opens, also offline: groups with their names and images,
a map, and what was special. OUT/report_thumbs has small copies of images beyond 60 a group.
Nothing is sent anywhere. A second run replaces its own files and touches no other. DIR may
be -: paths are read from standard input, one a line.

"""


def add_cluster_parser(commands: argparse._SubParsersAction) -> None:
    """Add `cluster` to the commands of a parser."""
    parser = commands.add_parser(
        "cluster",
        help="cluster a folder of images, name the groups, write a report",
        description="Cluster a folder of images and name the groups.",
        epilog=_EPILOG + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", metavar="DIR", help="the folder, with those below; or -")
    # Numbers and choices are checked later, where a mistake is told in one line.
    for flag, (name, metavar, default, words) in _OPTIONS.items():
        said = f"{words} (default: {default})" if default else words
        how = {"action": "extend", "nargs": 1, "default": []} if flag == "--exclude" else {}
        parser.add_argument(
            flag, **{"dest": name, "metavar": metavar, "default": default, "help": said} | how
        )
    add_options(parser)
    parser.set_defaults(command=cluster_command)


def cluster_command(options: argparse.Namespace) -> int:
    """Run `mvlib cluster` and print a summary."""
    if (done := beforehand(options)) is not None:
        return done
    given = {name: getattr(options, name) for name, *_ in _OPTIONS.values()}
    if given["n_clusters"] != "auto":
        expected = "a number of groups from 2 on, or auto"
        given["n_clusters"] = _whole_number("-k", given["n_clusters"], expected, 2)
    expected = "a whole number from 0 on"
    given["random_state"] = _whole_number("--seed", given["random_state"], expected, 0)
    expected = "a whole number of megapixels from 1 on"
    megapixels = _whole_number("--max-megapixels", given["max_pixels"], expected, 1)
    given["max_pixels"] = megapixels * 1_000_000
    if given["channels"] is not None:
        parts = given["channels"].split(",")
        expected = "one whole number from 0 on, or three with commas between them"
        given["channels"] = [_whole_number("--channels", part, expected, 0) for part in parts]
    directory = _directory(options.directory)
    for name, fewest in (("words", 2), ("captions", 1), ("block", 1)):
        given[name] = given_texts(given[name], name, fewest=fewest) or None
    # What takes seconds to import comes after what may be wrong.
    try:
        from mvlib.ops.device import keep_freed_memory
        from mvlib.report.clustering import cluster_folder

        keep_freed_memory()
        result = cluster_folder(directory, **given, **curate_settings(options))
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed: install mvlib with its extra, 'mvlib[vision]'"
        ) from error
    print(summary(result))
    return afterwards(result, options)


def _directory(text: str) -> str | Sequence[str]:
    """Return the folder, or the paths on standard input."""
    if text != "-":
        check_folder(text, "directory", "a folder of images")
        return text
    listed = sys.stdin.read()
    return [path for path in listed.split("\0" if "\0" in listed else "\n") if path.strip()]


def summary(result: FolderClustering) -> str:
    """Return some lines on what was found and where it is."""
    n_groups = len(result.groups)
    lines = [
        f"{len(result.files):,} images in {n_groups} {'group' if n_groups == 1 else 'groups'}"
    ]
    if result.suggestion is not None:
        at = result.suggestion.candidates.index(result.n_asked)
        silhouette = result.suggestion.silhouettes[at]
        lines[0] += f" (-k auto: {result.n_asked}, at a silhouette of {silhouette:.3f})"
    if n_groups == 1 or n_groups < result.n_asked:
        lines.append("fewer images differ than groups were wanted: the others are copies")
    width = max(map(len, result.names[:_LISTED_GROUPS]))
    for number, (name, size) in enumerate(zip(result.names, result.sizes, strict=True), 1):
        if number > _LISTED_GROUPS:
            lines.append(f"  ... and {n_groups - _LISTED_GROUPS} more")
            break
        lines.append(f"{number:>4}  {name:<{width}}  {size:>6,}")
    if result.skipped:
        lines.append(f"skipped: {len(result.skipped):,}; skipped.csv names them with reasons")
    if result.others:
        lines.append(f"not images: {len(result.others):,}")
    lines += [f"{len(files):,} with {note}" for note, files in result.notes.items()]
    lines += [f"labels: {result.table}", f"report: {result.report}"]
    return "\n".join(lines)


def _whole_number(option: str, text: str, expected: str, low: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number < _NO_NUMBER:
        shown = text if text.isprintable() else repr(text)
        raise ValueError(f"{option} {shown}: expected {expected}")
    return number
