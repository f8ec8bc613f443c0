import csv
import importlib.util
import io
import re
import shutil
import struct
import sys
import zlib
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mvlib.data import ImageTextPairs, openclipart_pairs
from mvlib.data import openclipart as reader
from mvlib.files import embedded_data

FOLDER = embedded_data() / "openclipart"


@pytest.fixture(scope="module")
def index():
    with open(FOLDER / "index.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def pair_rows():
    with open(embedded_data() / "openclipart_pairs.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def words(text):
    return set(re.findall(r"[^\W_]+", text.lower()))


def singular(texts):
    return {word[:-1] if word.endswith("s") else word for word in texts}


def test_the_index_lists_exactly_the_files_with_their_sha256(index):
    found = {
        path.relative_to(FOLDER).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in FOLDER.rglob("*.png")
    }
    assert found == {row["file"]: row["sha256"] for row in index}
    assert len(set(found.values())) == len(index)


def test_there_are_10_to_16_classes_of_at_most_60_in_under_8_megabytes(index):
    counts = Counter(row["label"] for row in index)
    assert 10 <= len(counts) <= 16
    assert 25 <= min(counts.values()) <= max(counts.values()) <= 60
    assert 600 <= len(index) <= 720
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.*")) < 8_000_000


def test_the_drawings_are_128_pixels_square_on_white_without_metadata(index):
    white_corners = 0
    for row in index:
        with Image.open(FOLDER / row["file"]) as image:
            assert (image.format, image.size, image.info) == ("PNG", (128, 128), {})
            assert image.mode in ("RGB", "P")
            pixels = np.asarray(image.convert("RGB"))
        white_corners += bool((pixels[::127, ::127] == 255).all())
    assert white_corners > 0.95 * len(index)


def test_read_openclipart_gives_paths_labels_names_and_captions_in_the_indexs_order(index):
    paths, y, class_names, captions = reader.read_openclipart()
    assert [path.relative_to(FOLDER).as_posix() for path in paths] == [r["file"] for r in index]
    assert y.dtype == np.int64
    assert [class_names[label] for label in y] == [row["label"] for row in index]
    assert class_names == tuple(sorted(set(class_names)))
    assert captions == tuple(row["caption"] for row in index)


def test_what_a_caller_does_to_the_labels_stays_with_the_caller():
    paths, y, *_ = reader.read_openclipart()
    y[:], first = 7, paths.pop(0)
    paths, y, *_ = reader.read_openclipart()
    assert y[0] == 0
    assert paths[0] == first


def test_pairs_come_in_the_order_of_their_ids_with_captions_and_titles(pair_rows):
    pairs = openclipart_pairs()
    assert isinstance(pairs, ImageTextPairs)
    assert len(pairs) == len(pairs.captions) == len(pairs.titles) == len(pair_rows) > 2000
    assert list(pairs.ids) == [f"pair-{i:04d}" for i in range(len(pairs))]
    assert pairs.captions[5] == pair_rows[5]["caption"]
    assert pairs.titles[5] == pair_rows[5]["title"]


def test_no_pair_is_a_drawing_of_the_evaluation_set(index, pair_rows):
    sources = [row["source"] for row in pair_rows]
    assert len(set(sources)) == len(sources)
    assert not set(sources) & {row["source"] for row in index}


def test_no_pair_is_the_outline_of_a_drawing_of_the_evaluation_set(index, pair_rows):
    originals = {row["source"] for row in index}
    assert not originals & {row["source"].replace("_bw", "") for row in pair_rows}


@pytest.mark.parametrize("rows", ["index", "pair_rows"])
def test_every_drawing_has_a_caption_of_words(rows, request):
    for row in request.getfixturevalue(rows):
        assert re.search(r"[^\W\d_]{3}", row["caption"]), row


def test_captions_do_not_give_the_class_or_its_folder_away(index):
    for row in index:
        folder = row["source"].rsplit("/", 1)[0]
        given = singular(words(f"{folder} {row['label']}")) - {"and"}
        said = singular(words(row["caption"]))
        assert not said & given, row


def test_a_damaged_drawing_raises_a_value_error_that_names_it(tmp_path, monkeypatch, index):
    name = index[3]["file"]
    shutil.copytree(FOLDER, tmp_path / "openclipart")
    with open(tmp_path / "openclipart" / name, "ab") as stream:
        stream.write(b"!")
    monkeypatch.setattr(reader, "embedded_data", lambda: tmp_path)
    with pytest.raises(ValueError, match=rf"{re.escape(name)} has sha256 .* expected"):
        reader.read_openclipart()
    (tmp_path / "openclipart" / name).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        reader.read_openclipart()


def test_an_index_of_other_columns_raises_a_value_error(tmp_path, monkeypatch):
    (tmp_path / "openclipart").mkdir()
    (tmp_path / "openclipart" / "index.csv").write_text("file,label\na.png,bird\n")
    monkeypatch.setattr(reader, "embedded_data", lambda: tmp_path)
    with pytest.raises(ValueError, match="columns"):
        reader.read_openclipart()


def test_changed_or_missing_pairs_raise_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "embedded_data", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="openclipart_pairs"):
        openclipart_pairs()
    whole = (embedded_data() / "openclipart_pairs.csv").read_bytes()
    (tmp_path / "openclipart_pairs.csv").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="openclipart_pairs.csv has sha256"):
        openclipart_pairs()


SCRIPT = Path(__file__).resolve().parents[2] / "data" / "build_openclipart.py"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        spec = importlib.util.spec_from_file_location("build_openclipart", SCRIPT)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(SCRIPT.parent))
        for name in [name for name in sys.modules if name.split(".")[0] == "openclipart"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def part(script):
    """Return a module of the script by name."""
    return lambda name: sys.modules[f"openclipart.{name}"]


def drawing(seed, size=(90, 60)):
    """A random drawing on a transparent ground."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGBA", size)
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = rng.integers(8, size[0] // 2, 2) % (np.array(size) - 40) + 4
        colour = (*map(int, rng.integers(0, 200, 3)), 255)
        draw.ellipse((x, y, x + int(rng.integers(10, 30)), y + 20), fill=colour)
    return image


def svg(title, keywords=(), creator="", body=""):
    items = "".join(f"<rdf:li>{keyword}</rdf:li>" for keyword in keywords)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:cc="http://web.resource.org/cc/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><rdf:RDF><cc:Work>
 <dc:title>{title}</dc:title><dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>
 <dc:creator><cc:Agent><dc:title>{creator}</dc:title></cc:Agent></dc:creator>
 </cc:Work></rdf:RDF></metadata>{body}</svg>"""


def put(root, name, image, text):
    for folder in ("png", "svg"):
        (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
    image.save((root / "png" / name).with_suffix(".png"))
    (root / "svg" / name).with_suffix(".svg").write_text(text)


def header(width, height):
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + body
        + struct.pack(">I", zlib.crc32(body))
    )


def test_a_huge_image_is_refused_from_its_header_alone(part, tmp_path):
    huge = tmp_path / "huge.png"
    huge.write_bytes(header(20_990, 29_700))
    assert part("drawings").pixel_size(huge) == (20_990, 29_700)
    assert not part("drawings").is_sane(huge)
    huge.write_bytes(header(1000, 1000))
    assert part("drawings").is_sane(huge)
    huge.write_bytes(header(3, 2))
    assert not part("drawings").is_sane(huge)


def test_what_is_no_png_raises_a_value_error(part, tmp_path):
    (tmp_path / "text.png").write_text("not a picture, but long enough to be one")
    with pytest.raises(ValueError, match="not a PNG"):
        part("drawings").pixel_size(tmp_path / "text.png")


def test_square_cuts_the_margin_and_centres_the_drawing_on_white(part):
    image = Image.new("RGBA", (400, 300))
    ImageDraw.Draw(image).rectangle((300, 20, 359, 49), fill=(200, 0, 0, 255))
    pixels = np.asarray(part("drawings").square(image, 100))
    assert pixels.shape == (100, 100, 3)
    red = (pixels == (200, 0, 0)).all(axis=2)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (26, 72, 3, 96)
    assert (pixels[~red] == 255).all()


def test_square_enlarges_at_most_four_times(part):
    pixels = np.asarray(part("drawings").square(Image.new("L", (24, 24)), 200))
    assert (pixels[52:148, 52:148] == 0).all()
    assert (pixels == 0).all(axis=2).sum() == 96 * 96


@pytest.mark.parametrize("mode", ["RGBA", "L"])
def test_square_gives_none_where_nothing_shows(part, mode):
    image = Image.new(mode, (50, 50), "white")
    assert part("drawings").square(image, 64) is None


def test_links_and_copies_count_once_and_in_all_their_folders(part, tmp_path):
    put(tmp_path, "b/first", drawing(0), svg("First", ["one"]))
    put(tmp_path, "c/copy", drawing(0), svg("Copy"))
    put(tmp_path, "junk/other", drawing(1), svg("Other"))
    (tmp_path / "png/a").mkdir()
    (tmp_path / "png/a/link.png").symlink_to(tmp_path / "png/b/first.png")
    (found,) = part("drawings").read_drawings(tmp_path, junk=["junk"])
    assert found.source == "b/first.png"
    assert found.folders == ("a", "b", "c")
    assert (found.title, found.keywords) == ("First", ("one",))


def test_a_drawing_with_a_picture_left_behind_is_dropped(part, tmp_path):
    put(tmp_path, "a/whole", drawing(0), svg("Whole", body='<image xlink:href="data:,x"/>'))
    put(tmp_path, "a/broken", drawing(1), svg("Broken", body='<image xlink:href="C:/x.png"/>'))
    (found,) = part("drawings").read_drawings(tmp_path)
    assert found.title == "Whole"


def test_a_folder_without_drawings_raises_a_value_error(part, tmp_path):
    with pytest.raises(ValueError, match="holds no png"):
        part("drawings").read_drawings(tmp_path)


def caption(part, title, keywords=(), *, folder="animals/birds", creator="", name="x", **more):
    one = part("drawings").Drawing(f"{folder}/{name}.png", (folder,), title, keywords, creator)
    (text,) = part("captions").make_captions([one], **more)
    return text


@pytest.mark.parametrize(
    ("title", "keywords", "expected"),
    [
        ("Owl on Branch", ("bird", "owl", "night"), "Owl on Branch, night"),
        ("Bird of peace", (), "peace"),
        ("A blackbird_02", ("worm",), "worm"),
        ("Crow &amp; Gull 03", ("hash(0x8a9443c)", "fly"), "Crow Gull, fly"),
        ("Clipart by Ann Lee - swan", ("animal",), "swan"),
        ("Birds", (), "Birds"),
    ],
)
def test_a_caption_is_title_and_keywords_without_the_folders_words(
    part, title, keywords, expected
):
    assert caption(part, title, keywords) == expected


def test_a_drawing_of_a_class_has_no_caption_rather_than_the_classs_words(part):
    assert caption(part, "Birds", ("animal",), labels=["bird"]) == ""


def test_the_names_of_the_class_and_synonyms_of_its_folders_are_left_out(part):
    synonyms = {"bug": ["insect"]}
    text = caption(part, "insect, pest", folder="animals/bugs", synonyms=synonyms)
    assert text == "pest"
    assert caption(part, "tool saw", folder="garden", labels=["tool"]) == "saw"


def test_the_title_of_a_series_gives_way_to_the_files_name_without_its_author(part):
    about = {"name": "grey_heron_ann_l_02", "creator": "Ann Lee", "series": ["my series"]}
    assert caption(part, "My - Series", ("Ann Lee", "pond"), **about) == "grey heron, pond"


def test_near_copies_are_found_by_look_and_others_are_not(part):
    selection, drawings = part("selection"), part("drawings")

    def looks(*images):
        return np.stack([selection.look(drawings.square(image, 192)) for image in images])

    image = drawing(0)
    recoloured = Image.merge("RGBA", [image.split()[i] for i in (1, 2, 0, 3)])
    resized = image.resize((171, 114), Image.BICUBIC)
    evaluation = looks(image)
    near = selection.is_near(
        looks(image, resized, recoloured, drawing(1)), evaluation, selection.NEAR
    )
    assert near.tolist() == [True, True, True, False]
    assert not selection.is_near(evaluation, evaluation[:0], selection.NEAR).any()


def test_the_choice_is_capped_sorted_and_independent_of_the_rest(part, monkeypatch):
    selection, drawings = part("selection"), part("drawings")
    monkeypatch.setattr(selection, "MOST_A_CLASS", 3)
    found = [drawings.Drawing(f"f/{name}.png", ("f",), "", (), "") for name in "abcdefgh"]
    looks = np.eye(8)[:, None].repeat(2, axis=1)
    labels = ["bird"] * 8
    chosen = selection.choose_evaluation(found, labels, looks, ["a"])
    by_hash = sorted("bcdefgh", key=lambda name: sha256(f"f/{name}.png".encode()).digest())
    assert ["abcdefgh"[i] for i in chosen] == sorted(by_hash[:3])
    pairs = selection.choose_pairs(found, looks, chosen, banished=["a"])
    assert set(pairs) == set(range(1, 8)) - set(chosen)


def test_a_name_of_the_choice_that_is_nowhere_raises_a_value_error(part):
    one = part("drawings").Drawing("f/a.png", ("f",), "", (), "")
    with pytest.raises(ValueError, match="typo"):
        part("selection").check_names([one], ["a", "typo"])


def test_a_drawing_of_two_classes_is_in_neither(part):
    classes = {"bird": {"folders": ["b"]}, "sign": {"folders": ["s", "t"], "without": ["x"]}}

    def label(*folders):
        return part("selection").class_of(
            part("drawings").Drawing("s", folders, "", (), ""), classes
        )

    assert label("b", "q") == "bird"
    assert label("b", "t") is None
    assert label("b", "t", "x") == "bird"
    assert label("q") is None


def test_two_builds_of_the_same_packages_give_the_same_bytes(script, tmp_path, monkeypatch):
    # In folders that the script's own choice names.
    root = tmp_path / "packages"
    names = ["animals/birds/owl", "animals/birds/crow", "tools/saw", "tools/axe", "office/desk"]
    for seed, name in enumerate(names):
        put(root, name, drawing(seed), svg(name.rsplit("/", 1)[-1], ["thing"]))
    monkeypatch.setattr(script, "check_names", lambda *_: None)
    builds = []
    for number in range(2):
        checkout, pairs_to = tmp_path / f"out{number}", tmp_path / f"pairs{number}"
        counts = script.build(root, pairs_to, checkout)
        files = [path for top in (checkout, pairs_to) for path in sorted(top.rglob("*.*"))]
        builds.append([(path.name, path.read_bytes()) for path in files])
    assert builds[0] == builds[1]
    assert counts == {"bird": 2, "tool": 2, "pairs": 1}
    made = list(csv.DictReader(io.StringIO(dict(builds[0])["index.csv"].decode())))
    assert list(made[0]) == ["file", "label", "title", "caption", "sha256", "source"]
    assert [row["caption"] for row in made] == [
        "crow, thing",
        "owl, thing",
        "axe, thing",
        "saw, thing",
    ]
    made = list(csv.DictReader(io.StringIO(dict(builds[0])["openclipart_pairs.csv"].decode())))
    assert list(made[0]) == ["id", "title", "caption", "source"]
