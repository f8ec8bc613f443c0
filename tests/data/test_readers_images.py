import shutil
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
    "content", [b"no archive", tar_of({"a": bytes(9000)})[:-60]], ids=["other bytes", "cut"]
)
def test_an_archive_of_other_bytes_or_cut_short_is_refused(content, folder, change):
    (folder / "cifar-10-binary.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"has sha256 .*: expected c4a38c50"):
        load_images("cifar-10")
    assert not is_at_hand("cifar-10")
    put_files(folder, change, "cifar-10", content)
    with pytest.raises(ValueError, match="is not a readable tar archive"):
        load_images("cifar-10")


def test_an_archive_that_is_missing_offline_says_where_it_goes(folder):
    with pytest.raises(FileNotFoundError, match="MVLIB_OFFLINE is set") as failure:
        load_images("stl-10")
    for part in (folder / "stl10_binary.tar.gz", describe("stl-10").files[0].url):
        assert str(part) in str(failure.value)


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


def lines(*names, end="\n"):
    return "".join(f"{name}{end}" for name in names).encode()


def images_of(pattern, *names):
    """Return files whose content is their name, to be told apart by."""
    return {pattern.format(name): str(name).encode() for name in names}


def annotations(rows):
    """Return a list of cars as the authors' MATLAB writes it."""
    fields = [(name, object) for name in ("bbox_x1", "class", "fname")]
    content = np.array([(7.0, float(label), name) for name, label in rows], dtype=fields)
    return mat_of(annotations=content[np.newaxis])


CARS = {"test": [("00002.jpg", 1), ("00001.jpg", 2)]}
CARS["train"] = [("00001.jpg", 2), ("00002.jpg", 1), ("00003.jpg", 2)]
TEXTURES = ("banded/banded_1", "banded/banded_2", "woven/woven_1", "woven/woven_2")
# A variant with a blank and one with a slash.
AIRCRAFT = ("An-12", "BAE 146-200", "F-16A/B")
TEN = describe("imagenet-10").layout["synsets"]
# Eleven synsets: as text, folder 10 goes before folder 2.
ELEVEN = tuple(describe("imagenet-1k").layout["synsets"][:11])
SHIFTED = {
    "imagenet-c": ("gaussian_noise/1", ELEVEN, "ILSVRC2012_val_{}.JPEG"),
    "imagenet-v2": ("imagenetv2-matched-frequency-format-val", range(11), "{}.jpeg"),
    "imagenet-sketch": ("sketch", ELEVEN, "sketch_{}.JPEG"),
}
# The classes; the archives, or a folder, with their files; and of each split what the lists
# say: the text in each image, in order, and its label.
SETS = {
    "dtd": (
        ("banded", "woven"),
        [
            images_of("dtd/images/{}.jpg", *TEXTURES)
            | {
                "dtd/labels/test1.txt": lines("banded/banded_1.jpg", "woven/woven_2.jpg"),
                "dtd/labels/train1.txt": lines("woven/woven_1.jpg"),
                "dtd/labels/val1.txt": lines("banded/banded_2.jpg"),
            }
        ],
        {
            "test": (["banded/banded_1", "woven/woven_2"], [0, 1]),
            "train": (["woven/woven_1", "banded/banded_2"], [1, 0]),
        },
    ),
    "food-101": (
        ("apple pie", "baklava"),
        [
            images_of(
                "food-101/images/{}.jpg",
                "baklava/31", "baklava/32", "apple_pie/11", "apple_pie/12", "baklava/33",
            )
            | {
                "food-101/meta/train.txt": lines("baklava/31", "baklava/32", "apple_pie/11"),
                "food-101/meta/test.txt": lines("apple_pie/12", "baklava/33"),
                "food-101/meta/train.json": b'{"baklava": ["baklava/31", "baklava/32"], '
                b'"apple_pie": ["apple_pie/11"]}',
                "food-101/meta/test.json": b'{"apple_pie": ["apple_pie/12"], '
                b'"baklava": ["baklava/33"]}',
            }
        ],
        {
            "test": (["apple_pie/12", "baklava/33"], [0, 1]),
            "train": (["baklava/31", "baklava/32", "apple_pie/11"], [1, 1, 0]),
        },
    ),
    "fgvc-aircraft": (
        AIRCRAFT,
        [
            images_of("fgvc-aircraft-2013b/data/images/000000{}.jpg", *range(1, 8))
            | {
                "fgvc-aircraft-2013b/data/variants.txt": lines(*AIRCRAFT),
                "fgvc-aircraft-2013b/data/images_variant_trainval.txt": lines(
                    "0000001 F-16A/B", "0000003 An-12", "0000002 BAE 146-200", "0000004 An-12"
                ),
                "fgvc-aircraft-2013b/data/images_variant_test.txt": lines(
                    "0000007 BAE 146-200", "0000005 F-16A/B", "0000006 An-12"
                ),
                # Families are what is not read.
                "fgvc-aircraft-2013b/data/images_family_test.txt": lines("0000007 other"),
            }
        ],
        {"test": (["7", "5", "6"], [1, 2, 0]), "train": (["1", "3", "2", "4"], [2, 0, 1, 0])},
    ),
    "oxford-iiit-pet": (
        ("Abyssinian", "american bulldog"),
        [
            images_of(
                "images/{}.jpg",
                "american_bulldog_10", "Abyssinian_1", "Abyssinian_2", "american_bulldog_9",
                "american_bulldog_11",
            ),
            {
                "annotations/trainval.txt": lines(
                    "american_bulldog_10 2 2 1", "Abyssinian_1 1 1 1"
                ),
                "annotations/test.txt": lines(
                    "Abyssinian_2 1 1 1",
                    "american_bulldog_9 2 2 1",
                    "american_bulldog_11 2 2 1",
                ),
            },
        ],
        {
            "test": (["Abyssinian_2", "american_bulldog_9", "american_bulldog_11"], [0, 1, 1]),
            "train": (["american_bulldog_10", "Abyssinian_1"], [1, 0]),
        },
    ),
    "flowers-102": (
        ("primrose", "orchid"),
        [
            images_of("jpg/image_0000{}.jpg", *range(1, 8)),
            mat_of(labels=[2, 1, 1, 2, 1, 2, 1]),
            mat_of(trnid=[7, 4], valid=[1, 2], tstid=[6, 3, 5]),
        ],
        {"test": (["6", "3", "5"], [1, 0, 0]), "train": (["7", "4", "1", "2"], [0, 1, 1, 0])},
    ),
    "imagenet-10": (
        describe("imagenet-10").class_names,
        {f"imagenet/val/{synset}/notes.txt": b"no image" for synset in TEN}
        | {f"imagenet/val/{s}/{s}_0.JPEG": s.encode() for s in TEN}
        | {f"imagenet/train/{s}/{s}_{n}.JPEG": b"%s %d" % (s.encode(), n)
           for s in TEN for n in (1, 0)},
        {
            "test": (list(TEN), list(range(10))),
            "train": ([f"{s} {n}" for s in TEN for n in range(2)], [*np.repeat(range(10), 2)]),
        },
    ),
    "ucf-101": (
        ("Archery", "YoYo"),
        images_of("ucf-101/frames/{}.jpg", "Archery/v_a", "Archery/v_b", "YoYo/v_c", "YoYo/v_d")
        | images_of("ucf-101/frames/{}.png", "YoYo/v_YoYo_g01_c01")
        | {
            "ucf-101/ucfTrainTestlist/testlist01.txt": lines(
                "YoYo/v_YoYo_g01_c01.avi", "Archery/v_a.avi", end="\r\n"
            ),
            "ucf-101/ucfTrainTestlist/trainlist01.txt": lines(
                "Archery/v_b.avi 1", "YoYo/v_c.avi 2", "YoYo/v_d.avi 2"
            ),
        },
        {
            "test": (["YoYo/v_YoYo_g01_c01", "Archery/v_a"], [1, 0]),
            "train": (["Archery/v_b", "YoYo/v_c", "YoYo/v_d"], [0, 1, 1]),
        },
    ),
    "stanford-cars": (
        ("Fiat", "Volvo"),
        images_of("stanford_cars/cars_train/{}", "00001.jpg", "00002.jpg", "00003.jpg")
        | {f"stanford_cars/cars_test/{n}": f"test {n}".encode() for n, _ in CARS["test"]}
        | {
            "stanford_cars/devkit/cars_train_annos.mat": annotations(CARS["train"]),
            "stanford_cars/cars_test_annos_withlabels.mat": annotations(CARS["test"]),
            "stanford_cars/devkit/cars_meta.mat": mat_of(
                class_names=np.array(["Fiat", "Volvo"], dtype=object)
            ),
        },
        {
            "test": (["test 00002.jpg", "test 00001.jpg"], [0, 1]),
            "train": (["00001.jpg", "00002.jpg", "00003.jpg"], [1, 0, 1]),
        },
    ),
    **{
        name: (
            describe("imagenet-1k").class_names[:11],
            {f"{name}/{place}/{part}/{file.format(n)}": f"{part} {n}".encode()
             for part in parts for n in range(2)},
            {"test": ([f"{part} {n}" for part in parts for n in range(2)],
                      [*np.repeat(range(11), 2)])},
        )
        for name, (place, parts, file) in SHIFTED.items()
    },
}  # fmt: skip
ARCHIVED = [name for name, (_, files, _) in SETS.items() if isinstance(files, list)]


@pytest.fixture
def put(folder, change):
    """Return a function that writes a set, tells its card, and returns the folder."""

    def write(name):
        classes, files, splits = SETS[name]
        about = {"class_names": classes, "prompt_names": ()}
        about["n_samples"] = {split: len(labels) for split, (_, labels) in splits.items()}
        if name in SHIFTED:
            about["layout"] = {**describe(name).layout, "synsets": ELEVEN}
        if name in ARCHIVED:
            # The pets' archives are not compressed for all that their names say.
            mode = "w" if name == "oxford-iiit-pet" else "w:gz"
            contents = [f if isinstance(f, bytes) else tar_of(f, mode) for f in files]
            put_files(folder, change, name, *contents, **about)
        else:
            for path, content in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
            change(name, **about)
        return folder

    return write


@pytest.mark.parametrize("name", SETS)
def test_images_and_labels_are_those_of_lists_and_folders_in_their_order(name, put):
    put(name)
    assert is_at_hand(name)
    for split, (texts, labels) in SETS[name][2].items():
        found = load_images(name, split)
        assert [path.read_text() for path in found.images] == texts
        assert found.y.tolist() == labels
        assert found.class_names == SETS[name][0]


@pytest.fixture
def torchvision_sets(monkeypatch):
    """Return torchvision's readers of a split, as (path, label), by our names."""
    from torchvision import datasets

    as_paths = {"loader": str, "download": False}
    flowers = datasets.Flowers102
    unpinned = {key: (file, None) for key, (file, _) in flowers._file_dict.items()}
    monkeypatch.setattr(flowers, "_file_dict", unpinned)

    def trainval(split):
        return {"train": "trainval"}.get(split, split)

    def pets(folder, split):
        found = datasets.OxfordIIITPet(folder, trainval(split))
        return list(zip(map(str, found._images), found._labels, strict=True))

    return {
        "food-101": lambda folder, split: datasets.Food101(folder, split, **as_paths),
        "fgvc-aircraft": lambda folder, split: datasets.FGVCAircraft(
            folder, trainval(split), **as_paths
        ),
        "oxford-iiit-pet": pets,
        "flowers-102": lambda folder, split: [
            pair
            for part in {"train": ("train", "val")}.get(split, (split,))
            for pair in flowers(folder, part, **as_paths)
        ],
        "stanford-cars": lambda folder, split: datasets.StanfordCars(folder, split, loader=str),
    }


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize("name", [*ARCHIVED[1:], "stanford-cars"])
def test_torchvision_reads_the_same_images_and_labels(name, split, put, torchvision_sets):
    folder = put(name)
    found = load_images(name, split)
    ours = list(zip(map(str, found.images), found.y.tolist(), strict=True))
    theirs = torchvision_sets[name](folder, split)
    theirs = [tuple(theirs[row]) for row in range(len(theirs))]
    # The cars come in the same order, too.
    assert (ours == theirs) if name == "stanford-cars" else sorted(ours) == sorted(theirs)


def test_an_archive_is_unpacked_once(put):
    folder = put("dtd")
    load_images("dtd")
    assert sorted(path.name for path in folder.iterdir()) == ["dtd", "dtd-r1.0.1.tar.gz"]
    (folder / "dtd" / "marker").write_text("kept")
    load_images("dtd")
    assert (folder / "dtd" / "marker").read_text() == "kept"


@pytest.mark.parametrize("line", ["banded/gone.jpg", "unheard/of.jpg"])
def test_a_list_of_dtd_that_names_no_image_is_refused(line, put):
    lists = put("dtd") / "dtd" / "labels"
    load_images("dtd")
    (lists / "test1.txt").write_text(f"banded/banded_1.jpg\n{line}\n")
    with pytest.raises(ValueError, match=f"lists '{line}'"):
        load_images("dtd")


def test_every_file_of_a_set_is_fetched_and_counts(put, change):
    folder = put("flowers-102")
    paths = fetch("flowers-102", "test")
    assert [path.name for path in paths] == ["102flowers.tgz", "imagelabels.mat", "setid.mat"]
    before = load_images("flowers-102").sha256
    images, labels, splits = SETS["flowers-102"][1]
    other = tar_of(images), mat_of(labels=[1, 2, 1, 2, 1, 2, 1]), splits
    put_files(folder, change, "flowers-102", *other)
    assert load_images("flowers-102").sha256 != before
    (folder / "flowers-102" / "setid.mat").write_bytes(labels)
    with pytest.raises(ValueError, match=r"setid\.mat has sha256"):
        load_images("flowers-102")
    (folder / "flowers-102" / "setid.mat").unlink()
    assert not is_at_hand("flowers-102")
    with pytest.raises(FileNotFoundError, match=r"setid\.mat is missing"):
        load_images("flowers-102")


@pytest.mark.parametrize(
    ("name", "split", "lost", "error", "message"),
    [
        ("food-101", "test", "food-101/images/baklava/33.jpg", ValueError, "unpacked again"),
        ("fgvc-aircraft", "test", "fgvc-aircraft-2013b/data/images/0000005.jpg", ValueError,
         "unpacked again"),
        ("oxford-iiit-pet", "test", "oxford-iiit-pet/images/american_bulldog_9.jpg",
         ValueError, "unpacked again"),
        ("flowers-102", "test", "flowers-102/jpg/image_00003.jpg", ValueError,
         "to have it unpacked again"),
        ("imagenet-10", "test", f"imagenet/val/{TEN[4]}/{TEN[4]}_0.JPEG", ValueError,
         "has 9 images: expected 10"),
        ("ucf-101", "train", "ucf-101/frames/YoYo/v_d.jpg", FileNotFoundError,
         r"v_d\.jpg is missing. Get the videos"),
        ("ucf-101", "test", "ucf-101/ucfTrainTestlist/testlist01.txt", FileNotFoundError,
         r"testlist01\.txt is missing"),
        ("stanford-cars", "test", "stanford_cars/cars_test/00001.jpg", FileNotFoundError,
         r"00001\.jpg is missing. Its authors'"),
        ("stanford-cars", "test", "stanford_cars/cars_test_annos_withlabels.mat",
         FileNotFoundError, r"withlabels\.mat is missing \(1 of 2"),
    ],
)  # fmt: skip
def test_an_image_or_list_that_was_lost_is_told(name, split, lost, error, message, put):
    folder = put(name)
    load_images(name, split)
    (folder / lost).unlink()
    with pytest.raises(error, match=message):
        load_images(name, split)
    # What is looked for is lists and folders, not each image.
    assert is_at_hand(name) == (name in ARCHIVED or not lost.endswith((".txt", ".mat")))
    other = {"test": "train", "train": "test"}[split]
    assert load_images(name, other).n_samples == len(SETS[name][2][other][1])


@pytest.mark.parametrize("name", ["food-101", "fgvc-aircraft", "oxford-iiit-pet"])
def test_a_class_that_is_not_the_cards_is_refused(name, put, change):
    put(name)
    change(name, class_names=("unheard of", "other", "third"))
    with pytest.raises(ValueError, match="which is no image of a known class"):
        load_images(name)


def test_a_video_of_no_known_class_is_refused(put):
    with open(put("ucf-101") / "ucf-101/ucfTrainTestlist/testlist01.txt", "a") as stream:
        stream.write("Unheard/v_of.avi\n")
    with pytest.raises(ValueError, match="'Unheard/v_of.avi', which is of no known class"):
        load_images("ucf-101")


def test_a_missing_class_of_imagenet_is_told(put):
    folder = put("imagenet-10") / "imagenet"
    assert fetch("imagenet-10") == [folder]
    shutil.rmtree(folder / "val" / TEN[4])
    with pytest.raises(FileNotFoundError, match=r"1 of 10 .* are\)\. Get ImageNet") as failure:
        load_images("imagenet-10")
    assert str(folder / "val" / TEN[4]) in str(failure.value)
    assert not is_at_hand("imagenet-10")
    assert load_images("imagenet-10", "train").n_samples == 20


def test_the_sha256_of_a_users_folder_follows_names_and_sizes(put):
    put("imagenet-10")
    before = load_images("imagenet-10").sha256
    assert load_images("imagenet-10").sha256 == before
    path = load_images("imagenet-10").images[4]
    path.write_text("longer than before")
    changed = load_images("imagenet-10").sha256
    path.rename(path.with_name("renamed.JPEG"))
    assert len({before, changed, load_images("imagenet-10").sha256}) == 3


@pytest.mark.parametrize("name", SHIFTED)
def test_shifted_imagenets_have_the_thousand_classes_and_no_train_split(name):
    about = describe(name)
    assert about.class_names == describe("imagenet-1k").class_names
    assert set(about.n_samples) == {"test"}
    with pytest.raises(FileNotFoundError, match=r"is missing \(1000 of 1000 .* Get "):
        load_images(name)


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
def test_a_list_of_cars_without_classes_is_refused(content, put):
    place = put("stanford-cars") / "stanford_cars"
    (place / "cars_test_annos_withlabels.mat").write_bytes(content)
    with pytest.raises(ValueError, match="is not a readable list of annotations with classes"):
        load_images("stanford-cars")
