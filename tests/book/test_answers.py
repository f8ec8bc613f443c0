"""What pages answer is computed from the records, and what they conclude holds in them."""

import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from toy_records import make_record

from mvlib import records
from mvlib.book import answers, fill, front, leaderboard
from mvlib.book.answers.papers import STEPS, selection_steps
from mvlib.book.recorded import recorded
from mvlib.data import describe
from mvlib.papers.cae import rank_agreement
from mvlib.papers.findings import finding_table, title_of
from mvlib.papers.smart import beside_floors
from mvlib.records import results_frame

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT / "notebooks").with_suffix("").as_posix(): path
    for path in sorted((ROOT / "notebooks").glob("*/*.ipynb"))
    if "mvlib: answer" in path.read_text(encoding="utf-8")
}


def prose(name):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    text = " ".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return " ".join(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).split())


def means(*place, column="acc", by=("dataset", "method"), **where):
    frame = recorded(ROOT, *place, **where)
    frame = frame[frame[column].notna()].astype({column: float})
    return 100 * frame.groupby(list(by))[column].mean()


def test_each_answer_stands_on_its_own_page_and_each_page_of_the_plan_has_one():
    assert set(PAGES) == set(answers.ANSWERS)
    for name, path in PAGES.items():
        assert f"<!-- mvlib: answer {name.replace('/', ' ')} -->" in path.read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_an_answer_has_its_n_a_figure_in_words_and_dots_that_say_their_record(name):
    box = answers.answer_box(ROOT, *name.split("/"))
    assert re.search(r"n = \d+ seeds?|means of \d+ runs", box)
    figure = BeautifulSoup(box[box.index("<figure") :], "html.parser")
    assert figure.select("svg[role=img][aria-label]")
    assert "profile" in figure.figcaption.get_text()
    # One line: Markdown would end the figure at an empty one.
    assert "\n" not in box[box.index("<figure") :]
    told = [tag.get_text() for tag in figure.select("circle title")]
    if "scatter" not in name and name not in (
        "smart/selection",
        "cae/when_words_help",
        "choices/protocols",
    ):
        assert told
        assert all(re.search(r"record [0-9a-f]{8}: ", text) for text in told)


def test_without_records_a_page_says_that_nothing_was_run(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in answers.ANSWERS:
        assert "Not run" in answers.answer_box(tmp_path, *name.split("/"))
    assert front.cards(tmp_path) == []


def run(root, number, rule_scores, **parameters):
    given = {"aligned_ratio": 0.5, "features": "eval", "variant": "clustering", **parameters}
    scores = {"nmi": 0.5, "ari": 0.5, "purity": 0.5}
    result = {
        "method": "SMART", "dataset": "bdgp", "seed": number % 10, "parameters": given,
        "metrics": {rule: {"acc": acc, **scores} for rule, acc in rule_scores.items()},
        "seconds": 1.0,
    }  # fmt: skip
    records.save_record(
        make_record(
            paper="smart",
            key=f"{number:064x}",
            cell=f"{number:016x}",
            results=[result],
            profile="reduced",
            parameters={"profile": "reduced"},
            datasets={},
        ),  # fmt: skip
        root,
    )


def test_the_steps_are_of_the_same_seeds_and_the_authors_start_is_one_where_all_have_it(
    tmp_path,
):
    (tmp_path / "notebooks").mkdir()
    for seed in (1, 2, 3):
        run(tmp_path, 10 + seed, {"last": 0.6, "oracle": 0.9}, starts=1, init="draws")
        if seed < 3:
            twenty = {"last": 0.7, "central": 0.75, "oracle": 0.8 + seed / 100}
            run(tmp_path, 20 + seed, twenty, starts=20, init="draws")
    run(tmp_path, 31, {"last": 0.3, "oracle": 0.9}, starts=1, init="authors")
    steps, before, n = selection_steps(tmp_path, "reduced", "bdgp", 0.5)
    assert n == 2
    assert [round(value, 6) for value in steps.values()] == [60, 70, 75, 81.5]
    assert before[1] == pytest.approx(30)
    run(tmp_path, 32, {"last": 0.5, "oracle": 0.9}, starts=1, init="authors")
    steps, before, n = selection_steps(tmp_path, "reduced", "bdgp", 0.5)
    assert before is None
    assert list(steps)[0] == "authors' start"
    assert steps["authors' start"] == pytest.approx(40)


def test_which_step_is_the_largest_is_told_of_each_set():
    text = answers.answer_box(ROOT, "smart", "selection")
    said = re.search(r"The largest part is brought back (.*?)\*\*", text)[1]
    found = {}
    for dataset in ("handwritten", "bdgp", "wiki"):
        frames = [selection_steps(ROOT, "full", dataset, r)[0] for r in (0.5, 1.0)]
        mean = pd.DataFrame(frames)[list(STEPS)].mean()
        gains = mean.diff().iloc[-3:].set_axis(["twenty starts", "central epoch", "reading"])
        found.setdefault(gains.idxmax(), []).append(title_of(dataset))
    for kind, names in found.items():
        (part,) = (part for part in said.split(", ") if kind in part)
        assert all(name in part for name in names)
    # "No rule without labels finds the epoch that the labels choose", on Wiki.
    assert "no rule without labels finds the epoch that the labels choose" in prose(
        "smart/selection"
    )
    full = means(
        "smart", "method", "full", by=("aligned_ratio", "starts", "rule"),
        dataset="wiki", features="eval", method="SMART", init="draws",
    ).unstack("rule")  # fmt: skip
    best = full[["central", "last", "loss"]].max(axis="columns")
    assert (full["oracle"] - best).min() > 10


def test_conclusions_on_smarts_parts_hold_in_the_records():
    acc = means("smart", "threshold", starts=20, init="draws").unstack("dataset")
    assert "are within four points of each other on both sets" in prose("smart/threshold")
    reading = acc.loc[["mean", "mean-std", "mean-2std", "percentile-16"]]
    assert (reading.max() - reading.min()).max() < 4
    lost = acc.loc["mean-std"] - acc.loc["0.9"]
    assert lost["handwritten"] > 10 > 0 > lost["bdgp"]
    graph = means(
        "smart", "what_the_graph_sees", column="measure_precision", by=("dataset", "epochs")
    )
    assert "At first the semantic graph is at chance" in prose("smart/ablation_losses")
    assert abs(graph["handwritten", 1] - 10) < 3
    assert abs(graph["bdgp", 1] - 20) < 3
    assert min(graph["handwritten", 40], graph["bdgp", 40]) > 75
    rate = means("smart", "alignment_rate", by=("method", "aligned_ratio"), starts=1)["SMART"]
    assert "More of them than half bring nothing here" in prose("smart/alignment_rate")
    assert rate[rate.index > 0.5].max() <= rate[0.5]
    spectral = means("smart", "alignment_rate", by=("method", "aligned_ratio"))[
        "spectral, concatenation as given"
    ]
    assert spectral[0.9] < rate[0.9]
    assert spectral[1.0] > rate[1.0]


def test_conclusions_on_pairs_and_words_hold_in_the_records():
    assert "distribution matching adds nothing to them at any share" in prose(
        "set_clip/pair_ratio"
    )
    recall = means(
        "set_clip", "pair_ratio", column="measure_r10", by=("ratio", "method")
    ).unstack()
    assert (recall["Set-CLIP"] - recall["CLIP on the pairs"]).dropna().max() <= 0
    assert "the gap foretells nothing" in prose("cae/when_words_help")
    gains = recorded(ROOT, "cae", "when_words_help")
    ranks = rank_agreement(gains[gains["measure_gain"].notna()])
    ranks = ranks.groupby("encoder")["rank correlation"]
    assert ranks.max()["offline"] < 0.2
    assert ranks.min()["ridge"] > 0.6


def test_the_heat_map_takes_up_a_new_method_and_leaves_open_what_was_not_run(tmp_path):
    (tmp_path / "notebooks").mkdir()

    def add(number, method, dataset, acc, **more):
        result = {
            "method": method, "dataset": dataset, "seed": number % 3,
            "parameters": {"aligned_ratio": 0.5, **more},
            "metrics": {"last": {"acc": acc, "nmi": acc, "ari": acc, "purity": acc}},
            "seconds": 1.0,
        }  # fmt: skip
        records.save_record(
            make_record(
                paper="lineup",
                key=f"{number:064x}",
                cell=f"{number:016x}",
                datasets={},
                profile="reduced",
                parameters={"profile": "reduced"},
                results=[result],
            ),  # fmt: skip
            tmp_path,
        )

    add(1, "NewMethod", "bdgp", 0.5)
    add(2, "NewMethod", "bdgp", 0.7)
    add(3, "NewMethod", "wiki", 0.9)
    add(4, "Old, <one>", "bdgp", 0.4)
    table = BeautifulSoup(leaderboard.leaderboard(tmp_path), "html.parser").table
    assert [tag.get_text() for tag in table.select("thead th")] == ["method", "Wiki", "BDGP"]
    new, old = table.select("tbody tr")
    assert [td.get_text() for td in new.select("td")] == ["90.0", "60.0"]
    assert "60.0 ± 14.1, 2 seeds" in new.select("td")[1]["title"]
    assert old.th.get_text() == "Old, <one>"
    assert old.td["title"].endswith("not run")
    assert old.td["class"] == ["none"]
    assert [td.b is not None for td in new.select("td")] == [True, True]
    (text,) = leaderboard.text_tables(tmp_path, "views")
    assert "| NewMethod | 90.0 (1) | 60.0 ± 14.1 (2) |" in text
    assert not list(leaderboard.text_tables(tmp_path, "views", "full"))


def test_a_published_value_stands_beside_ours_and_what_reads_labels_wins_nothing():
    page = BeautifulSoup(leaderboard.leaderboard(ROOT), "html.parser")
    table = next(
        t for t in page.select("table") if "100% aligned, full" in t.caption.get_text()
    )
    rows = {tr.th.get_text(): tr for tr in table.select("tbody tr")}
    oracle = rows["SMART, oracle epoch"]
    assert "more" in oracle["class"]
    assert not oracle.select("b")
    assert "93.2" in [small.get_text() for small in oracle.select("small")]
    assert rows["VITAL"].select("td.none small")


def test_the_front_page_has_its_cards_with_pages_that_exist():
    text = fill((ROOT / "book" / "index.md").read_text(encoding="utf-8"), ROOT)
    shown = re.findall(r"grid-item-card\} (.*)\n:link: (.*)\n", text)
    assert len(shown) == 6
    # Markdown takes the words of a picture for prose where no block begins with it.
    pictures = [line for line in text.splitlines() if "<svg" in line]
    assert len(pictures) == 6
    assert all(line.startswith("<div") for line in pictures)
    for _, link in shown:
        target = (ROOT / "book" / link).resolve()
        assert any(target.with_suffix(suffix).exists() for suffix in (".md", ".ipynb"))
    assert "@software{mvlib," in text
    # A finding of one set says where another set has it otherwise.
    theirs, ours = (
        selection_steps(ROOT, "full", "handwritten", 0.5)[0][name]
        for name in ("authors' start", "our start")
    )
    assert f"On HandWritten the first three are {theirs:.0f}, {ours:.0f} and" in text


def test_what_the_pages_say_under_their_answers_holds_in_the_records():
    page = prose("smart/method")
    assert "loses most on Wiki and CUB, where view 2 alone is worth least beside view 1" in page
    floors = means("smart", "floors", aligned_ratio=0.5).unstack()
    trained = beside_floors(root=ROOT).query("method == 'SMART, 1 start'")
    gain = 100 * trained.groupby("dataset")["acc"].mean() - floors["k-means, view 1"]
    worth = floors["k-means, view 2"] / floors["k-means, view 1"]
    assert set(gain.nsmallest(2).index) == set(worth[gain.index].nsmallest(2).index)
    assert set(gain.nsmallest(2).index) == {"wiki", "cub"}

    said = answers.answer_box(ROOT, "smart", "what_the_graph_sees")
    assert "begins at chance" in said
    first = means("smart", "what_the_graph_sees", column="measure_precision", epochs=1)
    for (dataset, _), share in first.items():
        assert abs(share - 100 / describe(dataset).n_clusters) < 3

    assert "only SIC gains by words, and only on photographs; its seeds differ most" in prose(
        "cae/method"
    )
    frame = results_frame("cae", "reduced", "method", ROOT).query("rule == 'last'")
    acc = frame.groupby(["dataset", "method"])["acc"].agg(["mean", "std"])
    for dataset, some in acc.groupby("dataset"):
        one = some.droplevel("dataset")
        assert one["std"].idxmax() == "SIC"
        ahead = one.index[one["mean"] > one["mean"]["k-means of images"]]
        with_words = set(ahead) - {"zero-shot", "spectral of images"}
        assert with_words == ({"SIC"} if dataset == "cifar-10" else set())

    assert "told apart from the mean for words alone" in prose("ntk_spectral/ablation_affinity")
    found = finding_table("ntk_spectral", "diffusion", ROOT).set_index("A")["verdict"]
    assert found["words, diffusion"] == "words, diffusion ahead here"
    assert found["product, diffusion"] == "not told apart"


def test_half_the_precision_is_blamed_only_beyond_what_one_seed_comes_to_in_it():
    text = answers.answer_box(ROOT, "smart", "precision")
    found = re.search(r"comes to ([\d.]+) in float32, and .* in bfloat16 to (.*?)\.\*\*", text)
    ends = [float(end) for end in re.findall(r"[\d.]+", found[2])]
    moves = float(re.search(r"it moves by (\d+) points", text)[1])
    # Both trainings of seed 5 are on record, the earlier one from another processor.
    assert len(ends) == 2
    inside = min(ends) - moves <= float(found[1]) <= max(ends) + moves
    assert ("is not needed to explain" in text) == inside


def test_what_labels_of_half_the_classes_and_a_phase_move_is_told_as_recorded():
    said = answers.answer_box(ROOT, "lineup", "known_classes")
    for _, some in results_frame("lineup", "reduced", "known_classes", ROOT).groupby("dataset"):
        means = (
            100 * some.groupby("method")[["measure_acc_known", "measure_acc_unknown"]].mean()
        )
        told = means.loc["ProtoGCD head, half of the classes known"]
        for arm, words in (
            ("ProtoGCD head, no label", "by {:+.1f} points on those classes and by {:+.1f}"),
            ("k-means of images", "it is {:+.1f} and {:+.1f}"),
        ):
            assert words.format(*(told - means.loc[arm])) in said
    said = answers.answer_box(ROOT, "lineup", "phase")
    for _, some in results_frame("lineup", "reduced", "phase", ROOT).groupby("dataset"):
        means = 100 * some.groupby("phase")["acc"].mean()
        gains = means[1:] - means[0]
        assert f"{(gains > 0).sum()} of 3 phases are above none" in said
        assert f"by {gains.min():+.1f} to {gains.max():+.1f} points" in said
