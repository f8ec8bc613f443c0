"""Change one place of the code at a time, and count how often the tests of its file notice.

`make mutants` draws as many places in the methods as in the records, by a seed. A comparison, a
sum or product, a number, a flag or what is returned is changed, in memory alone, and what
`tests/<room>/test_<file>.py` says of it is awaited. What is told in an error is left out, and
so is `strict` of `zip`, which no input reaches. A changed place may write into this project:
what is to be kept starts from a clean checkout, and the files of `data` are put back.
"""

import argparse
import ast
import copy
import importlib.machinery
import multiprocessing
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("methods", "records")
SLIPS = "Lt LtE, Gt GtE, Eq NotEq, Is IsNot, In NotIn, And Or, Add Sub, Mult Div, Pow Mult"
OTHER: dict[type, type] = {}
for first, second in (pair.split() for pair in SLIPS.split(", ")):
    OTHER[getattr(ast, first)] = getattr(ast, second)
    OTHER.setdefault(getattr(ast, second), getattr(ast, first))


def tests_of(path: Path) -> list[Path]:
    """Return the files of tests that are a module's own."""
    parts = path.relative_to(ROOT / "mvlib").with_suffix("").parts
    folder, name = ROOT.joinpath("tests", *parts[:-1]), parts[-1]
    if folder.is_dir():
        return sorted({*folder.glob(f"test_{name}.py"), *folder.glob(f"test_{name}_*.py")})
    # A method of several files has several of tests, which are all its own.
    return sorted(folder.parent.glob(f"test_{parts[-2]}*.py"))


def changed(node: ast.AST) -> ast.AST | None:
    """Return a node as a slip would have it, or None where there is nothing to slip on."""
    new = copy.deepcopy(node)
    match new:
        case ast.Compare(ops=[op, *_]) if type(op) in OTHER:
            new.ops[0] = OTHER[type(op)]()
        case ast.BinOp(op=op, left=left) | ast.BoolOp(op=op, values=[left, *_]) if type(
            op
        ) in OTHER and not isinstance(left, ast.JoinedStr):
            new.op = OTHER[type(op)]()
        case ast.Constant(value=bool()):
            new.value = not new.value
        case ast.Constant(value=int()):
            new.value += 1
        case ast.Constant(value=float()):
            new.value = 2 * new.value or 1.0
        case ast.Return(value=ast.expr()):
            new.value = ast.Constant(None)
        case _:
            return None
    return new


def places(tree: ast.AST, inside: bool = False) -> list[ast.AST]:
    """Return the nodes of functions that can be changed, in their order."""
    found = []
    for child in ast.iter_child_nodes(tree):
        told = isinstance(child, ast.Raise | ast.JoinedStr)
        if not told and getattr(child, "arg", None) != "strict":
            found += [child] * (inside and changed(child) is not None)
            found += places(child, inside or isinstance(child, ast.FunctionDef))
    return found


def mutants(n: int, seed: int) -> list[tuple[Path, int, list[Path]]]:
    """Draw places, as many in each room: the file, the number of the place, the tests."""
    drawn = []
    for room in ROOMS:
        every = []
        for path in sorted((ROOT / "mvlib" / room).rglob("*.py")):
            if tests := tests_of(path):
                tree = ast.parse(path.read_text(encoding="utf-8"))
                every += [(path, place, tests) for place in range(len(places(tree)))]
        drawn += random.Random(seed).sample(every, n // len(ROOMS))
    return drawn


def look(path: Path, code: CodeType, tests: list[Path]) -> None:
    """Run tests with other code in the place of a file's, and end as they do."""
    read = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader, name):
        return code if loader.path == str(path) else read(loader, name)

    importlib.machinery.SourceFileLoader.get_code = get_code
    import pytest

    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    os._exit(pytest.main(["-x", "-p", "no:cacheprovider", "-p", "no:xdist", *map(str, tests)]))


def exit_code(path: Path, tree: ast.AST, tests: list[Path], limit: float) -> int | None:
    """Return how the tests of a file end if it is `tree`, None if they had to be stopped."""
    code = compile(ast.fix_missing_locations(tree), str(path), "exec", dont_inherit=True)
    child = multiprocessing.get_context("fork").Process(target=look, args=(path, code, tests))
    child.start()
    child.join(limit)
    child.kill()
    child.join()
    return None if child.exitcode == -9 else child.exitcode


def git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="keep the shares for the book")
    given = parser.parse_args()
    if given.keep and git("status", "--porcelain"):
        sys.exit("commit what has changed first: the shares are those of a commit")
    # What each would import anew; nothing of mvlib.
    import pandas  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.cluster  # noqa: F401
    import torch._dynamo  # noqa: F401

    limits: dict[tuple[Path, ...], float] = {}
    found = dict.fromkeys(ROOMS, 0)
    for path, place, tests in mutants(given.n, given.seed):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tuple(tests) not in limits:
            start = time.monotonic()
            if exit_code(path, tree, tests, 600) != 0:
                sys.exit(f"{tests} fail without a change")
            limits[tuple(tests)] = 60 + 10 * (time.monotonic() - start)
        node = places(tree)[place]
        slip = f"{ast.unparse(node)}  ->  {ast.unparse(changed(node))}"
        vars(node).update(vars(changed(node)))
        ended = exit_code(path, tree, tests, limits[tuple(tests)])
        found[path.relative_to(ROOT).parts[1]] += ended != 0
        word = {0: "lives", None: "stopped"}.get(ended, "found")
        print(f"{word:<8}{path.relative_to(ROOT)}:{node.lineno}: {slip}", flush=True)
    each = given.n // len(ROOMS)
    ratios = [(f"{room}: {found[room]} of {each} found", found[room] / each) for room in ROOMS]
    print(*ratios, sep="\n")
    if given.keep:
        git("checkout", "--", "data")
        from mvlib.records import Ratio, save_benchmark

        rows = [Ratio(name, value, ">= 0.95") for name, value in ratios]
        save_benchmark("mutants", rows, ROOT)


if __name__ == "__main__":
    main()
