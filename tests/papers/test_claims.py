"""A claim's verdict follows from the intervals of its two arms, set by set."""

import pytest
from toy_records import make_record

from mvlib import records
from mvlib.files import write_text
from mvlib.papers.claims import claims_as_data, judge_claims

CLAIM = """paper = "smart"

[[claim]]
text = "more is better"
source = "abstract"
where = "somewhere"

[claim.test]
experiment = "parts"
ahead = "all"
of = "some"
where = { starts = 20 }
"""


@pytest.fixture
def root(tmp_path):
    write_text(tmp_path / "notebooks" / "smart" / "published.toml", CLAIM)
    return tmp_path


def add(root, dataset, gains, profile="reduced", starts=20):
    """Record an arm at 0.5 and another ahead of it by a gain a seed."""
    scores = {"nmi": 0.5, "ari": 0.5, "purity": 0.5}
    results = [
        {
            "method": method, "dataset": dataset, "seed": seed,
            "parameters": {"starts": starts},
            "metrics": {"last": {"acc": 0.5 + gain * (method == "all"), **scores}},
            "seconds": 1.0,
        }
        for seed, gain in enumerate(gains)
        for method in ("all", "some")
    ]  # fmt: skip
    number = sum(f"{dataset}{profile}{starts}".encode())
    records.save_record(
        make_record(
            paper="smart",
            experiment="parts",
            profile=profile,
            results=results,
            datasets={dataset: "0" * 64},
            key=f"{number:064x}",
            cell=f"{number:016x}",
            parameters={"profile": profile},
        ),  # fmt: skip
        root,
    )


def verdict(root):
    (judged,) = judge_claims("smart", root)
    return judged.verdict, judged.said


def test_without_runs_a_claim_is_open(root):
    assert verdict(root) == ("open", "not run")
    add(root, "bdgp", [0.1, 0.11, 0.12], starts=1)
    assert verdict(root) == ("open", "not run")


def test_it_is_supported_where_it_holds_and_fails_on_no_set(root):
    add(root, "bdgp", [0.1, 0.11, 0.12])
    add(root, "wiki", [-0.1, 0.1, 0.05])
    word, said = verdict(root)
    assert word == "supported, at reduced scale only"
    assert said.endswith("holds on 1, fails on 0 of 2 sets (n = 3)")


def test_it_is_contradicted_where_it_fails_and_open_where_sets_disagree(root):
    add(root, "bdgp", [-0.1, -0.11, -0.12])
    assert verdict(root)[0] == "contradicted, at reduced scale only"
    add(root, "wiki", [0.1, 0.11, 0.12])
    assert verdict(root)[0] == "open"


def test_full_runs_are_asked_first(root):
    add(root, "bdgp", [-0.1, -0.11, -0.12])
    add(root, "bdgp", [0.1, 0.11, 0.12], profile="full")
    assert verdict(root)[0] == "supported"


def test_one_seed_decides_nothing_and_less_can_be_better(root):
    add(root, "bdgp", [0.3])
    assert verdict(root)[0] == "open"
    text = CLAIM.replace('of = "some"', 'of = "some"\nless = true')
    write_text(root / "notebooks" / "smart" / "published.toml", text)
    add(root, "wiki", [-0.1, -0.11, -0.12])
    assert verdict(root)[0] == "supported, at reduced scale only"


def test_as_data_a_claim_carries_what_its_verdict_rests_on(root):
    assert claims_as_data("smart", root)[0]["date"] is None
    add(root, "bdgp", [0.1, 0.11, 0.12])
    add(root, "bdgp", [0.1, 0.11, 0.12], starts=1)
    (found,) = claims_as_data("smart", root)
    assert found["claim"] == "more is better"
    assert found["verdict"] == "supported, at reduced scale only"
    assert (found["metric"], found["direction"]) == ("acc", "higher")
    assert found["given"] == {"starts": 20}
    assert found["n"] == {"bdgp": 3}
    assert found["checksum"] == {"bdgp": "0" * 64}
    assert found["date"] == make_record()["started"]
    assert found["command"] == "mvlib run smart/parts --profile reduced"
    text = CLAIM.replace('of = "some"', 'of = "some"\nless = true')
    write_text(root / "notebooks" / "smart" / "published.toml", text)
    assert claims_as_data("smart", root)[0]["direction"] == "lower"


def test_of_one_arm_alone_nothing_is_told(root):
    text = CLAIM.replace('of = "some"', 'of = "other"')
    write_text(root / "notebooks" / "smart" / "published.toml", text)
    add(root, "bdgp", [0.1, 0.11, 0.12])
    (found,) = claims_as_data("smart", root)
    assert (found["rests_on"], found["n"], found["checksum"]) == ("not run", {}, {})


def test_every_claim_that_has_a_test_names_arms_that_the_records_hold():
    for paper in ("smart", "set_clip", "cae", "ntk_spectral"):
        for judged in judge_claims(paper):
            assert judged.said != "not run", judged.claim["text"]
            assert judged.claim["where"]
