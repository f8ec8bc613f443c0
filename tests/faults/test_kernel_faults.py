"""What a notebook can do to its kernel, done for real: each is that run's failure alone."""

import json

import pytest
from projects import complaints, experiment, make_project, mvlib, processes_in

from mvlib.records.store import load_records

NOTEBOOKS = {
    "memory": """
import time
blocks = []
for _ in range(200):
    blocks.append(bytearray(b"x") * 20_000_000)
    time.sleep(0.05)
""",
    "killed": "import signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "exits": "os._exit(3)",
    "raises": 'raise RuntimeError(f"a step failed in {os.getcwd()}")',
    "endless": "import time\nwhile True:\n    time.sleep(0.1)",
    "prints": """
for line in range(1000):
    print(f"{line:05d}" + 99_994 * "x")
recorder = Recorder("toy", "prints", profile=profile, device="cpu")
scores = dict(acc=0.5, nmi=0.4, ari=0.3, purity=0.6)
recorder.add("Toy", "handwritten", seed=0, parameters={}, metrics={"last": scores}, seconds=0.1)
recorder.finish()
""",
}
SIZES = {"memory": "limit_memory_gb = 0.5", "endless": "limit_minutes = 0.2"}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Give a project in which each of these has run once, and what the command said."""
    plan = "".join(experiment(name, SIZES.get(name, "")) for name in NOTEBOOKS)
    root = make_project(tmp_path_factory.mktemp("project"), plan, NOTEBOOKS)
    code, out, err = mvlib(root, "run", "--jobs", "2")
    assert code == 1
    complaints(err)
    assert len(load_records(root=root)) == len(NOTEBOOKS)
    return root, out


def ending(ended, name):
    """Return the record of an experiment, and its executed notebook where there is one."""
    root, _ = ended
    (record,) = [r for r in load_records(root=root) if r["experiment"] == name]
    return record, json.loads((root / record["executed"]).read_text())


@pytest.mark.fault("a kernel that takes more memory than its run may")
def test_a_kernel_over_its_memory_is_stopped(ended, fault):
    record, _ = ending(ended, "memory")
    assert record["status"] == "failed"
    assert record["error"] == "its kernel took more than 0.5 GB of memory"
    # It was to take 4 GB.
    assert record["peak_memory_bytes"] < 2.5e9
    peak = record["peak_memory_bytes"] / 1e9
    fault(
        f"Stopped at {peak:.1f} GB of the 4 GB that it wanted; recorded as failed: "
        f"{record['error']}.",
        seconds=record["wall_seconds"],
    )


@pytest.mark.fault("a kernel that is killed with signal 9, as a system without memory does")
def test_a_killed_kernel_is_a_failure_that_says_so(ended, fault):
    record, _ = ending(ended, "killed")
    assert (record["status"], record["results"]) == ("failed", [])
    assert record["error"] == "its kernel died, perhaps for want of memory"
    fault(f"Recorded as failed: {record['error']}.", seconds=record["wall_seconds"])


@pytest.mark.fault("a notebook that ends its own kernel (os._exit)")
def test_a_kernel_that_ends_itself_is_a_failure_with_its_exit_code(ended, fault):
    record, _ = ending(ended, "exits")
    assert record["status"] == "failed"
    assert record["error"] == "its kernel ended, with exit code 3, before its cells had"
    fault(f"Recorded as failed: {record['error']}.", seconds=record["wall_seconds"])


@pytest.mark.fault("a notebook that raises")
def test_a_notebook_that_raises_is_a_failure_with_its_traceback_in_the_notebook(ended, fault):
    record, notebook = ending(ended, "raises")
    assert record["status"] == "failed"
    assert record["error"].endswith("RuntimeError: a step failed in .")
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert [output["ename"] for output in outputs] == ["RuntimeError"]
    fault(
        "Recorded as failed with the error's text; the notebook is kept as far as it came.",
        seconds=record["wall_seconds"],
    )


@pytest.mark.fault("a notebook that never ends")
def test_a_notebook_that_never_ends_is_stopped_at_its_limit_of_time(ended, fault):
    record, _ = ending(ended, "endless")
    assert record["status"] == "failed"
    assert record["error"] == "stopped after its limit of 0.2 minutes"
    assert 12 <= record["wall_seconds"] < 60
    fault(f"Recorded as failed: {record['error']}.", seconds=record["wall_seconds"])


@pytest.mark.fault("a notebook that prints 100 MB")
def test_a_notebook_that_prints_much_succeeds_and_stays_small(ended, fault):
    record, notebook = ending(ended, "prints")
    assert record["status"] == "ok"
    outputs = notebook["cells"][-1]["outputs"]
    text = "".join("".join(output.get("text", "")) for output in outputs)
    assert text.startswith("00000x")
    assert text.endswith("x\n")
    assert "\n00999x" in text
    assert "characters left out here" in text
    assert 0.9e6 < len(text) < 1.1e6
    size = (ended[0] / record["executed"]).stat().st_size
    assert size < 1.3e6
    fault(
        f"It succeeds; the stored notebook has {size / 1e6:.1f} MB: the beginning and the end "
        "of what was printed, and how much is left out.",
        seconds=record["wall_seconds"],
    )


def test_nothing_of_them_is_left(ended):
    root, out = ended
    assert processes_in(root) == []
    assert [path for path in root.rglob(".*") if path.is_file()] == []
    assert (
        sum(line.startswith("failed toy/") and ": " in line for line in out.splitlines()) == 5
    )
