"""`mvlib cluster` writes its own files and no other, and tells mistakes in one line."""

import io
import os
import re
import subprocess
import sys

import pytest
from report_stand_ins import ColourEncoder, Page, rows_of, write_patches

from mvlib import encoders
from mvlib.cli import main
from mvlib.report.output import COLUMNS


@pytest.fixture(autouse=True)
def colour_encoder(monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda name, **_: ColourEncoder(), raising=False)


@pytest.fixture
def folder(tmp_path):
    write_patches(tmp_path / "images")
    return tmp_path / "images"


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\ufeffred\n\n  green \nblue\nred\ngrey\n", encoding="utf-8")
    return path


def run(*arguments):
    return main(["cluster", *map(str, arguments)])


def test_the_command_writes_its_files_and_says_what_it_found(folder, words, tmp_path, capsys):
    (folder / "notes.txt").write_text("x")
    (folder / "text.png").write_text("no image")
    out = tmp_path / "a" / "report"
    given = ("-k", 3, "--words", words, "--out", out)
    assert run(folder, *given) == 0
    names = ["groups.json", "labels.csv", "report.html", "skipped.csv"]
    assert sorted(path.name for path in out.iterdir()) == names
    said = capsys.readouterr().out
    assert "19 images in 3 groups" in said
    assert re.search(r"1  red +8\n +2  green +6\n", said)
    assert "skipped: 1" in said
    assert "not images: 1" in said
    assert str(out / "report.html") in said
    rows = rows_of(out)
    assert len(rows) == 19
    assert tuple(rows[0]) == COLUMNS == ("file", "cluster", "cluster_name", "confidence")
    numbers = {"red": "1", "green": "2", "blue": "3"}
    for row in rows:
        assert row["file"].startswith(row["cluster_name"])
        assert row["cluster"] == numbers[row["cluster_name"]]
        assert 0 <= float(row["confidence"]) <= 1
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert "19 images in 3 groups" in page.text
    assert "text.pngnot an image" in page.text
    assert "1 file that is not an image was passed over" in page.text


@pytest.mark.parametrize("name", ["labels.csv", "report.html", "groups.json", "skipped.csv"])
def test_files_of_others_are_not_overwritten(folder, tmp_path, name, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("file,label\na,1\n")
    assert run(folder, "-k", 2, "--out", tmp_path / "out") == 2
    assert f"holds a {name}" in capsys.readouterr().err
    assert (tmp_path / "out" / name).read_text() == "file,label\na,1\n"
    assert len(list((tmp_path / "out").iterdir())) == 1


BAD = {
    "missing": (["{}/nothing", "-k", "2"], "cannot be read"),
    "file": (["{}/words.txt", "-k", "2"], "Not a directory"),
    "empty name": (["", "-k", "2"], "cannot be read"),
    "no image": (["{}/none", "-k", "2", "--out", "{}/none"], "skipped.csv names what is there"),
    "too few": (["{}/images", "-k", "20"], "more than the 19 usable images"),
    "zero": (["{}/images", "-k", "0"], "-k 0: expected"),
    "one": (["{}/images", "-k", "1"], "-k 1: expected"),
    "negative": (["{}/images", "-k", "-3"], "-k -3: expected"),
    "no number": (["{}/images", "-k", "many"], "-k many: expected"),
    "fraction": (["{}/images", "-k", "2.5"], "-k 2.5: expected"),
    "seed": (["{}/images", "--seed", "-1"], "--seed -1: expected"),
    "method": (["{}/images", "--method", "cea"], "Did you mean 'cae'"),
    "words": (["{}/images", "--words", "{}/nothing"], "words=.*cannot be read"),
    "words not utf-8": (["{}/images", "--words", "{}/latin.txt"], "not UTF-8"),
    "no words": (["{}/images", "--captions", "{}/blank.txt"], "captions=.*no text"),
    "one word": (["{}/images", "--words", "{}/one.txt"], "words=.*holds 1 text"),
    "escapes": (["{}/images", "--words", "{}/escapes.txt"], "words=.*control characters"),
    "no column": (["{}/images", "--words", "{}/table.csv"], "columns 'id', 'what'"),
    "kind of file": (["{}/images", "--words", "{}/words.xlsx"], "of a kind that is not read"),
    "captions unread": (["{}/images", "--captions", "{}/words.txt"], "not read by method"),
    "two channels": (["{}/images", "--channels", "0,1"], "expected one, or three"),
    "no channel": (["{}/images", "--channels", "a"], "--channels a: expected"),
    "megapixels": (["{}/images", "--max-megapixels", "0"], "--max-megapixels 0: expected"),
    "out is a file": (["{}/images", "-k", "2", "--out", "{}/words.txt"], "not a folder"),
    "out below a file": (["{}/images", "-k", "2", "--out", "{}/words.txt/a"], "not a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_one_line_and_leaves_nothing(
    case, folder, words, tmp_path, capsys, monkeypatch
):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.txt").write_text("x")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "one.txt").write_text("cat\n")
    (tmp_path / "escapes.txt").write_text("red\x1b[31m\ncat\n")
    (tmp_path / "table.csv").write_text("id,what\n1,cat\n2,dog\n")
    (tmp_path / "words.xlsx").write_bytes(b"PK")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    arguments, expected = BAD[case]
    assert run(*(argument.format(tmp_path) for argument in arguments)) == 2
    said = capsys.readouterr()
    assert re.search(expected, said.err)
    assert said.err.startswith("mvlib: ")
    assert said.err.count("\n") == 1
    left = set(tmp_path.rglob("*")) - set(before)
    assert {path.name for path in left} == ({"skipped.csv"} if case == "no image" else set())


def test_an_out_that_cannot_be_written_is_told_before_anything_is_read(
    folder, tmp_path, monkeypatch, capsys
):
    access = os.access
    closed = tmp_path / "closed"
    closed.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and access(path, mode))
    assert run(folder, "-k", 2, "--out", closed / "report") == 2
    assert "cannot be written to" in capsys.readouterr().err


def test_a_list_of_paths_comes_from_standard_input(folder, tmp_path, monkeypatch, capsys):
    listed = [str(path) for path in sorted(folder.iterdir())[:9]]
    for separator in "\n\0":
        monkeypatch.setattr("sys.stdin", io.StringIO(separator.join([*listed, ""])))
        assert run("-", "-k", 2, "--out", tmp_path / "out") == 0
        assert "9 images in 2 groups" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert run("-", "-k", 2, "--out", tmp_path / "out") == 2
    assert "empty list" in capsys.readouterr().err


def test_options_reach_what_they_are_about(folder, tmp_path, capsys):
    (tmp_path / "block.txt").write_text("red\n")
    (tmp_path / "words.txt").write_text("red\ngreen\nblue\n")
    texts = ("--words", tmp_path / "words.txt", "--block", tmp_path / "block.txt")
    how = ("--exclude", "blue*", "--exclude", "green0*", "--channels", "0,1,2")
    assert run(folder, "-k", 2, *texts, *how, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "13 images in 2 groups" in said
    assert "skipped: 6; skipped.csv" in said
    assert " red " not in said
    skipped = (tmp_path / "out" / "skipped.csv").read_text().splitlines()
    assert skipped[0] == "file,reason"
    assert skipped[1].startswith('"blue0.png","left out')
    assert run(folder, "-k", 2, *texts, "--max-megapixels", 1, "--out", tmp_path / "out") == 0


@pytest.mark.parametrize("arguments", [["/nowhere"], ["."] + ["--words", "/nowhere"]])
def test_a_mistake_is_told_before_torch_is_imported(arguments):
    code = f"import sys; from mvlib.cli import main; print(main(['cluster', *{arguments}]))\n"
    code += "print({'torch', 'sklearn', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["2", "set()"]
    assert "nowhere" in done.stderr
