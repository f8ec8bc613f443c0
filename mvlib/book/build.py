"""Making the book: its contents, its staged copy, and a build that keeps the last good one."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock
from tqdm import tqdm

from mvlib.book.checks import book_problems
from mvlib.book.data_cards.cards import card_pages
from mvlib.book.data_cards.croissant import croissant_files
from mvlib.book.leaderboard import results
from mvlib.book.method_pages import head, page_of, planned_methods
from mvlib.book.notebooks import (
    ALL_NOTEBOOKS,
    method_records,
    shown_records,
    stage_notebook,
    zip_notebooks,
)
from mvlib.book.pages import failures_page, status_page
from mvlib.book.placeholders import fill
from mvlib.book.reference import PACKAGE, api_pages, equations_page
from mvlib.files import python_path, read_toml, sha256_of, write_text
from mvlib.methods.catalogue import find
from mvlib.records.plan import load_plan, papers_with, plan_papers

_DIGEST = ".content"
_LOG_LINES = 40
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FLAGS = ("-q", "-n", "-W", "--keep-going", "--path-output")
_COMMAND = (
    "from mvlib.files import quick_jsonschema; quick_jsonschema(); "
    "from jupyter_book.cli.main import main; main(prog_name='jupyter-book')"
)
_BAR = "{desc} {n_fmt}/{total_fmt} {bar:20} {elapsed}{postfix}"
_TOOLS = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "numpydoc")
_HEAD = "# Written by `mvlib contents` from book/contents.toml and the plans: not by hand.\n"


def build_book(root: str | Path, out: str | Path | None = None) -> Path:
    """Build the book of a project, unless nothing that it shows has changed."""
    root = Path(root).resolve()
    out = Path(out).resolve() if out is not None else root / "_build"
    out.mkdir(parents=True, exist_ok=True)
    html, old = out / "html", out / ".html-before"
    with (
        FileLock(out / ".book.lock"),
        tqdm(total=3, desc="book", bar_format=_BAR, disable=None, leave=False) as bar,
    ):
        bar.set_postfix_str("gathering pages")
        if old.exists() and not html.exists():
            # A build was killed between its two renames.
            old.rename(html)
        digest = stage_book(root, out / "stage")
        bar.update()
        bar.set_postfix_str("building, about half a minute")
        index, known = html / "index.html", html / _DIGEST
        if index.exists() and known.is_file() and known.read_text("utf-8") == digest:
            return index
        with tempfile.TemporaryDirectory(dir=out, prefix=".building-") as folder:
            built = _run(out / "stage", Path(folder), out / "book.log")
            bar.update()
            bar.set_postfix_str("checking links, images and scripts")
            if problems := book_problems(built):
                listed = "\n".join(problems[:_LOG_LINES])
                if (more := len(problems) - _LOG_LINES) > 0:
                    listed += f"\nand {more} more"
                raise RuntimeError(f"{len(problems)} problems in the built book:\n{listed}")
            (built / _DIGEST).write_text(digest, encoding="utf-8")
            shutil.rmtree(old, ignore_errors=True)
            if html.exists():
                html.rename(old)
            built.rename(html)
            shutil.rmtree(old, ignore_errors=True)
    return index


def _run(stage: Path, folder: Path, log: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, "build", *_FLAGS, str(folder), str(stage)],
        # The API pages must describe this mvlib, not another one that is installed.
        env={**os.environ, "PYTHONPATH": python_path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    text = _COLOURS.sub("", done.stdout)
    write_text(log, text)
    html = folder / "_build" / "html"
    failed = "did not build" if done.returncode else "has no index.html"
    if done.returncode or not (html / "index.html").exists():
        # The warnings and errors of the log, then its last lines.
        lines = text.splitlines()
        marked = [line for line in lines[:-_LOG_LINES] if "WARNING" in line or "ERROR" in line]
        tail = "\n".join([*marked[:_LOG_LINES], *lines[-_LOG_LINES:]])
        raise RuntimeError(f"the book {failed}; {log} ends with:\n{tail}")
    return html


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
    pages = [*(root / "notebooks").glob("*/*.md"), *(root / "book").rglob("*.md")]
    for page in sorted(pages):
        staged = stage / page.relative_to(root)
        staged.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(fill(page.read_text(encoding="utf-8"), root), encoding="utf-8")
    generated = {
        "book/status.md": status_page(root=root),
        "book/failures.md": failures_page(root=root),
        **card_pages(root),
        **croissant_files(),
        **api_pages(),
        "book/equations.md": equations_page(),
    }
    for name, text in generated.items():
        path = stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    zip_notebooks(root, stage / ALL_NOTEBOOKS)
    shown = shown_records(root)
    for name in toc_files(root / "_toc.yml"):
        notebook = root / f"{name}.ipynb"
        if notebook.exists():
            records = shown.get(notebook.relative_to(root).as_posix(), [])
            stage_notebook(root, notebook, records, stage / f"{name}.ipynb")
    ran, scores = method_records(root, shown), results(root)
    for (name, method), command in planned_methods(root).items():
        page, line = (stage / page_of(name, method)).with_suffix(".ipynb"), find(method)
        above = head(line, scores)
        if (name, method) in ran:
            stage_notebook(root, root / name, ran[name, method], page, line.title, above)
        else:
            again = f"To run it: `{command}`."
            text = f"# {line.title}\n\n{above}\n\n{again}\n"
            page.with_suffix(".md").write_text(text, encoding="utf-8")
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
    return _digest(stage)


def toc_files(path: str | Path) -> list[str]:
    """Return the pages that a `_toc.yml` names, without suffix, in its order."""
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


def _digest(stage: Path) -> str:
    digest = hashlib.sha256()
    for name in _TOOLS:
        digest.update(f"{name} {version(name)}\n".encode())
    for path in sorted(path for path in stage.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(stage).as_posix()} {sha256_of(path)}\n".encode())
    # The API pages are made from the docstrings while the book is built.
    for path in sorted(PACKAGE.glob("**/*.py")):
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def contents(root: Path) -> str:
    """Return what `_toc.yml` is to hold: the parts of `book/contents.toml`, the chapters."""
    declared = read_toml(root / "book" / "contents.toml", "book/contents.toml")
    pages = papers_with("index.md", root)
    # Those that are named, in their order, then the others.
    names = dict.fromkeys([*(n for n in declared["chapters"] if n in pages), *pages])
    plans = {name: load_plan(name, root) for name in plan_papers(root)}
    chapters = [_chapter(name, plans[name], root) for name in names if name in plans]
    parts = [
        *declared.get("first", []),
        {"caption": declared["caption"], "chapters": chapters},
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


def _chapter(name: str, plan: dict[str, Any], root: Path) -> dict[str, Any]:
    """Return a paper's page, and below it the notebooks in the order of its plan, folded."""
    sections = [{"file": page} for page in _pages(name, plan, root)]
    return {"file": f"notebooks/{name}/index"} | ({"sections": sections} if sections else {})


def _pages(chapter: str, plan: dict[str, Any], root: Path) -> list[str]:
    """Return a chapter's notebooks in the order of its plan, then what we believe of it."""
    found = [each["notebook"].removesuffix(".ipynb") for each in plan.get("experiment", [])]
    last = f"notebooks/{chapter}/beliefs"
    return [*dict.fromkeys(found), *([last] if (root / f"{last}.md").is_file() else [])]
