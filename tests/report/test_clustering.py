"""A folder becomes named groups and one page that needs nothing else."""

import base64
import json
import re

import numpy as np
import pytest
from PIL import Image
from report_stand_ins import COLOURS, ColourEncoder, Page, rows_of, write_patches

from mvlib.report import cluster_folder, image_folder, search_folder
from mvlib.report.image_folder import thumbnail_uris
from mvlib.report.output import _no_formula

ODD_NAMES = ("=1+1|cmd.png", "a <b>&'\" \u00e9\u4e2d.png", "new\nline.png", "-dash.png")


@pytest.fixture
def folder(tmp_path):
    write_patches(tmp_path / "images")
    return tmp_path / "images"


def cluster(folder, out=None, n_clusters=3, method="kmeans", **settings):
    settings = {"words": list(COLOURS)} | settings
    if method == "cae":
        settings["captions"] = ["a red thing", "a blue thing"]
    encoder = ColourEncoder()
    return cluster_folder(
        folder, n_clusters, method=method, encoder=encoder, out=out, **settings
    )


@pytest.mark.parametrize("method", ["kmeans", "cae", "tac", "ntk"])
def test_each_method_finds_the_colours_and_names_them(folder, method):
    result = cluster(folder, method=method)
    assert result.names == ("red", "green", "blue")
    assert result.sizes.tolist() == [8, 6, 5]
    for file, label in zip(result.files, result.labels, strict=True):
        assert file.startswith(result.names[label])
    assert result.confidence.min() > 0.3
    assert (result.next_group != result.labels).all()
    assert result.report is None


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path):
    for name in "ab":
        cluster(folder, tmp_path / name, method="cae", random_state=3)
    for file in ("labels.csv", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_page_loads_nothing_and_describes_every_image(folder, tmp_path):
    cluster(folder, tmp_path / "out", n_clusters="auto")
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(https?:)?//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", text))
    page = Page(text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            target = attributes.get(name, "#")
            assert target.startswith(("#", "data:image/webp;base64,")), (tag, target)
    images = page.all("img")
    assert len(images) == 19
    assert {image["alt"] for image in images} == {path.name for path in folder.iterdir()}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-controls", "aria-describedby"):
            assert set(attributes.get(name, "").split()) <= set(ids)
        if attributes.get("href", "#").startswith("#"):
            assert attributes.get("href", "#")[1:] in ("", *ids)
    (policy,) = [meta for meta in page.all("meta") if "http-equiv" in meta]
    assert "default-src 'none'" in policy["content"]
    assert len([p for p in page.all("use") if p["class"].startswith("p ")]) == 19
    assert "Why 3 groups?" in page.text
    assert "19 images in 3 groups" in page.text


def test_names_from_anybody_stay_text_in_the_page_and_in_the_table(tmp_path):
    folder = tmp_path / "<i>images & co"
    for name, patch in zip(ODD_NAMES, write_patches(folder, (4, 4, 4))[::3], strict=True):
        (folder / patch).rename(folder / name)
    words = ["=red", "green<script>alert(1)</script>", "blue"]
    result = cluster(folder, tmp_path / "out", words=words)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "<script>alert" not in text
    assert len(page.all("script")) == 2
    assert not page.all("i-images")
    alts = [image["alt"] for image in page.all("img")]
    assert set(ODD_NAMES) <= set(alts)
    assert "<b>&'" not in text.replace("\\u003cb\\u003e", "")
    rows = rows_of(tmp_path / "out")
    files = [row["file"] for row in rows]
    assert {"./=1+1|cmd.png", "./-dash.png", ODD_NAMES[1], ODD_NAMES[2]} <= set(files)
    assert all((folder / file).is_file() for file in files)
    assert {row["cluster_name"] for row in rows} == {"'=red", words[1], "blue"}
    assert len(rows) == len(result.files) == 12


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_starts_a_formula(start):
    assert _no_formula(start + "cmd", "'") == "'" + start + "cmd"
    assert _no_formula("a" + start, "'") == "a" + start


def test_a_second_run_replaces_its_own_files_and_neither_reads_nor_touches_others(folder):
    out = folder / "report"
    cluster(folder, out)
    (out / "mine.txt").write_text("mine")
    result = cluster(folder, out, n_clusters=2)
    # It lies inside the folder of images, and is no part of it.
    assert (len(result.files), result.others) == (19, ("report/mine.txt",))
    assert {row["cluster"] for row in rows_of(out)} == {"1", "2"}
    assert (out / "mine.txt").read_text() == "mine"
    assert len(list(out.iterdir())) == 5


def test_a_write_that_fails_keeps_the_earlier_report_and_leaves_no_folder(
    folder, tmp_path, monkeypatch
):
    cluster(folder, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mvlib.report.output.write_table", fail)
    for out in (tmp_path / "out", tmp_path / "new" / "er"):
        with pytest.raises(OSError, match="No space"):
            cluster(folder, out, n_clusters=2)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_copies_of_one_image_come_out_as_one_group_without_a_warning(tmp_path, recwarn):
    (name,) = write_patches(tmp_path / "images", (1, 0, 0))
    content = (tmp_path / "images" / name).read_bytes()
    for number in range(6):
        (tmp_path / "images" / f"copy{number}.png").write_bytes(content)
    result = cluster(tmp_path / "images", tmp_path / "out")
    assert result.sizes.tolist() == [7]
    assert not recwarn.list
    assert (tmp_path / "out" / "report.html").is_file()


def test_thumbnails_shrink_until_the_page_is_small_enough(folder):
    files = sorted(path.name for path in folder.iterdir())
    free = thumbnail_uris(folder, files, range(19))
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    large = thumbnail_uris(folder, ["noise.png"], [0])
    small = thumbnail_uris(folder, ["noise.png"], [0], max_bytes=20_000)
    assert len(free) == 19
    assert len(large[0]) > 20_000 > len(small[0])


def test_thumbnails_carry_no_metadata_of_the_originals(tmp_path):
    image = Image.new("RGB", (50, 50), "red")
    exif = image.getexif()
    exif[0x010E] = "taken at home"
    image.save(tmp_path / "photo.jpg", exif=exif)
    (uri,) = thumbnail_uris(tmp_path, ["photo.jpg"], [0]).values()
    assert b"taken at home" not in base64.b64decode(uri.split(",")[1])


def beside(out):
    return sorted(path.name for path in (out / "report_thumbs").iterdir())


def test_images_beyond_those_in_the_page_lie_beside_it_and_are_made_once(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("mvlib.report.image_folder.PER_GROUP", 3)
    (folder / "red-copy.png").write_bytes((folder / "red0.png").read_bytes())
    # In the folder of images, of which it is no part.
    out = folder / "report"
    cluster(folder, out)
    first = beside(out)
    data = json.loads(
        re.search(r'id="data">(.*?)</script>', (out / "report.html").read_text())[1]
    )
    inside = {
        int(row) for row in re.findall(r'id="image-(\d+)"', (out / "report.html").read_text())
    }
    rows = inside | {int(row) for row in (*data["thumbs"], *data["extra"])}
    assert rows == set(range(20))
    assert sorted(set(data["thumbs"].values())) == [f"report_thumbs/{name}" for name in first]
    with Image.open(out / data["thumbs"][min(data["thumbs"])]) as image:
        assert image.size == (32, 24)
    (out / "report_thumbs" / "mine.webp").write_bytes(b"mine")
    made = []
    small_copy = image_folder._small_copy
    monkeypatch.setattr(
        image_folder,
        "_small_copy",
        lambda *given: made.append(given[1]) or small_copy(*given),
    )
    cluster(folder, out)
    assert beside(out) == sorted([*first, "mine.webp"])
    assert set(made) == {320}
    monkeypatch.setattr("mvlib.report.image_folder.PER_GROUP", 60)
    assert len(cluster(folder, out).files) == 20
    assert beside(out) == ["mine.webp"]
    assert search_folder(folder, "red", encoder=ColourEncoder(), n=99)[20:] == []


def test_a_write_that_fails_takes_its_own_small_copies_back(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("mvlib.report.image_folder.PER_GROUP", 3)

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("mvlib.report.output.write_table", fail)
        with pytest.raises(OSError, match="No space"):
            cluster(folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr("mvlib.report.image_folder.MAX_FOLDER_BYTES", 500)
    cluster(folder, tmp_path / "out")
    sizes = [path.stat().st_size for path in (tmp_path / "out" / "report_thumbs").iterdir()]
    assert sizes
    assert sum(sizes) <= 500
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "report_thumbs").write_text("mine")
    with pytest.raises(ValueError, match="holds a file report_thumbs"):
        cluster(folder, tmp_path / "file")


def test_what_fits_nowhere_comes_last_under_no_name_and_stays_there(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "mvlib.report.clustering.fit_nowhere", lambda features: np.arange(len(features)) < 2
    )
    plain = cluster(folder, tmp_path / "plain")
    assert (len(plain.names), plain.sizes.tolist()) == (3, [8, 6, 5])
    result = cluster(folder, tmp_path / "out", apart=True)
    assert result.names == ("red", "green", "blue", "none of these")
    assert [result.files[row] for row in np.flatnonzero(result.labels == 3)] == [
        "blue0.png",
        "blue1.png",
    ]
    assert result.confidence[:2].tolist() == [0, 0]
    assert 3 not in result.next_group
    assert rows_of(tmp_path / "out")[0]["cluster_name"] == "none of these"
    assert not (tmp_path / "out" / "edits.json").exists()
    later = cluster(folder, tmp_path / "out", update=True)
    assert later.names == result.names
    assert (later.labels == result.labels).all()
    monkeypatch.setattr(
        "mvlib.report.clustering.fit_nowhere", lambda features: np.arange(len(features)) < 0
    )
    assert cluster(folder, apart=True).names == plain.names
