"""Sentences of the book that compare are held to the committed records."""

import re
from pathlib import Path

import nbformat
import pytest

from mvlib.papers.ntk import recorded_comparisons, recorded_losses
from mvlib.papers.set_clip import CHANCE, chance_of, compare_recall, with_chance
from mvlib.papers.set_clip import alignment_results as aligned
from mvlib.papers.settings_ranges import setting_ranges
from mvlib.papers.smart import FLOORS, beside_floors, epoch_choices
from mvlib.records import differences_by_set, paired_comparisons, results_frame
from mvlib.records import variance_shares as shares

ROOT = Path(__file__).resolve().parents[2]
BY = ("split", "seed")
IMAGES = "k-means of images"


def says(page, *sentences):
    """Assert that a page of the book, without its links, holds these words."""
    text = (ROOT / "notebooks" / f"{page}.md").read_text(encoding="utf-8")
    plain = " ".join(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).split())
    for sentence in sentences:
        assert sentence in plain, sentence


def one(table, a, b):
    (row,) = table[(table["A"] == a) & (table["B"] == b)].to_dict("records")
    return row


def points(text):
    """Return the points, and the cells ahead and in all, of "-16.6 (0 of 3)"."""
    found = re.fullmatch(r"([+-][\d.]+) \((\d+) of (\d+)\)", text)
    return float(found[1]), int(found[2]), int(found[3])


def results(*experiment, variants=False, **where):
    frame = results_frame(*experiment, variants=variants)
    for name, value in where.items():
        frame = frame[frame[name] == value]
    return frame


@pytest.fixture(scope="module")
def classics():
    frame = aligned("against_classics")
    same = frame["draws"] == "same instances"
    frame["method"] = frame["method"].where(~same, "same") + frame["ratio"].map(
        {0.0: " (no pair)"}
    ).fillna("")
    frame = with_chance(frame)
    frame["arm"] = frame["dataset"] + ": " + frame["method"]
    return frame


def set_by_set(frame, measure="r10"):
    """Return the table of all comparisons that the page of tables prints."""
    pairs = []
    for name in frame["dataset"].unique():
        if measure == "r10":
            others = ("CLIP on the pairs", "S-CLIP", "CCA", "Procrustes")
            pairs += [(f"{name}: Set-CLIP", f"{name}: {other}") for other in others]
        for method in ("Set-CLIP (no pair)", "same (no pair)", "Gromov-Wasserstein"):
            pairs.append((f"{name}: {method}", f"{name}: {CHANCE}"))
    table = compare_recall(frame, pairs, BY, measure)
    kinds = table["A"].str.split(": ").str[1] + ", " + table["B"].str.split(": ").str[1]
    return table.assign(dataset=table["A"].str.split(": ").str[0], kind=kinds)


def told(table):
    return ~table["verdict"].isin(["not told apart"])


def test_set_clip_without_pairs(classics):
    says(
        "set_clip/beliefs",
        "not told apart from chance on any of six sets, nor is finding a row of its class on "
        "the five with classes.",
        "Gromov-Wasserstein is not told apart from it either.",
        "are above chance on six sets of six, told apart on five.",
    )
    recall, kind = set_by_set(classics), set_by_set(classics, "class_r1")
    assert recall["dataset"].nunique() == 6
    for table, n_sets in ((recall, 6), (kind, 5)):
        for method in ("Set-CLIP (no pair)", "Gromov-Wasserstein"):
            some = table[table["kind"] == f"{method}, {CHANCE}"]
            assert len(some) == n_sets
            assert not told(some).any()
    leak = recall[recall["kind"] == f"same (no pair), {CHANCE}"]
    assert (leak["difference"] > 0).all()
    assert told(leak).sum() == 5
    says("set_clip/beliefs", "the leak alone gives gains of that size and more above")
    same = classics[classics["method"] == "same (no pair)"].groupby("dataset")
    gains = same["measure_r10"].mean() / same.apply(lambda some: chance_of(some).mean()) - 1
    assert (gains > 1.4483).sum() > 1


def test_set_clip_with_a_tenth_of_the_pairs(classics):
    says(
        "set_clip/beliefs",
        "Set-CLIP is behind on HandWritten and not told apart on five sets",
        "its mean is never above that of CLIP's loss",
        "is ahead on five of six sets, told apart on four.",
    )
    table = set_by_set(classics)
    clip = table[table["kind"] == "Set-CLIP, CLIP on the pairs"]
    assert clip.loc[told(clip), "dataset"].tolist() == ["handwritten"]
    assert (clip.loc[told(clip), "difference"] < 0).all()
    rotation = table[table["kind"] == "Set-CLIP, Procrustes"]
    assert (rotation["difference"] < 0).sum() == 5
    assert told(rotation).sum() == 4
    frame = aligned("pair_ratio")
    frame = frame[frame["ratio"] > 0]
    means = frame.pivot_table("measure_r10", "ratio", "method")
    assert (means["Set-CLIP"] <= means["CLIP on the pairs"]).all()


def test_what_leaks_and_how():
    says(
        "set_clip/beliefs",
        "Discrepancy and density loss each leak by themselves, and small batches leak more; "
        "nineteen kernels are not told apart from one.",
        "no added loss is told apart from none",
        "Four times the training stays at chance",
    )
    losses = aligned("ablation_losses")
    without = losses[losses["ratio"] == 0]
    none = with_chance(without, "losses")
    pairs = [(name, CHANCE) for name in without["losses"].unique()]
    table = compare_recall(none.assign(arm=none["losses"]), pairs, BY)
    for name in ("SDD", "MMD"):
        assert one(table, name, CHANCE)["verdict"] == f"{name} ahead here"
    added = losses.assign(arm=losses["losses"])
    names = losses.loc[losses["ratio"] > 0, "losses"].unique()
    pairs = [(name, "CLIP") for name in names if name != "CLIP"]
    assert not told(compare_recall(added, pairs, BY)).any()
    batches = aligned("batch_size")
    batches = batches[batches["draws"] == "same instances"]
    sizes = batches["batch_size"].astype(int).astype(str)
    pairs = [("8", "64"), ("16", "64"), ("64", "256")]
    table = compare_recall(batches.assign(arm=sizes), pairs, BY)
    assert table["verdict"].tolist() == [f"{small} ahead here" for small, _ in pairs]
    kernels = aligned("kernels")
    arm = kernels["choice"] + kernels["ratio"].map(" {:.0%}".format)
    pairs = [(f"19 bandwidths {r}", f"as coded {r}") for r in ("0%", "10%")]
    assert not told(compare_recall(kernels.assign(arm=arm), pairs, BY)).any()
    longer = aligned("leakage").query("ratio == 0 and n_steps == 800")
    longer = with_chance(longer[longer["draws"] == "independent draws"], "draws")
    longer["arm"] = longer["dataset"] + longer["draws"]
    pairs = [(f"{d}independent draws", f"{d}{CHANCE}") for d in longer["dataset"].unique()]
    assert not told(compare_recall(longer, pairs, BY)).any()


def test_cae_beside_k_means():
    says(
        "cae/index",
        "is ahead of TAC without training, of TAC with training and of CAE in the mean of each "
        "of two sets, and over five seeds of these two all three are told apart from it.",
        "SIC is behind it on the drawings, ahead of it on the photographs of CIFAR-10 in four "
        "seeds of five, and not told apart over both.",
        "Neither are CAE and TAC without training from each other: on the drawings both lose "
        "less than four points, on CIFAR-10 more than nine.",
        "Spectral clustering of the images' neighbours is behind k-means too.",
    )
    frame = results("cae", "reduced", "method", rule="last")
    frame = frame[frame["method"] != "zero-shot"]
    others = ["TAC, no training", "TAC, trained", "CAE", "spectral of images", "SIC"]
    pairs = [(name, IMAGES) for name in others] + [("CAE", "TAC, no training")]
    table = paired_comparisons(frame, pairs)
    assert table["told"].tolist() == [True, True, True, True, False, False]
    by_set = differences_by_set(frame, pairs).set_index("A").iloc[:5]
    drawings, photographs = (by_set[name].map(points) for name in ("openclipart", "cifar-10"))
    assert all(drawings[name][0] < 0 and photographs[name][0] < 0 for name in others[:4])
    for name in ("TAC, no training", "CAE"):
        assert drawings[name][0] > -4
        assert photographs[name][0] < -9
    assert drawings["SIC"][0] < 0
    assert photographs["SIC"][0] > 0
    assert photographs["SIC"][1:] == (4, 5)


def test_cae_and_its_words():
    says(
        "cae/index",
        "On the drawings nouns cost next to nothing beside the image, and captions do; alone, "
        "both do.",
        "takes TAC above k-means on the drawings",
    )
    space = results("cae", "reduced", "ablation_space", dataset="openclipart")
    means = 100 * space.groupby("method")["acc"].mean()
    lost = means["image"] - means
    assert lost["image + nouns"] < 1
    assert min(lost[["image + captions", "nouns alone", "captions alone"]]) > 3
    ranges = setting_ranges("cae", "reduced").set_index(["data set", "setting"])
    best = ranges.loc[("openclipart", "temperature of TAC's softmax"), "ACC, best"]
    assert best > means["image"]


def test_which_unknown_settings_of_cae_matter():
    says(
        "cae/index",
        "How image and words are mixed, how many words a centre keeps and the entropy of the "
        "plan move the accuracy by much more than the seeds do; the number of centres by "
        "little more, and a plan in place of a softmax by no more",
    )
    ranges = setting_ranges("cae", "reduced")
    ranges = ranges[ranges["data set"] == "openclipart"].set_index("setting")
    times = ranges["range"] / ranges["seed sd"]
    much = ["fusion, and its sharpness", "words a centre, K", "entropy of the plan"]
    assert times[much].min() > 2.5
    assert 1 < times["number of centres"] < 2
    assert times["softmax or transport, and how sharp"] < 1


def test_ntk_beside_its_halves_and_the_mean():
    says(
        "ntk_spectral/index",
        "On both sets the means of looks alone are above the product's, with diffusion and "
        "with one prompt; told apart are the two of one prompt.",
        "The product is above words alone on CIFAR-10; on the drawings, after the diffusion, "
        "it is below.",
        "For the product the two are not told apart: on the photographs of CIFAR-10 the "
        "diffusion was ahead in every draw, on the drawings in one of five.",
        "For words alone it is ahead on both sets, and told apart.",
    )
    pairs = [
        ("product, diffusion", "looks, diffusion"),
        ("product, diffusion", "words, diffusion"),
        ("product, one prompt", "looks, one prompt"),
        ("product, one prompt", "words, one prompt"),
    ]
    halves = recorded_comparisons("ablation_affinity", pairs)
    looks = halves[halves["B"].str.startswith("looks")]
    for row in looks.to_dict("records"):
        assert max(points(row[name])[0] for name in ("openclipart", "cifar-10")) < 0
    assert told(looks).tolist() == [False, True]
    words = halves[halves["B"].str.startswith("words")]
    assert all(points(text)[0] > 0 for text in words["cifar-10"])
    assert points(one(halves, *pairs[1])["openclipart"])[0] < 0
    pairs = [
        (f"{kind}, diffusion", f"{kind}, {way}")
        for kind in ("product", "words")
        for way in ("mean", "one prompt")
    ]
    means = recorded_comparisons("ablation_affinity", pairs)
    product = one(means, *pairs[0])
    assert product["verdict"] == "not told apart"
    assert points(product["cifar-10"])[1:] == (5, 5)
    assert points(product["openclipart"])[1:] == (1, 5)
    alone = one(means, *pairs[2])
    assert alone["verdict"] == "words, diffusion ahead here"
    assert min(points(alone[name])[0] for name in ("openclipart", "cifar-10")) > 0


def test_ntk_beside_its_baselines_and_under_a_shift():
    says(
        "ntk_spectral/index",
        "k-means of the image features and spectral clustering of them are ahead of it on "
        "both sets; it is ahead of spectral clustering of TAC's features on both, and not told "
        "apart from TAC without training.",
        "the product does not lose less than looks alone",
    )
    others = [IMAGES, "spectral of images", "TAC, no training", "TAC features, spectral"]
    table = recorded_comparisons("method", [("NTK", name) for name in others])
    for name, sign in zip(others, (-1, -1, 0, 1), strict=True):
        row = one(table, "NTK", name)
        assert (row["verdict"] == "not told apart") == (sign == 0)
        if sign:
            assert all(sign * points(row[d])[0] > 0 for d in ("openclipart", "cifar-10"))
    losses = recorded_losses()
    assert (losses["product"] >= losses["looks"]).all()


def test_smart_beside_view_1_and_spectral_clustering():
    says(
        "smart/beliefs",
        "Against k-means of view 1, which uses no pair, it depends on the set, and on each set "
        "the seeds agree.",
        "A spectral clustering of view 1's neighbours by cosine, which uses no pair either, is "
        "ahead of SMART on five of the seven sets.",
        "On fully aligned HandWritten, spectral clustering of both views side by side stands "
        "above even SMART's oracle.",
    )
    spectral = [("SMART, 1 start", "spectral, view 1, unit rows")]
    (against,) = paired_comparisons(beside_floors(), spectral, ("dataset", "seed")).itertuples()
    assert (against.sets, against.sets_ahead) == (7, 2)
    by_set = differences_by_set(beside_floors(), [("SMART, 1 start", FLOORS[0])])
    found = [points(text) for text in by_set.drop(columns=["A", "B"]).iloc[0]]
    assert {ahead in (0, n) for _, ahead, n in found} == {True}
    assert {mean > 0 for mean, _, _ in found} == {True, False}
    full = results("smart", "full", "method", dataset="handwritten", aligned_ratio=1)
    means = full.groupby(["method", "rule"])["acc"].mean()
    assert means["spectral, concatenation as given", "last"] > means["SMART", "oracle"]


def test_the_authors_start_of_k_means():
    says(
        "smart/beliefs",
        "with reduced networks it gives a lower last epoch than ours on five of seven sets, "
        "and their oracle hides most of it, in the mean over sets.",
    )
    by = ("dataset", "aligned_ratio", "split", "seed")
    pairs = [
        ("last, eval, authors", "last, eval, 1"),
        ("oracle, train, authors", "oracle, train, 1"),
    ]
    last, oracle = paired_comparisons(epoch_choices(), pairs, by).itertuples()
    assert (last.sets, last.sets_ahead) == (7, 2)
    # What the last epochs lose in the mean, the oracles do not.
    assert last.difference < 5 * oracle.difference < 0


def test_smarts_oracle_on_wiki():
    says(
        "smart/beliefs",
        "On Wiki the best of five hundred epochs is one of the first twenty in every training.",
        "with view 2 first, a reduced network's oracle loses more than twenty points in every "
        "seed.",
    )
    where = {"rule": "oracle", "starts": 1, "dataset": "wiki", "aligned_ratio": 1}
    early, all_epochs = (
        results("smart", "full", name, variants=True, **where).set_index(["features", "seed"])
        for name in ("selection", "method")
    )
    assert set(early["epochs"]) == {20}
    assert early["acc"].to_dict() == all_epochs.loc[early.index, "acc"].to_dict()
    assert len(early) == 6


def test_smarts_recipes():
    notebook = nbformat.read(ROOT / "notebooks" / "smart" / "recipe.ipynb", as_version=4)
    text = " ".join(" ".join(cell.source for cell in notebook.cells).split())
    assert (
        "With view 2 first, Wiki's oracle loses more than twenty points in every seed, and "
        "BDGP's hardly moves; no other recipe moves a set's mean oracle by more than three "
        "points." in text
    )
    frame = results("smart", "reduced", "recipe", rule="oracle")
    wide = 100 * frame.pivot(index=["dataset", "seed"], columns="method", values="acc")
    lost = wide.sub(wide["as in the paper"], axis="index")
    assert lost.loc["wiki", "view 2 first"].max() < -20
    means = lost.groupby("dataset").mean()
    assert abs(means.loc["bdgp", "view 2 first"]) < 1
    assert means.drop(columns="view 2 first").abs().to_numpy().max() < 3


def test_smarts_known_pairs_splits_and_views():
    says(
        "smart/beliefs",
        "Which pairs are known matters, on both sets and in every seed:",
        "SMART's mean passes that of view 1 with a fifth of the rows aligned; with one row in "
        "a hundred it is below by more than twenty points.",
        "Another random split adds less spread than another seed.",
        "made HandWritten worse in every seed.",
    )
    rates = results("smart", "reduced", "alignment_rate")
    rates = rates[rates["starts"].isna() | (rates["starts"] == 1)]
    means = rates.pivot_table("acc", "aligned_ratio", "method")
    gain = 100 * (means["SMART"] - means["k-means, view 1"])
    assert gain[gain > 0].index.min() == 0.2
    assert gain[0.01] < -20
    frame = results("smart", "reduced", "splits", variants=True, method="SMART")
    frame = frame[frame["acc"].notna() & (frame["starts"].isna() | (frame["starts"] == 20))]
    spread = shares(frame)
    assert (spread["split_sd"] < spread["seed_sd"]).all()
    biased = results("smart", "reduced", "biased_alignment", variants=True, starts=20)
    biased = biased[biased["acc"].notna()]
    rows = "from all rows"
    samples = ["from half of the classes", "from one region"]
    by_set = differences_by_set(biased, [(rows, sample) for sample in samples])
    for text in by_set.drop(columns=["A", "B"]).to_numpy().ravel():
        assert points(text)[1] == points(text)[2]
    views = ("smart", "reduced", "many_views")
    views = results(*views, variants=True, method="SMART", starts=20)
    wide = views.pivot(index="seed", columns="views", values="acc")
    assert (wide.drop(columns=2).max(axis="columns") < wide[2]).all()


def test_what_the_order_of_a_file_is_worth():
    notebook = nbformat.read(ROOT / "notebooks/choices/row_order.ipynb", as_version=4)
    text = " ".join(" ".join(cell.source for cell in notebook.cells).split())
    assert "there the order of the file is worth next to nothing" in text
    runs = results("choices", "reduced", "row_order", method="DSTL")
    best = 100 * runs.groupby(["dataset", "order", "lambda2"])["acc"].mean()
    best = best.groupby(["dataset", "order"]).max().unstack()
    assert abs(best.loc["wiki", "as in the file"] - best.loc["wiki", "shuffled"]) < 1
    worth = best["by class"] - best["shuffled"]
    assert worth.drop("wiki").min() < worth["wiki"] < worth.drop("wiki").max()
    # The other files are sorted, in the order of their classes' names or another.
    others = best.drop("wiki")
    assert (others["as in the file"] - others["by class"]).abs().max() < 1
    assert len(others) == 4
