"""A finding's table has the arms that its chapter names, the runs ahead, and a word."""

import tomllib
from pathlib import Path

import pytest
from toy_records import make_record

from mvlib import records
from mvlib.files import write_text
from mvlib.papers.findings import finding_table

ROOT = Path(__file__).resolve().parents[2]
ASKED = """
[gain]
experiment = "parts"
where = { starts = [1, 20] }
without = { kind = "old" }
pairs = [["a", "b"]]

[levels]
experiment = "parts"
arms = ["method", "starts"]
measure = "measure_edges"
"""
SETS = ("bdgp", "wiki", "cub", "handwritten")


def record(root, sets=("bdgp",), seeds=5, **given):
    """Record a at 0.6 and b at 0.5 on some sets; on Wiki, a behind in the last seed."""
    results = [
        {
            "method": method, "dataset": dataset, "seed": seed,
            "parameters": {"starts": 20, "kind": "new"} | given,
            "metrics": {"last": dict.fromkeys(("nmi", "ari", "purity"), 0.5) | {"acc": acc}},
            "measures": {"edges": acc},
            "seconds": 1.0,
        }
        for dataset in sets
        for seed in range(seeds)
        for method, acc in (
            ("a", 0.3 if dataset == "wiki" and seed == seeds - 1 else 0.6 + seed / 1000),
            ("b", 0.5),
        )
    ]  # fmt: skip
    number = sum(f"{sets}{given}".encode())
    record = make_record(
        paper="toy", experiment="parts", profile="reduced", results=results, datasets={},
        key=f"{number:064x}", cell=f"{number:016x}", parameters={"profile": "reduced"},
    )  # fmt: skip
    records.save_record(record, root)


@pytest.fixture
def root(tmp_path):
    write_text(tmp_path / "notebooks" / "toy" / "findings.toml", ASKED)
    return tmp_path


def test_few_sets_stand_side_by_side_with_the_runs_ahead_and_a_word(root):
    record(root, ("bdgp", "wiki"))
    record(root, ("bdgp", "wiki"), starts=3)
    record(root, ("bdgp", "wiki"), kind="old")
    (row,) = finding_table("toy", "gain", root).to_dict("records")
    assert (row["A"], row["B"]) == ("a", "b")
    assert row["BDGP"] == "+10.2 (5 of 5)"
    assert row["Wiki"] == "+4.1 (4 of 5)"
    assert row["verdict"] in ("a ahead here", "not told apart")


def test_many_sets_are_rows_and_bold_where_their_own_seeds_tell_the_pair_apart(root):
    record(root, SETS)
    table = finding_table("toy", "gain", root).set_index("a minus")["b"]
    assert table["BDGP"] == "**+10.2 (5 of 5)**"
    assert table["Wiki"] == "+4.1 (4 of 5)"
    assert table["sets ahead"] == "4 of 4"
    assert len(table) == len(SETS) + 2


def test_one_seed_has_a_difference_and_no_interval(root):
    record(root, seeds=1)
    (row,) = finding_table("toy", "gain", root).to_dict("records")
    assert row["all, 95 %"] == "+10.0"


def test_without_pairs_the_arms_levels_are_told_with_their_spread(root):
    record(root, seeds=3)
    table = finding_table("toy", "levels", root).set_index("method, starts")
    assert table.loc["a, 20", "BDGP"] == "60.1 ± 0.1"
    assert table.loc["b, 20", "n"] == 3


def test_an_unknown_finding_is_refused_and_nothing_recorded_is_an_empty_table(root):
    assert finding_table("toy", "gain", root).empty
    with pytest.raises(ValueError, match=r"finding='gane'.*gain"):
        finding_table("toy", "gane", root)


def test_the_tables_of_the_book_have_at_most_twelve_rows_and_no_gap():
    asked = sorted((ROOT / "notebooks").glob("*/findings.toml"))
    assert len(asked) == 4
    for path in asked:
        page = path.with_name("beliefs.md").read_text()
        for name in tomllib.loads(path.read_text()):
            table = finding_table(path.parent.name, name)
            assert 0 < len(table) <= 12, name
            assert "nan" not in table.to_string()
            # Some findings are told by the page's words, which a test holds to them.
            assert f"finding {path.parent.name} {name} -->" in page or name in (
                "class", "kernels", "added",
            )  # fmt: skip
