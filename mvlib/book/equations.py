"""The equations of all methods on one page, each with its place and the test that holds it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mvlib.book.markdown import code, table

_PACKAGE = Path(__file__).resolve().parents[1]
# As a docstring has it: L = L_rec + lambda1 L_vda  (SMART, as coded)
_LINE = re.compile(r"^ *(\S.* = \S.*?)  \(([A-Z][\w-]+), ([^()]+)\)$", re.MULTILINE)


class Equation(NamedTuple):
    """A line of a docstring that states an equation: whose, how it is known, and where."""

    paper: str
    source: str
    formula: str
    name: str
    file: str
    line: int


def equations(methods: Path = _PACKAGE / "methods") -> list[Equation]:
    """Return the equations of the methods, in the order of their files."""
    found = []
    for path in sorted(methods.rglob("*.py")):
        for node in _documented(path):
            for formula, paper, source in _LINE.findall(ast.get_docstring(node)):
                file = path.relative_to(methods.parents[1]).as_posix()
                found.append(Equation(paper, source, formula, node.name, file, node.lineno))
    return found


def equations_page(
    methods: Path = _PACKAGE / "methods", tests: Path = _PACKAGE.parent / "tests"
) -> str:
    """Return the page; an equation that no test names is a ValueError."""
    held = _tests_by_word(tests)
    rows = []
    for equation in equations(methods):
        if equation.name not in held:
            raise ValueError(
                f"{equation.file}:{equation.line}: no test names {equation.name}, whose "
                f"equation is {equation.formula}: expected one below {tests.name}"
            )
        place = f"{code(equation.name)}, {equation.file.removeprefix('mvlib/methods/')}"
        where = f"{place}:{equation.line}"
        test = held[equation.name].replace("_", " ").removeprefix("test ")
        rows.append([equation.paper, equation.source, code(equation.formula), where, test])
    head = ["method", "source", "equation", "function", "held by the test that"]
    return (
        "# Equations\n\n"
        "Where is an equation computed, and what says that it is right? Each stands in "
        "one line of its function's docstring, in the symbols of its paper; a search for the "
        "symbol finds it. *As coded* follows the authors' code, *secondary* a third page, "
        "*our reading* what no source says. The papers' own numbers of equations are not known "
        "here.\n\n" + table(head, rows) + "\n"
    )


def _documented(path: Path) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            yield node


def _tests_by_word(tests: Path) -> dict[str, str]:
    """Return for each word in a test the first test that has it."""
    found: dict[str, str] = {}
    for path in sorted(tests.rglob("test_*.py")):
        text = path.read_text("utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for word in re.findall(r"\w+", ast.get_source_segment(text, node) or ""):
                    found.setdefault(word, node.name)
    return found
