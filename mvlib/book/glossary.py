"""Words of the glossary, marked where a page first uses them, with their meaning as title."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = "book/glossary"
_BLOCK = re.compile(r"^```\{glossary\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Words of everyday language, too: these are linked only where a page says {term}.
_COMMON = {"epoch", "record", "run", "seed", "split", "start", "view"}


def meanings(page: str) -> dict[str, str]:
    """Return what each word of a glossary's page means, as plain text."""
    found: dict[str, str] = {}
    for block in _BLOCK.findall(page):
        for entry in block.strip().split("\n\n"):
            lines = entry.splitlines()
            said = " ".join(line.strip() for line in lines if line.startswith(" "))
            # A symbol is for the page to set; a box that opens at a word has letters alone.
            said = re.sub(r" ?Written \$.*", "", said)
            said = re.sub(r"[$*\\]", "", said)
            found |= {line: said for line in lines if not line.startswith(" ")}
    return found


def setup(app: Any) -> None:
    """Connect to Sphinx."""
    path = Path(app.srcdir) / f"{PAGE}.md"
    words = meanings(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if words:
        app.connect("doctree-read", lambda app, tree: mark(tree, app.env.docname, words))
        app.connect("doctree-resolved", lambda app, tree, name: explain(tree, words))


def mark(doctree: Any, page: str, words: dict[str, str]) -> None:
    """Refer to the glossary at the first use of each word in the paragraphs of a page."""
    if page == PAGE or page.startswith("book/api/"):
        return
    from docutils import nodes

    left = {word for word in words if word not in _COMMON}
    for paragraph in doctree.findall(nodes.paragraph):
        if not isinstance(paragraph.parent, nodes.entry):
            for text in [child for child in paragraph if isinstance(child, nodes.Text)]:
                parts = _split(str(text), left, words, page)
                if len(parts) > 1:
                    paragraph.replace(text, parts)


def _split(text: str, left: set[str], words: dict[str, str], page: str) -> list[Any]:
    from docutils import nodes
    from sphinx.addnodes import pending_xref

    parts, end = [], 0
    longest_first = sorted(left, key=len, reverse=True)
    pattern = "|".join(map(_spelled, longest_first)) or "(?!)"
    for match in re.finditer(rf"(?<![\w@-])(?:{pattern})(?![\w-])", text):
        word = next(word for word in longest_first if re.fullmatch(_spelled(word), match[0]))
        if word in left:
            left -= {other for other in left if words[other] == words[word]}
            shown = nodes.inline("", match[0], classes=["xref", "std", "std-term"])
            of = {"reftype": "term", "reftarget": word, "refdomain": "std", "refdoc": page}
            parts += [
                nodes.Text(text[end : match.start()]),
                pending_xref("", shown, refexplicit=True, refwarn=True, **of),
            ]
            end = match.end()
    return [*parts, nodes.Text(text[end:])]


def _spelled(word: str) -> str:
    """Return a pattern of a word, also as it begins a sentence."""
    first = f"[{word[0]}{word[0].upper()}]" if word[0].islower() else word[0]
    return first + re.escape(word[1:])


def explain(doctree: Any, words: dict[str, str]) -> None:
    """Give each reference to a word the word's meaning as its title."""
    from docutils import nodes
    from sphinx.util.nodes import _make_id

    said = {f"term-{_make_id(word)}": text for word, text in words.items()}
    for reference in doctree.findall(nodes.reference):
        target = reference.get("refid") or reference.get("refuri", "").partition("#")[2]
        if target in said:
            reference["reftitle"] = said[target]
