"""The table of contents, `_toc.yml`: the chapters as their plans have them, and the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mvlib.files import read_toml, write_text
from mvlib.records.plan import load_plan, papers_with, plan_papers

_HEAD = "# Written by `mvlib contents` from book/contents.toml and the plans: not by hand.\n"


def contents(root: Path) -> str:
    """Return what `_toc.yml` is to hold: the parts of `book/contents.toml`, the chapters."""
    import yaml

    declared = read_toml(root / "book" / "contents.toml", "book/contents.toml")
    pages = papers_with("index.md", root)
    captions = {name: text for name, text in declared["chapters"].items() if name in pages}
    plans = {name: load_plan(name, root) for name in plan_papers(root) if name in pages}
    captions = captions | {
        name: f"{plan['title']}, run" for name, plan in plans.items() if name not in captions
    }
    parts = [
        _part("The papers", [f"notebooks/{name}/index" for name in captions]),
        *declared["before"],
        *(_part(text, _pages(name, plans[name], root)) for name, text in captions.items()),
        *declared["after"],
    ]
    toc = {"format": "jb-book", "root": declared["root"], "parts": parts}
    return _HEAD + yaml.safe_dump(toc, sort_keys=False, allow_unicode=True)


def write_contents(root: Path) -> bool:
    """Write `_toc.yml` anew; return whether that changed it."""
    path, text = root / "_toc.yml", contents(root)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def _part(caption: str, names: list[str]) -> dict[str, Any]:
    return {"caption": caption, "chapters": [{"file": name} for name in names]}


def _pages(chapter: str, plan: dict[str, Any], root: Path) -> list[str]:
    """Return a chapter's notebooks in the order of its plan, then what we believe of it."""
    found = [each["notebook"].removesuffix(".ipynb") for each in plan.get("experiment", [])]
    last = f"notebooks/{chapter}/beliefs"
    return [*dict.fromkeys(found), *([last] if (root / f"{last}.md").is_file() else [])]
