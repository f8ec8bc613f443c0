"""What is done with groups: options of `mvlib cluster`; `mvlib search` and `mvlib cache`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mvlib.files import shown

if TYPE_CHECKING:
    from mvlib.report.output import FolderClustering

_SHOWN_STEPS = 20
_CACHE = "where features are kept, or none (default: MVLIB_CACHE, or the user's cache folder)"
EPILOG = """\
"Correct the groups" in the report renames, moves, merges and splits, and saves edits.json.
--edits FILE holds to these groups: images are where you put them, and others that were found
beside them join the nearest. OUT/edits.json keeps them for later runs.

OUT/groups.json says the same for programs (mvlib/report/curate/groups.schema.json), and which
images are copies. --export makes OUT/groups, a folder a group, and --undo takes the last export
back: neither touches a file that it did not make. Links and copies of an earlier export are
replaced. OUT/export.json lists where each file came from.

Features are kept by the content of each image, so that a later run encodes new images only:
in MVLIB_CACHE or the user's cache folder, at most 1 GB, unless --cache says otherwise; mvlib
cache says where and how much, mvlib cache --clear removes them. --update keeps the groups of
OUT, their numbers and names, and puts new images into the nearest. mvlib search finds images.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add these options to the parser of `cluster`."""
    words = "what the page saved, or none (default: OUT/edits.json)"
    parser.add_argument("--edits", metavar="FILE", help=words)
    parser.add_argument("--cache", metavar="DIR", help=_CACHE)
    for flag, words in (
        ("--update", "keep the groups of OUT; new images join them"),
        ("--apart", "put images that fit nowhere into a last group, none of these"),
    ):
        parser.add_argument(flag, action="store_true", help=words)
    taken = parser.add_argument_group("to take the groups away")
    words = "link, copy or move images into a folder a group"
    taken.add_argument("--export", metavar="KIND", help=words)
    for flag, words in (
        ("--sidecars", "XMP beside each image, or its exported copy: the group as a subject"),
        ("--dry-run", "say what --export and --sidecars would do, and do not do it"),
        ("--undo", "take back the last export to OUT, and do nothing else"),
        ("--vectors", "write OUT/embeddings.jsonl, which embedding-atlas opens"),
    ):
        taken.add_argument(flag, action="store_true", help=words)


def add_find_parsers(commands: argparse._SubParsersAction) -> None:
    """Add `search` and `cache` to the commands of a parser."""
    search = commands.add_parser("search", help="find images of a folder by words or example")
    search.add_argument("directory", metavar="DIR", help="the folder; subfolders count")
    search.add_argument("words", nargs="?", help='what is seen, such as "red car"')
    for flag, metavar, default, words in (
        ("--like", "FILE", None, "an image: find those that are alike"),
        ("-n", "N", "20", "how many to list (default: 20)"),
        ("--encoder", "NAME", "offline", "as of mvlib cluster (default: offline)"),
        ("--pretrained", "FILE", None, "weights on this machine, for openclip"),
        ("--cache", "DIR", None, _CACHE),
    ):
        search.add_argument(flag, metavar=metavar, default=default, help=words)
    search.set_defaults(command=_search)
    cache = commands.add_parser("cache", help="where features are kept, and how much")
    cache.add_argument("--cache", metavar="DIR", help="a folder other than the default one")
    cache.add_argument("--clear", action="store_true", help="remove what is kept, nothing else")
    cache.set_defaults(command=_cache)


def beforehand(options: argparse.Namespace) -> int | None:
    """Do what needs no clustering, and return the exit status; or refuse what would fail."""
    from mvlib.report.curate.export import check_export

    if options.undo:
        if options.directory == "-":
            raise ValueError("--undo with -: expected the folder of the images")
        return _undo(options.out, options.directory)
    if options.export or options.sidecars:
        check_export(options.out, options.directory, options.export)
    return None


def curate_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `cluster_folder` that these options give."""
    names = ("vectors", "edits", "cache", "update", "apart")
    return {name: getattr(options, name) for name in names}


def afterwards(result: FolderClustering, options: argparse.Namespace) -> int:
    """Export what a run of `cluster` found, if that was asked for."""
    if result.edits:
        n_none = len(result.edits.none)
        said = f"{len(result.edits.groups)} groups held to, {n_none:,} images in none"
        print(f"edits: {said} (--edits none for a run without them)")
    if not (options.export or options.sidecars):
        return 0
    from mvlib.report.curate.export import export_groups
    from mvlib.report.image_folder import in_a_line

    settings = {"sidecars": options.sidecars, "dry_run": options.dry_run}
    steps = export_groups(result, options.out, options.export, **settings)
    if options.dry_run:
        for step in steps[:_SHOWN_STEPS]:
            print(f"{step.kind}: {in_a_line(step.source)} -> {in_a_line(step.target)}")
        if len(steps) > _SHOWN_STEPS:
            print(f"... and {len(steps) - _SHOWN_STEPS:,} more")
    print(f"exported: {len(steps):,} files{', not yet: a dry run' * options.dry_run}")
    return 0


def _undo(out: str, directory: str) -> int:
    from mvlib.report.curate.export import take_back
    from mvlib.report.image_folder import in_a_line

    left = take_back(out, directory)
    for step in left:
        said = in_a_line(step.target)
        print(f"left, since it was changed or its old place is taken: {said}")
    print("undone" if not left else f"undone, except {len(left):,} files")
    return 1 if left else 0


def _search(options: argparse.Namespace) -> int:
    from mvlib.report.curate.find import search_folder
    from mvlib.report.image_folder import in_a_line

    if not options.n.isascii() or not options.n.isdigit() or not int(options.n):
        raise ValueError(f"-n {shown(options.n)}: expected a whole number from 1 on")
    names = ("like", "encoder", "pretrained", "cache")
    settings = {name: getattr(options, name) for name in names}
    found = search_folder(options.directory, options.words, n=int(options.n), **settings)
    for file, cosine in found:
        print(f"{cosine:.3f}  {in_a_line(file)}")
    return 0


def _cache(options: argparse.Namespace) -> int:
    from mvlib.report.curate.features import cache_of, kept_files

    cache = cache_of(options.cache)
    files = kept_files(cache)
    size = sum(path.stat().st_size for path in files)
    for path in files if options.clear else ():
        path.unlink()
    print(f"{cache.folder}: {size / 1e6:,.1f} MB of features{', removed' * options.clear}")
    return 0
