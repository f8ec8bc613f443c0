"""What the sources say of themselves: the API reference, and the equations of all methods."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from mvlib.book.pages import code, table
from mvlib.files import read_toml

_PACKAGE = Path(__file__).resolve().parents[1]
# As a docstring has it: L = L_rec + lambda1 L_vda  (SMART, as coded)
_LINE = re.compile(r"^ *(\S.* = \S.*?)  \(([A-Z][\w-]+), ([^()]+)\)$", re.MULTILINE)


def api_pages() -> dict[str, str]:
    """Return the pages of the API reference."""
    rooms = public_names()
    pages = {f"book/api/rooms/{_page_name(room)}.md": _room_page(room) for room in rooms}
    lines = []
    for room, names in rooms.items():
        listed = ", ".join(f"`{name}`" for name in names)
        link = f"[`{room}`](rooms/{_page_name(room)}.md)"
        lines.append(f"{link}\n: {_summary(room)}\n\n  {listed}\n")
    body = "\n".join(lines)
    pages["book/api/index.md"] = (
        "# API reference\n\n"
        "What can I call? Everything below; the rest of mvlib is its own business. The "
        "package is in rooms, and each imports only from those before it.\n\n" + body
    )
    return pages


@cache
def public_names() -> dict[str, dict[str, str]]:
    """Return what each room exports, and from which module, without loading that."""
    found = [
        ".".join(("mvlib", *path.parent.relative_to(_PACKAGE).parts))
        for path in _PACKAGE.glob("*/**/__init__.py")
    ]
    rooms = {}
    for room in sorted(found, key=_position):
        package = import_module(room)
        exports = getattr(package, "_EXPORTS", None)
        if exports is None:
            exports = dict.fromkeys(getattr(package, "__all__", ()), room)
        if exports:
            rooms[room] = exports
    return rooms


def source_files() -> list[Path]:
    """Return mvlib's Python files, sorted."""
    return sorted(_PACKAGE.glob("**/*.py"))


def _position(room: str) -> tuple[int, str]:
    top = room.split(".")[1]
    order = _rooms()
    return (order.index(top) if top in order else len(order), room)


@cache
def _rooms() -> list[str]:
    """Return the rooms from the bottom up, as import-linter is told them."""
    linter = read_toml(_PACKAGE.parent / "pyproject.toml")["tool"]["importlinter"]
    layers = reversed(linter["contracts"][0]["layers"])
    return [room.strip() for layer in layers for room in layer.split("|")]


def _entry(room: str, name: str, module: str) -> str:
    """Return what stands under the name of something that a room exports."""
    full = f"{room}.{name}"
    node, source = _definition(module, name)
    if isinstance(node, ast.ClassDef):
        bases = [ast.unparse(base) for base in node.bases]
        raised = any(base.endswith(("Error", "Exception")) for base in bases)
        body = (
            f".. autoexception:: {full}" if raised else f".. autoclass:: {full}\n   :members:"
        )
    elif isinstance(node, ast.FunctionDef):
        body = f".. autofunction:: {full}"
    elif node is not None:
        body = f".. py:data:: {full}\n\n   {_comment_above(source, node.lineno)}"
    elif name in (exports := getattr(import_module(module), "_EXPORTS", {})):
        return _entry(room, name, exports[name])
    elif module.rpartition(".")[2] == name:
        return f"A room of its own: [`{module}`]({_page_name(module)}.md)."
    else:
        raise ValueError(f"{room} exports {name}, which {module} does not define")
    return f"```{{eval-rst}}\n{body}\n```"


def _definition(module: str, name: str) -> tuple[ast.stmt | None, str]:
    path = _PACKAGE.parent.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    source = path.read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node, source
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node, source
    return None, source


def _comment_above(source: str, line: int) -> str:
    lines = source.splitlines()[: line - 1]
    comment: list[str] = []
    while lines and lines[-1].startswith("#"):
        comment.insert(0, lines.pop().lstrip("#: "))
    return " ".join(comment)


def _room_page(room: str) -> str:
    parent = room.rpartition(".")[0]
    outer = public_names().get(parent, ())
    parts = [f"({_page_name(room)})=", f"# {room}", _description(room)]
    for name, module in public_names()[room].items():
        other = f"See {{py:obj}}`{parent}.{name}`."
        parts += [f"## {name}", other if name in outer else _entry(room, name, module)]
    return "\n\n".join(parts) + "\n"


def _description(room: str) -> str:
    text = inspect.cleandoc(import_module(room).__doc__ or "")
    return re.sub(r"([<>])", r"\\\1", text)


def _summary(room: str) -> str:
    return _description(room).split("\n\n")[0].replace("\n", " ")


def _page_name(room: str) -> str:
    return room.replace(".", "-")


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
