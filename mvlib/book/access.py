"""What pages tell those who do not see them: names of tables, and what a head is of."""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Any

_PART = re.compile(
    r"<h[1-6]\b[^>]*>(?P<title>.*?)(?=<a class=\"headerlink\"|</h[1-6]>)"
    r'|(?P<box><div class="pst-scrollable-table-container")'
    r"|(?P<table><table\b[^>]*>)(?P<own>\s*<caption\b)?"
    r"|<(?P<group>thead|tbody)\b"
    r"|(?P<head><th\b)(?![^>]*\bscope=)",
    re.DOTALL,
)


_NAME = re.compile(r'(?<=<span class="pre">)[^<]+')
# Where code may break: after a joint of a name, and in a checksum.
_JOINT = re.compile(r"[_=.](?=[a-zA-Z&])|[0-9a-f]{16}(?=[0-9a-f])")


def setup(app: Any) -> None:
    """Connect to Sphinx."""
    app.connect("html-page-context", _name_tables)


def _name_tables(
    app: Any, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    if context.get("body"):
        context["body"] = break_names(name_tables(context["body"]))


def name_tables(body: str) -> str:
    """Give each table a caption, after its heading; each box that scrolls a name and a stop."""
    title, group, count = "", "", 0

    def replace(match: re.Match[str]) -> str:
        nonlocal title, group, count
        if match["title"] is not None:
            title, count = unescape(re.sub(r"<[^>]+>", "", match["title"])).strip(), 0
        elif match["box"]:
            name = escape(_named(title, count + 1))
            return f'{match["box"]} tabindex="0" role="region" aria-label="{name}"'
        elif match["table"]:
            count, group = count + 1, ""
            if not match["own"]:
                name = escape(_named(title, count), quote=False)
                return f'{match["table"]}<caption class="visually-hidden">{name}</caption>'
        elif match["group"]:
            group = match["group"]
        elif match["head"]:
            return f'{match["head"]} scope="{"col" if group == "thead" else "row"}"'
        return match[0]

    return _PART.sub(replace, body)


def break_names(body: str) -> str:
    """Let long names in code break after their joints, and checksums, and nothing else."""
    return _NAME.sub(lambda name: _JOINT.sub(r"\g<0><wbr>", name[0]), body)


def _named(title: str, number: int) -> str:
    name = title or "Table"
    return name if number == 1 else f"{name}, table {number}"
