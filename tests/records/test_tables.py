"""Tables print recorded numbers, once, and never a quick one beside a published one."""

import copy
import tomllib

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from toy_records import make_record

from mvlib.book import fill
from mvlib.check import check_schema
from mvlib.files import project_root, write_text
from mvlib.records import (
    comparison_table,
    load_claims,
    load_published,
    plan_runs,
    readme_table,
    results_frame,
    results_table,
    save_record,
    to_markdown,
    update_readme,
    verdict,
)
from mvlib.records.readme import setting_text
from mvlib.records.tables import _told, compare, summarise
from mvlib.records.verdicts import Verdict

SCHEMA = project_root() / "mvlib" / "records" / "schemas" / "published.schema.json"
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
    return make_record(
        key=f"{number:064x}", cell=f"{number:016x}", paper="smart", profile=profile,
        notebook="notebooks/smart/method.ipynb", parameters=parameters,
        datasets={dataset: "0" * 64}, started=f"{started}T00:00:00+00:00",
        results=[
            result("SMART", seed, {"last": acc - 0.1, "oracle": acc}),
            result("spectral clustering", None, {"last": 0.6}),
            result("k-means", None, {"last": 0.55}),
        ],
        executed=f"runs/{profile}/smart/{number}.ipynb",
    )  # fmt: skip


def copy_chapter(root):
    """Put SMART's plan and published numbers into a project."""
    for name in ("plan.toml", "published.toml"):
        source = project_root() / "notebooks" / "smart" / name
        write_text(root / "notebooks" / "smart" / name, source.read_text("utf-8"))


@pytest.fixture
def project(tmp_path):
    copy_chapter(tmp_path)
    for number, (seed, acc) in enumerate(zip(SEEDS, (0.975, 0.98, 0.985), strict=True), 1):
        save_record(record(number, seed=seed, acc=acc), tmp_path)
    save_record(record(9, profile="quick", seed=5, acc=0.5), tmp_path)
    save_record(record(10, profile="quick", seed=15, acc=0.52), tmp_path)
    return tmp_path


def test_comparison_gives_mean_spread_and_verdict_or_why_there_is_none(project):
    table = comparison_table("smart", "leaderboard-100", project)
    row = table[table["id"] == "smart-bdgp-100"].iloc[0]
    assert (row["published"], row["source"], row["rule"]) == (97.95, "secondary", "oracle")
    assert (row["ours"], row["sd"], row["n"]) == pytest.approx((98.0, 0.5, 3))
    assert row["difference"] == pytest.approx(0.05)
    assert row["verdict"] == "within 1"
    low, high = stats.t.interval(0.9, 2, 0.05, 0.5 / np.sqrt(3))
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low - 0.005, high + 0.005))
    assert (row["version"], row["aligned_ratio"]) == ("earlier version", 1.0)
    table = table.set_index("id")
    assert table.loc["smart-wiki-100", "verdict"] == "not run"
    assert pd.isna(table.loc["smart-wiki-100", "ours"])
    assert table.loc["smart-wiki-100", "command"] == (
        "mvlib run smart/method --profile full --dataset wiki --where aligned_ratio=1.0 --again"
    )
    assert table.loc["smart-nus-wide-100", "verdict"] == "cannot"
    assert "no public link" in table.loc["smart-nus-wide-100", "detail"]
    with pytest.raises(ValueError, match="Did you mean 'leaderboard-100'"):
        comparison_table("smart", "leaderboard-10", project)


def test_our_other_rows_stand_beside_the_published_setting_without_a_verdict(project):
    table = comparison_table("smart", "leaderboard-100", project)
    ours = table[table["published"].isna()].set_index(["method", "rule"])
    assert set(ours["dataset"]) == {"bdgp"}
    assert list(ours.loc[("SMART", "last"), ["ours", "sd"]]) == pytest.approx([88.0, 0.5])
    assert ours.loc[("spectral clustering", "last"), "n"] == 1
    # In the order in which they were recorded.
    assert list(dict.fromkeys(ours.index.get_level_values("method"))) == [
        "SMART", "spectral clustering", "k-means",
    ]  # fmt: skip
    assert set(ours["verdict"]) == {""}
    assert ours["command"].str.contains("--dataset bdgp --where aligned_ratio=1.0").all()


def test_of_a_chapters_other_experiments_what_was_run_says_how():
    table = comparison_table("lineup", "vital-cub")
    ran = table["ours"].notna()
    assert ran.any()
    assert not ran.all()
    assert table.loc[ran, "command"].str.startswith("mvlib run lineup/as_published ").all()
    assert set(table.loc[~ran, "command"]) == {""}


@pytest.mark.parametrize(
    ("versions", "said"),
    [(("", ""), ""), (("", "earlier version"), "earlier version"), ((), "")],
)
def test_a_mean_with_one_earlier_version_among_its_results_says_so(versions, said):
    told = _told(Verdict("within 1"), pd.DataFrame({"version": versions}))
    assert told["version"] == said


def test_whole_numbers_that_a_gap_made_floats_are_shown_whole_and_shares_are_not():
    scores = dict.fromkeys(("acc", "nmi", "ari", "purity"), 0.5)
    frame = pd.DataFrame({"split": [20.0, np.nan], "ratio": [0.5, 1.0], **scores})
    found = summarise(frame, ["split", "ratio"])
    assert found["split"].dtype == "Int64"
    assert found["ratio"].tolist() == [0.5, 1.0]


def test_other_methods_rows_are_never_compared(project):
    table = comparison_table("smart", "vital-50", project)
    assert set(table["verdict"]) == {"cannot"}
    assert table["detail"].str.contains("protocol differs").all()
    assert len(table) == 3 * 18
    assert set(table["command"]) == {""}
    wiki = table[table["dataset"] == "wiki"]
    assert wiki["caveat"].str.contains("do not compare").all()


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


def with_variants(number, seed, acc, values=("clustering",), **changes):
    """A record whose method has, beside its own result, far better ones marked as variants."""
    made = record(number, seed=seed, acc=acc, **changes)
    scores = dict.fromkeys(("acc", "nmi", "ari", "purity"), 1.0)
    metrics = dict.fromkeys(("last", "central", "oracle"), scores)
    made["results"] += [
        made["results"][0]
        | {"parameters": {"variant": value, "starts": 20}, "metrics": metrics}
        for value in values
    ]
    return made


@pytest.mark.parametrize("value", ["clustering", "", 0, False, 3.5])
def test_any_value_marks_a_variant_and_none_does_not(project, value):
    save_record(with_variants(1, 5, 0.975, (value, None)), project)
    frame = results_frame("smart", "full", root=project)
    chosen = frame[(frame["seed"] == 5) & (frame["method"] == "SMART")]
    assert sorted(chosen["acc"]) == pytest.approx([0.875, 0.975, 1, 1, 1])
    both = results_frame("smart", "full", root=project, variants=True)
    assert len(both) == len(frame) + 3


def test_records_of_nothing_but_variants_give_an_empty_table(project):
    made = with_variants(30, 5, 0.9, dataset="wiki")
    made["results"] = made["results"][-1:]
    made["experiment"] = "selection"
    save_record(made, project)
    assert results_frame("smart", "full", "selection", project).empty
    assert len(results_frame("smart", "full", "selection", project, variants=True)) == 3
    assert results_table("smart", "full", "selection", root=project).empty


def test_variants_enter_neither_tables_nor_comparisons_unless_asked_for(project):
    alone = results_frame("smart", "full", root=project)
    for number, (seed, acc) in enumerate(zip(SEEDS, (0.975, 0.98, 0.985), strict=True), 1):
        save_record(with_variants(number, seed, acc), project)
    pd.testing.assert_frame_equal(results_frame("smart", "full", root=project), alone)
    everything = results_frame("smart", "full", root=project, variants=True)
    assert len(everything) == len(alone) + 3 * len(SEEDS)
    marked = everything[everything["variant"].notna()]
    assert (set(marked["acc"]), set(marked["starts"])) == ({1.0}, {20})
    assert set(marked["rule"]) == {"last", "central", "oracle"}
    rows = results_table("smart", "full", root=project).set_index(["method", "rule"])
    assert rows.loc[("SMART", "oracle"), ["acc", "n"]].tolist() == ["98.0 ± 0.5", 3]
    table = comparison_table("smart", "leaderboard-100", project)
    row = table[table["id"] == "smart-bdgp-100"].iloc[0]
    assert (row["ours"], row["sd"], row["n"]) == pytest.approx((98.0, 0.5, 3))
    assert table["ours"].max() < 99
    assert "central" not in {*rows.reset_index()["rule"], *table["rule"]}
    assert "| 3 | CPU | 88.0 ± 0.5 | 98.0 ± 0.5 | 97.95 |" in readme_table(project)


def test_reduced_records_stand_in_tables_of_their_own_and_beside_no_published_one(project):
    before = comparison_table("smart", "leaderboard-100", project)
    save_record(record(40, profile="reduced", acc=0.3, started="2026-05-01"), project)
    table = results_table("smart", "reduced", root=project).set_index(["method", "rule"])
    assert table.loc[("SMART", "oracle"), "acc"] == "30.0"
    assert results_frame("smart", "full", root=project)["acc"].min() > 0.5
    after = comparison_table("smart", "leaderboard-100", project)
    pd.testing.assert_frame_equal(after, before)


def test_readme_table_has_published_and_recorded_rows_only(project):
    text = readme_table(project)
    (bdgp,) = [line for line in text.splitlines() if "BDGP" in line]
    cells = [cell.strip() for cell in bdgp.strip("|").split("|")]
    assert cells[1:] == [
        "BDGP", "100 % aligned", "3", "CPU", "88.0 ± 0.5", "98.0 ± 0.5", "97.95", "secondary",
        "within 1",
    ]  # fmt: skip
    table, missing = text.split("\n\nPublished, and not run here:\n\n")
    assert len(table.splitlines()) == 2 + 1
    by_seeds, by_hand = missing.splitlines()
    assert by_seeds == (
        "- SMART (secondary; 0 of 3 seeds): HandWritten (UCI Multiple Features) 93.21, "
        "Wiki (Wikipedia featured articles) 60.33 with 100 % aligned"
    )
    assert "no public link" in by_hand
    assert "NUS-WIDE, 9,000 samples 67.25" in by_hand
    path = project / "notebooks" / "smart" / "published.toml"
    marked = path.read_text().replace("comparable = true", 'comparable = false\nreason = "so"')
    path.write_text(marked)
    assert "97.95" not in readme_table(project)
    setting = {"dataset": "wiki", "aligned_ratio": 0.5, "encoder": "clip", "x": None, "k": 3}
    assert setting_text(setting) == "50 % aligned, clip, k 3"


def test_readme_says_which_numbers_are_of_rounded_products_and_what_would_decide_others(
    project,
):
    for number, seed in enumerate(SEEDS, 11):
        rounded = record(number, dataset="handwritten", seed=seed)
        rounded["parameters"]["precision"] = "bfloat16"
        save_record(rounded, project)
    for number, (seed, acc) in enumerate(zip(SEEDS, (0.6, 0.62, 0.61), strict=True), 31):
        save_record(record(number, dataset="wiki", seed=seed, acc=acc), project)
    lines = readme_table(project).partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    made_with = {row[1]: row[4] for row in rows}
    assert made_with["HandWritten (UCI Multiple Features)"] == "bfloat16 products, CPU"
    assert made_with["BDGP"] == "CPU"
    assert made_with["Wiki (Wikipedia featured articles)"] == "CPU"
    (wiki,) = [row for row in rows if "Wiki" in row[1]]
    found = verdict([60.0, 62.0, 61.0], 60.33)
    assert wiki[-1] == found.said
    assert found.said.startswith("undecided: needs ")


def test_readme_is_changed_between_its_marks_and_nowhere_else(project):
    readme = project / "README.md"
    readme.write_text("# Top\n<!-- table: begin -->\nold\n<!-- table: end -->\nrest\n")
    assert update_readme(project) is True
    text = readme.read_text()
    assert text.startswith("# Top\n<!-- table: begin -->\n| Paper")
    assert text.endswith("\n<!-- table: end -->\nrest\n")
    assert update_readme(project) is False
    for text in ("# no marks\n", "<!-- table: begin -->\n"):
        readme.write_text(text)
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


def test_settings_keep_their_digits_scores_do_not_and_a_small_p_is_not_nothing():
    df = pd.DataFrame(
        {"epsilon": [0.005, 10.0], "acc": [0.1234, 0.001], "p_holm": [0.0004, 0.005]}
    )
    lines = to_markdown(df).splitlines()
    assert lines[1] == "| ---: | ---: | ---: |"
    assert lines[2] == "| 0.005 | 0.12 | < 0.01 |"
    assert lines[3] == "| 10 | 0.00 | 0.01 |"
    assert to_markdown(df, decimals=3).splitlines()[2] == "| 0.005 | 0.123 | < 0.001 |"


def test_one_seed_has_no_spread(tmp_path):
    copy_chapter(tmp_path)
    save_record(record(1, acc=0.975), tmp_path)
    table = results_table("smart", "full", root=tmp_path)
    oracle = table[table["rule"] == "oracle"].iloc[0]
    assert (oracle["acc"], oracle["n"]) == ("97.5", 1)
    assert "nan" not in to_markdown(table)
    (row,) = (
        comparison_table("smart", "leaderboard-100", tmp_path)
        .query("id == 'smart-bdgp-100'")
        .to_dict("records")
    )
    shown = to_markdown(pd.DataFrame([row])[["ours", "sd", "n"]]).splitlines()[-1]
    assert shown == "| 97.50 |  | 1 |"


def published_file():
    path = project_root() / "notebooks" / "smart" / "published.toml"
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
        {"source": "hearsay"}, {"values": {"acc": 193.0}}, {"values": {}}, {"digits": -1},
        {"comparable": False}, {"reason": "but it is comparable"}, {"surprise": 1},
    ],
)  # fmt: skip
def test_the_published_schema_refuses(change):
    content = published_file()
    check_schema("smart", content, SCHEMA)
    wrong = copy.deepcopy(content)
    wrong["row"][0] |= change
    with pytest.raises(ValueError, match=r"row\[0\]"):
        check_schema("smart", wrong, SCHEMA)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "smart-bdgp-100"', 'id = "smart-wiki-100"', "twice"),
        ('dataset = "bdgp"', 'dataset = "bgdp"', "Did you mean 'bdgp'"),
        ('paper = "smart"', 'paper = "other"', "expected 'smart'"),
    ],
)
def test_a_wrong_published_file_says_what_is_wrong(project, old, new, message):
    path = project / "notebooks" / "smart" / "published.toml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ValueError, match=message):
        load_published("smart", project)


def test_a_run_that_the_plan_dropped_gives_way_to_the_planned_one_that_repeats_it(tmp_path):
    copy_chapter(tmp_path)
    save_record(record(1, acc=0.5), tmp_path)
    assert results_frame("smart", "full", root=tmp_path)["acc"].max() == 0.6
    (planned,) = plan_runs(
        "full", ["smart/method"], ["bdgp"], {"aligned_ratio": "1.0", "seeds": "5"}, tmp_path
    )
    new = record(2, acc=0.9) | {"cell": planned.cell}
    for result in new["results"]:
        result["parameters"] = {"split": 20}
    save_record(new, tmp_path)
    save_record(record(3, acc=0.7, seed=15), tmp_path)
    frame = results_frame("smart", "full", root=tmp_path)
    oracle = frame[frame["rule"] == "oracle"]
    assert oracle[["seed", "acc"]].to_numpy().tolist() == [[5, 0.9], [15, 0.7]]


CLAIM = """paper = "toy"
[[claim]]
text = "better than CLIP"
value = 144.83
unit = "% relative"
source = "abstract"
where = "abstract"
unknown = ["the data set"]
"""


def test_a_claim_says_what_is_unknown_of_it_and_stands_in_no_table(tmp_path):
    path = tmp_path / "notebooks" / "toy" / "published.toml"
    write_text(path, CLAIM)
    assert load_published("toy", tmp_path) == []
    page = fill("<!-- mvlib: claims toy -->", tmp_path)
    said = (
        "| better than CLIP: 144.83 % relative | abstract | **open** | unknown: the data set |"
    )
    assert said in page
    write_text(path, CLAIM.replace('"the data set"', ""))
    with pytest.raises(ValueError, match=r"toy/published\.toml.*unknown"):
        load_claims("toy", tmp_path)


def test_a_table_without_rows_and_a_number_without_runs_say_so():
    assert to_markdown(pd.DataFrame()) == "*Nothing is recorded yet.*"
    row = {
        "comparable": True, "dataset": "wiki", "method": "SMART", "rule": "last", "setting": {},
        "metric": "acc", "value": 90.0, "digits": 2, "needs": "weights",
    }  # fmt: skip
    frame = pd.DataFrame(columns=["dataset", "method", "rule", "acc"])
    found, ours = compare(row, frame)
    assert (found.word, found.detail, found.n, len(ours)) == ("not run", "needs weights", 0, 0)
    frame.loc[0] = ["wiki", "SMART", "last", 0.9]
    assert len(compare(row, frame)[1]) == 1
    elsewhere = row | {"comparable": False, "reason": "another split"}
    found, ours = compare(elsewhere, frame)
    assert (found.word, found.detail, len(ours)) == ("cannot", "another split", 0)


def test_heads_and_sets_are_named_as_readers_know_them():
    frame = pd.DataFrame(
        {
            "dataset": ["bdgp", "handwritten", "my-own"],
            "measure_recall_at_10": 0.5,
            "n_seeds": 3,
            "acc": 0.25,
            "wiki, last": 1.0,
            "bdgp": 2.0,
            "$x_1$": 3.0,
        }
    )
    head, _, *rows = to_markdown(frame).splitlines()
    assert head == ("| data set | recall at 10 | seeds | ACC | Wiki, last | BDGP | $x_1$ |")
    assert [row.split(" | ")[0] for row in rows] == ["| BDGP", "| HandWritten", "| my-own"]
