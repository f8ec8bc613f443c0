"""Processes of runs that are forked from a warm one behave as those that start afresh."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mvlib.experiments.executor import LocalProcesses

REPOSITORY = Path(__file__).resolve().parents[1]
OTHER_FOLDER = """
from mvlib.experiments.executor import LocalProcesses
if __name__ == "__main__":
    executor = LocalProcesses(1)
    print(executor.submit(eval, "__import__('mvlib').__file__").result())
    executor.shutdown()
"""


@pytest.fixture
def executor():
    executor = LocalProcesses(1)
    yield executor
    executor.shutdown()


def test_a_process_has_the_environment_of_when_its_run_was_submitted(executor, monkeypatch):
    for value in ("one", "two"):
        monkeypatch.setenv("MVLIB_TOY", value)
        assert executor.submit(os.getenv, "MVLIB_TOY").result() == value
    monkeypatch.delenv("MVLIB_TOY")
    assert executor.submit(os.getenv, "MVLIB_TOY").result() is None
    assert executor.submit(os.getenv, "PYTHONSAFEPATH").result() == os.getenv("PYTHONSAFEPATH")


def test_each_run_has_a_process_of_its_own(executor):
    pids = {executor.submit(eval, "__import__('os').getpid()").result() for _ in range(3)}
    assert len(pids) == 3
    assert os.getpid() not in pids


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks safely")
def test_a_process_starts_with_the_imports_behind_it_and_one_thread(executor):
    assert executor.submit(eval, "'papermill' in __import__('sys').modules").result()
    assert executor.submit(eval, "__import__('threading').active_count()").result() < 3


def test_another_mvlib_in_the_current_folder_is_not_taken(tmp_path):
    (tmp_path / "mvlib").mkdir()
    (tmp_path / "mvlib" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    environment = os.environ | {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(REPOSITORY)}
    script = tmp_path / "script.py"
    script.write_text(OTHER_FOLDER)
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(REPOSITORY / "mvlib" / "__init__.py"), done.stderr
