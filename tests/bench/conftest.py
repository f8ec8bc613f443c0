"""Print the ratios that matter, each beside its target, and keep them for the book."""

from collections import defaultdict
from pathlib import Path

import pytest

from mvlib.records import Ratio, save_benchmark

RATIOS: dict[str, list[Ratio]] = defaultdict(list)


@pytest.fixture
def report_ratio(request):
    """Give a function that takes a name, a ratio and its target, for the closing table."""
    return lambda *row: RATIOS[request.path.stem].append(Ratio(*row))


def pytest_addoption(parser):
    parser.addoption("--keep-ratios", action="store_true", help="keep them for the book")


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    if not RATIOS:
        return
    terminalreporter.section("ratios, each within this run")
    for name, ratios in RATIOS.items():
        for ratio in ratios:
            terminalreporter.write_line(
                f"{ratio.name:<68} {ratio.value:9.4g}   target {ratio.target}"
            )
        if config.getoption("keep_ratios") and exitstatus == pytest.ExitCode.OK:
            save_benchmark(name, ratios, Path(__file__).resolve().parents[2])
