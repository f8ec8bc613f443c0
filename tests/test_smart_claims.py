"""What SMART's pages say is read from the records, choice by choice."""

import pandas as pd
import pytest

from mvlib.book import fill, placeholders
from mvlib.papers import smart as smart_claims


def row(method="SMART", rule="last", features="eval", starts=1, seed=5, acc=0.5, **more):
    found = {"experiment": "method", "dataset": "wiki", "aligned_ratio": 0.5, "split": 20}
    found |= {"method": method, "rule": rule, "features": features, "starts": starts}
    return found | {"seed": seed, "acc": acc, "nmi": acc, "ari": acc, "purity": acc} | more


@pytest.fixture
def recorded(monkeypatch):
    rows = []
    for seed, acc in ((5, 0.40), (15, 0.42), (25, 0.44)):
        rows += [
            row(seed=seed, acc=acc),
            row(seed=seed, acc=acc + 0.1, starts=20),
            row(seed=seed, acc=acc + 0.12, starts=20, rule="central"),
            row(seed=seed, acc=acc + 0.2, starts=20, rule="oracle"),
            row(seed=seed, acc=acc + 0.15, rule="oracle", features="train"),
            row(seed=seed, acc=acc + 0.1, rule="oracle", features="train", init="authors"),
            row(seed=seed, acc=0.9, aligned_ratio=1.0),
            row("k-means, view 1", features=None, starts=None, seed=seed, acc=0.45),
        ]
    frame = pd.DataFrame(rows)
    monkeypatch.setattr(smart_claims, "results_frame", lambda *args, **more: frame)
    return frame


def test_floors_stand_beside_the_last_epoch_of_the_same_share_of_aligned_rows(recorded):
    frame = smart_claims.beside_floors()
    means = 100 * frame.groupby("method")["acc"].mean()
    assert means.round(6).to_dict() == {
        "SMART, 1 start": 42,
        "SMART, 20 starts": 52,
        "k-means, view 1": 45,
    }
    assert set(frame["aligned_ratio"]) == {0.5}


def test_the_oracles_gap_is_a_size_with_an_interval_and_no_verdict(recorded):
    gaps = smart_claims.oracle_gaps()
    assert gaps.columns.tolist() == [
        "data set", "aligned", "n", "oracle, train, 1", "last, eval, 1", "difference",
        "ci_low", "ci_high",
    ]  # fmt: skip
    assert gaps["aligned"].tolist() == ["50%"]
    found = gaps.iloc[0]
    assert (found["n"], found["difference"]) == (3, pytest.approx(15))
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((15, 15))


def test_steps_lead_from_the_last_epoch_to_the_authors_oracle(recorded):
    table = smart_claims.steps_to_the_oracle().set_index("aligned").loc["50%"]
    means = [table[title] for title in smart_claims.STEPS]
    assert means == pytest.approx([42, 52, 54, 62, 57, 52])
    assert table["k-means of view 1"] == pytest.approx(45)
    assert table["n"] == 3


def test_parts_are_compared_with_the_papers_choice_from_twenty_starts(monkeypatch):
    rows = [
        row(name, starts=starts, seed=seed, acc=acc + starts / 100 + seed / 1000)
        for name, acc in (("all", 0.6), ("L_rec", 0.5))
        for starts in (1, 20)
        for seed in (5, 15, 25)
    ]
    monkeypatch.setattr(smart_claims, "results_frame", lambda *args, **more: pd.DataFrame(rows))
    (found,) = smart_claims.part_comparisons("ablation_losses").to_dict("records")
    assert (found["A"], found["B"], found["n"]) == ("all", "L_rec", 3)
    assert found["wiki"] == "+10.0 (3 of 3)"
    page = fill("<!-- mvlib: smart_parts ablation_losses -->", ".")
    assert "| all | L_rec | 3 | +10.0 [10.0, 10.0] | all ahead here | +10.0 (3 of 3) |" in page


def test_intervals_that_are_not_known_are_left_empty():
    frame = pd.DataFrame(
        {"difference": [1.0, None], "ci_low": [0.5, None], "ci_high": [1.5] * 2}
    )
    assert placeholders._intervals(frame) == ["+1.0 [0.5, 1.5]", ""]


@pytest.mark.parametrize("name", ["smart_steps", "smart_floors", "smart_parts threshold"])
def test_without_records_pages_say_so(tmp_path, name):
    (tmp_path / "notebooks" / "toy").mkdir(parents=True, exist_ok=True)
    assert fill(f"<!-- mvlib: {name} -->", tmp_path) == "*Nothing is recorded yet.*"
    assert smart_claims.oracle_gaps(root=tmp_path).empty


def test_a_published_table_stands_beside_ours_with_verdicts(tmp_path):
    page = fill("<!-- mvlib: compared smart leaderboard-100 -->", ".")
    assert page.count("| secondary |") == 4
    assert "source class" in page.splitlines()[0]
    for line in page.splitlines()[2:]:
        assert line.split("|")[-2].strip().split(":")[0] in (
            "within 1", "within 2", "differs", "undecided", "not run", "cannot",
        )  # fmt: skip
