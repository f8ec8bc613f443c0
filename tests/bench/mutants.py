"""Change one place of the code at a time, and count how often a test of its room notices.

`make mutants` draws as many places in the methods as in the records, by a seed. A comparison,
a sum or product, a number, a flag or what is returned is changed, in memory alone. First the
tests of a room say which functions each of them calls. Then run, until one fails: the quickest
that call the changed function, all tests of the changed file, and at last golden numbers,
which notice a change without knowing what is right and are counted apart. What is put into
words is left out, and `UNSEEN`. A changed place may write into this project: what is to be
kept starts from a clean checkout, and the files of `data` are put back.
"""

import argparse
import ast
import copy
import importlib.machinery
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

# What each process would import anew; nothing of mvlib.
import fastjsonschema  # noqa: F401
import hypothesis
import jsonschema  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import pytest
import safetensors.torch  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.cluster  # noqa: F401
import torch._dynamo  # noqa: F401
from _pytest.runner import runtestprotocol

# A test that is slow beside others, or draws another example, has noticed nothing.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.load_profile("same")

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = "tests/golden"
ROOMS = {"methods": ["tests/methods", GOLDEN], "records": ["tests/records"]}
# Of the tests in other files of the room than the changed one's.
SECONDS = 30
SLIPS = "Lt LtE, Gt GtE, Eq NotEq, Is IsNot, In NotIn, And Or, Add Sub, Mult Div, Pow Mult"
OTHER: dict[type, type] = {}
for first, second in (pair.split() for pair in SLIPS.split(", ")):
    OTHER[getattr(ast, first)] = getattr(ast, second)
    OTHER.setdefault(getattr(ast, second), getattr(ast, first))
# No result hangs on these: what no input reaches, what a cache holds, which line a warning
# names, how JSON is indented.
UNSEEN = ("strict", "maxsize", "stacklevel", "indent")
ENDS = {0: "lives", 5: "lives", 100: "golden", None: "stopped"}


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
        case ast.Return(value=ast.Constant(value=None)):
            return None
        case ast.Return(value=ast.expr()):
            new.value = ast.Constant(None)
        case _:
            return None
    return new


def places(tree: ast.AST, owner: str = "") -> list[tuple[ast.AST, str]]:
    """Return the nodes that can be changed, each with the first line of its function.

    What stands in no function, such as a default, belongs to all functions of its file.
    """
    found = []
    for child in ast.iter_child_nodes(tree):
        told = isinstance(child, ast.Raise | ast.JoinedStr)
        if told or getattr(child, "arg", "") in UNSEEN:
            continue
        within = owner
        if isinstance(child, ast.FunctionDef):
            within = str(min(node.lineno for node in (child, *child.decorator_list)))
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            within = owner or "file"
        if within and changed(child) is not None:
            found.append((child, within))
        found += places(child, within)
    return found


def mutants(room: str, n: int, seed: int) -> list[tuple[Path, int]]:
    """Draw places of a room: the file, and the number of the place in it."""
    every = [
        (path, place)
        for path in sorted((ROOT / "mvlib" / room).rglob("*.py"))
        for place in range(len(places(ast.parse(path.read_text(encoding="utf-8")))))
    ]
    return random.Random(seed).sample(every, n)


class Callers:
    """Note which tests call which functions of a room, and the seconds that each test takes."""

    def __init__(self, room: str):
        self.folder = str(ROOT / "mvlib" / room)
        self.tests: dict[tuple[str, str], set[str]] = {}
        self.seconds: dict[str, float] = {}

    def pytest_runtest_protocol(self, item, nextitem):
        called = set()

        def trace(frame, event, arg):
            # What a dataclass makes has the name of its module alone.
            file = frame.f_globals.get("__file__") or ""
            if file.startswith(self.folder):
                called.add((file, str(frame.f_code.co_firstlineno)))

        start = time.process_time()
        threading.settrace(trace)
        sys.settrace(trace)
        runtestprotocol(item, nextitem=nextitem)
        sys.settrace(None)
        threading.settrace(None)
        self.seconds[item.nodeid] = time.process_time() - start
        for file, line in called:
            for key in ((file, line), (file, "file")):
                self.tests.setdefault(key, set()).add(item.nodeid)
        return True


class Chosen:
    """Run these tests in their order, and note whether it was golden numbers that failed."""

    def __init__(self, tests: list[str]):
        self.order = {test: place for place, test in enumerate(tests)}
        self.golden = False

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if item.nodeid in self.order]
        items.sort(key=lambda item: self.order[item.nodeid])

    def pytest_runtest_logreport(self, report):
        self.golden |= report.failed and report.nodeid.startswith(GOLDEN)


def forked(work: Callable[[], int], limit: float | None = None) -> int | None:
    """Return how work ends in a process of its own, without a word; None if it is stopped."""

    def quietly() -> None:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        os._exit(work())

    child = multiprocessing.get_context("fork").Process(target=quietly)
    child.start()
    child.join(limit)
    child.kill()
    child.join()
    return None if child.exitcode == -9 else child.exitcode


def run_tests(tests: list[str], plugin: object) -> int:
    # Plugins take seconds to start, and these tests need none.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return pytest.main(["-x", "-p", "no:cacheprovider", *tests], [plugin])


def callers_of(room: str) -> Callers:
    """Run the tests of a room, in a process of its own, and note what they call."""
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder, "noted")

        def note() -> int:
            callers = Callers(room)
            ended = run_tests(ROOMS[room], callers)
            noted.write_bytes(pickle.dumps(callers))
            return ended

        if forked(note) != 0:
            sys.exit(f"tests of {room} fail without a change")
        return pickle.loads(noted.read_bytes())


def is_own(path: Path, test: str) -> bool:
    """Whether a test is in a file that is a module's own."""
    *rooms, name = path.relative_to(ROOT / "mvlib").with_suffix("").parts
    if not ROOT.joinpath("tests", *rooms).is_dir():
        # A method of several files has several of tests, which are all its own.
        name = rooms.pop()
    start = "/".join(["tests", *rooms, f"test_{name}"])
    return test.startswith((f"{start}.py", f"{start}_"))


def may_notice(path: Path, owner: str, callers: Callers) -> list[str]:
    """Return the tests that may notice a change in a function, in their order."""
    running = callers.tests.get((str(path), owner), set())
    quick, spent = [], 0.0
    for test in sorted(running, key=callers.seconds.__getitem__):
        own, golden = is_own(path, test), test.startswith(GOLDEN)
        spent += 0 if own or golden else callers.seconds[test]
        quick += [test] * (not golden and (own or spent <= SECONDS))
    # Those of a file follow one another, since they may share what they set up.
    files = list(dict.fromkeys(test.partition("::")[0] for test in quick))
    quick.sort(key=lambda test: files.index(test.partition("::")[0]))
    own = [test for test in callers.seconds if is_own(path, test)]
    golden = [test for test in callers.seconds if test in running]
    return list(dict.fromkeys([*quick, *own, *(t for t in golden if t.startswith(GOLDEN))]))


def exit_code(path: Path, tree: ast.AST, tests: list[str], limit: float) -> int | None:
    """Return how tests end if a file is `tree`: 100 if golden numbers alone notice."""
    code = compile(ast.fix_missing_locations(tree), str(path), "exec", dont_inherit=True)
    read = importlib.machinery.SourceFileLoader.get_code

    def look() -> int:
        importlib.machinery.SourceFileLoader.get_code = lambda loader, name: (
            code if loader.path == str(path) else read(loader, name)
        )
        chosen = Chosen(tests)
        ended = run_tests(list(dict.fromkeys(t.partition("::")[0] for t in tests)), chosen)
        return 100 if chosen.golden else ended

    return forked(look, limit)


def git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def look_at(room: str, n: int, seed: int) -> dict[str, int]:
    """Change places of a room and return how many ended in which way."""
    callers, counts = callers_of(room), dict.fromkeys(("found", *ENDS.values()), 0)
    for path, place in mutants(room, n, seed):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        node, owner = places(tree)[place]
        slip = f"{ast.unparse(node)}  ->  {ast.unparse(changed(node))}"
        vars(node).update(vars(changed(node)))
        tests = may_notice(path, owner, callers)
        limit = 60 + 10 * sum(callers.seconds[test] for test in tests)
        word = ENDS.get(exit_code(path, tree, tests, limit) if tests else 0, "found")
        counts[word] += 1
        print(f"{word:<8}{path.relative_to(ROOT)}:{node.lineno}: {slip}", flush=True)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=60, help="places in each room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--room", nargs="+", choices=ROOMS, default=list(ROOMS))
    parser.add_argument("--keep", action="store_true", help="keep the shares for the book")
    given = parser.parse_args()
    if given.keep and git("status", "--porcelain"):
        sys.exit("commit what has changed first: the shares are those of a commit")
    ratios = []
    for room in given.room:
        counts = look_at(room, given.n, given.seed)
        found = given.n - counts["lives"]
        name = f"{room}: {found} of {given.n} found"
        if counts["golden"]:
            name += f", {counts['golden']} by golden numbers alone"
        ratios.append((name, found / given.n))
        print(name, flush=True)
    if given.keep:
        git("checkout", "--", "data")
        from mvlib.records import Ratio, save_benchmark

        rows = [Ratio(name, value, ">= 0.95") for name, value in ratios]
        save_benchmark("mutants", rows, ROOT)


if __name__ == "__main__":
    main()
