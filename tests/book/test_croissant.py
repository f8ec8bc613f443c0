"""The metadata beside a data card: of its format, and of the registry to the byte."""

import json

import mlcroissant
import pytest

from mvlib.book.data_cards.cards import card_page
from mvlib.book.data_cards.croissant import croissant, croissant_files
from mvlib.data import all_names, describe


@pytest.mark.parametrize("name", all_names())
def test_the_formats_own_library_takes_the_metadata_of_a_set_without_an_error(name, caplog):
    metadata = mlcroissant.Dataset(jsonld=croissant(describe(name))).metadata
    assert not metadata.issues.errors
    assert "is not standard" not in caplog.text
    missing = {warning.split('"')[1].rpartition("/")[2] for warning in metadata.issues.warnings}
    # When a set was published and its version are not in the registry.
    assert missing <= {"datePublished", "version"}
    assert metadata.name == name


def test_metadata_of_a_file_without_a_checksum_are_refused():
    held = croissant(describe("wiki"))
    del held["distribution"][0]["sha256"]
    with pytest.raises(mlcroissant.ValidationError, match="sha256"):
        mlcroissant.Dataset(jsonld=held)


def test_files_have_the_registrys_checksums_and_one_without_is_told_and_not_listed(tmp_path):
    for name in all_names():
        about = describe(name)
        held = croissant(about)
        sums = {file["name"]: file["sha256"] for file in held["distribution"]}
        for file in (*about.files, *about.packed.values()):
            assert sums.get(file.file) == file.sha256
            assert file.sha256 or file.file in held["description"]
    assert {"wiki", "cifar-10"} <= set(all_names())
    files = croissant_files()
    for name in all_names():
        assert json.loads(files[f"book/data/cards/{name}.json"])["name"] == name
        assert f"<{name}.json>" in card_page(name, tmp_path)
