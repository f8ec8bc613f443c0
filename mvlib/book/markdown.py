"""Pieces of Markdown that several pages are made of."""

from __future__ import annotations

from typing import Any

from mvlib.records.tables import inert


def table(header: list[str], rows: list[list[str]], numeric: int = 0) -> str:
    """Return a Markdown table, its last `numeric` columns set to the right."""
    marks = [":--"] * (len(header) - numeric) + ["--:"] * numeric
    lines = [header, marks, *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ").strip()


def describe_parameters(run: dict[str, Any]) -> str:
    """Return the parameters that distinguish a run, the seeds by their number."""
    words = []
    for name, value in sorted(run["parameters"].items()):
        if name in ("profile", "device") or value is None:
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        words.append(f"{name.replace('_', ' ')} {shown}")
    return inert(" ".join("; ".join(words).split())) or "the notebook's own"


def code(text: str) -> str:
    """Return text as Markdown code, whatever it holds."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"
