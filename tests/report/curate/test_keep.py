"""Groups stay as they are when images come and go, and are kept in a file without pickle."""

import numpy as np
import pytest
from PIL import Image
from report_stand_ins import ColourEncoder, cluster_patches, rows_of, write_patches

from mvlib.report import load_groups, report_html
from mvlib.report.curate.edits import NONE


@pytest.fixture
def folder(tmp_path):
    write_patches(tmp_path / "images", (4, 3, 2))
    return tmp_path / "images"


def save_colour(path, rgb):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (24, 24), rgb).save(path)


def test_new_photos_join_the_groups_that_are_there_whose_numbers_and_names_stay(
    folder, tmp_path
):
    out = tmp_path / "out"
    first = cluster_patches(folder, out)
    for number in range(6):
        save_colour(folder / "new" / f"{number}.png", (40, 70 + number, 215))
    (folder / "green1.png").unlink()
    result = cluster_patches(folder, out, update=True)
    assert result.names == first.names == ("red", "green", "blue")
    assert result.sizes.tolist() == [4, 2, 8]
    assert {row["file"] for row in rows_of(out) if row["cluster"] == "3"} > {"new/0.png"}
    for path in [*folder.glob("green*"), *folder.rglob("*/*"), *folder.glob("blue*")]:
        path.unlink()
    emptied = cluster_patches(folder, out, update=True)
    assert emptied.names == first.names
    assert emptied.sizes.tolist() == [4, 0, 0]
    assert [group.nouns for group in emptied.groups] == [group.nouns for group in first.groups]


def test_an_update_needs_groups_that_are_there(folder, tmp_path):
    with pytest.raises(ValueError, match="update without out"):
        cluster_patches(folder, update=True)
    with pytest.raises(FileNotFoundError, match="groups.json"):
        cluster_patches(folder, tmp_path / "out", update=True)
    cluster_patches(folder, tmp_path / "out")
    path = tmp_path / "out" / "groups.json"
    path.write_text(path.read_text().replace('"group": 3', '"group": 4'))
    with pytest.raises(ValueError, match="group 4 is not among"):
        cluster_patches(folder, tmp_path / "out", update=True)


def test_new_images_are_assigned_to_the_nearest_group_and_never_to_none(folder):
    result = cluster_patches(folder)
    features = ColourEncoder().encode_images(
        [Image.new("RGB", (9, 9), rgb) for rgb in ((200, 20, 20), (30, 50, 230))]
    )
    labels, cosines = result.assign(features)
    assert [result.names[k] for k in labels] == ["red", "blue"]
    assert cosines.min() > 0.9
    own, _ = result.assign(result.features)
    np.testing.assert_array_equal(own, result.labels)
    with pytest.raises(ValueError, match=r"features has shape \(1, 3\): expected \(n, 4\)"):
        result.assign(np.ones(3))


def test_what_is_saved_comes_back_and_assigns_alike(folder, tmp_path):
    (folder / "text.png").write_text("no image")
    result = cluster_patches(folder)
    result.save(tmp_path / "groups.safetensors")
    again = load_groups(tmp_path / "groups.safetensors")
    for name in ("files", "groups", "skipped", "directory", "method", "random_state"):
        assert getattr(again, name) == getattr(result, name)
    for name in ("labels", "features", "confidence", "next_group", "embedding"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    np.testing.assert_array_equal(
        again.assign(result.features)[0], result.assign(result.features)[0]
    )
    assert "images in 3 groups" in report_html(again)
    for content in (b"", b"text", (tmp_path / "groups.safetensors").read_bytes()[:200]):
        (tmp_path / "broken").write_bytes(content)
        with pytest.raises(ValueError, match="holds no groups of mvlib"):
            load_groups(tmp_path / "broken")


def test_images_set_aside_stay_aside_through_an_update(folder, tmp_path):
    out = tmp_path / "out"
    edits = tmp_path / "edits.json"
    edits.write_text('{"format": "mvlib edits 1", "groups": [], "none": ["red0.png"]}')
    first = cluster_patches(folder, out, edits=edits)
    assert first.names[-1] == NONE
    save_colour(folder / "new.png", (215, 30, 30))
    result = cluster_patches(folder, out, update=True)
    assert result.names == first.names
    places = dict(zip(result.files, result.labels, strict=True))
    assert (places["red0.png"], places["new.png"]) == (3, 0)
    assert result.edits.none == ("red0.png",)


def test_an_update_with_edits_keeps_the_numbers_of_groups_that_emptied(folder, tmp_path):
    out, edits = tmp_path / "out", tmp_path / "edits.json"
    edits.write_text(
        '{"format": "mvlib edits 1", "none": [], "groups": '
        '[{"name": "sea", "number": 3, "files": ["blue0.png", "blue1.png"]}]}'
    )
    cluster_patches(folder, out, edits=edits)
    for path in folder.glob("green*"):
        path.unlink()
    result = cluster_patches(folder, out, update=True)
    assert result.names == ("red", "green", "sea")
    assert result.sizes.tolist() == [4, 0, 2]
