"""The staged copy of the book: prose, executed notebooks, generated pages."""

from __future__ import annotations

import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mvlib.book.api import api_pages, source_files
from mvlib.book.cards import card_pages
from mvlib.book.equations import equations_page
from mvlib.book.notebooks import method_records, shown_records, stage_notebook
from mvlib.book.placeholders import fill
from mvlib.book.runs import failures_page, status_page
from mvlib.files import sha256_of
from mvlib.methods.catalogue import find

_TOOLS = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "numpydoc")


def stage_book(root: str | Path, stage: str | Path) -> str:
    """Write everything the book is built from into one folder."""
    root, stage = Path(root), Path(stage)
    if not (root / "_toc.yml").exists():
        raise ValueError(f"{root} has no _toc.yml: expected the project's folder")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(root / name, stage / name)
    shutil.copytree(root / "book", stage / "book")
    for page in sorted((root / "notebooks").glob("*/*.md")):
        staged = stage / page.relative_to(root)
        staged.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, staged)
    for page in sorted(stage.glob("**/*.md")):
        text = page.read_text(encoding="utf-8")
        filled = fill(text, root)
        if filled != text:
            page.write_text(filled, encoding="utf-8")
    for name, text in _generated(root).items():
        path = stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shown = shown_records(root)
    for name in toc_files(root / "_toc.yml"):
        notebook = root / f"{name}.ipynb"
        if notebook.exists():
            records = shown.get(notebook.relative_to(root).as_posix(), [])
            stage_notebook(root, notebook, records, stage / f"{name}.ipynb")
    for (name, method), records in method_records(root, shown).items():
        page = (stage / name).with_stem(f"method_{method}")
        stage_notebook(root, root / name, records, page, find(method).title)
    _check_toc(stage)
    return _digest(stage)


def toc_files(path: str | Path) -> list[str]:
    """Return the pages that a `_toc.yml` names, without suffix, in its order."""
    import yaml

    found = []

    def walk(entry: Any) -> None:
        if isinstance(entry, list):
            for each in entry:
                walk(each)
        elif isinstance(entry, dict):
            found.extend(entry[key] for key in ("root", "file") if key in entry)
            for key in ("parts", "chapters", "sections", "subtrees", "entries"):
                walk(entry.get(key))

    walk(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    return found


def _generated(root: Path) -> dict[str, str]:
    return {
        "book/status.md": status_page(root=root),
        "book/failures.md": failures_page(root=root),
        **card_pages(root),
        **api_pages(),
        "book/equations.md": equations_page(),
    }


def _check_toc(stage: Path) -> None:
    suffixes = (".md", ".ipynb", ".rst")
    missing = [
        name
        for name in toc_files(stage / "_toc.yml")
        if not any((stage / f"{name}{suffix}").exists() for suffix in suffixes)
    ]
    if missing:
        raise ValueError(
            f"_toc.yml names pages that do not exist: {', '.join(missing)}; write them or "
            "take them out of the table of contents"
        )


def _digest(stage: Path) -> str:
    digest = hashlib.sha256()
    for name in _TOOLS:
        digest.update(f"{name} {version(name)}\n".encode())
    for path in sorted(path for path in stage.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(stage).as_posix()} {sha256_of(path)}\n".encode())
    # The API pages are made from the docstrings while the book is built.
    for path in source_files():
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()
