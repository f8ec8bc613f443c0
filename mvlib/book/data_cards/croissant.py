"""What a data card tells a machine: the Croissant metadata of a set, from the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mvlib.data import Card, all_names, describe
from mvlib.files import read_json

# As the format's version 1.0 has it, word for word; its library warns of any other.
_CONTEXT = read_json(Path(__file__).with_name("croissant_context.json"))
_FORMATS = {
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".mat": "application/x-matlab-data",
    ".zip": "application/zip",
    ".npz": "application/zip",
    ".tgz": "application/x-tar",
}


def croissant_files() -> dict[str, str]:
    """Return the metadata of all sets, each beside its card."""
    return {
        f"book/data/cards/{name}.json": json.dumps(croissant(describe(name)), indent=1) + "\n"
        for name in all_names()
    }


def croissant(about: Card) -> dict[str, Any]:
    """Return a set's metadata; a file without a known checksum is told in words alone."""
    files = [*about.files, *about.packed.values()]
    if about.embedded_file is not None:
        files = [about.embedded_file, *files]
    unchecked = [file.file for file in files if file.sha256 is None]
    told = [about.about, *about.caveats]
    if about.views:
        views = "; ".join(f"{view.name} ({view.dim}), {view.meaning}" for view in about.views)
        told.insert(1, f"Views: {views}.")
    if unchecked:
        told.append(f"Files without a known checksum: {', '.join(unchecked)}.")
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about.name,
        "alternateName": about.title,
        "description": " ".join(told),
        "license": about.licence,
        "url": about.source.split()[0],
        "citeAs": about.citation,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file.file,
                "name": file.file,
                "contentUrl": file.url or file.file,
                "encodingFormat": _FORMATS[Path(file.file).suffix],
                "sha256": file.sha256,
                **({"contentSize": f"{file.bytes} B"} if file.bytes else {}),
            }
            for file in files
            if file.sha256 is not None
        ],
    }
