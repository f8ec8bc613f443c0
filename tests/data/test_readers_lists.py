import pytest
from image_stand_ins import (
    card_changer,
    empty_data_folder,
    mat_of,
    put_archive,
    put_files,
    tar_of,
)

from mvlib.data import fetch, is_at_hand, load_images


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    return empty_data_folder(tmp_path, monkeypatch)


@pytest.fixture
def change(monkeypatch):
    return card_changer(monkeypatch)


def dtd_members(test=("banded/banded_1.jpg", "woven/woven_2.jpg")):
    lists = {
        "test1.txt": list(test),
        "train1.txt": ["woven/woven_1.jpg"],
        "val1.txt": ["banded/banded_2.jpg"],
    }
    images = [
        "banded/banded_1.jpg",
        "banded/banded_2.jpg",
        "woven/woven_1.jpg",
        "woven/woven_2.jpg",
    ]
    return {
        **{f"dtd/images/{name}": name.encode() for name in images},
        **{f"dtd/labels/{name}": "\n".join(lines).encode() for name, lines in lists.items()},
    }


@pytest.fixture
def two_textures(change):
    sizes = {"test": 2, "train": 2}
    return {"class_names": ("banded", "woven"), "prompt_names": (), "n_samples": sizes}


def test_dtd_is_unpacked_once_and_train_is_train_and_val(folder, change, two_textures):
    put_archive(folder, change, "dtd", dtd_members(), **two_textures)
    test, train = load_images("dtd"), load_images("dtd", "train")
    assert [path.read_text() for path in test.images] == [
        "banded/banded_1.jpg", "woven/woven_2.jpg",
    ]  # fmt: skip
    assert test.y.tolist() == [0, 1]
    assert [path.name for path in train.images] == ["woven_1.jpg", "banded_2.jpg"]
    assert train.y.tolist() == [1, 0]
    assert sorted(path.name for path in folder.iterdir()) == ["dtd", "dtd-r1.0.1.tar.gz"]
    marker = folder / "dtd" / "marker"
    marker.write_text("kept")
    load_images("dtd")
    assert marker.read_text() == "kept"


@pytest.mark.parametrize("line", ["banded/gone.jpg", "unheard/of.jpg"])
def test_a_list_of_dtd_that_names_no_image_is_refused(line, folder, change, two_textures):
    members = dtd_members(test=("banded/banded_1.jpg", line))
    put_archive(folder, change, "dtd", members, **two_textures)
    with pytest.raises(ValueError, match=f"lists '{line}'"):
        load_images("dtd")


FOODS = ("apple pie", "baklava")
FOOD_MEMBERS = {
    "food-101/meta/train.txt": b"baklava/31\nbaklava/32\napple_pie/11\n",
    "food-101/meta/test.txt": b"apple_pie/12\nbaklava/33\n",
    "food-101/meta/train.json": b'{"baklava": ["baklava/31", "baklava/32"], '
    b'"apple_pie": ["apple_pie/11"]}',
    "food-101/meta/test.json": b'{"apple_pie": ["apple_pie/12"], "baklava": ["baklava/33"]}',
} | {
    f"food-101/images/{name}.jpg": name.encode()
    for name in ("baklava/31", "baklava/32", "apple_pie/11", "apple_pie/12", "baklava/33")
}
# A variant with a blank and one with a slash.
AIRCRAFT = ("An-12", "BAE 146-200", "F-16A/B")
AIRCRAFT_MEMBERS = {
    "fgvc-aircraft-2013b/data/variants.txt": "\n".join(AIRCRAFT).encode(),
    "fgvc-aircraft-2013b/data/images_variant_trainval.txt": b"0000001 F-16A/B\n"
    b"0000003 An-12\n0000002 BAE 146-200\n0000004 An-12\n",
    "fgvc-aircraft-2013b/data/images_variant_test.txt": b"0000007 BAE 146-200\n"
    b"0000005 F-16A/B\n0000006 An-12\n",
    # Families are what is not read.
    "fgvc-aircraft-2013b/data/images_family_test.txt": b"0000007 other\n",
} | {
    f"fgvc-aircraft-2013b/data/images/000000{number}.jpg": b"%d" % number
    for number in range(1, 8)
}
BREEDS = ("Abyssinian", "american bulldog")
PET_LISTS = {
    "annotations/trainval.txt": b"american_bulldog_10 2 2 1\nAbyssinian_1 1 1 1\n",
    "annotations/test.txt": b"Abyssinian_2 1 1 1\namerican_bulldog_9 2 2 1\n"
    b"american_bulldog_11 2 2 1\n",
}
PET_IMAGES = {
    f"images/{name}.jpg": name.encode()
    for name in (
        "american_bulldog_10",
        "Abyssinian_1",
        "Abyssinian_2",
        "american_bulldog_9",
        "american_bulldog_11",
    )
}
FLOWERS = ("primrose", "orchid")
FLOWER_IMAGES = {f"jpg/image_{n:05d}.jpg": b"%d" % n for n in range(1, 8)}
FLOWER_LABELS = mat_of(labels=[2, 1, 1, 2, 1, 2, 1])
FLOWER_SPLITS = mat_of(trnid=[7, 4], valid=[1, 2], tstid=[6, 3, 5])


def put_food(folder, change):
    sizes = {"test": 2, "train": 3}
    put_archive(folder, change, "food-101", FOOD_MEMBERS, class_names=FOODS, n_samples=sizes)


def put_aircraft(folder, change):
    sizes = {"test": 3, "train": 4}
    put_archive(
        folder,
        change,
        "fgvc-aircraft",
        AIRCRAFT_MEMBERS,
        class_names=AIRCRAFT,
        n_samples=sizes,
    )


def put_pets(folder, change):
    # The authors' archives are not compressed for all that their names say.
    contents = tar_of(PET_IMAGES, "w"), tar_of(PET_LISTS, "w")
    sizes = {"test": 3, "train": 2}
    put_files(folder, change, "oxford-iiit-pet", *contents, class_names=BREEDS, n_samples=sizes)


def put_flowers(folder, change):
    contents = tar_of(FLOWER_IMAGES), FLOWER_LABELS, FLOWER_SPLITS
    sizes = {"test": 3, "train": 4}
    put_files(folder, change, "flowers-102", *contents, class_names=FLOWERS, n_samples=sizes)


# What the lists above say: the text in each image, in order, and its label.
EXPECTED = {
    "food-101": (
        put_food,
        {
            "test": (["apple_pie/12", "baklava/33"], [0, 1]),
            "train": (["baklava/31", "baklava/32", "apple_pie/11"], [1, 1, 0]),
        },
    ),
    "fgvc-aircraft": (
        put_aircraft,
        {"test": (["7", "5", "6"], [1, 2, 0]), "train": (["1", "3", "2", "4"], [2, 0, 1, 0])},
    ),
    "oxford-iiit-pet": (
        put_pets,
        {
            "test": (["Abyssinian_2", "american_bulldog_9", "american_bulldog_11"], [0, 1, 1]),
            "train": (["american_bulldog_10", "Abyssinian_1"], [1, 0]),
        },
    ),
    "flowers-102": (
        put_flowers,
        {"test": (["6", "3", "5"], [1, 0, 0]), "train": (["7", "4", "1", "2"], [0, 1, 1, 0])},
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_images_and_labels_are_those_of_the_lists(name, folder, change):
    put, splits = EXPECTED[name]
    put(folder, change)
    assert is_at_hand(name)
    for split, (texts, labels) in splits.items():
        found = load_images(name, split)
        assert [path.read_text() for path in found.images] == texts
        assert found.y.tolist() == labels


@pytest.fixture
def torchvision_sets(monkeypatch):
    """Return torchvision's readers of a split, as (path, label), by our names."""
    from torchvision import datasets

    as_paths = {"loader": str, "download": False}
    flowers = datasets.Flowers102
    unpinned = {key: (file, None) for key, (file, _) in flowers._file_dict.items()}
    monkeypatch.setattr(flowers, "_file_dict", unpinned)
    parts = {"test": ("test",), "train": ("train", "val")}

    def pets(folder, split):
        found = datasets.OxfordIIITPet(folder, {"train": "trainval"}.get(split, split))
        return list(zip(map(str, found._images), found._labels, strict=True))

    return {
        "food-101": lambda folder, split: datasets.Food101(folder, split, **as_paths),
        "fgvc-aircraft": lambda folder, split: datasets.FGVCAircraft(
            folder, {"train": "trainval"}.get(split, split), **as_paths
        ),
        "oxford-iiit-pet": pets,
        "flowers-102": lambda folder, split: [
            pair
            for part in parts[split]
            for pair in datasets.Flowers102(folder, part, **as_paths)
        ],
    }


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize("name", EXPECTED)
def test_torchvision_reads_the_same_images_and_labels(
    name, split, folder, change, torchvision_sets
):
    EXPECTED[name][0](folder, change)
    found = load_images(name, split)
    ours = sorted(zip(map(str, found.images), found.y.tolist(), strict=True))
    theirs = torchvision_sets[name](folder, split)
    assert ours == sorted(tuple(theirs[row]) for row in range(len(theirs)))


def test_every_file_of_a_set_is_fetched_and_counts(folder, change):
    put_flowers(folder, change)
    paths = fetch("flowers-102", "test")
    assert [path.name for path in paths] == ["102flowers.tgz", "imagelabels.mat", "setid.mat"]
    before = load_images("flowers-102").sha256
    contents = tar_of(FLOWER_IMAGES), mat_of(labels=[1, 2, 1, 2, 1, 2, 1]), FLOWER_SPLITS
    put_files(folder, change, "flowers-102", *contents)
    assert load_images("flowers-102").sha256 != before
    (folder / "flowers-102" / "setid.mat").write_bytes(FLOWER_LABELS)
    with pytest.raises(ValueError, match=r"setid\.mat has sha256"):
        load_images("flowers-102")
    (folder / "flowers-102" / "setid.mat").unlink()
    assert not is_at_hand("flowers-102")
    with pytest.raises(FileNotFoundError, match=r"setid\.mat is missing"):
        load_images("flowers-102")


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("food-101", "food-101/images/baklava/33.jpg"),
        ("fgvc-aircraft", "fgvc-aircraft-2013b/data/images/0000005.jpg"),
        ("oxford-iiit-pet", "oxford-iiit-pet/images/american_bulldog_9.jpg"),
        ("flowers-102", "flowers-102/jpg/image_00003.jpg"),
    ],
)
def test_an_image_that_was_lost_is_told(name, image, folder, change):
    EXPECTED[name][0](folder, change)
    load_images(name)
    (folder / image).unlink()
    with pytest.raises(ValueError, match="to have it unpacked again"):
        load_images(name)


@pytest.mark.parametrize("name", ["food-101", "fgvc-aircraft", "oxford-iiit-pet"])
def test_a_class_that_is_not_the_cards_is_refused(name, folder, change):
    put, _ = EXPECTED[name]
    put(folder, change)
    change(name, class_names=("unheard of", "other", "third"))
    with pytest.raises(ValueError, match="which is no image of a known class"):
        load_images(name)
