"""What the book asks of Sphinx beyond its configuration."""

from __future__ import annotations

import html
import itertools
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from mvlib.book import access, glossary
from mvlib.records.provenance import available_cores

# A spread, the runs ahead, an interval: "1 ± 2", "(4 of 5)", "[-0.7, 0.4]".
_WHOLE = re.compile(r" ± |\(\d+ of \d+\)|\[[-+.\d]+, [-+.\d]+\]")
# Inside literals a bar is only a bar.
_LITERAL = re.compile(r"(``[^`]+``|`[^`]+`)")


def setup(app: Any) -> dict[str, Any]:
    """Connect to Sphinx; its own entry point."""
    # Jupyter Book configures sphinx_comments, which the book does without.
    app.add_config_value("comments_config", {}, "html")
    if sys.platform == "linux":
        # Pages are read and written by as many; the first process resolves their links.
        app.parallel = available_cores() + 1
        app.connect("config-inited", _let_pages_be_read_in_parallel)
    _register_bibliography_style()
    # scikit-learn adds these to every estimator.
    added = re.compile(r"set_\w+_request").fullmatch
    app.connect("autodoc-skip-member", lambda _app, _what, name, *_: bool(added(name)) or None)
    # Before numpydoc (500) makes sections of the text.
    app.connect("autodoc-process-docstring", _prepare_docstring, priority=400)
    app.connect("doctree-resolved", lambda app, doctree, name: keep_spreads_whole(doctree))
    app.connect("html-page-context", _say_what_a_page_is_about)
    access.setup(app)
    glossary.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def escape_formulas(line: str) -> str:
    """Return a docstring's line with the bars of its formulas escaped."""
    parts = _LITERAL.split(line)
    parts[::2] = [re.sub(r"(?<!\\)\|", r"\\|", part) for part in parts[::2]]
    return "".join(parts)


def deviations_as_notes(lines: list[str]) -> list[str]:
    """Return a docstring's lines with its *Deviations* as the end of its notes."""
    for number, (title, under) in enumerate(itertools.pairwise(lines)):
        if title == "Deviations" and re.fullmatch(r"-{3,}", under):
            notes = [] if "Notes" in lines[:number] else ["Notes", "-----"]
            return [*lines[:number], *notes, "**Deviations**", "", *lines[number + 2 :]]
    return lines


def keep_spreads_whole(doctree: Any) -> None:
    """Let no cell of a table break "93.2 ± 0.4" or "(4 of 5)", and heads break after "_"."""
    from docutils import nodes

    for head in doctree.findall(nodes.thead):
        for text in list(head.findall(nodes.Text)):
            text.parent.replace(text, nodes.Text(text.replace("_", "_\N{ZERO WIDTH SPACE}")))
    for cell in doctree.findall(nodes.entry):
        for text in list(cell.findall(nodes.Text)):
            whole = _WHOLE.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
            if whole != text:
                text.parent.replace(text, nodes.Text(whole))


def about_page(doctree: Any) -> str:
    """Return what a page asks or says first, as plain text of a search result's length."""
    from docutils import nodes

    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            return textwrap.shorten(paragraph.astext(), 200, placeholder=" …")
    return ""


def _say_what_a_page_is_about(
    app: Any, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    if doctree is not None and (text := about_page(doctree)):
        title = html.unescape(re.sub(r"<[^>]+>", "", context.get("title", "")))
        said = {"og:title": title, "og:description": text, "og:type": "article"}
        tags = [f'<meta name="description" content="{html.escape(text)}">'] + [
            f'<meta property="{name}" content="{html.escape(value)}">'
            for name, value in said.items()
        ]
        context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def author_year(entry: Any) -> str:
    """Return what a bibliography's entry is cited by: `Yang et al., 2021`."""
    names = [" ".join([*p.prelast_names, *p.last_names]) for p in entry.persons["author"]]
    names = [name.replace("{", "").replace("}", "") for name in names]
    who = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
    return f"{who}, {entry.fields['year']}"


def _register_bibliography_style() -> None:
    from pybtex.plugin import register_plugin
    from pybtex.style.formatting.unsrt import Style
    from pybtex.style.labels import BaseLabelStyle

    class AuthorYearLabels(BaseLabelStyle):
        def format_labels(self, sorted_entries: Iterable[Any]) -> Iterator[str]:
            return map(author_year, sorted_entries)

    class AuthorYear(Style):
        default_sorting_style = "author_year_title"
        default_label_style = AuthorYearLabels

    register_plugin("pybtex.style.formatting", "author_year", AuthorYear, force=True)


def _let_pages_be_read_in_parallel(app: Any, config: Any) -> None:
    # It says nothing of itself, and numbers sections when all pages are read.
    app.extensions["sphinx_multitoc_numbering"].parallel_read_safe = True


def _prepare_docstring(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    in_example = False
    for number, line in enumerate(lines):
        in_example = line.startswith(">>>") or (in_example and bool(line.strip()))
        if not in_example:
            lines[number] = escape_formulas(line)
    lines[:] = deviations_as_notes(lines)
