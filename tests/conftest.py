"""A browser; and what was broken and what happened, noted and kept for the book."""

import gc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings

from mvlib.records import Fault, save_faults
from mvlib.records.provenance import versions

KEPT: dict[str, Fault] = {}
PASSED, FAILED, NOT_TRIED = "passed", "failed", "could not be tried"


class Trial:
    """What a test says of the fault that it tries."""

    def __init__(self):
        self.sentence, self.times, self.seconds = "", 1, None

    def happened(self, sentence, times=1, seconds=None):
        """Note what happened, how often it was tried, and how long that took elsewhere."""
        self.sentence, self.times, self.seconds = sentence, times, seconds


def pytest_addoption(parser):
    parser.addoption("--keep-results", action="store_true", help="keep them for the book")


def pytest_configure(config):
    # To look for garbage after each 700 new objects takes a tenth of the time of all tests.
    gc.set_threshold(50_000, 50, 50)
    # Who shares a processor with other work is slow, and no less right.
    settings.register_profile("unhurried", deadline=None)
    settings.load_profile("unhurried")
    config.addinivalue_line("markers", "fault(tried): what a test breaks, for the book")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Give a page of a browser, or say that there is none."""
    from browser import find_browser, open_browser

    if find_browser() is None:
        pytest.skip("no Chromium on this machine: install one, or name it in MVLIB_BROWSER")
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(browser):
    return browser


@pytest.fixture
def fault(request):
    """Give a function that takes what happened, in one sentence."""
    request.node.trial = Trial()
    return request.node.trial.happened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    mark = item.get_closest_marker("fault")
    if mark is None or (report.when != "call" and report.passed):
        return report
    trial = getattr(item, "trial", Trial())
    verdict, sentence = PASSED, trial.sentence
    if report.skipped:
        verdict, sentence = NOT_TRIED, str(call.excinfo.value)
    elif report.failed:
        verdict, sentence = FAILED, (str(call.excinfo.value) or "no message").splitlines()[0]
    times = 0 if verdict == NOT_TRIED else trial.times
    seconds = call.duration if trial.seconds is None else trial.seconds
    # The cases of one fault are told together, by the first that was not as it should be.
    name = item.originalname if mark in item.function.pytestmark else item.name
    if before := KEPT.get(name):
        times, seconds = times + before.times, seconds + before.seconds
        if before.verdict != PASSED:
            verdict, sentence = before.verdict, before.happened
    KEPT[name] = Fault(
        tried=mark.args[0],
        happened=sentence[:300],
        verdict=verdict,
        times=times,
        seconds=round(seconds, 1),
        date=datetime.now(UTC).date().isoformat(),
        versions=versions(),
    )
    return report


def pytest_terminal_summary(terminalreporter, config):
    # Collected among other tests, this file comes too late to have options.
    if not KEPT or not config.getoption("keep_results", default=False):
        return
    terminalreporter.section("faults")
    for name, kept in KEPT.items():
        terminalreporter.write_line(f"{kept.verdict:<18} {name}: {kept.happened}")
    save_faults(KEPT, Path(__file__).resolve().parents[1])
