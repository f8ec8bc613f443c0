import pytest
from image_stand_ins import card_changer, empty_data_folder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    return empty_data_folder(tmp_path, monkeypatch)


@pytest.fixture
def change(monkeypatch):
    return card_changer(monkeypatch)
