"""The subcommand `mvlib cluster`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mvlib.files import check_directory

if TYPE_CHECKING:
    from mvlib.report.output import FolderClustering

_LISTED_GROUPS = 30
# A seed is below 2^32, and so is any number of images.
_NO_NUMBER = 2**32
_ENCODERS = "offline, or openclip:MODEL/TAG, whose weights are downloaded"
# Of an option: the argument of `cluster_folder`, what stands for a value, default, help.
_OPTIONS = {
    "-k": ("n_clusters", "K", "auto", "number of groups, at least 2, or auto for a suggestion"),
    "--method": ("method", "METHOD", "cae", "cae, which reads words, tac or kmeans"),
    "--encoder": ("encoder", "NAME", "offline", _ENCODERS),
    "--pretrained": ("pretrained", "FILE", None, "weights on this machine, for openclip"),
    "--words": ("words", "FILE", None, "nouns to use in place of common ones; one a line"),
    "--captions": ("captions", "FILE", None, "captions in place of shipped ones; one a line"),
    "--out": ("out", "OUT", "report", "folder to write to"),
    "--seed": ("random_state", "N", "0", "the same seed, the same groups"),
    "--device": ("device", "DEVICE", "auto", "auto, cpu, cuda, ..."),
}
_EPILOG = """\
It writes OUT/labels.csv, the group of each image, and OUT/report.html, which any browser
opens, also offline: groups with their names and images, a map, and what was skipped.
Nothing is sent anywhere. A second run replaces these two files and touches no other.
"""


def add_cluster_parser(commands: argparse._SubParsersAction) -> None:
    """Add `cluster` to the commands of a parser."""
    parser = commands.add_parser(
        "cluster",
        help="cluster a folder of images, name the groups, write a report",
        description="Cluster a folder of images and name the groups.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", metavar="DIR", help="the folder; subfolders count")
    # Numbers and choices are checked later, where a mistake is told in one line.
    for flag, (name, metavar, default, words) in _OPTIONS.items():
        said = f"{words} (default: {default})" if default else words
        parser.add_argument(flag, dest=name, metavar=metavar, default=default, help=said)
    parser.set_defaults(command=cluster_command)


def cluster_command(options: argparse.Namespace) -> int:
    """Run `mvlib cluster` and print a summary."""
    given = {name: getattr(options, name) for name, *_ in _OPTIONS.values()}
    if given["n_clusters"] != "auto":
        expected = "a number of groups from 2 on, or auto"
        given["n_clusters"] = _whole_number("-k", given["n_clusters"], expected, 2)
    expected = "a whole number from 0 on"
    given["random_state"] = _whole_number("--seed", given["random_state"], expected, 0)
    # Before torch is imported, which takes seconds.
    check_directory(options.directory)
    try:
        from mvlib.report.clustering import cluster_folder

        result = cluster_folder(options.directory, **given)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed: install mvlib with its extra, 'mvlib[vision]'"
        ) from error
    print(summary(result))
    return 0


def summary(result: FolderClustering) -> str:
    """Return some lines on what was found and where it is."""
    n_groups = len(result.groups)
    lines = [f"{len(result.files):,} images in {n_groups} groups"]
    if result.suggestion is not None:
        highest = max(result.suggestion.silhouettes)
        lines[0] += f" (-k auto: {result.n_asked} has the highest silhouette, {highest:.3f})"
    width = max(map(len, result.names[:_LISTED_GROUPS]))
    for number, (name, size) in enumerate(zip(result.names, result.sizes, strict=True), 1):
        if number > _LISTED_GROUPS:
            lines.append(f"  ... and {n_groups - _LISTED_GROUPS} more")
            break
        lines.append(f"{number:>4}  {name:<{width}}  {size:>6,}")
    if result.skipped:
        lines.append(f"skipped: {len(result.skipped):,}; the report lists them with reasons")
    if result.n_other:
        lines.append(f"not images: {result.n_other:,}")
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
