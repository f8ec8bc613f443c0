"""Numbers of each method are those of its version, and a change of them needs a new one."""

import json

import pytest
from golden import harness
from golden.harness import RELATIVE, Case, differences, every_case, numbers_of, read

from mvlib.methods.catalogue import VERSIONS

EVERY = {(m, name): case for m, cases in every_case().items() for name, case in cases.items()}


@pytest.mark.parametrize(("method", "name"), EVERY)
def test_numbers_are_those_of_the_methods_version(method, name):
    case = EVERY[method, name]
    assert not differences(read(method)["cases"][name], numbers_of(case), case.tolerance)


def test_every_method_has_golden_numbers_of_its_version_and_of_every_case():
    assert set(every_case()) == set(VERSIONS)
    for method, cases in every_case().items():
        golden = read(method)
        assert golden["version"] == VERSIONS[method]
        assert list(golden["cases"]) == list(cases)


def test_a_tolerance_is_widened_only_with_a_reason():
    assert all(case.why for case in EVERY.values() if case.relative > RELATIVE)


def test_a_difference_is_seen_from_one_part_in_ten_thousand():
    golden = {"loss": [2.0, 1.0, None], "labels": [0, 1], "names": ["bee", "ant"]}
    assert not differences(golden, golden | {"loss": [2.0, 1.00005, None]})
    for change in (
        *({"loss": loss} for loss in ([2.0, 1.0004, None], [2.0, 1.0, 1.0], [2.0, 1.0])),
        {"labels": [1, 1]},
        {"names": ["bee", "bat"]},
    ):
        assert differences(golden, golden | change)
    assert differences(golden, {"loss": golden["loss"]})


def test_numbers_are_rewritten_under_a_new_version_only(tmp_path, monkeypatch):
    values = {"a": 1.0, "b": 2.0}
    names = ["a"]
    monkeypatch.setattr(
        harness,
        "cases",
        lambda method: {name: Case(lambda name=name: {"loss": values[name]}) for name in names},
    )
    monkeypatch.setitem(VERSIONS, "zero_shot", 1)
    harness.write("zero_shot", tmp_path)
    assert read("zero_shot", tmp_path) == {"version": 1, "cases": {"a": {"loss": [1.0]}}}
    names.append("b")
    values["a"] = 1.00001
    harness.write("zero_shot", tmp_path)
    assert json.loads((tmp_path / "zero_shot.json").read_text())["cases"] == {
        "a": {"loss": [1.0]},
        "b": {"loss": [2.0]},
    }
    values["b"] = 2.1
    with pytest.raises(ValueError, match="b: loss differs by 0.05"):
        harness.write("zero_shot", tmp_path)
    monkeypatch.setitem(VERSIONS, "zero_shot", 2)
    harness.write("zero_shot", tmp_path)
    assert read("zero_shot", tmp_path)["cases"]["b"] == {"loss": [2.1]}
    assert read("zero_shot", tmp_path)["version"] == 2
