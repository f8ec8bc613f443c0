"""Print the ratios that matter, each beside its target."""

import pytest

RATIOS: list[tuple[str, float, str]] = []


@pytest.fixture
def report_ratio():
    """Give a function that takes a name, a ratio and its target, for the closing table."""
    return lambda *row: RATIOS.append(row)


def pytest_terminal_summary(terminalreporter):
    if not RATIOS:
        return
    terminalreporter.section("ratios, each within this run")
    for name, ratio, target in RATIOS:
        terminalreporter.write_line(f"{name:<64} {ratio:7.2f}   target {target}")
