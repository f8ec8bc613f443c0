import numpy as np
import pytest
import scipy.io
import scipy.sparse

from mvlib.data import all_names, describe, load, min_max_scale
from mvlib.data.readers.views import read_layout

N = 6
CODES = np.array([1, 2, 3, 1, 2, 3])


def cells(*views, shape=None):
    """A MATLAB cell array, (1, n_views) unless told otherwise."""
    array = np.empty(shape or (1, len(views)), dtype=object)
    for place, view in zip(np.ndindex(array.shape), views, strict=True):
        array[place] = view
    return array


def numbers(seed, n_features, n_samples=N):
    return np.random.default_rng(seed).random((n_samples, n_features))


def padded(pictures):
    """16 x 16 pictures in the middle of 28 x 28 zeros."""
    whole = np.zeros((len(pictures), 28, 28))
    whole[:, 6:22, 6:22] = pictures.reshape(-1, 16, 16)
    return whole.reshape(len(pictures), -1)


A, B, C = numbers(0, 3), numbers(1, 4), numbers(2, 5)
USPS = numbers(3, 256)
COLUMN, ROW = CODES[:, None].astype(np.uint8), CODES[None].astype(np.int64)

# What each file holds, and the views expected of it, in the order of the card.
FILES = {
    "handwritten": ({"X": cells(A, B, C, A, B, C), "Y": COLUMN}, [A, B, C, A, B, C]),
    "bdgp": ({"data": cells(A.T, B.T), "truth": COLUMN}, [A, B]),
    "wiki": ({"X": cells(A, B, shape=(2, 1)), "Y": COLUMN, "data_name": "Wiki"}, [A, B]),
    "mnist-usps": ({"X1": A, "X2": padded(USPS), "Y": ROW}, [A, USPS]),
    "hdigit": ({"X": cells(A, B, shape=(2, 1)), "Y": COLUMN}, [A, B]),
    "nus-wide": ({"Img": A, "Txt": B, "label": ROW}, [A, B]),
    "reuters-dim10": (
        {
            "x_train": np.stack([A[:4], 2 * A[:4]]),
            "x_test": np.stack([A[4:], 2 * A[4:]]),
            "y_train": ROW[:, :4],
            "y_test": ROW[:, 4:],
        },
        [A, 2 * A],
    ),
    "deep-animal": ({"X": cells(B.T, B.T, B.T, B.T, B.T, A.T, C.T), "gt": COLUMN}, [A, C]),
    "scene-15": ({"X": cells(A, B, C), "Y": COLUMN}, [A, B, C]),
    "landuse-21": ({"X": cells(A, B, C), "Y": COLUMN}, [A, B, C]),
    "cub": ({"X": cells(A, B), "gt": COLUMN}, [A, B]),
    "acm": ({"X": cells(A, B, C, A, A, shape=(5, 1)), "y": COLUMN}, [A, B, C, A]),
    "uat": ({"uat/uat_feat": A, "uat/uat_adj": B, "uat/uat_label": CODES}, [A, B]),
}


def read_as(name, folder, contents, views=None):
    """Write a small file of this set, and read it as the set's card says."""
    about = describe(name)
    save = np.savez if about.reader == "zipped" else scipy.io.savemat
    with open(folder / "small.mat", "wb") as file:
        save(file, **contents) if save is np.savez else save(file, contents)
    names = views or [view.name for view in about.views]
    return read_layout(folder / "small.mat", about.reader, about.layout, names)


def test_every_set_has_a_file_below():
    assert set(FILES) == set(all_names("views"))


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_each_sets_layout_is_read(name, tmp_path):
    contents, expected = FILES[name]
    found, y = read_as(name, tmp_path, contents)
    assert list(found) == [view.name for view in describe(name).views]
    rows = np.argsort(CODES) if name == "reuters-dim10" else np.arange(N)
    for view, values in zip(found.values(), expected, strict=True):
        np.testing.assert_array_equal(view, values[rows])
    np.testing.assert_array_equal(y, CODES[rows] - 1, strict=True)


def test_train_and_test_views_may_be_cells(tmp_path):
    contents = {
        "x_train": cells(A[:4], B[:4]),
        "x_test": cells(A[4:], B[4:]),
        "y_train": COLUMN[:4],
        "y_test": COLUMN[4:],
    }
    found, y = read_as("reuters-dim10", tmp_path, contents)
    rows = np.argsort(CODES)
    for view, values in zip(found.values(), (A, B), strict=True):
        np.testing.assert_array_equal(view, values[rows])
    np.testing.assert_array_equal(y, CODES[rows] - 1)


def test_reuters_rows_come_train_then_test_then_sorted_by_label_as_in_smarts_code(tmp_path):
    rng = np.random.default_rng(3)
    train, test = rng.normal(size=(2, 40, 10)), rng.normal(size=(2, 25, 10))
    y_train, y_test = rng.integers(1, 7, (1, 40)), rng.integers(1, 7, (1, 25))
    contents = {"x_train": train, "x_test": test, "y_train": y_train, "y_test": y_test}
    found, y = read_as("reuters-dim10", tmp_path, contents)
    # As in the code: stacked, cast, scaled as one block, then sorted with np.argsort's default.
    labels = np.concatenate([y_train[0], y_test[0]])
    for v, name in enumerate(("first", "second")):
        stacked = np.concatenate([train[v], test[v]]).astype(np.float32)
        scaled = (stacked - stacked.min()) / (stacked.max() - stacked.min())
        (ours,) = min_max_scale([found[name].astype(np.float32)])
        np.testing.assert_allclose(ours, scaled[np.argsort(labels)], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(y, np.sort(labels) - 1)
    plain = {"positions": {"first": 0}}
    unsorted, _ = read_layout(tmp_path / "small.mat", "train_test", plain, ["first"])
    np.testing.assert_array_equal(unsorted["first"], np.concatenate([train[0], test[0]]))


def test_sparse_cells_become_dense_and_only_the_asked_views_are_read_in_order(tmp_path):
    sparse = scipy.sparse.csc_matrix(A.round())
    found, _ = read_as("cub", tmp_path, {"X": cells(sparse, B), "gt": COLUMN})
    np.testing.assert_array_equal(found["image"], A.round())
    found, _ = read_as("scene-15", tmp_path, FILES["scene-15"][0], ["d40", "d20"])
    assert list(found) == ["d40", "d20"]


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("cub", {"X": cells(A, B), "Y": COLUMN}, "no variable 'gt': it holds X, Y"),
        ("cub", {"X": cells(A), "gt": COLUMN}, "at least 2 views"),
        ("uat", {"uat/uat_feat": A}, "is not a readable zip of arrays: .*uat_adj"),
        ("uat", {"uat/uat_feat": A.astype(object)}, "is not a readable zip of arrays"),
        ("cub", {"X": A, "gt": COLUMN}, "expected a cell array"),
        ("cub", {"X": cells(A.T, B.T), "gt": COLUMN}, r"'image' has shape \(3, 6\)"),
        ("mnist-usps", {"X1": A, "X2": A, "Y": ROW}, "expected 784 columns"),
        ("mnist-usps", {"X1": A, "X2": np.ones((N, 784)), "Y": ROW}, "padded with zeros"),
        ("reuters-dim10",
         {"x_train": A[None], "x_test": A[None], "y_train": ROW, "y_test": ROW}, "at least 2"),
    ],
)  # fmt: skip
def test_a_file_of_another_layout_is_refused(name, contents, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_as(name, tmp_path, contents)


# The header of MATLAB 7.3: text, then version 2 and the byte order.
HEADER = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda whole: b"", "not a readable MATLAB file"),
        (lambda whole: b"not a MATLAB file" * 20, "not a readable MATLAB file"),
        (lambda whole: whole[:-100], r"small\.mat"),
        (lambda whole: HEADER + bytes(512), "expected version 5; save it again"),
    ],
    ids=["empty", "other bytes", "cut short", "7.3"],
)
def test_bytes_that_are_no_matlab_file_are_refused(damage, message, tmp_path):
    read_as("cub", tmp_path, FILES["cub"][0])
    path, about = tmp_path / "small.mat", describe("cub")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        read_layout(path, about.reader, about.layout, ["image"])


def test_a_pickle_inside_an_npz_is_not_opened(tmp_path):
    np.savez(tmp_path / "small.npz", views=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_layout(tmp_path / "small.npz", "npz", {}, ["pix"])


def reuters(n_train, n_test, n_features=10):
    rng = np.random.default_rng(0)
    codes = np.arange(n_train + n_test)[None] % 6 + 1
    return {
        "x_train": rng.random((2, n_train, n_features), dtype=np.float32),
        "x_test": rng.random((2, n_test, n_features), dtype=np.float32),
        "y_train": codes[:, :n_train],
        "y_test": codes[:, n_train:],
    }


def test_a_set_without_known_sha256_loads_from_the_users_file(tmp_path, monkeypatch):
    contents = reuters(9000, 9758)
    scipy.io.savemat(tmp_path / "Reuters_dim10.mat", contents)
    data = load("Reuters_dim10")
    assert data.name == "reuters-dim10"
    assert [X.shape for X in data.Xs] == [(18758, 10), (18758, 10)]
    assert (data.n_samples, data.n_clusters) == (18758, 6)
    rows = np.argsort(np.hstack([contents["y_train"], contents["y_test"]])[0])
    stacked = np.concatenate([contents["x_train"][1], contents["x_test"][1]])
    np.testing.assert_array_equal(data.Xs[1], stacked[rows])
    other = reuters(9000, 9758)
    other["x_test"][0, 0, 0] += 1
    scipy.io.savemat(tmp_path / "Reuters_dim10.mat", other)
    assert load("Reuters_dim10").sha256 != data.sha256


def test_a_file_of_other_size_than_the_card_says_is_refused(tmp_path):
    two = reuters(9000, 9758)
    two |= {name: two[name] % 2 for name in ("y_train", "y_test")}
    for contents, message in (
        (reuters(10, 5), r"'first'.*shape \(15, 10\): expected \(18758, 10\)"),
        (two, "2 classes: expected 6"),
    ):
        scipy.io.savemat(tmp_path / "Reuters_dim10.mat", contents)
        with pytest.raises(ValueError, match=message):
            load("reuters-dim10")
