"""Small files in the layouts of image sets, and cards that fit them."""

import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np

from mvlib.data import DataFile, describe
from mvlib.data.cards import _cards


def empty_data_folder(tmp_path, monkeypatch):
    """Make `tmp_path` the data folder of an mvlib that is offline."""
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path))
    monkeypatch.setenv("MVLIB_OFFLINE", "1")
    return tmp_path


def card_changer(monkeypatch):
    """Return a function that changes a card for the test."""

    def change(name, **changes):
        if "class_names" in changes:
            changes["n_clusters"] = len(changes["class_names"])
        monkeypatch.setitem(_cards(), name, replace(describe(name), **changes))
        return describe(name)

    return change


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def tar_of(members, mode="w:gz"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def mat_of(**values):
    """Return the bytes of a MATLAB file."""
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, values)
    return stream.getvalue()


def put_files(folder, change, name, *contents, **changes):
    """Write the files of a set under their names, and pin them."""
    pinned = []
    for file, content in zip(describe(name).files, contents, strict=True):
        (folder / file.file).parent.mkdir(exist_ok=True)
        (folder / file.file).write_bytes(content)
        pinned.append(DataFile(file.file, sha256(content), len(content), file.url))
    return change(name, files=tuple(pinned), **changes)


def put_archive(folder, change, name, members, **changes):
    """Write an archive under the set's name, and pin it."""
    return put_files(folder, change, name, tar_of(members), **changes)


def random_images(n, side, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def cifar_bytes(images, *labels):
    """Write records byte by byte, as the format's page describes them."""
    records = []
    for row, image in enumerate(images):
        pixels = [image[y, x, c] for c in range(3) for y in range(32) for x in range(32)]
        records.append(bytes([*(column[row] for column in labels), *pixels]))
    return b"".join(records)
