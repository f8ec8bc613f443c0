import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import mvlib.data
from mvlib.data import (
    DataFile,
    DownloadError,
    data_folder,
    describe,
    download,
    fetch,
    is_at_hand,
)
from mvlib.data.download import fetch_file
from mvlib.files import scratch_folder

BODY = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(BODY).hexdigest()


SMALL = gzip.compress(bytes(50_000_000))


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.encodings.append(self.headers["Accept-Encoding"])
        if self.path in ("/endless", "/slow", "/stalled"):
            self.send_response(200)
            self.end_headers()
            # Long enough to be noticed, and not for ever if nobody does.
            parts = {"/endless": [BODY] * 64, "/slow": [b"x"] * 300}.get(
                self.path, [b""] * 9999
            )
            for part in parts:
                if self.server.stopped.wait(0 if self.path == "/endless" else 0.02):
                    break
                if part:
                    self.wfile.write(part)
            return
        if self.path == "/swelling":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(SMALL)))
            self.end_headers()
            self.wfile.write(SMALL)
            return
        if self.path == "/missing":
            self.send_error(404)
            return
        sent = {"/truncated": BODY[:-1000], "/dropped": BODY[: len(BODY) // 2]}
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(sent.get(self.path, BODY))
        self.wfile.flush()
        if self.path == "/dropped":
            # Lingering for no time turns the close into a reset.
            linger = (1).to_bytes(4, "little") + bytes(4)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

    def log_message(self, *arguments):
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A connection that was dropped on purpose is no error."""


@pytest.fixture(scope="module")
def server():
    with _Server(("127.0.0.1", 0), _Handler) as running:
        running.asked, running.encodings = [], []
        running.stopped = threading.Event()
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.stopped.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def url(server, monkeypatch):
    monkeypatch.delenv("MVLIB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.asked.clear()
    server.encodings.clear()
    return f"http://127.0.0.1:{server.server_port}"


def described(url, sha256=SHA256):
    return DataFile("set.mat", sha256=sha256, bytes=len(BODY), url=url)


def fetched(url, folder, **described_as):
    return fetch_file(described(url, **described_as), folder, describe("cub"))


def test_a_good_file_is_kept_under_its_name(url, tmp_path):
    path = fetched(f"{url}/good", tmp_path / "cache")
    assert path == tmp_path / "cache" / "set.mat"
    assert path.read_bytes() == BODY
    assert [file.name for file in path.parent.iterdir()] == ["set.mat"]


@pytest.mark.fault("a download that is cut, dropped, missing, changed, without end or swollen")
@pytest.mark.parametrize(
    ("page", "sha256", "said"),
    [
        ("truncated", SHA256, ""),
        ("dropped", SHA256, ""),
        ("missing", SHA256, ""),
        ("good", "0" * 64, ""),
        ("endless", SHA256, f"sends more than the {len(BODY)} bytes"),
        ("swelling", SHA256, f"it sent {len(SMALL)} of {len(BODY)} bytes"),
    ],
)
def test_a_failed_download_says_so_leaves_nothing_and_can_be_tried_again(
    page, sha256, said, url, server, tmp_path, fault
):
    with pytest.raises(DownloadError) as failure:
        fetched(f"{url}/{page}", tmp_path, sha256=sha256)
    for part in (f"{url}/{page}", sha256, str(tmp_path / "set.mat"), said):
        assert part in str(failure.value)
    assert list(tmp_path.iterdir()) == []
    # Nothing that grows is asked for or unpacked.
    assert set(server.encodings) == {"identity"}
    assert fetched(f"{url}/good", tmp_path).read_bytes() == BODY
    fault("One line says which, no half file is left, and the next one succeeds.")


@pytest.mark.fault("a download of a byte at a time")
def test_a_download_ends_in_time_however_slowly_bytes_come(url, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(download, "_GRACE_SECONDS", 0.5)
    monkeypatch.setattr(download, "_SLOWEST_BYTES_A_SECOND", 1e9)
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"it sent \d+ bytes in 1 seconds"):
        fetched(f"{url}/slow", tmp_path)
    assert time.monotonic() - start < 5
    assert list(tmp_path.iterdir()) == []
    fault("It ends at its deadline, and no half file is left.")


@pytest.mark.fault("kill -9 during a download")
def test_what_a_killed_download_left_goes_at_the_next_one(url, server, tmp_path, fault):
    code = (
        "import sys\n"
        "from mvlib.data import DataFile, describe\n"
        "from mvlib.data.download import fetch_file\n"
        "from pathlib import Path\n"
        "file = DataFile('other.mat', 'a' * 64, 9, sys.argv[1])\n"
        "fetch_file(file, Path(sys.argv[2]), describe('cub'))\n"
    )
    command = [sys.executable, "-c", code, f"{url}/stalled", str(tmp_path)]
    with subprocess.Popen(command) as child:
        while "/stalled" not in server.asked:
            assert child.poll() is None
            time.sleep(0.05)
        with scratch_folder(tmp_path) as mine:
            assert len(list(tmp_path.glob(".mvlib-*"))) == 2
            child.send_signal(signal.SIGKILL)
            child.wait()
            fetch_file(described(f"{url}/good"), tmp_path, describe("cub"))
            # A folder whose owner lives stays.
            assert sorted(tmp_path.iterdir()) == sorted([mine, tmp_path / "set.mat"])
    assert [path.name for path in tmp_path.iterdir()] == ["set.mat"]
    fault("What it left is removed at the next one.")


@pytest.mark.fault("a pipe or a folder in the place of a data file")
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(make, tmp_path, fault):
    make(tmp_path / "set.mat")
    with pytest.raises(ValueError, match=r"set\.mat is no regular file"):
        fetched("https://x/", tmp_path)
    make(tmp_path / "NUS-WIDE.mat")
    with pytest.raises(ValueError, match=r"NUS-WIDE\.mat is no regular file"):
        mvlib.data.load("nus-wide")
    fault("One line says that it is no regular file; nothing waits.")


def test_a_server_that_is_not_there_is_a_download_error(url, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DownloadError, match="could not be fetched"):
        fetched(f"http://127.0.0.1:{port}/", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_already_there_is_used_or_refused_without_network(url, server, tmp_path):
    (tmp_path / "set.mat").write_bytes(BODY)
    fetched(f"{url}/good", tmp_path)
    (tmp_path / "set.mat").write_bytes(b"the user's own")
    with pytest.raises(ValueError, match=f"expected {SHA256}.*delete or move it"):
        fetched(f"{url}/good", tmp_path)
    assert (tmp_path / "set.mat").read_bytes() == b"the user's own"
    assert server.asked == []


@pytest.mark.parametrize("value", ["1", "true"])
def test_offline_says_what_is_missing_and_where_it_goes(
    value, url, server, tmp_path, monkeypatch
):
    monkeypatch.setenv("MVLIB_OFFLINE", value)
    with pytest.raises(FileNotFoundError) as failure:
        fetched(f"{url}/good", tmp_path)
    for part in ("set.mat", f"{url}/good", SHA256, str(tmp_path / "set.mat")):
        assert part in str(failure.value)
    assert server.asked == []
    monkeypatch.setenv("MVLIB_OFFLINE", "0")
    fetched(f"{url}/good", tmp_path)
    assert server.asked == ["/good"]


def test_a_missing_or_damaged_set_is_not_at_hand_and_offline_load_names_its_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Wiki\.mat is missing.*OFFLINE") as failure:
        mvlib.data.load("wiki")
    assert describe("wiki").files[0].url in str(failure.value)
    assert not is_at_hand("wiki")
    (tmp_path / "Wiki.mat").write_bytes(b"damaged")
    assert not is_at_hand("wiki")
    with pytest.raises(ValueError, match=r"Wiki\.mat has sha256"):
        mvlib.data.load("wiki")


@pytest.mark.parametrize("name", ["nus-wide", "reuters-dim10", "deep-animal"])
def test_a_set_without_url_says_how_to_get_it(name, tmp_path):
    with pytest.raises(FileNotFoundError, match="https://github.com/.*Put it at") as failure:
        fetch(name)
    assert str(tmp_path / describe(name).files[0].file) in str(failure.value)


def test_the_data_folder_is_the_users_unless_told_otherwise(tmp_path, monkeypatch):
    assert data_folder() == tmp_path
    monkeypatch.setenv("MVLIB_DATA", "~/sets")
    assert "~" not in str(data_folder())
    monkeypatch.delenv("MVLIB_DATA")
    assert data_folder().name == "mvlib"


def test_the_packed_sets_original_is_fetched_only_when_asked():
    assert fetch("handwritten")[0].name == "handwritten.npz"
    with pytest.raises(FileNotFoundError, match=r"HandWritten\.mat is missing"):
        fetch("handwritten", original=True)
