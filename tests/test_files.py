"""Files are written whole or not at all; packages load their names when first used."""

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


def test_nobody_sees_the_new_file_before_it_is_whole(tmp_path):
    path = tmp_path / "new" / "numbers.npz"
    with replacing(path) as temporary:
        assert temporary.suffix == ".npz"
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_the_old_one(tmp_path, monkeypatch):
    path, done = tmp_path / "numbers.txt", []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *given, name=name, real=real: (done.append(name), real(*given))
        )
    write_text(path, "whole")
    assert done == ["fsync", "replace"]


def test_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path).startswith(
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


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
