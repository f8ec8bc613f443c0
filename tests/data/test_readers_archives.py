"""Archives are unpacked whole and inside their folder, or refused without a trace."""

import gzip
import io
import tarfile

import pytest
from image_stand_ins import empty_data_folder, tar_of

from mvlib.data.readers.images import read_members, unpack


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    return empty_data_folder(tmp_path / "data", monkeypatch)


def links_of(*links, mode="w:gz"):
    """Return an archive of a folder, then of links: type, name, and what it links to."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for kind, name, target in [(tarfile.DIRTYPE, "dtd", ""), *links]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, 0o755
            archive.addfile(info)
    return stream.getvalue()


def refused(folder, name, content, message):
    """Put an archive, and see that unpacking it is an error and leaves nothing."""
    (folder / name).write_bytes(content)
    (folder.parent / "outside").write_text("the user's own")
    with pytest.raises(ValueError, match=message):
        unpack(folder / name, "dtd")
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder.parent / "outside").read_text() == "the user's own"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar_of({"dtd/a": b"", "../outside": b"bad"}), "cannot be unpacked"),
        (tar_of({"other/a": b"x"}), r"dtd\.tar\.gz holds no folder 'dtd'"),
        (tar_of({"dtd/a": bytes(9000)})[:40], r"dtd\.tar\.gz cannot be unpacked"),
        (links_of((tarfile.LNKTYPE, "dtd/a", "dtd/nothing")), "cannot be unpacked: .*nothing"),
    ],
    ids=["outside", "another folder", "cut short", "a link to nothing"],
)
def test_an_archive_that_does_not_unpack_leaves_nothing_inside_or_outside(
    content, message, folder
):
    refused(folder, "dtd.tar.gz", content, message)


SOFT, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


def long_chain():
    """Return links as in CVE-2025-4517: the disk cannot say where so long a path leads."""
    links, path = [], "dtd"
    for letter in "abcdefghijklmnop":
        links.append((tarfile.DIRTYPE, f"{path}/{letter * 247}", ""))
        links.append((SOFT, f"{path}/{letter}", letter * 247))
        path = f"{path}/{letter}"
    up = "/".join([".."] * 17)
    links.append((SOFT, f"{path}/{'l' * 254}", up))
    return [*links, (SOFT, "dtd/escape", f"{path[4:]}/{'l' * 254}/../outside")]


@pytest.mark.fault("an archive with a link that leads outside its folder")
@pytest.mark.parametrize(
    "links",
    [
        [(SOFT, "dtd/up", "../../outside")],
        [(SOFT, "dtd/root", "/etc")],
        [(HARD, "dtd/hard", "../outside")],
        [(SOFT, "dtd/a", "b/../../../outside")],
        [(SOFT, "dtd/a\\..\\b", "c")],
        long_chain(),
    ],
    ids=["up", "absolute", "hard", "down and up", "backslashes", "too long to resolve"],
)
def test_a_link_that_leads_outside_is_refused_and_nothing_stays(links, folder, fault):
    message = r"dtd\.tar\.gz cannot be unpacked: .* leads outside"
    refused(folder, "dtd.tar.gz", links_of(*links), message)
    fault("It is refused, and nothing is written inside or outside.")


def test_a_link_that_stays_inside_is_kept(folder):
    (folder / "dtd.tar").write_bytes(
        links_of((tarfile.REGTYPE, "dtd/b", ""), (SOFT, "dtd/a", "b"), mode="w")
    )
    assert (unpack(folder / "dtd.tar", "dtd") / "a").resolve() == folder / "dtd" / "b"


PLAIN = tar_of({"dtd/a": bytes(512), "dtd/b": b"b" * 700}, mode="w")
# A header and a block of content are 1,024 bytes: what is cut there looks whole.
CUT = PLAIN[:1024]
BAD_HEADER = PLAIN[:1024] + bytes(range(256)) * 2 + PLAIN[1536:]


def with_header(**fields):
    """Return an archive of two members, of which the second's header has other fields."""
    places = {"name": (0, 100), "size": (124, 136), "type": (156, 157)}
    header = bytearray(PLAIN[1024:1536])
    for field, value in fields.items():
        start, end = places[field]
        header[start:end] = value.ljust(end - start, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return PLAIN[:1024] + header + PLAIN[1536:]


# Where the next header would be is this one.
BACK = with_header(size=b"\xff" + (256**11 - 512).to_bytes(11, "big"))
HUGE = with_header(size=b"\x80" + (1 << 70).to_bytes(11, "big"), type=b"x")


@pytest.mark.fault("an archive that is cut short or damaged")
@pytest.mark.parametrize(
    "content",
    [
        CUT,
        gzip.compress(CUT),
        BAD_HEADER,
        gzip.compress(PLAIN)[:-8] + bytes(8),
        BACK,
        gzip.compress(HUGE),
        with_header(name=b"."),
    ],
    ids=["cut", "cut, then compressed", "bad header", "bad checksum", "back", "huge", "folder"],
)
def test_an_archive_that_is_cut_or_damaged_never_passes_for_whole(content, folder, fault):
    refused(folder, "dtd.tar", content, r"dtd\.tar cannot be unpacked")
    (folder / "dtd.tar").write_bytes(PLAIN)
    assert (unpack(folder / "dtd.tar", "dtd") / "b").read_bytes() == b"b" * 700
    fault("It is refused, nothing of it is left, and a whole one is then unpacked.")


@pytest.mark.fault("an archive that a killed process has half unpacked")
def test_what_a_killed_process_half_unpacked_goes_at_the_next_start(folder, fault):
    left = folder / ".mvlib-left"
    (left / "dtd").mkdir(parents=True)
    (left / "lock").write_bytes(b"")
    (folder / "dtd.tar").write_bytes(PLAIN)
    unpack(folder / "dtd.tar", "dtd")
    assert sorted(path.name for path in folder.iterdir()) == ["dtd", "dtd.tar"]
    fault("What it left is removed at the next start.")


def test_a_member_of_a_cut_archive_is_refused(folder):
    (folder / "a.tar").write_bytes(PLAIN[:1800])
    assert read_members(folder / "a.tar", ["dtd/a"]) == [bytes(512)]
    with pytest.raises(ValueError, match="not a readable tar archive"):
        read_members(folder / "a.tar", ["dtd/b"])
    (folder / "a.tar").write_bytes(BACK)
    with pytest.raises(ValueError, match="not a readable tar archive"):
        read_members(folder / "a.tar", ["dtd/b"])
