"""Files are written whole or not at all; packages load their names when first used."""

import hashlib
import importlib
import os
import pkgutil
import stat

import pytest

import mvlib
from mvlib.files import replacing, sha256_of, write_text


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "numbers.txt"
    write_text(path, "old")

    def stop_halfway():
        with replacing(path) as temporary:
            temporary.write_text("new, but only ha")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        stop_halfway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_is_seen_when_it_is_whole_and_on_the_disk(tmp_path, monkeypatch):
    path, done = tmp_path / "new" / "numbers.npz", []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *given, name=name, real=real: (done.append(name), real(*given))
        )
    with replacing(path) as temporary:
        assert temporary.suffix == ".npz"
        temporary.write_bytes(b"abc")
        assert not path.exists()
    assert done == ["fsync", "replace"]
    assert path.read_bytes() == b"abc"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sha256_of(path) == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(
    "package",
    ["mvlib", *(f"mvlib.{m.name}" for m in pkgutil.iter_modules(mvlib.__path__) if m.ispkg)],
)
def test_every_exported_name_exists_and_has_a_docstring(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name).__doc__, f"{package}.{name}"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018
