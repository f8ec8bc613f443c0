import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import mvlib.data
from mvlib.data import DataFile, DownloadError, data_folder, describe, fetch, is_at_hand
from mvlib.data.download import fetch_file

BODY = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(BODY).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
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
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def url(server, monkeypatch):
    monkeypatch.delenv("MVLIB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.asked.clear()
    return f"http://127.0.0.1:{server.server_port}"


def described(url, sha256=SHA256):
    return DataFile("set.mat", sha256=sha256, bytes=len(BODY), url=url)


def test_a_good_file_is_kept_under_its_name(url, tmp_path):
    path = fetch_file(described(f"{url}/good"), tmp_path / "cache", describe("cub"))
    assert path == tmp_path / "cache" / "set.mat"
    assert path.read_bytes() == BODY
    assert [file.name for file in path.parent.iterdir()] == ["set.mat"]


@pytest.mark.parametrize(
    ("page", "sha256"),
    [
        ("truncated", SHA256),
        ("dropped", SHA256),
        ("missing", SHA256),
        ("good", "0" * 64),
    ],
    ids=["truncated", "dropped midway", "404", "wrong hash"],
)
def test_a_failed_download_says_so_and_leaves_nothing(page, sha256, url, tmp_path):
    with pytest.raises(DownloadError) as failure:
        fetch_file(described(f"{url}/{page}", sha256), tmp_path, describe("cub"))
    message = str(failure.value)
    assert f"{url}/{page}" in message
    assert sha256 in message
    assert str(tmp_path / "set.mat") in message
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_a_download_error(tmp_path, monkeypatch):
    monkeypatch.delenv("MVLIB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DownloadError, match="could not be fetched"):
        fetch_file(described(f"http://127.0.0.1:{port}/"), tmp_path, describe("cub"))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_can_be_tried_again(url, tmp_path):
    with pytest.raises(DownloadError):
        fetch_file(described(f"{url}/truncated"), tmp_path, describe("cub"))
    assert fetch_file(described(f"{url}/good"), tmp_path, describe("cub")).read_bytes() == BODY


def test_a_file_already_there_is_used_without_network(url, server, tmp_path):
    (tmp_path / "set.mat").write_bytes(BODY)
    fetch_file(described(f"{url}/good"), tmp_path, describe("cub"))
    assert server.asked == []


def test_a_damaged_file_is_refused_and_left_alone(url, server, tmp_path):
    (tmp_path / "set.mat").write_bytes(b"the user's own")
    with pytest.raises(ValueError, match=f"expected {SHA256}.*delete or move it"):
        fetch_file(described(f"{url}/good"), tmp_path, describe("cub"))
    assert server.asked == []
    assert (tmp_path / "set.mat").read_bytes() == b"the user's own"


@pytest.mark.parametrize("value", ["1", "true"])
def test_offline_says_what_is_missing_and_where_it_goes(
    value, url, server, tmp_path, monkeypatch
):
    monkeypatch.setenv("MVLIB_OFFLINE", value)
    with pytest.raises(FileNotFoundError) as failure:
        fetch_file(described(f"{url}/good"), tmp_path, describe("cub"))
    for part in ("set.mat", f"{url}/good", SHA256, str(tmp_path / "set.mat")):
        assert part in str(failure.value)
    assert server.asked == []
    monkeypatch.setenv("MVLIB_OFFLINE", "0")
    fetch_file(described(f"{url}/good"), tmp_path, describe("cub"))
    assert server.asked == ["/good"]


def test_offline_load_names_the_sets_file(tmp_path, monkeypatch):
    monkeypatch.setenv("MVLIB_OFFLINE", "1")
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path))
    file = describe("bdgp").files[0]
    with pytest.raises(
        FileNotFoundError, match=r"BDGP\.mat is missing.*MVLIB_OFFLINE"
    ) as failure:
        mvlib.data.load("bdgp")
    assert file.url in str(failure.value)
    assert not is_at_hand("bdgp")


@pytest.mark.parametrize("name", ["nus-wide", "reuters-dim10", "deep-animal"])
def test_a_set_without_url_says_how_to_get_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="https://github.com/.*Put it at") as failure:
        fetch(name)
    assert str(tmp_path / describe(name).files[0].file) in str(failure.value)


def test_a_damaged_cached_set_is_neither_available_nor_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path))
    (tmp_path / "Wiki.mat").write_bytes(b"damaged")
    assert not is_at_hand("wiki")
    with pytest.raises(ValueError, match=r"Wiki\.mat has sha256"):
        mvlib.data.load("wiki")


def test_the_data_folder_is_the_users_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("MVLIB_DATA", "~/sets")
    assert "~" not in str(data_folder())
    monkeypatch.delenv("MVLIB_DATA")
    assert data_folder().name == "mvlib"


def test_the_packed_sets_original_is_fetched_only_when_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("MVLIB_OFFLINE", "1")
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path))
    assert fetch("handwritten")[0].name == "handwritten.npz"
    with pytest.raises(FileNotFoundError, match=r"HandWritten\.mat is missing"):
        fetch("handwritten", original=True)
