"""A page in a real Chromium, driven over its debugging port; what it asks for is kept."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from projects import wait_for

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser():
    """Return this machine's Chromium: `MVLIB_BROWSER`, else the first by a usual name."""
    named = os.environ.get("MVLIB_BROWSER")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def open_browser(folder):
    """Start Chromium with its profile in a folder, and yield a `Page`."""
    import websocket

    command = [
        find_browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--remote-debugging-port=0", f"--user-data-dir={folder}", "--hide-scrollbars",
        "--remote-allow-origins=*", "--allow-file-access-from-files", "about:blank",
    ]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet)
    try:
        told = Path(folder) / "DevToolsActivePort"
        wait_for(lambda: told.is_file() and told.read_text().strip(), "the browser's port")
        port = told.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            (first, *_) = (tab for tab in json.load(answer) if tab["type"] == "page")
        socket = websocket.create_connection(first["webSocketDebuggerUrl"], timeout=15)
        try:
            yield Page(socket)
        finally:
            socket.close()
    finally:
        process.kill()
        process.wait()


class Page:
    """A tab: what it shows, and in `asked` and `said` what it loads and complains of."""

    def __init__(self, socket):
        self._socket, self._numbers = socket, itertools.count(1)
        self.asked, self.said = [], []
        for room in ("Page", "Network", "Runtime", "Log"):
            self._do(f"{room}.enable")

    def _do(self, method, **given):
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": given}))
        while True:
            told = json.loads(self._socket.recv())
            self._note(told)
            if told.get("id") == number:
                assert "error" not in told, told
                return told["result"]

    def _note(self, told):
        what, about = told.get("method"), told.get("params", {})
        if what == "Network.requestWillBeSent":
            self.asked.append(about["request"]["url"])
        elif what == "Page.javascriptDialogOpening":
            # A page with unsaved work asks whether to leave it.
            given = {"id": next(self._numbers), "params": {"accept": True}}
            self._socket.send(json.dumps({"method": "Page.handleJavaScriptDialog", **given}))
        elif what == "Runtime.exceptionThrown":
            self.said.append(str(about["exceptionDetails"]))
        elif what == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.said.append(about["entry"]["text"])

    def resize(self, width, height=900):
        """Give the tab a size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._do("Emulation.setDeviceMetricsOverride", **size)

    def open(self, url, width=1280, height=900, dark=False, scripts=True):
        """Open an address at a width, and wait for its load event."""
        self.resize(width, height)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._do("Emulation.setEmulatedMedia", features=scheme)
        self._do("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.asked, self.said = [], []
        self._do("Page.navigate", url=str(url))
        while True:
            told = json.loads(self._socket.recv())
            self._note(told)
            if told.get("method") == "Page.loadEventFired":
                return

    def download_to(self, folder):
        """Let the page save files, in a folder."""
        self._do("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def run(self, code):
        """Return what a JavaScript expression comes to, a promise awaited."""
        given = {"expression": code, "awaitPromise": True, "returnByValue": True}
        answer = self._do("Runtime.evaluate", **given)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key, code=None):
        """Press and release a key, such as ArrowRight."""
        numbers = {"ArrowRight": 39, "ArrowLeft": 37, "Tab": 9, "Home": 36, "End": 35, " ": 32}
        numbers |= {"Enter": 13, "Escape": 27, "m": 77}
        given = {"key": key, "code": code or key, "windowsVirtualKeyCode": numbers[key]}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        self._do("Input.dispatchKeyEvent", type="keyDown", text=text, **given)
        self._do("Input.dispatchKeyEvent", type="keyUp", **given)

    def picture(self, path, whole=False):
        """Write a picture of what is seen, or of the whole page."""
        taken = self._do("Page.captureScreenshot", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(taken["data"]))
