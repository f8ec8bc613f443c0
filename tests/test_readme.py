"""The README's commands, table and pictures, and what every reader is promised."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from mvlib.records import readme_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def output_of(*command):
    return subprocess.check_output(command, cwd=ROOT, text=True)


def test_every_make_target_that_the_readme_names_exists_and_help_lists_them():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):.*##", makefile, re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)) <= targets
    assert {"reproduce", "test", "full", "book", "bench", "lint", "clean"} <= targets
    shown = output_of("make", "help")
    assert re.search(r"^reproduce\s+run every notebook", shown, re.MULTILINE)


@pytest.mark.parametrize("number", [0, 1])
def test_an_example_runs_as_it_stands(number):
    example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 6)
    names = {
        "y": y,
        "view_1": np.eye(10)[y] + 0.1 * rng.normal(size=(60, 10)),
        "view_2": np.eye(10)[y] @ rng.normal(size=(10, 4)),
        "mask": np.arange(60) % 2 == 0,
        "images": rng.normal(size=(60, 12)),
        "texts": rng.normal(size=(50, 5)),
        "known": np.column_stack([np.arange(8), np.arange(8)]),
    }
    settings = ("epochs=2, hidden_dims=(16,)", "n_epochs=1")[number]
    short = example.replace("random_state=0", f"random_state=0, {settings}")
    short = short.replace("y, mask)", 'y, mask, settings={"epochs": 2, "hidden_dims": (16,)})')
    exec(compile(short, "README.md", "exec"), names)
    shapes = {
        name: names[name].shape for name in ("labels", "rows", "cosines") if name in names
    }
    assert shapes == ({"labels": (60,)}, {"rows": (5, 10), "cosines": (5, 10)})[number]


def test_the_table_is_that_of_the_committed_records():
    shown = README.split("<!-- table: begin -->\n")[1].split("\n<!-- table: end -->")[0]
    assert shown == readme_table(ROOT)


def test_each_source_class_of_the_table_is_explained_below_it():
    shown, below = README.split("<!-- table: end -->")
    table, missing = shown.split("<!-- table: begin -->")[1].strip().split("\n\n", 1)
    lines = table.splitlines()
    named = [cell.strip() for cell in lines[0].strip("|").split("|")]
    printed = {
        line.strip("|").split("|")[named.index("Source")].strip() for line in lines[2:]
    } - {""}
    printed |= set(re.findall(r"^- .*?\((\w+);", missing, re.MULTILINE))
    below = below.lower()
    assert printed
    assert [source for source in printed if f"*{source}*" not in below] == []


def test_the_readme_is_short_and_what_it_links_is_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert len([line for line in README.splitlines() if not line.startswith("|")]) < 100


def test_dry_run_says_what_on_which_data_how_long_and_how_much():
    command = ("-m", "mvlib", "run", "--profile", "full", "--dry-run")
    shown = output_of(sys.executable, *command)
    assert "smart/method/bdgp ratio 0.5 seeds 5 " in shown
    assert re.search(r"minutes expected.* MB of disk", shown)


def test_requirements_pin_all_that_pyproject_asks_for_and_name_no_host():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.match(r"[A-Za-z0-9._\[\]-]+==\S+", line) for line in lines)
    assert "://" not in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = sum(project["optional-dependencies"].values(), project["dependencies"])
    names = [re.match(r"[A-Za-z0-9_-]+", asking).group().lower() for asking in asked]
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert {name.replace("_", "-") for name in names} <= pinned


def test_the_lock_has_checksums_of_the_same_versions_and_names_no_host():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = [line for line in lock.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    required = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [pin.removesuffix(" \\") for pin in pins] == [
        line for line in required if line and not line.startswith("#")
    ]
    for entry in re.split(r"\n(?=[A-Za-z0-9])", lock)[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry)
    assert "://" not in lock


def test_no_tracked_file_names_a_path_of_somebodys_machine():
    mine = re.compile(rb"(?<![\w.])/(?:home|root|Users|work)/\w+")
    found = {
        name: match.group()
        for name in output_of("git", "ls-files").split()
        if os.path.splitext(name)[1] not in {".png", ".npz", ".js", ".woff"}
        and not name.startswith("tests/")
        and (match := mine.search((ROOT / name).read_bytes()))
    }
    assert found == {}
