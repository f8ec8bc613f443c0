"""The client that executes a run's cells waits for nothing that it has no use for."""

import asyncio
import queue
import time

import nbformat
import papermill
import psutil
import pytest

from mvlib.experiments.notebook_client import PromptChannel, execute_notebook


class Socket:
    """Stands in for a socket on which nothing comes; keeps how long one listened."""

    def __init__(self):
        self.waits = []

    async def poll(self, milliseconds):
        self.waits.append(milliseconds)
        return 0


@pytest.mark.parametrize(("timeout", "milliseconds"), [(0.2, 20), (0.01, 10), (None, None)])
def test_a_bounded_wait_for_an_output_is_short_and_one_without_bound_stays_so(
    timeout, milliseconds
):
    channel = PromptChannel.__new__(PromptChannel)
    channel.socket = Socket()
    with pytest.raises(queue.Empty):
        asyncio.run(channel.get_msg(timeout))
    assert channel.socket.waits == [milliseconds]


def test_each_cell_has_its_own_outputs_and_the_kernel_is_gone_at_the_end(tmp_path):
    cells = [
        nbformat.v4.new_code_cell(code)
        for code in ("import os; print(os.getpid())", "for i in range(3):\n    print(i)")
    ]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}
    }
    given, written = tmp_path / "given.ipynb", tmp_path / "written.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), given)
    execute_notebook(str(given), written, {}, tmp_path / "kernel")
    first, second = nbformat.read(written, as_version=4).cells
    assert "".join(output["text"] for output in second.outputs) == "0\n1\n2\n"
    (pid,) = [int(output["text"]) for output in first.outputs]
    end = time.monotonic() + 60
    while psutil.pid_exists(pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_notebook_is_executed_by_such_a_client_and_its_kernel_killed(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **given: asked.update(given))
    execute_notebook("given.ipynb", tmp_path / "written.ipynb", {}, tmp_path / "kernel")
    factory = asked["config"].AsyncKernelManager.client_factory
    assert factory.iopub_channel_class.klass is PromptChannel
    assert asked["config"].NotebookClient.shutdown_kernel == "immediate"
