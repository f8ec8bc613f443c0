"""What the fuzz tests share: how many examples, how files are spoilt, what a clear error is.

`make test` draws the same few examples each time. `MVLIB_FUZZ=N` draws N a test, those of
`--hypothesis-seed` or new ones; `make faults` does.
"""

import copy
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

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
