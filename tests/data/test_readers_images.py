import os
from dataclasses import replace

import numpy as np
import pytest
from image_stand_ins import (
    cifar_bytes,
    mat_of,
    put_archive,
    put_files,
    random_images,
    sha256,
    tar_of,
)

from mvlib.data import describe, fetch, fingerprint_of, is_at_hand, load_images
from mvlib.data.readers.images import first_of_each_class


@pytest.fixture
def cifar10(folder, change):
    """Write a CIFAR-10 of 20 test and 50 train images, and return its images and labels."""
    test, train = random_images(20, 32, 1), random_images(50, 32, 2)
    y_test, y_train = np.arange(20) % 10, np.arange(50) // 5
    batches = {
        f"cifar-10-batches-bin/data_batch_{b + 1}.bin": cifar_bytes(
            train[10 * b : 10 * b + 10], y_train[10 * b : 10 * b + 10]
        )
        for b in range(5)
    }
    members = {"cifar-10-batches-bin/readme.html": b"<p>", **batches}
    members["cifar-10-batches-bin/test_batch.bin"] = cifar_bytes(test, y_test)
    sizes = {"test": 20, "train": 50, "train-tenth": 20}
    put_archive(folder, change, "cifar-10", members, n_samples=sizes)
    return {"test": (test, y_test), "train": (train, y_train)}


@pytest.mark.parametrize("split", ["test", "train"])
def test_cifar_10_is_read_from_its_records(split, cifar10):
    found = load_images("CIFAR_10", split)
    images, y = cifar10[split]
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.y, y)
    assert found.images.dtype == np.uint8
    assert found.y.dtype == np.int64
    assert (found.n_samples, found.n_clusters, found.captions) == (len(y), 10, None)
    assert (found.name, found.split, found.class_names[3]) == ("cifar-10", split, "cat")


def test_a_tenth_of_an_archive_is_the_first_images_of_each_class(cifar10):
    found = load_images("cifar-10", "train-tenth")
    images, y = cifar10["train"]
    rows = [row for label in range(10) for row in np.flatnonzero(y == label)[:2]]
    np.testing.assert_array_equal(found.images, images[rows])
    np.testing.assert_array_equal(found.y, np.repeat(np.arange(10), 2))


def test_the_first_of_each_class_keep_their_order():
    found = first_of_each_class(np.array([1, 0, 1, 1, 0, 2]), 2)
    np.testing.assert_array_equal(found, [0, 1, 2, 4, 5])


def test_cifar_20_takes_the_coarse_label(folder, change):
    images, coarse, fine = random_images(40, 32), np.arange(40) % 20, np.arange(40) + 50
    content = cifar_bytes(images, coarse, fine)
    members = {f"cifar-100-binary/{split}.bin": content for split in ("train", "test")}
    put_archive(folder, change, "cifar-20", members, n_samples={"test": 40, "train": 40})
    found = load_images("cifar-20")
    np.testing.assert_array_equal(found.y, coarse)
    np.testing.assert_array_equal(found.images, images)


def test_stl_10_is_read_column_by_column_and_labels_from_one(folder, change):
    images, y = random_images(10, 96), np.arange(10)
    pixels = bytes(
        image[row, column, c]
        for image in images
        for c in range(3)
        for column in range(96)
        for row in range(96)
    )
    members = {
        "stl10_binary/test_X.bin": pixels,
        "stl10_binary/test_y.bin": bytes((y + 1).tolist()),
        "stl10_binary/unlabeled_X.bin": b"not read",
    }
    put_archive(folder, change, "stl-10", members, n_samples={"test": 10, "train": 5})
    found = load_images("stl-10")
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.y, y)
    with pytest.raises(ValueError, match="has no member 'stl10_binary/train_X.bin'"):
        load_images("stl-10", "train")


@pytest.mark.parametrize(
    ("test_batch", "message"),
    [
        (bytes(3073 * 20 - 1), "expected a multiple of 3073"),
        (cifar_bytes(random_images(9, 32), range(9)), "has 9 images: expected 10"),
        (cifar_bytes(random_images(10, 32), [*range(9), 10]), "10 classes, labels 0 to 10"),
        (cifar_bytes(random_images(10, 32), [*range(9), 0]), "9 classes.*: expected 10"),
    ],
)
def test_an_archive_of_another_content_is_refused(test_batch, message, folder, change):
    members = {"cifar-10-batches-bin/test_batch.bin": test_batch}
    put_archive(folder, change, "cifar-10", members, n_samples={"test": 10})
    with pytest.raises(ValueError, match=message):
        load_images("cifar-10")


@pytest.mark.parametrize(
    "content",
    [b"no archive", tar_of({"a": bytes(9000)})[:-60]],
    ids=["other bytes", "cut short"],
)
def test_an_unreadable_archive_is_refused(content, folder, change):
    file = describe("cifar-10").files[0]
    (folder / file.file).write_bytes(content)
    change("cifar-10", files=(replace(file, sha256=sha256(content)),))
    with pytest.raises(ValueError, match="is not a readable tar archive"):
        load_images("cifar-10")


def test_an_archive_with_another_sha256_is_not_read(folder):
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"the user's own")
    with pytest.raises(ValueError, match=r"has sha256 .*: expected c4a38c50"):
        load_images("cifar-10")
    assert not is_at_hand("cifar-10")


def test_an_archive_that_is_missing_offline_says_where_it_goes(folder):
    with pytest.raises(FileNotFoundError, match="MVLIB_OFFLINE is set") as failure:
        load_images("stl-10")
    assert str(folder / "stl10_binary.tar.gz") in str(failure.value)
    assert describe("stl-10").files[0].url in str(failure.value)


def put_packed(folder, change, classes=None, pickled=False):
    classes = describe("cifar-10").class_names if classes is None else classes
    packed, found = {}, {}
    for seed, (split, file) in enumerate(describe("cifar-10").packed.items()):
        images, y = random_images(20, 32, seed), np.repeat(np.arange(10), 2)
        kept = y.astype(object) if pickled else y
        np.savez(folder / file.file, images=images, labels=kept, classes=np.array(classes))
        content = (folder / file.file).read_bytes()
        packed[split] = replace(file, sha256=sha256(content), bytes=len(content))
        found[split] = images
    sizes = {"test": 20, "train": 50, "train-tenth": 20}
    change("cifar-10", packed=packed, n_samples=sizes)
    return found


def test_a_packed_copy_is_read_where_there_is_no_archive(folder, change):
    found = put_packed(folder, change)
    for split, images in found.items():
        np.testing.assert_array_equal(load_images("cifar-10", split).images, images)
    assert is_at_hand("cifar-10")
    assert [path.suffix for path in fetch("cifar-10")] == [".npz", ".npz"]
    shas = {load_images("cifar-10", split).sha256 for split in found}
    assert len(shas) == 2
    with pytest.raises(FileNotFoundError, match=r"cifar-10-binary\.tar\.gz is missing"):
        load_images("cifar-10", "train")


def test_the_archive_goes_before_a_packed_copy(folder, change, cifar10):
    put_packed(folder, change)
    np.testing.assert_array_equal(load_images("cifar-10").images, cifar10["test"][0])


def test_half_of_the_packed_copies_are_not_the_set(folder, change):
    put_packed(folder, change)
    (folder / "cifar10_train_10k.npz").unlink()
    assert not is_at_hand("cifar-10")
    assert load_images("cifar-10").n_samples == 20


def test_a_packed_copy_of_other_bytes_classes_or_objects_is_refused(folder, change):
    put_packed(folder, change, classes=["plane", *describe("cifar-10").class_names[1:]])
    with pytest.raises(ValueError, match="its classes are"):
        load_images("cifar-10")
    put_packed(folder, change, pickled=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        load_images("cifar-10")
    (folder / "cifar10_test.npz").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"cifar10_test\.npz has sha256"):
        load_images("cifar-10")


def test_the_fingerprint_is_the_same_whatever_is_on_disk(folder, change, cifar10):
    before = fingerprint_of("cifar-10")
    for path in folder.iterdir():
        path.unlink()
    assert fingerprint_of("cifar-10") == before


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
        folder, change, "fgvc-aircraft", AIRCRAFT_MEMBERS, class_names=AIRCRAFT, n_samples=sizes
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


@pytest.fixture
def imagenet(folder, change):
    about = describe("imagenet-10")
    for part, n in (("val", 1), ("train", 2)):
        for synset in about.layout["synsets"]:
            place = folder / "imagenet" / part / synset
            place.mkdir(parents=True)
            (place / "notes.txt").write_text("no image")
            for number in reversed(range(n)):
                (place / f"{synset}_{number}.JPEG").write_text(f"{part} {number}")
    change("imagenet-10", n_samples={"test": 10, "train": 20})
    return folder / "imagenet"


def test_imagenet_folders_are_read_by_synset_and_name(imagenet):
    assert is_at_hand("imagenet-10")
    assert fetch("imagenet-10") == [imagenet]
    train = load_images("imagenet-10", "train")
    synsets = describe("imagenet-10").layout["synsets"]
    assert train.images[:3] == [
        imagenet / "train" / synsets[0] / f"{synsets[0]}_0.JPEG",
        imagenet / "train" / synsets[0] / f"{synsets[0]}_1.JPEG",
        imagenet / "train" / synsets[1] / f"{synsets[1]}_0.JPEG",
    ]
    assert train.y.tolist() == np.repeat(np.arange(10), 2).tolist()
    assert load_images("imagenet-10").images[0].read_text() == "val 0"


def test_the_sha256_of_a_users_folder_follows_names_and_sizes(imagenet):
    before = load_images("imagenet-10").sha256
    assert load_images("imagenet-10").sha256 == before
    path = load_images("imagenet-10").images[4]
    path.write_text("longer than before")
    changed = load_images("imagenet-10").sha256
    os.replace(path, path.with_name("renamed.JPEG"))
    assert len({before, changed, load_images("imagenet-10").sha256}) == 3


def test_a_missing_image_or_class_of_imagenet_is_told(imagenet):
    path = load_images("imagenet-10").images[4]
    path.unlink()
    with pytest.raises(ValueError, match="has 9 images: expected 10"):
        load_images("imagenet-10")
    (path.parent / "notes.txt").unlink()
    path.parent.rmdir()
    with pytest.raises(FileNotFoundError, match=r"1 of 10 .* are\)\. Get ImageNet") as failure:
        load_images("imagenet-10")
    assert str(path.parent) in str(failure.value)
    assert not is_at_hand("imagenet-10")
    assert load_images("imagenet-10", "train").n_samples == 20


@pytest.fixture
def ucf101(folder, change):
    change(
        "ucf-101",
        class_names=("Archery", "YoYo"),
        prompt_names=(),
        n_samples={"test": 2, "train": 3},
    )
    frames, lists = folder / "ucf-101" / "frames", folder / "ucf-101" / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "testlist01.txt").write_text("YoYo/v_YoYo_g01_c01.avi\r\nArchery/v_a.avi\r\n")
    (lists / "trainlist01.txt").write_text(
        "Archery/v_b.avi 1\nYoYo/v_c.avi 2\nYoYo/v_d.avi 2\n"
    )
    for name in (
        "Archery/v_a.jpg",
        "Archery/v_b.jpg",
        "YoYo/v_YoYo_g01_c01.png",
        "YoYo/v_c.jpg",
    ):
        (frames / name).parent.mkdir(parents=True, exist_ok=True)
        (frames / name).write_text(name)
    return folder / "ucf-101"


def test_ucf_101_takes_the_frames_that_the_lists_name(ucf101):
    (ucf101 / "frames" / "YoYo" / "v_d.jpg").write_text("YoYo/v_d.jpg")
    test, train = load_images("ucf-101"), load_images("ucf-101", "train")
    assert [path.read_text() for path in test.images] == [
        "YoYo/v_YoYo_g01_c01.png", "Archery/v_a.jpg",
    ]  # fmt: skip
    assert test.y.tolist() == [1, 0]
    assert train.y.tolist() == [0, 1, 1]
    assert is_at_hand("ucf-101")


def test_a_missing_frame_list_or_class_of_ucf_101_is_told(ucf101):
    with pytest.raises(FileNotFoundError, match=r"v_d\.jpg is missing. Get the videos"):
        load_images("ucf-101", "train")
    with open(ucf101 / "ucfTrainTestlist" / "testlist01.txt", "a") as stream:
        stream.write("Unheard/v_of.avi\n")
    with pytest.raises(ValueError, match="'Unheard/v_of.avi', which is of no known class"):
        load_images("ucf-101")
    (ucf101 / "ucfTrainTestlist" / "testlist01.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"testlist01\.txt is missing"):
        load_images("ucf-101")
    assert not is_at_hand("ucf-101")


# Eleven synsets: as text, folder 10 goes before folder 2.
SYNSETS = tuple(describe("imagenet-1k").layout["synsets"][:11])
SHIFTED = {
    "imagenet-c": ("imagenet-c/gaussian_noise/1", SYNSETS, "ILSVRC2012_val_{}.JPEG"),
    "imagenet-v2": (
        "imagenet-v2/imagenetv2-matched-frequency-format-val",
        tuple(map(str, range(11))),
        "{}.jpeg",
    ),
    "imagenet-sketch": ("imagenet-sketch/sketch", SYNSETS, "sketch_{}.JPEG"),
}


@pytest.fixture
def shifted(folder, change):
    """Return a function that writes such a set of two images a class."""

    def write(name):
        place, parts, file = SHIFTED[name]
        for part in parts:
            (folder / place / part).mkdir(parents=True)
            for number in range(2):
                (folder / place / part / file.format(number)).write_text(f"{part} {number}")
        about = describe(name)
        return change(
            name,
            n_samples={"test": 22},
            class_names=about.class_names[:11],
            layout={**about.layout, "synsets": SYNSETS},
        )

    return write


@pytest.mark.parametrize("name", SHIFTED)
def test_shifted_imagenets_are_read_in_the_order_of_the_synsets(name, shifted):
    shifted(name)
    assert is_at_hand(name)
    found = load_images(name)
    parts = SHIFTED[name][1]
    assert [path.read_text() for path in found.images] == [
        f"{part} {number}" for part in parts for number in range(2)
    ]
    assert found.y.tolist() == np.repeat(np.arange(11), 2).tolist()
    assert found.class_names == describe("imagenet-1k").class_names[:11]


@pytest.mark.parametrize("name", SHIFTED)
def test_shifted_imagenets_have_the_thousand_classes_and_no_train_split(name):
    about = describe(name)
    assert about.class_names == describe("imagenet-1k").class_names
    assert set(about.n_samples) == {"test"}
    with pytest.raises(FileNotFoundError, match=r"is missing \(1000 of 1000 .* Get "):
        load_images(name)


@pytest.fixture
def cars(folder, change):
    """Write three cars of two models to train on, and two to test."""
    place = folder / "stanford_cars"
    lists = {
        "devkit/cars_train_annos.mat": [("00001.jpg", 2), ("00002.jpg", 1), ("00003.jpg", 2)],
        "cars_test_annos_withlabels.mat": [("00002.jpg", 1), ("00001.jpg", 2)],
    }
    for path, rows in lists.items():
        images = place / ("cars_train" if "train" in path else "cars_test")
        images.mkdir(parents=True)
        for name, _ in rows:
            (images / name).write_text(f"{images.name} {name}")
        (place / path).parent.mkdir(exist_ok=True)
        (place / path).write_bytes(annotations(rows))
    (place / "devkit" / "cars_meta.mat").write_bytes(
        mat_of(class_names=np.array(["Fiat", "Volvo"], dtype=object))
    )
    change("stanford-cars", class_names=("Fiat", "Volvo"), n_samples={"test": 2, "train": 3})
    return place


def annotations(rows):
    """Return a list of annotations as the authors' MATLAB writes it."""
    fields = [(name, object) for name in ("bbox_x1", "class", "fname")]
    content = np.array([(7.0, float(label), name) for name, label in rows], dtype=fields)
    return mat_of(annotations=content[np.newaxis])


def test_cars_are_those_of_the_annotations(cars):
    assert is_at_hand("stanford-cars")
    test, train = load_images("stanford-cars"), load_images("stanford-cars", "train")
    assert [path.read_text() for path in test.images] == [
        "cars_test 00002.jpg", "cars_test 00001.jpg",
    ]  # fmt: skip
    assert test.y.tolist() == [0, 1]
    assert [path.name for path in train.images] == ["00001.jpg", "00002.jpg", "00003.jpg"]
    assert train.y.tolist() == [1, 0, 1]


@pytest.mark.parametrize("split", ["test", "train"])
def test_torchvision_reads_the_same_cars(split, cars):
    from torchvision import datasets

    theirs = datasets.StanfordCars(cars.parent, split, loader=str)
    found = load_images("stanford-cars", split)
    ours = list(zip(map(str, found.images), found.y.tolist(), strict=True))
    assert ours == [theirs[row] for row in range(len(theirs))]


def test_a_missing_car_or_list_is_told(cars):
    (cars / "cars_test" / "00001.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"00001\.jpg is missing. Its authors'"):
        load_images("stanford-cars")
    (cars / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"withlabels\.mat is missing \(1 of 2"):
        load_images("stanford-cars")
    assert not is_at_hand("stanford-cars")
    assert load_images("stanford-cars", "train").n_samples == 3


@pytest.mark.parametrize(
    "content",
    [
        b"no list",
        mat_of(other=[1]),
        # The authors' first test list, without classes.
        mat_of(annotations=np.array([[("00001.jpg",)]], dtype=[("fname", object)])),
        annotations([("00001.jpg", 1), ("00002.jpg", 2)])[:-20],
    ],
    ids=["other bytes", "another variable", "no classes", "cut short"],
)
def test_a_list_of_cars_without_classes_is_refused(content, cars):
    (cars / "cars_test_annos_withlabels.mat").write_bytes(content)
    with pytest.raises(ValueError, match="is not a readable list of annotations with classes"):
        load_images("stanford-cars")
