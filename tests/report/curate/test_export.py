"""Groups are taken away whole or not at all, over no file of others, and back again."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from report_stand_ins import COLOURS, ColourEncoder, cluster_patches, write_patches

from mvlib import encoders
from mvlib.check import check_schema
from mvlib.cli import main
from mvlib.report.curate import export
from mvlib.report.curate.export import export_groups, folder_name, sidecar_text, take_back

SCHEMA = Path(export.__file__).with_name("groups.schema.json")


@pytest.fixture
def folder(tmp_path):
    write_patches(tmp_path / "images", (3, 2, 2))
    (tmp_path / "images" / "more").mkdir()
    (tmp_path / "images" / "red0.png").rename(tmp_path / "images" / "more" / "red\u00e9.png")
    return tmp_path / "images"


def tree(folder):
    """Return what each path below a folder is and holds."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink()
        else path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["link", "copy", "move"])
def test_each_image_lands_in_its_group_and_undo_restores_every_byte(kind, folder, tmp_path):
    result = cluster_patches(folder)
    before = tree(tmp_path)
    shown = export_groups(result, tmp_path / "out", kind, sidecars=True, dry_run=True)
    assert tree(tmp_path) == before
    steps = export_groups(result, tmp_path / "out", kind, sidecars=True)
    assert steps == shown
    groups = tmp_path / "out" / "groups"
    assert (groups / "01 red" / "more" / "red\u00e9.png").is_file()
    assert {path.name for path in (groups / "02 blue").iterdir()} == {
        "blue0.png", "blue1.png", "blue0.png.xmp", "blue1.png.xmp",
    }  # fmt: skip
    for step in steps:
        if step.kind == kind:
            name = str(Path(step.source).relative_to(folder))
            assert Path(step.target).read_bytes() == before[f"images/{name}"]
            assert Path(step.target).is_symlink() == (kind == "link")
            assert Path(step.source).exists() != (kind == "move")
    assert take_back(tmp_path / "out", folder) == []
    assert not list((tmp_path / "out").iterdir())
    (tmp_path / "out").rmdir()
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", ["link", "move"])
def test_folders_that_were_moved_together_keep_links_and_the_way_back(kind, folder, tmp_path):
    (tmp_path / "a").mkdir()
    folder = folder.rename(tmp_path / "a" / "images")
    files = tree(folder)
    export_groups(cluster_patches(folder), tmp_path / "a" / "out", kind)
    (tmp_path / "a").rename(tmp_path / "b")
    assert (tmp_path / "b" / "out" / "groups" / "01 red" / "red1.png").is_file()
    assert take_back(tmp_path / "b" / "out", tmp_path / "b" / "images") == []
    assert not (tmp_path / "b" / "out" / "groups").exists()
    assert tree(tmp_path / "b" / "images") == files


def test_a_file_of_others_in_the_way_stops_an_export_before_anything_is_done(folder, tmp_path):
    result = cluster_patches(folder)
    mine = tmp_path / "out" / "groups" / "03 green" / "green1.png"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    (folder / "green0.png.xmp").write_text("mine, too")
    before = tree(tmp_path)
    for given in ({"kind": "copy"}, {"kind": "move"}, {"sidecars": True}):
        with pytest.raises(ValueError, match="in the way"):
            export_groups(result, tmp_path / "out", **given)
        assert tree(tmp_path) == before


def test_an_export_that_fails_halfway_leaves_no_trace(folder, tmp_path, monkeypatch):
    result = cluster_patches(folder)
    before, done = tree(tmp_path), []
    real = export._move

    def fail_late(source, target):
        done.append(target)
        if len(done) == 4:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(export, "_move", fail_late)
    with pytest.raises(OSError, match="No space"):
        export_groups(result, tmp_path / "out", "move", sidecars=True)
    assert len(done) > 4
    (tmp_path / "out").rmdir()
    assert tree(tmp_path) == before


def test_a_second_export_replaces_the_first_and_keeps_what_somebody_changed(folder, tmp_path):
    out = tmp_path / "out"
    result = cluster_patches(folder)
    export_groups(result, out, "copy")
    first = tree(out)
    export_groups(result, out, "link")
    export_groups(result, out, "copy")
    assert tree(out) == first
    changed = out / "groups" / "02 blue" / "blue0.png"
    changed.write_text("painted over")
    with pytest.raises(ValueError, match="in the way"):
        export_groups(result, out, "copy")
    assert [Path(step.target) for step in take_back(out, folder)] == [changed]
    assert changed.read_text() == "painted over"
    assert [path for path in (out / "groups").rglob("*") if path.is_file()] == [changed]


def test_moved_images_come_back_over_no_file_that_took_their_place(folder, tmp_path):
    out = tmp_path / "out"
    result = cluster_patches(folder)
    export_groups(result, out, "move")
    with pytest.raises(ValueError, match="--undo first"):
        export_groups(result, out, "copy")
    (folder / "red1.png").write_text("a newer one")
    left = take_back(out, folder)
    assert [Path(step.source).name for step in left] == ["red1.png"]
    assert (folder / "red1.png").read_text() == "a newer one"
    (folder / "red1.png").unlink()
    assert take_back(out, folder) == []
    assert (folder / "red1.png").stat().st_size > 100


@pytest.mark.parametrize("source", ["../.profile", "/home/x/.profile"])
@pytest.mark.parametrize("kind", ["move", "sidecar"])
def test_a_list_that_leads_out_of_the_two_folders_is_not_followed(
    kind, source, folder, tmp_path
):
    out = tmp_path / "out"
    out.mkdir()
    (out / "evil").write_text("evil")
    step = {"kind": kind, "source": source, "target": "evil", "mark": "evil"}
    if kind == "sidecar":
        step |= {"source": "red1.png", "target": source}
    (out / "export.json").write_text(json.dumps({"format": "mvlib export 1", "steps": [step]}))
    before = tree(tmp_path)
    with pytest.raises(ValueError, match="no list of an export"):
        take_back(out, folder)
    assert tree(tmp_path) == before


def test_what_was_exported_into_the_folder_of_images_is_not_read_as_images(folder):
    out = folder / "report"
    result = cluster_patches(folder, out)
    export_groups(result, out, "copy", sidecars=True)
    again = cluster_patches(folder, out)
    assert again.files == result.files
    assert again.others == ()
    take_back(out, folder)
    export_groups(result, out, sidecars=True)
    assert cluster_patches(folder, out).files == result.files


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("beach", "07 beach"),
        ("a/b\\c: d?", "07 a_b_c_ d_"),
        ("..", "07"),
        ("x" * 99, "07 " + "x" * 60),
        ("dots. ", "07 dots"),
    ],
)
def test_names_of_folders_fit_every_file_system(name, expected):
    assert folder_name(7, name) == expected


def test_a_sidecar_is_xml_with_the_group_as_subject_and_below_groups():
    parsed = ElementTree.fromstring(sidecar_text('<cats> & "dogs"|\x01').encode())
    texts = [node.text for node in parsed.iter() if node.tag.endswith("}li")]
    assert texts == ['<cats> & "dogs"|', 'groups|<cats> & "dogs"/']


def test_the_json_follows_its_schema_and_agrees_with_the_tables(folder, tmp_path):
    (folder / "text.png").write_text("no image")
    result = cluster_patches(folder, tmp_path / "out", vectors=True)
    content = json.loads((tmp_path / "out" / "groups.json").read_text(encoding="utf-8"))
    check_schema("groups.json", content, SCHEMA)
    assert [group["name"] for group in content["groups"]] == list(result.names)
    assert [row["file"] for row in content["images"]] == list(result.files)
    assert [row["group"] - 1 for row in content["images"]] == result.labels.tolist()
    assert [row["file"] for row in content["skipped"]] == ["text.png"]
    lines = (tmp_path / "out" / "embeddings.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["cluster_name"] for row in rows] == [result.names[k] for k in result.labels]
    assert rows[2]["vector"] == pytest.approx(result.embedding[2].tolist())


def test_a_table_that_was_edited_by_hand_is_not_overwritten(folder, tmp_path):
    table = tmp_path / "out" / "labels.csv"
    cluster_patches(folder, tmp_path / "out")
    cluster_patches(folder, tmp_path / "out")
    table.write_text(table.read_text().replace('"red"', '"scarlet"'))
    edited = table.read_bytes()
    with pytest.raises(ValueError, match="changed since it was written"):
        cluster_patches(folder, tmp_path / "out")
    assert table.read_bytes() == edited


def test_the_command_exports_says_so_and_undoes(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(encoders, "load", lambda name, **_: ColourEncoder(), raising=False)
    words = tmp_path / "words.txt"
    words.write_text("\n".join(COLOURS))
    given = ["cluster", folder, "-k", 3, "--method", "kmeans", "--words", words]
    given = [*map(str, given), "--out", str(tmp_path / "out")]
    (folder / "red1.png").rename(folder / "red\x1b[31m.png")
    assert main([*given, "--export", "link", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert "link: " in said
    assert "exported: 7 files, not yet" in said
    assert not (tmp_path / "out" / "groups").exists()
    assert main([*given, "--export", "link", "--sidecars", "--vectors"]) == 0
    assert "exported: 14 files\n" in capsys.readouterr().out
    assert main([*given, "--undo"]) == 0
    assert capsys.readouterr().out == "undone\n"
    assert not (tmp_path / "out" / "groups").exists()
    assert main([*given, "--export", "shift"]) == 2
    assert "export='shift'" in capsys.readouterr().err
