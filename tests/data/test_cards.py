import hashlib
import io
import zipfile

import numpy as np
import pytest
import scipy.io

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
from mvlib.files import embedded_data, sha256_of
from mvlib.records.keys import data_checksums
from mvlib.records.plan import plan_runs
from mvlib.records.published import load_published
from mvlib.records.tables import no_public_link
from mvlib.run.state import data_at_hand, why_not_at_hand

# In the order of the registry.
SETS = {
    "views": [
        "handwritten", "bdgp", "wiki", "mnist-usps", "hdigit", "nus-wide", "reuters-dim10",
        "deep-animal", "scene-15", "landuse-21", "cub",
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


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (("pix", "facc"), "views='facc' is unknown. Did you mean 'fac'"),
        ("pix", "expected a sequence of names among pix, fou"),
        ((), "expected a sequence of names"),
        (("pix", "pix"), "names a view twice"),
    ],
)
def test_bad_views_are_named(views, message):
    with pytest.raises(ValueError, match=message):
        load("handwritten", views=views)


def test_the_embedded_set_needs_neither_network_nor_cache():
    assert is_at_hand("handwritten")
    data = load("HandWritten")
    assert data.view_names == ("pix", "fac")
    assert data.sha256 == fingerprint_of("handwritten")
    assert (data.n_samples, data.n_clusters) == (2000, 10)


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


def test_views_come_in_the_asked_order():
    first, second = load("handwritten", views=("mor", "pix")).Xs
    assert first.shape[1] == 6
    assert second.shape[1] == 240


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


def as_matlab(path, y, views):
    cells = np.empty((1, len(views)), dtype=object)
    for v, view in enumerate(views):
        cells[0, v] = view
    scipy.io.savemat(path, {"X": cells, "Y": y[:, None] + 1})


def test_packing_the_embedded_numbers_again_gives_the_embedded_arrays(tmp_path):
    names = [view.name for view in describe("handwritten").views]
    embedded = embedded_data() / "handwritten.npz"
    views, y = read_layout(embedded, "npz", {}, names)
    as_matlab(tmp_path / "HandWritten.mat", y, list(views.values()))
    packed = pack_handwritten(tmp_path / "HandWritten.mat", tmp_path / "again.npz")
    with np.load(packed) as again, np.load(embedded) as shipped:
        assert sorted(again.files) == sorted(shipped.files)
        for name in again.files:
            assert again[name].dtype == shipped[name].dtype
            np.testing.assert_array_equal(again[name], shipped[name])


def test_packing_loses_no_bit_and_keeps_no_time(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(12) % 3
    views = [rng.integers(0, 7, (12, 2))] + [
        (rng.normal(size=(12, 3)) * 10.0**places).round(8 - places) for places in range(5)
    ]
    as_matlab(tmp_path / "HandWritten.mat", y, views)
    packed = pack_handwritten(tmp_path / "HandWritten.mat", tmp_path / "small.npz")
    names = [view.name for view in describe("handwritten").views]
    found, labels = read_layout(packed, "npz", {}, names)
    np.testing.assert_array_equal(labels, y)
    for view, values in zip(found.values(), views, strict=True):
        np.testing.assert_array_equal(view, values)
    with zipfile.ZipFile(io.BytesIO(packed.read_bytes())) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_packing_refuses_what_it_would_round(tmp_path):
    views = [np.full((3, 2), 1 / 3)] * 6
    as_matlab(tmp_path / "HandWritten.mat", np.arange(3), views)
    with pytest.raises(ValueError, match="more than 8 decimals"):
        pack_handwritten(tmp_path / "HandWritten.mat", tmp_path / "small.npz")
    assert not (tmp_path / "small.npz").exists()


# In the order of their names, a line each: name and fingerprint.
FINGERPRINTS = "705ffaa373ac798bbb9515c6065ad61f3373c84a4e6beb78c9300e941172a410"
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


@pytest.mark.parametrize("function", [describe, fingerprint_of, is_at_hand, fetch])
@pytest.mark.parametrize(
    ("name", "nearest"),
    [("handwriten", "handwritten"), ("cifar-11", "cifar-10"), ("flickr-30k", "flickr30k")],
)
def test_an_unknown_name_gets_the_nearest_of_all_kinds(function, name, nearest):
    with pytest.raises(ValueError, match=f"Did you mean '{nearest}'"):
        function(name)


@pytest.mark.parametrize(
    ("function", "name", "nearest"),
    [(load, "handwriten", "handwritten"), (load_images, "slt-10", "stl-10"),
     (load_pairs, "flickr3k", "flickr30k")],
)  # fmt: skip
def test_a_loader_names_the_nearest_of_its_kind(function, name, nearest):
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
