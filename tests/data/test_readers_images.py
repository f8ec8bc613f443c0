from dataclasses import replace

import numpy as np
import pytest
from image_stand_ins import (
    card_changer,
    cifar_bytes,
    empty_data_folder,
    put_archive,
    random_images,
    sha256,
    tar_of,
)

from mvlib.data import describe, fetch, fingerprint_of, is_at_hand, load_images
from mvlib.data.readers.images import first_of_each_class


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    return empty_data_folder(tmp_path, monkeypatch)


@pytest.fixture
def change(monkeypatch):
    return card_changer(monkeypatch)


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
