import os

import numpy as np
import pytest
from image_stand_ins import card_changer, empty_data_folder, mat_of

from mvlib.data import describe, fetch, is_at_hand, load_images


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    return empty_data_folder(tmp_path, monkeypatch)


@pytest.fixture
def change(monkeypatch):
    return card_changer(monkeypatch)


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
