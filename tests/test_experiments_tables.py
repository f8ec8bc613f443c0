"""Tables print recorded numbers, once, and never a quick one beside a published one."""

import copy
import tomllib

import pandas as pd
import pytest

from mvlib._paths import project_root
from mvlib.experiments import (
    comparison_table,
    load_published,
    readme_table,
    results_frame,
    results_table,
    save_record,
    to_markdown,
    update_readme,
)
from mvlib.experiments.schemas import first_error

SEEDS = (5, 15, 25)


def record(number, profile="full", dataset="bdgp", seed=5, acc=0.97, started="2026-01-01"):
    def result(method, seed, rules):
        scores = {"nmi": 0.8, "ari": 0.7, "purity": 0.9}
        return {
            "method": method, "dataset": dataset, "seed": seed, "parameters": {},
            "seconds": 1.0,
            "metrics": {rule: scores | {"acc": value} for rule, value in rules.items()},
        }  # fmt: skip

    parameters = {"profile": profile, "dataset": dataset, "aligned_ratio": 1.0, "seeds": [seed]}
    return {
        "key": f"{number:064x}", "cell": f"{number:016x}", "paper": "smart",
        "experiment": "method", "notebook": "notebooks/smart/method.ipynb", "profile": profile,
        "parameters": parameters, "datasets": {dataset: "0" * 64},
        "results": [
            result("SMART", seed, {"last": acc - 0.1, "oracle": acc}),
            result("spectral clustering", None, {"last": 0.6}),
        ],
        "wall_seconds": 1.0, "cpu_seconds": 1.0, "peak_memory_bytes": 1,
        "gpu_peak_memory_bytes": None, "device": "cpu", "threads": 1,
        "versions": {"python": "3.11.7", "mvlib": "0.1.0"}, "git_commit": None,
        "git_dirty": None, "started": f"{started}T00:00:00+00:00", "status": "ok",
        "error": None, "executed": f"runs/{profile}/smart/{number}.ipynb",
    }  # fmt: skip


@pytest.fixture
def project(tmp_path):
    for folder in ("plans", "published"):
        target = tmp_path / "data" / folder / "smart.toml"
        target.parent.mkdir(parents=True)
        source = project_root() / "data" / folder / "smart.toml"
        target.write_text(source.read_text("utf-8"), "utf-8")
    for number, (seed, acc) in enumerate(zip(SEEDS, (0.975, 0.98, 0.985), strict=True), 1):
        save_record(record(number, seed=seed, acc=acc), tmp_path)
    save_record(record(9, profile="quick", seed=5, acc=0.5), tmp_path)
    save_record(record(10, profile="quick", seed=15, acc=0.52), tmp_path)
    return tmp_path


def test_comparison_gives_mean_spread_and_verdict_from_full_records(project):
    table = comparison_table("smart", "leaderboard-100", project)
    row = table[table["id"] == "smart-bdgp-100"].iloc[0]
    assert (row["published"], row["source"], row["rule"]) == (97.95, "secondary", "oracle")
    assert (row["ours"], row["sd"], row["n"]) == pytest.approx((98.0, 0.5, 3))
    assert row["difference"] == pytest.approx(0.05)
    assert row["verdict"] == "match"
    assert row["version"] == "earlier version"
    assert row["aligned_ratio"] == 1.0


def test_comparison_says_not_run_and_cannot_with_the_reason(project):
    table = comparison_table("smart", "leaderboard-100", project).set_index("id")
    assert table.loc["smart-wiki-100", "verdict"] == "not run"
    assert pd.isna(table.loc["smart-wiki-100", "ours"])
    assert table.loc["smart-nus-wide-100", "verdict"] == "cannot"
    assert "no public link" in table.loc["smart-nus-wide-100", "detail"]


def test_our_other_rows_stand_beside_the_published_setting_without_a_verdict(project):
    table = comparison_table("smart", "leaderboard-100", project)
    ours = table[table["published"].isna()].set_index(["method", "rule"])
    assert set(ours["dataset"]) == {"bdgp"}
    assert ours.loc[("SMART", "last"), "ours"] == pytest.approx(88.0)
    assert ours.loc[("spectral clustering", "last"), "n"] == 1
    assert set(ours["verdict"]) == {""}


def test_other_methods_rows_are_never_compared(project):
    table = comparison_table("smart", "vital-50", project)
    assert set(table["verdict"]) == {"cannot"}
    assert table["detail"].str.contains("protocol differs").all()
    assert len(table) == 3 * 18
    wiki = table[table["dataset"] == "wiki"]
    assert wiki["caveat"].str.contains("do not compare").all()


def test_unknown_table_gives_the_nearest(project):
    with pytest.raises(ValueError, match="Did you mean 'leaderboard-100'"):
        comparison_table("smart", "leaderboard-10", project)


def test_results_are_spread_over_seeds_and_counted_once(project):
    table = results_table("smart", "full", root=project)
    rows = table.set_index(["method", "rule"])
    assert rows.loc[("SMART", "oracle"), "acc"] == "98.0 ± 0.5"
    assert rows.loc[("SMART", "oracle"), "n"] == 3
    assert rows.loc[("spectral clustering", "last"), "acc"] == "60.0"
    assert rows.loc[("spectral clustering", "last"), "n"] == 1
    assert results_table("smart", "quick", root=project).iloc[0]["n"] == 2


def test_the_newest_of_two_records_of_a_result_counts(project):
    save_record(record(20, seed=5, acc=0.4, started="2026-03-01"), project)
    frame = results_frame("smart", "full", root=project)
    chosen = frame[(frame["seed"] == 5) & (frame["rule"] == "oracle")]
    assert chosen["acc"].tolist() == [0.4]


def test_readme_table_has_published_and_recorded_rows_only(project):
    text = readme_table(project)
    (bdgp,) = [line for line in text.splitlines() if "BDGP" in line]
    cells = [cell.strip() for cell in bdgp.strip("|").split("|")]
    assert cells[3:] == ["3", "88.0 ± 0.5", "98.0 ± 0.5", "97.95", "secondary", "match"]
    assert len(text.splitlines()) == 2 + 4


def test_readme_is_changed_between_its_marks_and_nowhere_else(project):
    readme = project / "README.md"
    readme.write_text("# Top\n<!-- table: begin -->\nold\n<!-- table: end -->\nrest\n")
    assert update_readme(project) is True
    text = readme.read_text()
    assert text.startswith("# Top\n<!-- table: begin -->\n| Paper")
    assert text.endswith("|\n<!-- table: end -->\nrest\n")
    assert update_readme(project) is False
    readme.write_text("# no marks\n")
    with pytest.raises(ValueError, match="table: begin"):
        update_readme(project)


def test_markdown_aligns_numbers_and_escapes_pipes():
    df = pd.DataFrame({"name": ["a|b", None], "x": [1.5, float("nan")], "n": [1, 2]})
    assert to_markdown(df).splitlines() == [
        "| name | x | n |",
        "| --- | ---: | ---: |",
        "| a\\|b | 1.50 | 1 |",
        "|  |  | 2 |",
    ]


def published_file():
    path = project_root() / "data" / "published" / "smart.toml"
    return tomllib.loads(path.read_text("utf-8"))


def test_published_numbers_of_smart_are_the_secondary_four():
    ours = {row["dataset"]: row for row in load_published("smart") if row["comparable"]}
    values = {name: row["value"] for name, row in ours.items()}
    assert values == {"handwritten": 93.21, "bdgp": 97.95, "wiki": 60.33, "nus-wide": 67.25}
    for row in ours.values():
        assert (row["source"], row["rule"], row["metric"]) == ("secondary", "oracle", "acc")
        assert row["setting"] == {"aligned_ratio": 1.0}


@pytest.mark.parametrize(
    "change",
    [
        {"source": "hearsay"},
        {"values": {"acc": 193.0}},
        {"values": {}},
        {"comparable": False},
        {"reason": "but it is comparable"},
        {"digits": -1},
        {"surprise": 1},
    ],
)
def test_the_published_schema_refuses(change):
    content = published_file()
    assert first_error("published", content) is None
    wrong = copy.deepcopy(content)
    wrong["row"][0] |= change
    assert "row/0" in first_error("published", wrong)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "smart-bdgp-100"', 'id = "smart-wiki-100"', "twice"),
        ('dataset = "bdgp"', 'dataset = "bgdp"', "Did you mean 'bdgp'"),
        ('paper = "smart"', 'paper = "other"', "expected 'smart'"),
    ],
)
def test_a_wrong_published_file_says_what_is_wrong(project, old, new, message):
    path = project / "data" / "published" / "smart.toml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ValueError, match=message):
        load_published("smart", project)
