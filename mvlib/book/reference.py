"""What the sources say of themselves: the API reference, and the equations of all methods."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from mvlib.book.pages import code, table
from mvlib.files import read_toml

PACKAGE = Path(__file__).resolve().parents[1]
# As a docstring has it: L = L_rec + lambda1 L_vda  (SMART, as coded)
_LINE = re.compile(r"^ *(\S.* = \S.*?)  \(([A-Z][\w-]+), ([^()]+)\)$", re.MULTILINE)


def api_pages() -> dict[str, str]:
    """Return the pages of the API reference."""
    rooms = public_names()
    pages = {f"book/api/rooms/{_page_name(room)}.md": _room_page(room) for room in rooms}
    body = ""
    for room, names in rooms.items():
        listed = ", ".join(f"`{name}`" for name in names)
        link = f"[`{room}`](rooms/{_page_name(room)}.md)"
        summary = _description(room).split("\n\n")[0].replace("\n", " ")
        body += f"\n{link}\n: {summary}\n\n  {listed}\n"
    pages["book/api/index.md"] = (
        "# API reference\n\n"
        "What can I call? Everything below; the rest of mvlib is its own business. The "
        "package is in rooms, and each imports only from those before it.\n" + body
    )
    return pages


@cache
def public_names() -> dict[str, dict[str, str]]:
    """Return what each room exports, and from which module; the rooms from the bottom up."""
    linter = read_toml(PACKAGE.parent / "pyproject.toml")["tool"]["importlinter"]
    layers = reversed(linter["contracts"][0]["layers"])
    order = [room.strip() for layer in layers for room in layer.split("|")]
    found = [
        path.parent.relative_to(PACKAGE).parts for path in PACKAGE.glob("*/**/__init__.py")
    ]
    rooms = {}
    for parts in sorted(found, key=lambda parts: (order.index(parts[0]), parts)):
        room = ".".join(("mvlib", *parts))
        package = import_module(room)
        names = dict.fromkeys(getattr(package, "__all__", ()), room)
        if exports := getattr(package, "_EXPORTS", names):
            rooms[room] = exports
    return rooms


def _entry(room: str, name: str, module: str) -> str:
    """Return what stands under the name of something that a room exports."""
    full, thing = f"{room}.{name}", getattr(import_module(room), name)
    if inspect.ismodule(thing):
        return f"A room of its own: [`{module}`]({_page_name(module)}.md)."
    if inspect.isclass(thing):
        raised = issubclass(thing, Exception)
        body = f".. auto{'exception' if raised else 'class'}:: {full}"
        body += "" if raised else "\n   :members:"
    elif callable(thing):
        body = f".. autofunction:: {full}"
    else:
        # What stands above a constant in its module.
        source = inspect.getsource(import_module(module))
        found = re.search(rf"((?:^#.*\n)*)^{name}\b[^=\n]*=", source, re.MULTILINE)
        comment = " ".join(line.lstrip("#: ") for line in found[1].splitlines())
        body = f".. py:data:: {full}\n\n   {comment}"
    return f"```{{eval-rst}}\n{body}\n```"


def _room_page(room: str) -> str:
    parent = room.rpartition(".")[0]
    outer = public_names().get(parent, ())
    parts = [f"({_page_name(room)})=", f"# {room}", _description(room)]
    for name, module in public_names()[room].items():
        # What another room gives on is described there.
        home = parent if name in outer else module.rpartition(".")[0]
        elsewhere = name in outer or (home != room and name in public_names().get(home, ()))
        other = f"See {{py:obj}}`{home}.{name}`."
        parts += [f"## {name}", other if elsewhere else _entry(room, name, module)]
    return "\n\n".join(parts) + "\n"


def _description(room: str) -> str:
    text = inspect.cleandoc(import_module(room).__doc__ or "")
    return re.sub(r"([<>])", r"\\\1", text)


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


@cache
def equations(methods: Path = PACKAGE / "methods") -> tuple[Equation, ...]:
    """Return the equations of the methods, in the order of their files."""
    found = []
    for path in sorted(methods.rglob("*.py")):
        file = path.relative_to(methods.parents[1]).as_posix()
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        # Nobody calls `forward` by its name.
        layers = {each: node for node in classes for each in node.body}
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                called = layers.get(node, node) if node.name == "forward" else node
                for formula, paper, source in _LINE.findall(ast.get_docstring(node) or ""):
                    place = (called.name, file, called.lineno)
                    found.append(Equation(paper, source, formula, *place))
    return tuple(found)


def equations_page(
    methods: Path = PACKAGE / "methods", tests: Path = PACKAGE.parent / "tests"
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
        test = _own(held[equation.name], Path(equation.file))
        test = test.replace("_", " ").removeprefix("test ")
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


def _own(tests: list[tuple[str, str]], file: Path) -> str:
    """Return the first test in a file of the method's name, else in one of its folder's."""

    def far(test: tuple[str, str]) -> int:
        named = [test[0].startswith(f"test_{name}") for name in (file.stem, file.parent.name)]
        # `test_equations` is of every method's symbols.
        return 2 - 2 * (named[0] and file.stem != "equations") - named[1]

    return min(tests, key=far)[1]


def _tests_by_word(tests: Path) -> dict[str, list[tuple[str, str]]]:
    """Return for each word the tests that have it, with their files, in order."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        text = path.read_text("utf-8")
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                body = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                for word in dict.fromkeys(re.findall(r"\w+", body)):
                    found.setdefault(word, []).append((path.stem, node.name))
    return found
