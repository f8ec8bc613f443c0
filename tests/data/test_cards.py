import io
import zipfile

import numpy as np
import pytest
import scipy.io

from mvlib.data import (
    all_names,
    describe,
    fingerprint_of,
    is_at_hand,
    load,
    pack_handwritten,
)
from mvlib.data.readers.views import read_layout
from mvlib.files import embedded_data, sha256_of

NAMES = [
    "handwritten",
    "bdgp",
    "wiki",
    "mnist-usps",
    "hdigit",
    "nus-wide",
    "reuters-dim10",
    "deep-animal",
    "scene-15",
    "landuse-21",
    "cub",
]

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
    assert all_names("views") == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_card_is_whole(name):
    c = describe(name)
    for text in (c.title, c.about, c.licence, c.citation, c.source, c.how_to_get):
        assert text.strip() == text
        assert text
        assert "  " not in text
    names = [view.name for view in c.views]
    assert len(set(names)) == len(names)
    assert set(c.default_views) <= set(names)
    assert len(c.default_views) == 2
    assert all(view.dim > 0 and view.meaning for view in c.views)
    assert len(c.class_names) in (0, c.n_clusters)
    assert c.caveats
    assert c.source.startswith("http")
    places = c.layout.get("positions") or c.layout["variables"]
    assert set(places) == set(names)
    assert len(fingerprint_of(name)) == 64


@pytest.mark.parametrize("name", NAMES)
def test_each_file_is_pinned_or_the_card_says_how_to_get_it(name):
    for file in describe(name).files:
        if file.sha256 is None:
            assert file.url is None
            assert file.file.split(".")[0] in describe(name).how_to_get
            assert any("no sha256 is known" in caveat for caveat in describe(name).caveats)
        else:
            assert int(file.sha256, 16)
            assert len(file.sha256) == 64
            assert file.bytes > 0
            commit = file.url.removeprefix("https://raw.githubusercontent.com/").split("/")[2]
            assert len(commit) == 40
            assert int(commit, 16)


@pytest.mark.parametrize("name", SMART_SETS)
def test_default_views_are_those_of_smart(name):
    c = describe(name)
    dims = {view.name: view.dim for view in c.views}
    found = (c.n_samples, c.n_clusters, tuple(dims[view] for view in c.default_views))
    assert found == SMART_SETS[name]


def test_fingerprints_differ_between_sets():
    assert len({fingerprint_of(name) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("spelling", ["MNIST-USPS", "mnist_usps", "Mnist usps"])
def test_names_are_forgiving_in_spelling(spelling):
    assert describe(spelling).name == "mnist-usps"


@pytest.mark.parametrize("function", [describe, fingerprint_of, is_at_hand, load])
def test_an_unknown_set_is_refused_with_the_nearest_name(function):
    with pytest.raises(ValueError, match="Did you mean 'handwritten'"):
        function("handwriten")


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


@pytest.fixture
def no_network_no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MVLIB_OFFLINE", "1")
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path / "none"))


@pytest.mark.usefixtures("no_network_no_cache")
def test_the_embedded_set_needs_neither_network_nor_cache():
    assert is_at_hand("handwritten")
    data = load("HandWritten")
    assert data.view_names == ("pix", "fac")
    assert data.sha256 == fingerprint_of("handwritten")
    assert (data.n_samples, data.n_clusters) == (2000, 10)


@pytest.mark.usefixtures("no_network_no_cache")
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


@pytest.mark.usefixtures("no_network_no_cache")
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
