"""In a real browser groups are corrected, by mouse, keyboard and dragging, and images found."""

import json
from itertools import combinations

import pytest
from projects import wait_for
from report_stand_ins import cluster_patches, write_patches

from mvlib.report.curate.edits import read_edits

PRESS = "document.getElementById('{}').click()"
SAID = "document.getElementById('edit-said').innerText"
FILES = "[...document.querySelectorAll('#grid-{} img')].map(image => image.alt)"
DRAG = """(() => {
  const carried = new DataTransfer();
  const on = (what, node) => node.dispatchEvent(
    new DragEvent(what, { bubbles: true, cancelable: true, dataTransfer: carried }));
  const from = document.querySelector('%s');
  const to = document.querySelector('%s');
  on('dragstart', from); on('dragover', to); on('drop', to); on('dragend', from);
})()"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "images"
    write_patches(folder)
    (folder / "trip to é").mkdir()
    (folder / "red7.png").rename(folder / "trip to é" / "50% #1.png")
    (folder / "blue4.png").write_bytes((folder / "blue3.png").read_bytes())
    cluster_patches(folder, folder.parent / "out")
    return folder


@pytest.fixture
def page(browser, folder, tmp_path):
    browser.open((folder.parent / "out" / "report.html").as_uri())
    browser.download_to(tmp_path)
    yield browser
    assert browser.said == []
    own = (str(folder.parent.as_uri()), "data:image/", "blob:")
    assert all(address.startswith(own) for address in browser.asked)


def image(file):
    return f'.thumb[title="{file}"]'


def choose(page, *files):
    for file in files:
        page.run(f"document.querySelector('{image(file)}').click()")


def move(page, to):
    page.run(f"document.getElementById('move-to').value = '{to}'")
    page.run(PRESS.format("move"))


def saved(page, tmp_path):
    page.run(PRESS.format("save"))
    wait_for((tmp_path / "edits.json").is_file, "the download")
    return json.loads((tmp_path / "edits.json").read_text(encoding="utf-8"))


def test_what_is_corrected_in_the_page_comes_out_of_the_next_run(page, folder, tmp_path):
    page.run(PRESS.format("edit"))
    choose(page, "green0.png", "green1.png")
    assert page.run(SAID) == "2 images chosen."
    move(page, "new")
    page.run("document.activeElement.value = '  my   trees '")
    page.press("Enter")
    assert page.run(FILES.format(4)) == ["green1.png", "green0.png"]
    choose(page, "red0.png")
    move(page, "none of these")
    page.run("document.querySelector('#group-3 .all').click()")
    move(page, "0")
    content = saved(page, tmp_path)
    assert [group["name"] for group in content["groups"]] == ["red", "green", "my trees"]
    assert content["none"] == ["red0.png"]
    result = cluster_patches(folder, edits=tmp_path / "edits.json")
    assert result.names == ("red", "green", "my trees", "none of these")
    assert result.sizes.tolist() == [12, 4, 2, 1]
    assert page.run("document.getElementById('group-3').hidden")


def test_the_keyboard_alone_renames_chooses_moves_and_undoes(page, tmp_path):
    page.run("document.getElementById('edit').focus()")
    page.press(" ")
    page.run("document.querySelector('#group-1 .rename').focus()")
    page.press("Enter")
    page.run("document.activeElement.value = 'scarlet'")
    page.press("Enter")
    assert page.run("document.activeElement.className") == "rename"
    page.run(f"document.querySelector('{image('red3.png')}').focus()")
    page.press(" ")
    page.press("m")
    assert page.run("document.activeElement.id") == "move-to"
    page.run("document.activeElement.value = '2'")
    page.run("document.getElementById('move').focus()")
    page.press("Enter")
    assert page.run(FILES.format(3))[0] == "red3.png"
    assert "Moved 1 to blue" in page.run(SAID)
    page.run(PRESS.format("undo"))
    assert "red3.png" in page.run(FILES.format(1))
    content = saved(page, tmp_path)
    assert [(row["number"], row["name"]) for row in content["groups"]] == [(1, "scarlet")]
    assert len(read_edits(tmp_path / "edits.json").groups[0].files) == 8


def test_an_image_that_is_dragged_takes_the_chosen_ones_with_it(page):
    page.run(PRESS.format("edit"))
    choose(page, "blue0.png", "blue1.png")
    page.run(DRAG % (image("blue0.png"), "#group-2"))
    assert {"blue0.png", "blue1.png"} <= set(page.run(FILES.format(2)))
    page.run(DRAG % (image("blue2.png"), '.pick[data-group="0"]'))
    assert "blue2.png" in page.run(FILES.format(1))
    assert page.run("document.querySelector('#group-3 .size').innerText") == "2 images"
    for _ in range(2):
        page.run(PRESS.format("undo"))
    assert len(page.run(FILES.format(3))) == 5


def test_without_correcting_a_press_enlarges_and_nothing_can_be_dragged(page):
    page.run(f"document.querySelector('{image('red0.png')}').click()")
    assert page.run("document.getElementById('large').open")
    page.run(PRESS.format("close"))
    page.run(DRAG % (image("red0.png"), "#group-2"))
    assert "red0.png" in page.run(FILES.format(1))
    assert page.run("document.getElementById('edit-bar').hidden")


LISTED = "[...document.querySelectorAll('#find-list .thumb')].map(thumb => thumb.title)"


def find(page, text, place=""):
    page.run(f"document.getElementById('find').value = '{text}'")
    page.run(f"document.getElementById('place').value = '{place}'")
    page.run("document.getElementById('place').dispatchEvent(new Event('change'))")


def test_images_are_found_by_file_name_word_and_folder(page):
    find(page, "GREEN3 png")
    assert page.run(LISTED) == ["green3.png"]
    find(page, "blue")
    assert sorted(page.run(LISTED))[:2] == ["blue0.png", "blue1.png"]
    assert page.run("document.getElementById('find-said').innerText").endswith("images found.")
    find(page, "red", "trip to é/")
    assert page.run(LISTED) == ["trip to é/50% #1.png"]
    shown = "[...document.querySelectorAll('.group .thumb')].filter(one => one.offsetParent)"
    assert page.run(f"{shown}.map(thumb => thumb.title)") == ["trip to é/50% #1.png"]


def test_an_enlarged_image_leads_to_its_original_and_to_those_alike(page, folder):
    choose(page, "trip to é/50% #1.png")
    address = page.run("document.getElementById('original').href")
    page.run(PRESS.format("alike"))
    assert not page.run("document.getElementById('large').open")
    listed = page.run(LISTED)
    assert len(listed) == 8
    assert set(listed) >= {f"red{number}.png" for number in range(7)}
    assert address == (folder / "trip to é" / "50% #1.png").as_uri()


def test_an_image_that_was_found_can_be_corrected_from_there(page):
    page.run(PRESS.format("edit"))
    find(page, "green5")
    page.run("document.querySelector('#find-list .thumb').click()")
    move(page, "2")
    assert page.run(FILES.format(3))[0] == "green5.png"
    page.run(PRESS.format("undo"))


def test_copies_are_shown_with_links_and_their_images(page):
    names = (
        "[...document.querySelectorAll('#repeats ~ ul .lone')].map(one => one.innerText.trim())"
    )
    assert {"blue3.png", "blue4.png"} <= set(page.run(names))
    assert page.run("document.querySelectorAll('#repeats ~ ul img').length") >= 2


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_the_screen_while_groups_are_corrected(browser, folder, width):
    browser.open((folder.parent / "out" / "report.html").as_uri(), width=width)
    browser.run(PRESS.format("edit"))
    assert browser.run("document.documentElement.scrollWidth") <= width


NUMBERS = """[...document.querySelectorAll('.numbers text')].map(one => {
  const box = one.getBoundingClientRect();
  return [box.left, box.top, box.right, box.bottom, box.width > 0];
})"""


@pytest.mark.parametrize("width", [1280, 390])
def test_no_number_on_the_map_covers_another_and_a_marked_group_has_its_own(
    browser, folder, tmp_path, width
):
    cluster_patches(folder, tmp_path / "out", n_clusters=14)
    browser.open((tmp_path / "out" / "report.html").as_uri(), width=width)
    boxes = browser.run(NUMBERS)
    seen = [box for box in boxes if box[4]]
    assert 3 <= len(seen) < len(boxes) == 14
    for (a, b, c, d, _), (e, f, g, h, _) in combinations(seen, 2):
        assert a >= g or e >= c or b >= h or f >= d
    hidden = next(group for group, box in enumerate(boxes) if not box[4])
    browser.run(f"document.querySelector('.pick[data-group=\"{hidden}\"]').click()")
    assert browser.run(NUMBERS)[hidden][4]


LOADED = """Promise.all([...document.querySelectorAll('#find-list img')].map(image => {
  image.loading = 'eager';
  return image.decode().then(() => image.naturalWidth, () => 0);
}))"""


def test_images_that_the_page_does_not_hold_are_shown_from_beside_it(
    browser, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("mvlib.report.image_folder.PER_GROUP", 3)
    cluster_patches(folder, tmp_path / "out")
    browser.open((tmp_path / "out" / "report.html").as_uri())
    browser.run("document.querySelector('#group-1 .others').click()")
    outside = browser.run(LISTED)
    assert len(outside) == 5
    assert browser.run(LOADED) == [32] * 5
    browser.run("document.querySelector('#find-list .thumb').click()")
    large = "document.querySelector('#large-picture img')"
    assert browser.run(f"{large}.decode().then(() => {large}.naturalWidth)") == 32
    assert browser.said == []
    own = (tmp_path / "out").as_uri()
    assert all(address.startswith((own, "data:image/")) for address in browser.asked)
    for path in (tmp_path / "out" / "report_thumbs").iterdir():
        path.unlink()
    browser.open((tmp_path / "out" / "report.html").as_uri())
    browser.run("document.querySelector('#group-1 .others').click()")
    browser.run(LOADED)
    names = "[...document.querySelectorAll('#find-list .named')].map(one => one.innerText)"
    assert browser.run(names) == outside
