import pytest

from mvlib.data import describe, fetch, fingerprint_of, is_at_hand, load_images

# Test and train samples, classes, and the shorter side where TAC's code says it. The latter
# sets are those of CLIP's paper.
SIZES = {
    "stl-10": (8000, 5000, 10, 224),
    "cifar-10": (10000, 50000, 10, 224),
    "cifar-20": (10000, 50000, 20, 224),
    "imagenet-10": (500, 13000, 10, 256),
    "imagenet-dogs": (750, 19500, 15, 256),
    "dtd": (1880, 3760, 47, 224),
    "ucf-101": (3783, 9537, 101, 224),
    "imagenet-1k": (50000, 1281167, 1000, 256),
    "fgvc-aircraft": (3333, 6667, 100),
    "food-101": (25250, 75750, 101),
    "flowers-102": (6149, 2040, 102),
    "oxford-iiit-pet": (3669, 3680, 37),
    "stanford-cars": (8041, 8144, 196),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_and_preprocessing_are_those_of_tac_or_clip(name):
    about = describe(name)
    found = (about.n_samples["test"], about.n_samples["train"], about.n_clusters, about.resize)
    assert found[: len(SIZES[name])] == SIZES[name]
    if len(SIZES[name]) == 4:
        assert about.resize_source == "TAC's code"


def test_sizes_of_the_shifted_imagenets_are_their_authors():
    sizes = {"imagenet-c": 50000, "imagenet-v2": 10000, "imagenet-sketch": 50889}
    assert {name: describe(name).n_samples["test"] for name in sizes} == sizes


def test_classes_are_in_the_order_of_the_authors_numbers():
    foods = [name.replace(" ", "_") for name in describe("food-101").class_names]
    assert foods == sorted(foods)
    breeds = describe("oxford-iiit-pet").class_names
    assert list(breeds) == sorted(breeds, key=str.lower)
    variants = describe("fgvc-aircraft").class_names
    assert list(variants) == sorted(variants)
    assert describe("flowers-102").class_names[76] == "passion flower"
    assert describe("stanford-cars").class_names[195] == "smart fortwo Convertible 2012"


def test_synsets_have_the_names_of_the_thousand():
    everything = describe("imagenet-1k")
    names = dict(zip(everything.layout["synsets"], everything.class_names, strict=True))
    assert everything.layout["synsets"] == tuple(sorted(names))
    assert (names["n02128757"], names["n02012849"]) == ("snow leopard", "crane (bird)")
    dogs = describe("imagenet-dogs")
    assert dogs.class_names == tuple(names[synset] for synset in dogs.layout["synsets"])
    assert dogs.prompt_names[-1] == "Chow Chow"


def test_prompts_of_actions_are_words():
    about = describe("UCF 101")
    pairs = dict(zip(about.class_names, about.prompt_names, strict=True))
    assert pairs["ApplyEyeMakeup"] == "Apply Eye Makeup"
    assert pairs["YoYo"] == "Yo Yo"


def test_an_unknown_split_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="split='trian' is unknown. Did you mean 'train'"):
        load_images("stl-10", "trian")
    with pytest.raises(ValueError, match="split='val'"):
        fetch("dtd", split="val")


def test_the_embedded_drawings_need_neither_network_nor_folder():
    assert is_at_hand("openclipart")
    found = load_images("Openclipart")
    assert found.sha256 == fingerprint_of("openclipart")
    assert found.n_samples == len(found.images) == len(found.captions) == 687
    folders = [path.parent.name.replace("_", " ") for path in found.images]
    assert [found.class_names[label] for label in found.y] == folders
    assert set(folders) == set(found.class_names)
    with pytest.raises(ValueError, match="split='train'"):
        load_images("openclipart", "train")


def test_embedded_drawings_of_another_index_are_refused(folder, monkeypatch, change):
    monkeypatch.setattr("mvlib.data.download.embedded_data", lambda: folder)
    with pytest.raises(FileNotFoundError, match=r"index\.csv ships with mvlib and is missing"):
        load_images("openclipart")
    (folder / "openclipart").mkdir()
    (folder / "openclipart" / "index.csv").write_text("file,label\n")
    with pytest.raises(ValueError, match=r"index\.csv has sha256"):
        load_images("openclipart")
    assert not is_at_hand("openclipart")


def test_drawings_of_other_classes_than_the_cards_are_refused(change):
    about = describe("openclipart")
    change("openclipart", class_names=("fish", *about.class_names[1:]))
    with pytest.raises(ValueError, match="its classes are .* expected"):
        load_images("openclipart")
