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


def rows_of(name):
    with open(embedded_data() / name, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def index():
    return rows_of("openclipart/index.csv")


@pytest.fixture(scope="module")
def pair_rows():
    return rows_of("openclipart_pairs.csv")


def words(text):
    return set(re.findall(r"[^\W_]+", text.lower()))


def singular(texts):
    return {word[:-1] if word.endswith("s") else word for word in texts}


def test_the_index_lists_exactly_the_files_with_their_sha256_and_a_fair_class_each(index):
    found = {
        path.relative_to(FOLDER).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in FOLDER.rglob("*.png")
    }
    assert found == {row["file"]: row["sha256"] for row in index}
    assert 600 <= len(set(found.values())) == len(index) <= 720
    counts = Counter(row["label"] for row in index)
    assert 10 <= len(counts) <= 16
    assert 25 <= min(counts.values()) <= max(counts.values()) <= 60
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


def test_paths_labels_names_and_captions_come_in_the_indexs_order_and_are_the_callers(index):
    for _ in range(2):
        paths, y, class_names, captions = reader.read_openclipart()
        found = [path.relative_to(FOLDER).as_posix() for path in paths]
        assert found == [row["file"] for row in index]
        assert [class_names[label] for label in y] == [row["label"] for row in index]
        assert y.dtype == np.int64
        assert class_names == tuple(sorted(set(class_names)))
        assert captions == tuple(row["caption"] for row in index)
        # What a caller does to them is not seen by the next one.
        y[:] = 7
        paths.pop(0)


def test_pairs_come_in_the_order_of_their_ids_with_captions_and_titles(pair_rows):
    pairs = openclipart_pairs()
    assert isinstance(pairs, ImageTextPairs)
    assert len(pairs) > 2000
    assert list(pairs.ids) == [f"pair-{i:04d}" for i in range(len(pairs))]
    assert list(pairs.captions) == [row["caption"] for row in pair_rows]
    assert list(pairs.titles) == [row["title"] for row in pair_rows]


def test_no_pair_is_a_drawing_of_the_evaluation_set_or_its_outline(index, pair_rows):
    sources = [row["source"] for row in pair_rows]
    assert len(set(sources)) == len(sources)
    originals = {row["source"] for row in index}
    assert not originals & {*sources, *(source.replace("_bw", "") for source in sources)}


def test_every_drawing_has_a_caption_of_words_that_give_no_class_or_folder_away(
    index, pair_rows
):
    for row in index + pair_rows:
        assert re.search(r"[^\W\d_]{3}", row["caption"]), row
    for row in index:
        folder = row["source"].rsplit("/", 1)[0]
        given = singular(words(f"{folder} {row['label']}")) - {"and"}
        assert not singular(words(row["caption"])) & given, row


def test_damaged_or_missing_drawings_index_and_pairs_are_named(tmp_path, monkeypatch, index):
    monkeypatch.setattr(reader, "embedded_data", lambda: tmp_path)
    name = index[3]["file"]
    shutil.copytree(FOLDER, tmp_path / "openclipart")
    drawing, listed = tmp_path / "openclipart" / name, tmp_path / "openclipart/index.csv"
    drawing.write_bytes(drawing.read_bytes() + b"!")
    with pytest.raises(ValueError, match=rf"{re.escape(name)} has sha256 .* expected"):
        reader.read_openclipart()
    drawing.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        reader.read_openclipart()
    listed.write_text("file,label\na.png,bird\n")
    with pytest.raises(ValueError, match="columns"):
        reader.read_openclipart()
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
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13)
    return start + body + struct.pack(">I", zlib.crc32(body))


def test_a_huge_or_tiny_image_is_refused_from_its_header_alone(part, tmp_path):
    path = tmp_path / "a.png"
    for size, sane in (((20_990, 29_700), False), ((1000, 1000), True), ((3, 2), False)):
        path.write_bytes(header(*size))
        assert part("drawings").pixel_size(path) == size
        assert part("drawings").is_sane(path) == sane
    path.write_text("not a picture, but long enough to be one")
    with pytest.raises(ValueError, match="not a PNG"):
        part("drawings").pixel_size(path)


def test_square_cuts_the_margin_and_centres_the_drawing_on_white(part):
    image = Image.new("RGBA", (400, 300))
    ImageDraw.Draw(image).rectangle((300, 20, 359, 49), fill=(200, 0, 0, 255))
    pixels = np.asarray(part("drawings").square(image, 100))
    assert pixels.shape == (100, 100, 3)
    red = (pixels == (200, 0, 0)).all(axis=2)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (26, 72, 3, 96)
    assert (pixels[~red] == 255).all()


def test_square_enlarges_at_most_four_times_and_gives_none_where_nothing_shows(part):
    pixels = np.asarray(part("drawings").square(Image.new("L", (24, 24)), 200))
    assert (pixels[52:148, 52:148] == 0).all()
    assert (pixels == 0).all(axis=2).sum() == 96 * 96
    for mode in ("RGBA", "L"):
        assert part("drawings").square(Image.new(mode, (50, 50), "white"), 64) is None


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
    with pytest.raises(ValueError, match="holds no png"):
        part("drawings").read_drawings(tmp_path)
    put(tmp_path, "a/whole", drawing(0), svg("Whole", body='<image xlink:href="data:,x"/>'))
    put(tmp_path, "a/broken", drawing(1), svg("Broken", body='<image xlink:href="C:/x.png"/>'))
    (found,) = part("drawings").read_drawings(tmp_path)
    assert found.title == "Whole"


def caption(part, title, keywords=(), *, folder="animals/birds", creator="", name="x", **more):
    one = part("drawings").Drawing(f"{folder}/{name}.png", (folder,), title, keywords, creator)
    (text,) = part("captions").make_captions([one], **more)
    return text


HERON = {"name": "grey_heron_ann_l_02", "creator": "Ann Lee", "series": ["my series"]}


@pytest.mark.parametrize(
    ("title", "keywords", "more", "expected"),
    [
        ("Owl on Branch", ("bird", "owl", "night"), {}, "Owl on Branch, night"),
        ("Bird of peace", (), {}, "peace"),
        ("A blackbird_02", ("worm",), {}, "worm"),
        ("Crow &amp; Gull 03", ("hash(0x8a9443c)", "fly"), {}, "Crow Gull, fly"),
        ("Clipart by Ann Lee - swan", ("animal",), {}, "swan"),
        ("Birds", (), {}, "Birds"),
        # A drawing of a class has no caption rather than the class's words.
        ("Birds", ("animal",), {"labels": ["bird"]}, ""),
        ("tool saw", (), {"folder": "garden", "labels": ["tool"]}, "saw"),
        ("insect, pest", (), {"folder": "animals/bugs", "synonyms": {"bug": ["insect"]}},
         "pest"),
        # The title of a series gives way to the file's name without its author.
        ("My - Series", ("Ann Lee", "pond"), HERON, "grey heron, pond"),
    ],
)  # fmt: skip
def test_a_caption_is_title_and_keywords_without_words_of_folder_and_class(
    part, title, keywords, more, expected
):
    assert caption(part, title, keywords, **more) == expected


def test_near_copies_are_found_by_look_and_others_are_not(part):
    selection, drawings = part("selection"), part("drawings")

    def looks(*images):
        return np.stack([selection.look(drawings.square(image, 192)) for image in images])

    image = drawing(0)
    recoloured = Image.merge("RGBA", [image.split()[i] for i in (1, 2, 0, 3)])
    resized = image.resize((171, 114), Image.BICUBIC)
    several, one = looks(image, resized, recoloured, drawing(1)), looks(image)
    near = selection.is_near(several, one, selection.NEAR)
    assert near.tolist() == [True, True, True, False]
    assert not selection.is_near(one, one[:0], selection.NEAR).any()


def test_the_choice_is_capped_sorted_and_independent_of_the_rest(part, monkeypatch):
    selection, drawings = part("selection"), part("drawings")
    monkeypatch.setattr(selection, "MOST_A_CLASS", 3)
    found = [drawings.Drawing(f"f/{name}.png", ("f",), "", (), "") for name in "abcdefgh"]
    looks = np.eye(8)[:, None].repeat(2, axis=1)
    chosen = selection.choose_evaluation(found, ["bird"] * 8, looks, ["a"])
    by_hash = sorted("bcdefgh", key=lambda name: sha256(f"f/{name}.png".encode()).digest())
    assert ["abcdefgh"[i] for i in chosen] == sorted(by_hash[:3])
    pairs = selection.choose_pairs(found, looks, chosen, banished=["a"])
    assert set(pairs) == set(range(1, 8)) - set(chosen)
    with pytest.raises(ValueError, match="typo"):
        selection.check_names(found[:1], ["a", "typo"])


@pytest.mark.parametrize(
    ("folders", "label"), [("bq", "bird"), ("bt", None), ("btx", "bird"), ("q", None)]
)
def test_a_drawing_of_two_classes_is_in_neither(part, folders, label):
    classes = {"bird": {"folders": ["b"]}, "sign": {"folders": ["s", "t"], "without": ["x"]}}
    one = part("drawings").Drawing("s", tuple(folders), "", (), "")
    assert part("selection").class_of(one, classes) == label


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
    captions = [row["caption"] for row in made]
    assert captions == ["crow, thing", "owl, thing", "axe, thing", "saw, thing"]
    made = list(csv.DictReader(io.StringIO(dict(builds[0])["openclipart_pairs.csv"].decode())))
    assert list(made[0]) == ["id", "title", "caption", "source"]
