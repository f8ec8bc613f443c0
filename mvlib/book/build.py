"""Building the book, so that a failed build leaves the last good one as it was."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from mvlib.book.checks import book_problems
from mvlib.book.staging import stage_book
from mvlib.files import python_path, quick_jsonschema, write_text

_DIGEST = ".content"
_LOG_LINES = 40
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FLAGS = ("-q", "-n", "-W", "--keep-going", "--path-output")
_COMMAND = (
    "from mvlib.files import quick_jsonschema; quick_jsonschema(); "
    "from jupyter_book.cli.main import main; main(prog_name='jupyter-book')"
)
_BAR = "{desc} {n_fmt}/{total_fmt} {bar:20} {elapsed}{postfix}"


def build_book(root: str | Path, out: str | Path | None = None) -> Path:
    """Build the book of a project, unless nothing that it shows has changed."""
    from filelock import FileLock

    quick_jsonschema()
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
        index = html / "index.html"
        if index.exists() and _read(html / _DIGEST) == digest:
            return index
        with tempfile.TemporaryDirectory(dir=out, prefix=".building-") as folder:
            built = _run(out / "stage", Path(folder), out / "book.log")
            bar.update()
            bar.set_postfix_str("checking links, images and scripts")
            _check(built)
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
    if done.returncode != 0:
        raise RuntimeError(f"the book did not build; {log} ends with:\n{_tail(text)}")
    if not (html / "index.html").exists():
        raise RuntimeError(f"the book has no index.html; {log} ends with:\n{_tail(text)}")
    return html


def _check(html: Path) -> None:
    problems = book_problems(html)
    if problems:
        listed = "\n".join(problems[:_LOG_LINES])
        more = f"\nand {len(problems) - _LOG_LINES} more" * (len(problems) > _LOG_LINES)
        raise RuntimeError(f"{len(problems)} problems in the built book:\n{listed}{more}")


def _tail(text: str) -> str:
    """Return the warnings and errors of a log, then its last lines."""
    lines = text.splitlines()
    marked = [line for line in lines[:-_LOG_LINES] if "WARNING" in line or "ERROR" in line]
    return "\n".join([*marked[:_LOG_LINES], *lines[-_LOG_LINES:]])


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
