import hashlib
import zipfile

import numpy as np
import pytest
import scipy.io
from refusals import refuses

from mvlib import data
from mvlib.cli import main
from mvlib.data import (
    all_names,
    describe,
    fetch,
    fingerprint_of,
    is_at_hand,
    load,
    load_images,
    load_pairs,
    pack_handwritten,
)
from mvlib.data.cards import KINDS
from mvlib.data.readers.views import read_layout
from mvlib.files import embedded_data, sha256_of, write_text
from mvlib.records.keys import data_checksums
from mvlib.records.plan import plan_runs
from mvlib.records.published import load_published
from mvlib.records.tables import no_public_link
from mvlib.run.state import data_at_hand, why_not_at_hand

# In the order of the registry.
SETS = {
    "views": [
        "handwritten", "bdgp", "wiki", "mnist-usps", "hdigit", "nus-wide", "reuters-dim10",
        "deep-animal", "scene-15", "landuse-21", "cub", "acm", "uat",
    ],
    "images": [
        "openclipart", "cifar-10", "cifar-20", "stl-10", "imagenet-10", "imagenet-dogs",
        "dtd", "ucf-101", "imagenet-1k", "fgvc-aircraft", "food-101", "flowers-102",
        "oxford-iiit-pet", "stanford-cars", "imagenet-c", "imagenet-v2", "imagenet-sketch",
    ],
    "pairs": [
        "openclipart-pairs", "flickr30k", "coco-captions", "rsicd", "ucm-captions",
        "sydney-captions", "remote-sensing", "proteins",
    ],
}  # fmt: skip

# SMART's settings: samples, classes, dimensions of its views 1 and 2.
SMART_SETS = {
    "bdgp": (2500, 5, (79, 1750)),
    "handwritten": (2000, 10, (240, 216)),
    "wiki": (2866, 10, (10, 128)),
    "mnist-usps": (5000, 10, (784, 256)),
    "nus-wide": (9000, 10, (4096, 300)),
    "reuters-dim10": (18758, 6, (10, 10)),
    "hdigit": (10000, 10, (256, 784)),
    "deep-animal": (10158, 50, (4096, 4096)),
}


def test_the_registry_lists_the_sets_of_the_book():
    assert {kind: all_names(kind) for kind in KINDS} == SETS
    assert all_names() == [name for names in SETS.values() for name in names]
    assert len(set(all_names())) == len(all_names())


@pytest.mark.parametrize("name", all_names())
def test_each_card_is_whole(name):
    card = describe(name)
    texts = (card.title, card.about, card.licence, card.citation, card.source, card.how_to_get)
    for text in texts:
        assert text
        assert text == text.strip()
        assert "  " not in text
    assert card.caveats
    assert card.source.startswith("http")
    if card.kind == "views":
        names = [view.name for view in card.views]
        assert len(set(names)) == len(names)
        assert set(card.default_views) <= set(names)
        assert len(card.default_views) == 2
        assert all(view.dim > 0 and view.meaning for view in card.views)
        assert len(card.class_names) in (0, card.n_clusters)
        assert set(card.layout.get("positions") or card.layout["variables"]) == set(names)
    elif card.kind == "images":
        assert len(set(card.class_names)) == card.n_clusters == len(card.prompt_names)
        assert all(n % 1 == 0 and n > 0 for n in card.n_samples.values())
        assert set(card.packed) <= set(card.n_samples)
    else:
        assert len(set(card.modalities)) == 2


@pytest.mark.parametrize("name", all_names())
def test_each_file_is_pinned_or_the_card_says_how_to_get_it(name):
    card = describe(name)
    for file in (*card.files, *card.packed.values()):
        if file.sha256 is None:
            assert file.url is None
            assert file.file.split(".")[0] in card.how_to_get
            if card.kind == "views":
                assert any("no sha256 is known" in caveat for caveat in card.caveats)
            else:
                assert f"{file.file}/" in card.how_to_get
            continue
        assert int(file.sha256, 16)
        assert len(file.sha256) == 64
        assert card.embedded or file.bytes > 0
        if card.kind == "views":
            commit = file.url.removeprefix("https://raw.githubusercontent.com/").split("/")[2]
            assert len(commit) == 40
            assert int(commit, 16)


@pytest.mark.parametrize("name", SMART_SETS)
def test_default_views_are_those_of_smart(name):
    c = describe(name)
    dims = {view.name: view.dim for view in c.views}
    found = (c.n_samples, c.n_clusters, tuple(dims[view] for view in c.default_views))
    assert found == SMART_SETS[name]


test_bad_views_are_named = refuses(
    lambda views: load("handwritten", views=views),
    ({"views": ("pix", "facc")}, "views='facc' is unknown. Did you mean 'fac'"),
    ({"views": "pix"}, "expected a sequence of names among pix, fou"),
    ({"views": ()}, "expected a sequence of names"),
    ({"views": ("pix", "pix")}, "names a view twice"),
)


def test_the_embedded_set_is_the_one_of_the_card():
    c = describe("handwritten")
    path = embedded_data() / c.embedded_file.file
    assert sha256_of(path) == c.embedded_file.sha256
    assert path.stat().st_size == c.embedded_file.bytes
    data = load("handwritten", views=[view.name for view in c.views])
    assert [X.shape for X in data.Xs] == [(2000, view.dim) for view in c.views]
    assert all(X.dtype == np.float32 and np.isfinite(X).all() for X in data.Xs)
    np.testing.assert_array_equal(data.y, np.repeat(np.arange(10), 200))
    pix, fou, fac, zer, kar, mor = data.Xs
    # What UCI says of the views: pixel means of 2 x 3 windows, whole profile correlations.
    np.testing.assert_array_equal(np.unique(pix), np.arange(7))
    np.testing.assert_array_equal(fac, fac.round())
    assert (np.abs(fou) < 1).all()
    assert (fou > 0).all()
    assert (zer > 0).all()
    assert (kar < 0).any()
    # The first morphological feature counts holes.
    assert set(np.unique(mor[:, 0])) <= {0, 1, 2, 3, 4, 5, 6}


def test_views_of_the_embedded_set_come_in_the_asked_order_without_network():
    assert is_at_hand("handwritten")
    data = load("HandWritten")
    assert data.view_names == ("pix", "fac")
    assert data.sha256 == fingerprint_of("handwritten")
    assert (data.n_samples, data.n_clusters) == (2000, 10)
    Xs = load("handwritten", views=("mor", "pix")).Xs
    assert [X.shape[1] for X in Xs] == [6, 240]


def test_a_damaged_embedded_file_is_refused(tmp_path, monkeypatch):
    file = describe("handwritten").embedded_file
    monkeypatch.setattr("mvlib.data.download.embedded_data", lambda: tmp_path)
    assert not is_at_hand("handwritten")
    with pytest.raises(FileNotFoundError, match="ships with mvlib and is missing"):
        load("handwritten")
    (tmp_path / file.file).write_bytes(b"damaged")
    assert not is_at_hand("handwritten")
    with pytest.raises(ValueError, match=f"expected {file.sha256}"):
        load("handwritten")


def pack(folder, y, views):
    """Write views as MATLAB cells, and pack them."""
    cells = np.empty((1, len(views)), dtype=object)
    cells[0, :] = views
    scipy.io.savemat(folder / "HandWritten.mat", {"X": cells, "Y": y[:, None] + 1})
    return pack_handwritten(folder / "HandWritten.mat", folder / "packed.npz")


def test_packing_the_embedded_numbers_again_gives_the_embedded_arrays(tmp_path):
    names = [view.name for view in describe("handwritten").views]
    embedded = embedded_data() / "handwritten.npz"
    views, y = read_layout(embedded, "npz", {}, names)
    with (
        np.load(pack(tmp_path, y, list(views.values()))) as again,
        np.load(embedded) as shipped,
    ):
        assert sorted(again.files) == sorted(shipped.files)
        for name in again.files:
            np.testing.assert_array_equal(again[name], shipped[name], strict=True)


def test_packing_loses_no_bit_keeps_no_time_and_refuses_what_it_would_round(tmp_path):
    with pytest.raises(ValueError, match="more than 8 decimals"):
        pack(tmp_path, np.arange(3), [np.full((3, v + 1), 1 / 3) for v in range(6)])
    assert not (tmp_path / "packed.npz").exists()
    rng = np.random.default_rng(0)
    y = np.arange(12) % 3
    views = [rng.integers(0, 7, (12, 2))] + [
        (rng.normal(size=(12, 3)) * 10.0**places).round(8 - places) for places in range(5)
    ]
    packed = pack(tmp_path, y, views)
    names = [view.name for view in describe("handwritten").views]
    found, labels = read_layout(packed, "npz", {}, names)
    np.testing.assert_array_equal(labels, y)
    for view, values in zip(found.values(), views, strict=True):
        np.testing.assert_array_equal(view, values)
    with zipfile.ZipFile(packed) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


# In the order of their names, a line each: name and fingerprint.
FINGERPRINTS = "f7e3742a9af133ccdef3406875a592d145fa5269e4c6d8564c05a0a81b3745d6"
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


@pytest.mark.parametrize("name", all_names())
def test_a_card_is_that_of_its_own_registry(name):
    about = describe(name.upper().replace("-", "_"))
    assert about.name == name
    assert [kind for kind in KINDS if name in all_names(kind)] == [about.kind]


def test_fingerprints_are_those_that_records_name():
    lines = "".join(f"{name} {fingerprint_of(name)}\n" for name in sorted(all_names()))
    assert hashlib.sha256(lines.encode()).hexdigest() == FINGERPRINTS
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


NEAREST = {"handwriten": "handwritten", "cifar-11": "cifar-10", "flickr-30k": "flickr30k"}
LOADED = [(load, "handwriten"), (load_images, "cifar-11"), (load_pairs, "flickr-30k")]
EVERY = [(of, name) for of in (describe, fingerprint_of, is_at_hand, fetch) for name in NEAREST]


@pytest.mark.parametrize(("function", "name"), EVERY + LOADED)
def test_an_unknown_name_gets_the_nearest(function, name):
    with pytest.raises(ValueError, match=f"Did you mean '{NEAREST[name]}'"):
        function(name)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("handwritten", "handwritten.npz"),
        ("openclipart-pairs", "openclipart_features.npz"),
        ("CIFAR-10", r"cifar-10-binary\.tar\.gz is missing"),
        ("imagenet-dogs", "ImageNet-Dogs, test: .* is missing"),
        ("flickr30k", r"Flickr30k: .*flickr30k\.json is missing"),
        ("remote-sensing", "is missing"),
        ("proteins", "is missing"),
        ("wiki", "is missing"),
    ],
)
def test_sets_of_all_kinds_are_at_hand_or_said_to_be_missing(name, found):
    assert is_at_hand(name) == (not found.endswith("missing"))
    if is_at_hand(name):
        assert fetch(name)[0].name == found
    else:
        with pytest.raises(FileNotFoundError, match=found):
            fetch(name)


def test_the_runner_knows_which_images_it_can_get():
    for names, expected in (
        (["handwritten"], "at hand"), (["openclipart-pairs"], "at hand"),
        (["cifar-10", "handwritten"], "to be fetched"),
        (["imagenet-1k", "cifar-10"], "not at hand"),
    ):  # fmt: skip
        assert data_at_hand(names) == expected
    for why, word in (
        (why_not_at_hand(["handwritten", "imagenet-10"]), "image-net.org"),
        (why_not_at_hand(["proteins"]), "ESM-2"),
        (no_public_link("ucf-101"), "crcv.ucf.edu"),
        (no_public_link("rsicd"), "RSICD_optimal"),
    ):
        assert word in why
    assert why_not_at_hand(["cifar-10"]) is None
    assert [no_public_link(name) for name in ("stl-10", "openclipart-pairs")] == [None, None]


def test_a_run_on_images_is_planned_keyed_and_chosen_by_name(tmp_path):
    write_text(tmp_path / "notebooks" / "toy" / "plan.toml", PLAN)
    (run,) = plan_runs("quick", datasets=["CIFAR_10"], root=tmp_path)
    assert run.datasets == ("cifar-10",)
    for names in (run.datasets, ("handwritten",)):
        assert data_checksums(names) == {name: fingerprint_of(name) for name in names}
    with pytest.raises(ValueError, match="Did you mean 'cifar-10'"):
        plan_runs("quick", datasets=["cifar10"], root=tmp_path)


def test_a_published_number_may_be_of_images(tmp_path):
    row = (
        'paper = "toy"\n[[row]]\ntable = "t"\nid = "a"\ndataset = "NAME"\nmethod = "A"\n'
        'setting = {}\nrule = "last"\nvalues = { acc = 90.1 }\ndigits = 1\n'
        'source = "code"\nwhere = "w"\ncaveat = ""\ncomparable = true\n'
    )
    path = tmp_path / "notebooks" / "toy" / "published.toml"
    write_text(path, row.replace("NAME", "stl-10"))
    assert load_published("toy", tmp_path)[0]["dataset"] == "stl-10"
    write_text(path, row.replace("NAME", "stl10"))
    with pytest.raises(ValueError, match="Did you mean 'stl-10'"):
        load_published("toy", tmp_path)


def test_the_command_line_lists_describes_and_fetches_all_kinds(capsys):
    assert main(["data", "list"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert set(all_names()) <= {line.split(" ")[0] for line in lines}
    assert set(lines) >= {
        "handwritten 2000 10 at hand",
        "imagenet-10 500 10 not at hand",
        "openclipart-pairs 2585 none at hand",
        "rsicd 1093 none not at hand",
        "proteins unknown none not at hand",
    }
    assert main(["data", "card", "imagenet-10", "wiki", "rsicd", "proteins"]) == 0
    out = capsys.readouterr().out
    for said in (
        "ImageNet-10 (imagenet-10): 500 test, 13000 train samples, 10 classes",
        "shorter side to 256",
        "2866 samples, 10 classes",
        "RSICD (rsicd): 8734 train, 1094 val, 1093 test pairs of image and text",
        "(proteins): your own pairs of sequence and structure",
    ):
        assert said in out
    assert main(["data", "fetch", "handwritten"]) == 0
    assert capsys.readouterr().out.strip().endswith("handwritten.npz")
    for name, missing in (("proteins", "sequence.npy"), ("dtd", "dtd-r1.0.1.tar.gz")):
        assert main(["data", "fetch", name]) == 2
        assert f"{missing} is missing" in capsys.readouterr().err
