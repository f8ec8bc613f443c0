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


def test_every_make_target_that_the_readme_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):.*##", makefile, re.MULTILINE))
    assert set(re.findall(r"^make (\w+)|`make (\w+)", README, re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }
    assert {"reproduce", "test", "full", "book", "bench", "lint", "clean"} <= targets


def test_make_help_lists_the_commands():
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.search(r"^reproduce\s+run every notebook", shown.stdout, re.MULTILINE)


def test_the_example_runs_as_it_stands():
    example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 6)
    names = {
        "view_1": np.eye(10)[y] + 0.1 * rng.normal(size=(60, 10)),
        "view_2": np.eye(10)[y] @ rng.normal(size=(10, 4)),
        "mask": np.arange(60) % 2 == 0,
    }
    short = example.replace("random_state=0", "random_state=0, epochs=2, hidden_dims=(16,)")
    exec(compile(short, "README.md", "exec"), names)
    assert names["labels"].shape == (60,)


def test_the_example_of_two_modalities_runs_as_it_stands():
    example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1]
    rng = np.random.default_rng(0)
    names = {
        "images": rng.normal(size=(60, 12)),
        "texts": rng.normal(size=(50, 5)),
        "known": np.column_stack([np.arange(8), np.arange(8)]),
    }
    short = example.replace("random_state=0", "random_state=0, n_epochs=1")
    exec(compile(short, "README.md", "exec"), names)
    assert names["rows"].shape == names["cosines"].shape == (5, 10)


def test_the_table_is_that_of_the_committed_records():
    shown = README.split("<!-- table: begin -->\n")[1].split("\n<!-- table: end -->")[0]
    assert shown == readme_table(ROOT)


def test_each_source_class_of_the_table_is_explained_below_it():
    table, below = README.split("<!-- table: end -->")
    lines = table.split("<!-- table: begin -->")[1].strip().splitlines()
    named = [cell.strip() for cell in lines[0].strip("|").split("|")]
    printed = {
        line.strip("|").split("|")[named.index("Source")].strip() for line in lines[2:]
    } - {""}
    assert printed
    assert [source for source in printed if f"*{source}*" not in below] == []
    if "abstract" in printed or "code" in printed:
        assert "No published value was seen in a paper's own table" not in below


def test_pictures_and_files_that_the_readme_links_are_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_stays_short():
    prose = [line for line in README.splitlines() if not line.startswith("|")]
    assert len(prose) < 100


def test_dry_run_says_what_on_which_data_how_long_and_how_much():
    command = [sys.executable, "-m", "mvlib", "run", "--profile", "full", "--dry-run"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "smart/method/bdgp ratio 0.5 seeds 5 " in shown
    assert re.search(r"minutes expected.* MB of disk", shown)


@pytest.mark.parametrize("module", ["mvlib", "mvlib.cli"])
def test_importing_loads_nothing_heavy(module):
    code = f"import {module}, sys; print(*[m for m in sys.modules if '.' not in m])"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(shown.stdout.split())
    assert loaded.isdisjoint({"torch", "sklearn", "scipy", "pandas", "matplotlib", "papermill"})


def test_requirements_pin_every_package_and_name_no_host():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.match(r"[A-Za-z0-9._\[\]-]+==\S+", line) for line in lines)
    assert "://" not in text


def test_requirements_hold_all_that_pyproject_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        asked += extra
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    for requirement in asked:
        name = re.match(r"[A-Za-z0-9_-]+", requirement).group().lower().replace("_", "-")
        assert f"\n{name}==" in text, name


def test_no_tracked_file_names_a_path_of_somebodys_machine():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    mine = re.compile(rb"(?<![\w.])/(?:home|root|Users|work)/\w+")
    found = {
        name: match.group()
        for name in tracked
        if os.path.splitext(name)[1] not in {".png", ".npz", ".js", ".woff"}
        and not name.startswith("tests/")
        and (match := mine.search((ROOT / name).read_bytes()))
    }
    assert found == {}
