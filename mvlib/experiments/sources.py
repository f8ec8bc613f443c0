"""Which of a package's modules some code reaches, found without importing anything."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import tokenize
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

_INDEX_NAMES = {"_EXPORTS", "__all__", "__version__", "__getattr__", "__dir__"}
# Module to its file and when that changed.
_Files = dict[str, tuple[str, int]]
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def reached_sources(code: Iterable[str], package: Path) -> dict[str, str]:
    """Return the modules of `package` that `code` reaches, each with a hash of its code.

    Imports count wherever they stand, inside functions too, and are followed. A name that a
    package exports lazily (`_EXPORTS`) leads to the module that defines it and to no other;
    a package used as a whole, or imported with a star, leads to all that it exports.

    Parameters
    ----------
    code : iterable of str
        Python sources, such as the cells of a notebook.
    package : Path
        The folder of the package; its name is the package's.

    Returns
    -------
    dict of str to str
        Module to the sha256 of its code without comments and docstrings, so that better
        prose makes no result old. An `__init__` that only lists lazy exports is left out,
        so that a new method does not make the results of another old.

    Raises
    ------
    SyntaxError
        If some code is no Python.
    """
    # As one text: a cell uses what another imports.
    return dict(_reached("\n".join(code), package.name, _modules_of(package)))


def imported_packages(code: Iterable[str], package: Path) -> set[str]:
    """Return the packages, `package` aside, that `code` and the modules it reaches import.

    Parameters
    ----------
    code : iterable of str
        Python sources, such as the cells of a notebook.
    package : Path
        The folder of the package whose modules are followed.

    Returns
    -------
    set of str
        Top-level names, imports inside functions included.

    Raises
    ------
    SyntaxError
        If some code is no Python.
    """
    cells = "\n".join(code)
    found = set(_packages(cells))
    files = {module: path for module, path, _ in _modules_of(package)}
    for module in reached_sources([cells], package):
        found |= _packages(Path(files[module]).read_text(encoding="utf-8"))
    return found - {package.name}


def _modules_of(package: Path) -> tuple[tuple[str, str, int], ...]:
    """Return a package's modules, each with its file and when that changed."""
    found: dict[str, tuple[str, str, int]] = {}
    pending = [(package.name, str(package))]
    while pending:
        name, folder = pending.pop()
        for entry in os.scandir(folder):
            stem, ending = os.path.splitext(entry.name)
            module = name if stem == "__init__" else f"{name}.{stem}"
            if entry.is_dir():
                pending.append((f"{name}.{entry.name}", entry.path))
            # A package comes before a module of its name.
            elif ending == ".py" and (stem == "__init__" or module not in found):
                found[module] = (module, entry.path, entry.stat().st_mtime_ns)
    return tuple(sorted(found.values()))


@lru_cache(maxsize=256)
def _reached(
    code: str, top: str, modules: tuple[tuple[str, str, int], ...]
) -> tuple[tuple[str, str], ...]:
    """Return what `reached_sources` does, as pairs; the same for the same files."""
    files: _Files = {module: (path, changed) for module, path, changed in modules}
    reached: set[str] = set()
    pending = _references(ast.parse(code), "", top)
    seen: set[str] = set()
    while pending:
        reference = pending.pop()
        if reference in seen:
            continue
        seen.add(reference)
        for module in _modules_on(reference, files):
            if module not in reached:
                reached.add(module)
                pending += _read_module(*files[module], module, top)[1]
    hashes = {module: _read_module(*files[module], module, top)[0] for module in reached}
    return tuple((module, found) for module, found in sorted(hashes.items()) if found)


@lru_cache(maxsize=1024)
def _packages(source: str) -> frozenset[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return frozenset(found)


def code_of(source: str) -> str:
    """Return Python source without its comments and docstrings."""
    lines = source.splitlines()
    dropped: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            dropped.update(range(text.lineno - 1, text.end_lineno))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            kept = lines[row - 1][:column].rstrip()
            lines[row - 1] = kept
            if not kept:
                dropped.add(row - 1)
    return "\n".join(line for number, line in enumerate(lines) if number not in dropped)


@lru_cache(maxsize=1024)
def _read_module(
    path: str, changed: int, module: str, top: str
) -> tuple[str | None, list[str]]:
    """Return the hash of a module's code (None for a lazy index) and what it refers to."""
    source = Path(path).read_text(encoding="utf-8")
    tree = ast.parse(source)
    if _is_package(path) and _is_index(tree):
        return None, []
    inside = module if _is_package(path) else module.rpartition(".")[0]
    return hashlib.sha256(code_of(source).encode()).hexdigest(), _references(tree, inside, top)


def _is_package(path: str) -> bool:
    return os.path.basename(path) == "__init__.py"


def _is_index(tree: ast.Module) -> bool:
    """Whether an `__init__` holds nothing but lazy exports."""

    def plain(node: ast.stmt) -> bool:
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Constant)
        if isinstance(node, ast.ImportFrom):
            return node.module in ("__future__", "mvlib._lazy")
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        targets = isinstance(node, ast.Assign) and {
            n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)
        }
        return bool(names) and bool(targets) and targets <= _INDEX_NAMES

    return all(plain(node) for node in tree.body)


@lru_cache(maxsize=1024)
def _exports_of(path: str, changed: int) -> dict[str, str]:
    for node in ast.parse(Path(path).read_text(encoding="utf-8")).body:
        named = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if named and node.targets[0].id == "_EXPORTS":
            return ast.literal_eval(node.value)
    return {}


def _modules_on(reference: str, files: _Files) -> list[str]:
    """Return the modules that a dotted reference passes through."""
    top, *parts = reference.split(".")
    found, module = [top], top
    for part in parts:
        if module not in files or not _is_package(files[module][0]):
            break
        exports = _exports_of(*files[module])
        if part == "*":
            for name in exports:
                found += _modules_on(f"{module}.{name}", files)
            break
        if f"{module}.{part}" in files:
            module = f"{module}.{part}"
            found.append(module)
        elif part in exports:
            module = exports[part]
            found += _modules_on(module, files)
        else:
            break
    return [module for module in dict.fromkeys(found) if module in files]


class _Names(ast.NodeVisitor):
    """The dotted chains and bare names that code uses."""

    def __init__(self) -> None:
        self.chains: set[str] = set()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            self.chains.add(".".join([inner.id, *reversed(parts)]))
        else:
            self.visit(inner)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.chains.add(node.id)


def _references(tree: ast.Module, inside: str, top: str) -> list[str]:
    """Return what code refers to under `top`, dotted; `.*` ends the use of a whole package."""
    bound: dict[str, str] = {}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == top:
                    found.add(alias.name)
                    bound[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = inside.split(".")[: len(inside.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            if base.split(".")[0] == top:
                for alias in node.names:
                    found.add(f"{base}.{alias.name}")
                    bound[alias.asname or alias.name] = f"{base}.{alias.name}"
    names = _Names()
    names.visit(tree)
    for chain in names.chains:
        root, _, rest = chain.partition(".")
        if root in bound:
            # A star on what turns out to be no package is ignored when it is resolved.
            found.add(f"{bound[root]}.{rest}" if rest else f"{bound[root]}.*")
            found.add(f"{bound[root]}.{rest}.*" if rest else bound[root])
    return sorted(found)
