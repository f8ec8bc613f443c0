"""Docstrings of estimators: what a parent says of a parameter or an attribute is said once."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import MISSING, Field
from typing import Any

TITLES = ("Parameters", "Attributes")


def complete(cls: Any) -> None:
    """Add to a class's docstring what its parents say of the parameters and attributes it has.

    Its own entries go before theirs. A parent may speak of parameters that only some classes
    have, and leave out a default, which is then the class's. Source and deviations that stand
    at the head of the file end its notes.
    """
    head, *parts = re.split(r"(?m)^([A-Z]\w+)\n---+\n", inspect.cleandoc(cls.__doc__ or ""))
    sections = dict.fromkeys(TITLES, "") | dict(zip(parts[::2], parts[1::2], strict=True))
    cls._entries = {title: _entries(sections[title]) for title in TITLES}
    parents = cls.__mro__[::-1]
    # The class's own first, after the number of clusters.
    fields = [name for parent in cls.__mro__ for name in inspect.get_annotations(parent)]
    for title in TITLES:
        found: dict[str, str] = {}
        for parent in parents:
            found |= vars(parent).get("_entries", {}).get(title, {})
        names = [name for name in found if name != "network_" or name == cls._network_name]
        if title == "Parameters":
            order = sorted(dict.fromkeys(fields), key=lambda name: name != "n_clusters")
            names = [name for name in order if name in found]
        sections[title] = "\n".join(
            _entry(cls, [name for name in names if found[name] == entry], entry)
            for entry in dict.fromkeys(found[name] for name in names)
        )
    told = inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "")
    if "Notes" in sections and "\nDeviations\n---" in told:
        # What the drawing of the method's page shows is for that page.
        source = re.sub(r"(?ms)^Picture\n---+\n.*?(\n\n|\Z)", "", told[told.index("Source:") :])
        source = re.sub(r"(?m)^(.+)\n---+\n", r"**\1**\n\n", source)
        sections["Notes"] = f"{sections['Notes'].strip()}\n\n{source}\n\n"
    if cls.__doc__:
        cls.__doc__ = "\n\n".join(
            [head.strip()]
            + [
                f"{title}\n{'-' * len(title)}\n{text.strip()}"
                for title, text in sections.items()
                if text
            ]
        )


def _entries(section: str) -> dict[str, str]:
    """Return the entries of a section by the names that they speak of."""
    found = re.findall(r"^(\S.*)((?:\n+[ ].*)*)", section, re.MULTILINE)
    return {
        name: head + text for head, text in found for name in head.split(" : ")[0].split(", ")
    }


def _entry(cls: Any, names: list[str], entry: str) -> str:
    head, line, text = entry.partition("\n")
    kind = head.partition(" : ")[2]
    if len(names) == 1 and kind and not re.search("default|optional", kind):
        default = getattr(cls, names[0], MISSING)
        default = default.default if isinstance(default, Field) else default
        kind += "" if default is MISSING or names[0].endswith("_") else f", default={default!r}"
    return ", ".join(names) + (f" : {kind}" if kind else "") + line + text
