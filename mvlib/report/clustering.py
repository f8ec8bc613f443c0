"""From a folder of images to named groups: the steps in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvlib.check import check_choice, check_number
from mvlib.methods import name_groups
from mvlib.report.curate.edits import Edits, apply_edits, read_edits
from mvlib.report.curate.export import exported
from mvlib.report.curate.features import cache_of, known_of
from mvlib.report.curate.find import findings
from mvlib.report.curate.keep import groups_there
from mvlib.report.formats import MAX_PIXELS
from mvlib.report.groups import (
    METHODS,
    choose_n_clusters,
    fit_groups,
    fit_nowhere,
    group_confidence,
    highest_candidate,
    looks,
)
from mvlib.report.image_folder import ImageFolder, find_images, printable
from mvlib.report.output import (
    EDITS_NAME,
    GROUPS_NAME,
    FolderClustering,
    report_paths,
    write_report,
    write_skipped,
)
from mvlib.report.word_lists import N_COMMON, given_texts, kinds_of, text_banks

if TYPE_CHECKING:
    from mvlib.encoders import Encoder, TextBank

# To choose a number of groups by.
_FEWEST = 6
_CAPTIONS = 3
# Of the methods that read words, for a space in which numbers of groups are compared.
_MOST_FUSED = 20


def cluster_folder(
    directory: str | Path | Sequence[str | Path],
    n_clusters: int | str = "auto",
    *,
    method: str = "kmeans",
    encoder: str | Encoder = "offline",
    pretrained: str | Path | None = None,
    words: str | Path | Sequence[str] | None = None,
    captions: str | Path | Sequence[str] | None = None,
    block: str | Path | Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    channels: Sequence[int] | None = None,
    out: str | Path | None = None,
    random_state: int | None = 0,
    device: str = "auto",
    max_pixels: int = MAX_PIXELS,
    vectors: bool = False,
    edits: str | Path | None = None,
    cache: str | Path | None = None,
    update: bool = False,
    apart: bool = False,
) -> FolderClustering:
    """Cluster the images of a folder, name the groups, and write a report.

    `apart` puts images that fit nowhere into a last group, "none of these".
    """
    from mvlib import encoders

    check_choice("method", method, METHODS)
    check_number("max_pixels", max_pixels, low=1, integer=True)
    if random_state is not None:
        check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    if n_clusters != "auto":
        check_number("n_clusters", n_clusters, low=2, integer=True)
    if captions is not None and method != "cae":
        raise ValueError(f"captions is not read by method={method!r}: expected method='cae'")
    check_channels(channels)
    nouns = given_texts(words, "words", fewest=2)
    sentences, blocked = given_texts(captions, "captions"), given_texts(block, "block")
    paths = report_paths(out) if out is not None else ()
    if edits is None and out is not None and (Path(out) / EDITS_NAME).exists():
        edits = Path(out) / EDITS_NAME
    held = read_edits(edits) if edits is not None and str(edits) != "none" else None
    if update and out is None:
        raise ValueError("update without out: expected the folder that holds groups.json")
    there = groups_there(Path(out) / GROUPS_NAME) if update else None
    kept = cache_of(cache)
    # Images come into groups that are there one by one.
    n_clusters = 1 if there else n_clusters
    walked = out is not None and isinstance(directory, str | Path)
    ignore = [*paths, *(exported(out, directory) if walked else ())]
    folder = find_images(directory, ignore=ignore, exclude=exclude)
    _check_enough(folder, n_clusters, paths)
    if isinstance(encoder, str):
        settings = {"device": device, "pretrained": pretrained, "cache": kept.folder or False}
        encoder = encoders.load(encoder, **settings)
    known, folder = known_of(folder, encoder, kept, max_pixels=max_pixels, channels=channels)
    _check_enough(folder, n_clusters, paths)
    banks = text_banks(encoder, nouns, sentences, method=method, block=blocked)
    # Copies count once.
    once, back = known.once(_FEWEST if n_clusters == "auto" else n_clusters)
    some = known.features if len(once) == len(back) else known.features[once]
    look, features, looked_at = looks(encoder, some)
    found = findings(known, look[back], features[back], banks["nouns"])
    settings = look, features, banks, random_state, device
    suggestion = None
    if n_clusters == "auto":
        embedding = look
        if method != "kmeans":
            most = min(_MOST_FUSED, highest_candidate(len(look)))
            _, embedding, _ = fit_groups(method, most, *settings)
        suggestion = choose_n_clusters(embedding, random_state=random_state)
        n_clusters = suggestion.n_clusters
    if there:
        labels, embedding, group_captions = np.zeros(len(look), dtype=np.int64), look, []
    else:
        labels, embedding, group_captions = fit_groups(method, n_clusters, *settings)
    labels, embedding, features = labels[back], embedding[back], features[back]
    labels, order = _largest_first(labels)
    embedding = np.asarray(embedding, dtype=np.float32)
    confidence, next_group = group_confidence(embedding, labels)
    about = {} if nouns else {"kinds": kinds_of(banks["nouns"].texts), "n_titles": N_COMMON}
    names = name_groups(features, labels, banks["nouns"], **about)
    if group_captions:
        texts = [tuple(group_captions[group][:_CAPTIONS]) for group in order]
        names = [replace(name, captions=c) for name, c in zip(names, texts, strict=True)]
    result = FolderClustering(
        directory=folder.directory,
        files=folder.files,
        labels=labels,
        groups=tuple(names),
        confidence=confidence,
        next_group=next_group,
        embedding=embedding,
        skipped=folder.skipped,
        others=folder.others,
        notes=folder.notes,
        n_asked=len(there[0].groups) if there else int(n_clusters),
        suggestion=suggestion,
        method=there[1]["method"] if there else method,
        encoder=encoder.name,
        words=_about_words(banks, nouns, sentences),
        random_state=random_state,
        max_pixels=max_pixels,
        channels=tuple(channels) if channels else None,
        looked_at=looked_at if method == "kmeans" else "",
        features=known.features,
        digests=known.digests,
        found=found,
        kept_in=kept.folder,
    )
    if there:
        result = replace(apply_edits(result, there[0], everywhere=True), edits=None)
    if apart and (far := fit_nowhere(some)[back]).any():
        aside = tuple(printable(result.files[row]) for row in np.flatnonzero(far))
        result = replace(apply_edits(result, Edits((), aside)), edits=None)
    if held is not None:
        result = apply_edits(result, held)
    return result if out is None else write_report(result, out, vectors=vectors)


def check_channels(channels: Sequence[int] | None) -> None:
    """Raise unless one or three channels are named, if any are."""
    if channels is None:
        return
    if len(channels) not in (1, 3):
        raise ValueError(f"channels={channels!r}: expected one, or three for red, green, blue")
    for channel in channels:
        check_number("channels", channel, low=0, integer=True)


def _check_enough(folder: ImageFolder, n_clusters: int | str, paths: Sequence[Path]) -> None:
    found = len(folder.files)
    besides = f" ({len(folder.skipped)} were skipped)" if folder.skipped else ""
    if paths and (folder.skipped or folder.others) and not found:
        besides += f"; {write_skipped(folder, paths[0])} names what is there, with reasons"
    if not found:
        raise ValueError(
            f"directory={str(folder.directory)!r} holds no usable image{besides}: expected "
            "images such as JPEG or PNG"
        )
    if n_clusters == "auto":
        highest_candidate(found)
    elif found < n_clusters:
        raise ValueError(
            f"n_clusters={n_clusters} is more than the {found} usable images{besides} of "
            f"directory={str(folder.directory)!r}: expected at most one group an image"
        )


def _largest_first(labels: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Number the groups by size; return the labels and the old number of each group."""
    old, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    rank = np.empty(len(old), dtype=np.int64)
    rank[order] = np.arange(len(old))
    return rank[np.searchsorted(old, labels)], old[order].tolist()


def _about_words(banks: dict[str, TextBank], words: tuple, captions: tuple) -> str:
    said = f"{len(banks['nouns'].texts):,} {'given words' if words else 'frequent nouns'}"
    if "captions" in banks:
        kind = "given captions" if captions else "captions of drawings"
        said += f" and {len(banks['captions'].texts):,} {kind}"
    return said
