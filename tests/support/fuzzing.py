"""What the fuzz tests share: how many examples, how files are spoilt, what a clear error is.

`make test` draws the same few examples each time. `MVLIB_FUZZ=N` draws N a test, those of
`--hypothesis-seed` or new ones; `make faults` does.
"""

import copy
import json
import os
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from projects import notebook_of

from mvlib.records.recorder import RESULTS_MIME

_WANTED = int(os.environ.get("MVLIB_FUZZ", "0"))
_LONGEST_MESSAGE = 4000


def fuzz(examples):
    """Return the settings of a fuzz test that draws `examples` in `make test`."""
    return settings(
        max_examples=_WANTED or examples,
        derandomize=not _WANTED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def deep(levels, end=0):
    for _ in range(levels):
        end = [end]
    return end


ODD_VALUES = [
    None, True, False, 0, -1, 1.5, 2**63, 10**400, 1e308, float("inf"), float("nan"), "", "x",
    "../../x", "/etc/x", "a\nb", "\0", "\ud800", "\x1b[2J", "é", "x" * 3000, [], [[]], {},
    {"a": 1}, [1, "a", None], deep(100),
]  # fmt: skip
ODD_TOML = [
    "", "1", "-1", "1.5", "nan", "-inf", '""', '"x"', '"../x"', "true", "[]", "[[]]", "{}",
    "[1, 'a']", "['a', 'b']", "{ a = 1 }", "[{ a = 1 }]", "1979-05-27", "07:32:00", "9" * 400,
    "9" * 5000, '"\\u0000"', '"a\\nb"', "[" * 600 + "]" * 600, "[" * 5000, "'''", "'\x1b'",
]  # fmt: skip


def places(content, place=()):
    """Return the path of each value in nested dicts and lists."""
    found = [place]
    if isinstance(content, dict):
        for key, value in content.items():
            found += places(value, (*place, key))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            found += places(value, (*place, number))
    return found


@st.composite
def spoilt(draw, content):
    """Draw `content` with one to three values replaced, left out or added."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(content)))
        value = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
        action = draw(st.sampled_from(["replace", "drop", "add"]))
        if not place:
            if action == "replace" and draw(st.integers(0, 9)) == 0:
                return value
            continue
        parent = content
        for key in place[:-1]:
            parent = parent[key]
        if action == "replace":
            parent[place[-1]] = value
        elif action == "drop":
            del parent[place[-1]]
        elif isinstance(parent, dict):
            parent[draw(st.sampled_from(["surprise", "", "a b", "\ud800"]))] = value
        else:
            parent.append(value)
    return content


@st.composite
def spoilt_bytes(draw, content):
    """Draw `content` cut short, with bytes put in, taken out or changed."""
    odd = [
        b"\xff\xfe",
        b"\0",
        b"\n",
        b"{",
        b"[" * 3000,
        b'"',
        b"NaN",
        b"\xed\xa0\x80",
        b"1e999",
    ]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        action = draw(st.sampled_from(["cut", "insert", "remove", "repeat"]))
        if action == "cut":
            content = content[:at]
        elif action == "insert":
            content = content[:at] + draw(st.sampled_from(odd)) + content[at:]
        elif action == "remove":
            content = content[:at] + content[at + draw(st.integers(1, 40)) :]
        else:
            content = content[:at] + content[max(0, at - draw(st.integers(1, 80))) :]
    return content


def spoilt_json(content):
    """Draw bytes of JSON whose values, or which themselves, are spoilt."""
    text = json.dumps(content, indent=1).encode()
    return st.one_of(
        spoilt(content).map(lambda each: json.dumps(each).encode()), spoilt_bytes(text)
    )


@st.composite
def spoilt_toml(draw, text):
    """Draw lines of TOML with one to three of them replaced, left out, doubled or renamed."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        name, sign, _ = lines[at].partition(" = ")
        action = draw(st.sampled_from(["value", "value", "drop", "double", "rename", "head"]))
        if action == "value" and sign:
            lines[at] = f"{name} = {draw(st.sampled_from(ODD_TOML))}"
        elif action == "drop":
            lines[at] = ""
        elif action == "double":
            lines.insert(at, lines[at])
        elif action == "rename":
            lines[at] = f"surprise{lines[at]}"
        elif action == "head":
            lines.insert(at, draw(st.sampled_from(["[x]", "[[x]]", "[a.b]", "x = 1", "["])))
    return "\n".join(lines)


def assert_clear(error, *names):
    """Assert that an error names what it is about, in one line, without ending in a dump."""
    message = str(error)
    assert isinstance(error, ValueError | OSError)
    assert 15 < len(message) < _LONGEST_MESSAGE, message[:300]
    assert len(message.splitlines()) == 1, message[:300]
    assert any(name in message for name in names), (names, message[:300])


def read_or_told(read, *names):
    """Return what `read` gives, or None after a clear error about one of these names."""
    try:
        return read()
    except (ValueError, OSError) as error:
        return assert_clear(error, *names)


PAYLOAD = {"paper": "toy", "experiment": "method", "profile": "quick", "results": []}
NOTEBOOK = notebook_of("profile = 'quick'\nx = [1, 2]", "import json\nprint(x)")
NOTEBOOK["cells"][1]["source"] = NOTEBOOK["cells"][1]["source"].splitlines(keepends=True)
SHOWN = {"text/plain": "toy", RESULTS_MIME: PAYLOAD}
NOTEBOOK["cells"][2]["outputs"] = [
    {"output_type": "display_data", "metadata": {}, "data": SHOWN}
]
PLAN = """
paper = "toy"
title = "Toy"
method = "Toy"

[[experiment]]
name = "method"
title = "Method"
notebook = "notebooks/toy/method.ipynb"

[experiment.quick]
parameters = { epochs = 3, dataset = "wiki" }
grid = { ratio = [0.5, 1.0], width = [[8, 4], [2]] }
seeds = [5, 6]
expand_seeds = true
datasets = ["wiki"]
minutes = { default = 1, wiki = 2 }
disk_mb = 3
limit_minutes = 9
limit_memory_gb = 2.5
cannot = [{ dataset = "bdgp", reason = "too large" }]

[[experiment]]
name = "table"
title = "Table"
notebook = "notebooks/toy/table.ipynb"
after = ["method"]

[experiment.full]
seeds = [1]
"""
PUBLISHED = """
paper = "toy"

[[row]]
table = "main"
id = "main-wiki-toy"
dataset = "wiki"
method = "Toy"
setting = { aligned_ratio = 0.5 }
rule = "last"
values = { acc = 61.5, nmi = 50.0 }
digits = 2
source = "code"
where = "README"
caveat = ""
comparable = false
reason = "another split"

[[claim]]
text = "better"
value = 2.5
unit = "points"
source = "abstract"
where = "abstract"
unknown = ["of what"]
"""
RESULTS = Path(__file__).resolve().parents[2] / "data" / "results" / "smart.jsonl"
RECORD = json.loads(min(RESULTS.read_bytes().splitlines(), key=len))
RECORD["results"] = RECORD["results"][:1]
