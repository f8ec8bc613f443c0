import hashlib

import pytest

from mvlib import data
from mvlib.cli import main
from mvlib.data import (
    all_names,
    describe,
    fetch,
    fingerprint_of,
    is_at_hand,
)
from mvlib.data.cards import KINDS
from mvlib.records.keys import data_checksums
from mvlib.records.plan import plan_runs
from mvlib.records.published import load_published
from mvlib.records.tables import no_public_link
from mvlib.run.state import data_at_hand, why_not_at_hand

# In the order of their names, a line each: name and fingerprint.
FINGERPRINTS = "705ffaa373ac798bbb9515c6065ad61f3373c84a4e6beb78c9300e941172a410"
SETS = [
    "bdgp", "cifar-10", "cifar-20", "coco-captions", "cub", "deep-animal", "dtd",
    "fgvc-aircraft", "flickr30k", "flowers-102", "food-101", "handwritten", "hdigit",
    "imagenet-10", "imagenet-1k", "imagenet-c", "imagenet-dogs", "imagenet-sketch",
    "imagenet-v2", "landuse-21", "mnist-usps", "nus-wide", "openclipart", "openclipart-pairs",
    "oxford-iiit-pet", "proteins", "remote-sensing", "reuters-dim10", "rsicd", "scene-15",
    "stanford-cars", "stl-10", "sydney-captions", "ucf-101", "ucm-captions", "wiki",
]  # fmt: skip
PLAN = """
paper = "toy"
title = "Toy"
method = "X"
[[experiment]]
name = "method"
title = "The method"
notebook = "notebooks/method.ipynb"
[experiment.quick]
grid = { dataset = ["handwritten", "cifar-10", "imagenet-10"] }
"""


@pytest.fixture(autouse=True)
def no_data(tmp_path, monkeypatch):
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("MVLIB_OFFLINE", "1")


def test_every_set_is_in_the_catalogue_once():
    assert all_names() == [*all_names("views"), *all_names("images"), *all_names("pairs")]
    assert len(set(all_names())) == len(all_names())


@pytest.mark.parametrize("name", all_names())
def test_a_card_is_that_of_its_own_registry(name):
    about = describe(name.upper().replace("-", "_"))
    assert about.name == name
    assert [kind for kind in KINDS if name in all_names(kind)] == [about.kind]


def test_fingerprints_are_those_that_records_name():
    lines = "".join(f"{name} {fingerprint_of(name)}\n" for name in sorted(SETS))
    assert hashlib.sha256(lines.encode()).hexdigest() == FINGERPRINTS
    assert set(SETS) <= set(all_names())
    assert len({fingerprint_of(name) for name in all_names()}) == len(all_names())


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ("card", "describe"), ("image_card", "describe"), ("pair_card", "describe"),
        ("ImageCard", "Card"), ("PairCard", "Card"), ("fingerprint", "fingerprint_of"),
        ("image_fingerprint", "fingerprint_of"), ("pair_fingerprint", "fingerprint_of"),
        ("fetch_all", "fetch"), ("is_available", "is_at_hand"),
    ],
)  # fmt: skip
def test_an_earlier_name_still_works_and_says_what_it_is_now(earlier, now):
    words = rf"mvlib\.data\.{earlier} is now mvlib\.data\.{now}$"
    with pytest.warns(DeprecationWarning, match=words):
        assert getattr(data, earlier) is getattr(data, now)
    assert earlier not in data.__all__


@pytest.mark.parametrize(
    ("earlier", "kind"),
    [("list_datasets", "views"), ("list_image_sets", "images"), ("list_pair_sets", "pairs")],
)
def test_an_earlier_list_still_lists_its_kind(earlier, kind):
    with pytest.warns(DeprecationWarning, match=rf"is now .*all_names\('{kind}'\)"):
        assert getattr(data, earlier)() == all_names(kind)


@pytest.mark.parametrize("function", [describe, fingerprint_of, is_at_hand, fetch])
@pytest.mark.parametrize(
    ("name", "nearest"),
    [("handwriten", "handwritten"), ("cifar-11", "cifar-10"), ("flickr-30k", "flickr30k")],
)
def test_an_unknown_name_gets_the_nearest_of_all_kinds(function, name, nearest):
    with pytest.raises(ValueError, match=f"Did you mean '{nearest}'"):
        function(name)


def test_what_is_at_hand_is_told_for_all_kinds():
    assert is_at_hand("openclipart-pairs")
    assert not is_at_hand("remote-sensing")
    assert not is_at_hand("proteins")
    assert is_at_hand("handwritten")
    assert not is_at_hand("wiki")
    assert not is_at_hand("cifar-10")


def test_fetching_goes_to_the_right_registry():
    assert fetch("handwritten")[0].name == "handwritten.npz"
    with pytest.raises(FileNotFoundError, match=r"cifar-10-binary\.tar\.gz is missing"):
        fetch("CIFAR-10")
    with pytest.raises(FileNotFoundError, match="ImageNet-Dogs, test: .* is missing"):
        fetch("imagenet-dogs")
    assert fetch("openclipart-pairs")[0].name == "openclipart_features.npz"
    with pytest.raises(FileNotFoundError, match=r"Flickr30k: .*flickr30k\.json is missing"):
        fetch("flickr30k")


def test_the_runner_knows_which_images_it_can_get():
    assert data_at_hand(["handwritten"]) == "at hand"
    assert data_at_hand(["cifar-10", "handwritten"]) == "to be fetched"
    assert data_at_hand(["imagenet-1k", "cifar-10"]) == "not at hand"
    assert why_not_at_hand(["cifar-10"]) is None
    assert "image-net.org" in why_not_at_hand(["handwritten", "imagenet-10"])
    assert no_public_link("stl-10") is None
    assert "crcv.ucf.edu" in no_public_link("ucf-101")
    assert data_at_hand(["openclipart-pairs"]) == "at hand"
    assert no_public_link("openclipart-pairs") is None
    assert "ESM-2" in why_not_at_hand(["proteins"])
    assert "RSICD_optimal" in no_public_link("rsicd")


def test_a_run_on_images_is_planned_keyed_and_chosen_by_name(tmp_path):
    (tmp_path / "notebooks" / "toy").mkdir(parents=True, exist_ok=True)
    (tmp_path / "notebooks" / "toy" / "plan.toml").write_text(PLAN)
    (run,) = plan_runs("quick", datasets=["CIFAR_10"], root=tmp_path)
    assert run.datasets == ("cifar-10",)
    assert data_checksums(run.datasets) == {"cifar-10": fingerprint_of("cifar-10")}
    with pytest.raises(ValueError, match="Did you mean 'cifar-10'"):
        plan_runs("quick", datasets=["cifar10"], root=tmp_path)


def test_the_checksums_of_views_are_those_of_their_registry():
    assert data_checksums(("handwritten",)) == {"handwritten": fingerprint_of("handwritten")}


def test_a_published_number_may_be_of_images(tmp_path):
    (tmp_path / "notebooks" / "toy").mkdir(parents=True)
    row = (
        'paper = "toy"\n[[row]]\ntable = "t"\nid = "a"\ndataset = "NAME"\nmethod = "A"\n'
        'setting = {}\nrule = "last"\nvalues = { acc = 90.1 }\ndigits = 1\n'
        'source = "code"\nwhere = "w"\ncaveat = ""\ncomparable = true\n'
    )
    path = tmp_path / "notebooks" / "toy" / "published.toml"
    path.write_text(row.replace("NAME", "stl-10"))
    assert load_published("toy", tmp_path)[0]["dataset"] == "stl-10"
    path.write_text(row.replace("NAME", "stl10"))
    with pytest.raises(ValueError, match="Did you mean 'stl-10'"):
        load_published("toy", tmp_path)


def test_the_command_line_lists_and_describes_all_kinds(capsys):
    assert main(["data", "list"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert set(all_names()) <= set(lines)
    assert lines["handwritten"] == ["2000", "10", "at", "hand"]
    assert lines["imagenet-10"] == ["500", "10", "not", "at", "hand"]
    assert lines["openclipart-pairs"] == ["2585", "none", "at", "hand"]
    assert lines["rsicd"] == ["1093", "none", "not", "at", "hand"]
    assert lines["proteins"] == ["unknown", "none", "not", "at", "hand"]
    assert main(["data", "card", "imagenet-10", "wiki", "rsicd", "proteins"]) == 0
    out = capsys.readouterr().out
    assert "ImageNet-10 (imagenet-10): 500 test, 13000 train samples, 10 classes" in out
    assert "shorter side to 256" in out
    assert "2866 samples, 10 classes" in out
    assert "RSICD (rsicd): 8734 train, 1094 val, 1093 test pairs of image and text" in out
    assert "(proteins): your own pairs of sequence and structure" in out


def test_the_command_line_fetches_all_kinds(capsys):
    assert main(["data", "fetch", "handwritten"]) == 0
    assert capsys.readouterr().out.strip().endswith("handwritten.npz")
    assert main(["data", "fetch", "proteins"]) == 2
    assert "sequence.npy is missing" in capsys.readouterr().err
    assert main(["data", "fetch", "dtd"]) == 2
    assert "dtd-r1.0.1.tar.gz is missing" in capsys.readouterr().err
