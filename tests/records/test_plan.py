"""The plan says what runs; what it cannot mean is told before anything starts."""

from dataclasses import replace

import pytest
from projects import experiment, make_project, write_notebook

from mvlib.records.plan import PlannedRun, load_plan, plan_papers, plan_runs
from mvlib.run.state import check_parameters

PLAN = """
paper = "toy"
title = "Toy"
method = "Toy"

[[experiment]]
name = "method"
title = "Method"
notebook = "notebooks/method.ipynb"

[experiment.quick]
grid = { dataset = ["wiki"], aligned_ratio = [0.5] }
seeds = [5, 15, 25]
minutes = 1

[experiment.full]
grid = { dataset = ["wiki", "bdgp"], aligned_ratio = [0.5, 1.0] }
expand_seeds = true
seeds = [5, 15]
minutes = { wiki = 30, default = 7 }
cannot = [{ dataset = "bdgp", reason = "no such view" }]

[experiment.reduced]
parameters = { precision = "bfloat16", splits = [1, 2], trained = false }
grid = { aligned_ratio = [0.5, 1.0], threshold = ["mean", "nearest-10"] }
seeds = [5, 15]

[[experiment]]
name = "table"
title = "Tables"
notebook = "notebooks/table.ipynb"
after = ["method"]

[experiment.quick]
"""


def project(root, plan):
    (root / "notebooks" / "toy").mkdir(parents=True, exist_ok=True)
    (root / "notebooks" / "toy" / "plan.toml").write_text(plan)
    return root


def test_quick_keeps_all_seeds_in_one_run(tmp_path):
    method, table = plan_runs("quick", root=project(tmp_path, PLAN))
    assert method.parameters == {
        "profile": "quick", "dataset": "wiki", "aligned_ratio": 0.5, "seeds": [5, 15, 25],
    }  # fmt: skip
    assert method.datasets == ("wiki",)
    assert table.parameters == {"profile": "quick"}
    assert table.after == ("method",)
    assert (table.minutes, table.disk_mb) == (1, 1)
    bare = PlannedRun("toy", "method", "", "notebooks/a.ipynb", "quick")
    assert (bare.minutes, bare.disk_mb, bare.limit_minutes) == (1, 1, 10)


def test_full_is_one_run_a_seed(tmp_path):
    runs = plan_runs("full", root=project(tmp_path, PLAN))
    assert len(runs) == 2 * 2 * 2
    assert [run.parameters["seeds"] for run in runs[:2]] == [[5], [15]]
    assert len({run.cell for run in runs}) == len({run.executed for run in runs}) == 8
    assert {run.datasets[0]: run.minutes for run in runs} == {"wiki": 30, "bdgp": 7}
    assert {run.datasets[0]: run.cannot for run in runs}["bdgp"] == "no such view"


def test_a_limit_is_six_times_what_is_expected_and_ten_minutes_at_least(tmp_path):
    runs = plan_runs("full", datasets=["Wiki"], root=project(tmp_path, PLAN))
    assert {run.limit_minutes for run in runs} == {180}
    assert plan_runs("quick", root=tmp_path)[0].limit_minutes == 10


def test_patterns_choose_papers_and_experiments_and_unknown_ones_give_the_nearest(tmp_path):
    root = project(tmp_path, PLAN)
    for pattern in ("toy", "method", "toy/method", "toy/m*", "m?thod"):
        runs = plan_runs("quick", [pattern], root=root)
        assert [run.experiment for run in runs] == ["method", "table"][: 1 + (pattern == "toy")]
    with pytest.raises(ValueError, match=r"pattern='metod' is unknown\. Did you mean 'method'"):
        plan_runs("quick", ["metod"], root=tmp_path)
    with pytest.raises(ValueError, match="Did you mean 'wiki'"):
        plan_runs("quick", datasets=["wikki"], root=tmp_path)


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({}, 8),
        ({"aligned_ratio": "0.5"}, 4),
        ({"aligned_ratio": "0.5", "seeds": "5"}, 2),
        ({"dataset": "wiki", "aligned_ratio": "1.0", "seeds": "15"}, 1),
        ({"profile": "full"}, 8),
    ],
)
def test_only_runs_with_the_given_parameters_are_chosen(tmp_path, where, count):
    root = project(tmp_path, PLAN)
    everything = plan_runs("full", root=root)
    chosen = plan_runs("full", where=where, root=root)
    assert len(chosen) == count
    assert chosen == [run for run in everything if run in chosen]
    for run in chosen:
        values = run.parameters | {"seeds": run.parameters["seeds"][0]}
        assert {name: str(values[name]) for name in where} == where


def test_lists_and_booleans_are_chosen_by_their_text(tmp_path):
    root = project(tmp_path, PLAN)
    for name, text in (("seeds", "5,15"), ("splits", "1,2"), ("trained", "False")):
        assert len(plan_runs("reduced", where={name: text}, root=root)) == 4
    with pytest.raises(ValueError, match="where: trained='false' .*Did you mean 'False'"):
        plan_runs("reduced", where={"trained": "false"}, root=root)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"aligned_ration": "0.5"}, "where='aligned_ration' .*Did you mean 'aligned_ratio'"),
        ({"threshold": "mean"}, "where='threshold' is unknown.*Expected one of: aligned_ratio"),
        ({"dataset": "wikki"}, "where: dataset='wikki' is unknown. Did you mean 'wiki'"),
        # Looked for among the runs already chosen.
        ({"dataset": "wiki"}, "where: dataset='wiki' is unknown"),
        ({"aligned_ratio": "0.7"}, "where: aligned_ratio='0.7' .*Expected one of: 0.5, 1.0"),
        ({"seeds": "5,15"}, "where: seeds='5,15' is unknown.*Expected one of: 5, 15"),
    ],
)
def test_parameters_that_no_run_has_give_the_nearest(tmp_path, where, message):
    project(tmp_path, PLAN)
    chosen = ("full", ["method"], ["bdgp"]) if where == {"dataset": "wiki"} else ("full",)
    with pytest.raises(ValueError, match=message):
        plan_runs(*chosen, where=where, root=tmp_path)


def test_a_name_holds_what_varies_and_not_what_all_runs_share(tmp_path):
    root = project(tmp_path, PLAN)
    assert [run.name for run in plan_runs("reduced", root=root)] == [
        "toy/method/ratio 0.5 threshold mean seeds 5,15",
        "toy/method/ratio 0.5 threshold nearest-10 seeds 5,15",
        "toy/method/ratio 1.0 threshold mean seeds 5,15",
        "toy/method/ratio 1.0 threshold nearest-10 seeds 5,15",
    ]
    full, table = plan_runs("full", root=root)[0], plan_runs("quick", root=root)[1]
    assert (full.name, table.name) == ("toy/method/wiki ratio 0.5 seeds 5", "toy/table")
    folder, cells = "runs/full/toy/method--wiki", [run.cell[:8] for run in (full, table)]
    assert full.executed == f"{folder}-ratio-0.5-seeds-5-{cells[0]}.ipynb"
    assert table.executed == f"runs/quick/toy/table--{cells[1]}.ipynb"
    long = replace(full, parameters=full.parameters | {"aligned_ratio": "a" * 200})
    assert long.executed == f"{folder}-ratio-{'a' * 89}-{long.cell[:8]}.ipynb"
    assert len(full.cell) == 16
    # A shared parameter tells cells apart, too, though no name shows it.
    before = plan_runs("reduced", root=root)
    after = plan_runs("reduced", root=project(tmp_path, PLAN.replace("bfloat16", "float32")))
    assert [run.name for run in before] == [run.name for run in after]
    cells = {run.cell for run in (*before, *after)}
    assert len(cells) == len({run.executed for run in (*before, *after)}) == 8
    assert all(run.executed.startswith("runs/reduced/toy/method--") for run in before)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = [5, 15, 25]", "sedes = [5]", "Did you mean 'seeds'"),
        ('after = ["method"]', 'after = ["metod"]', "Did you mean 'method'"),
        ('after = ["method"]', 'after = ["toy/metod"]', "expected what a plan has"),
        ('name = "table"', 'name = "method"', "twice"),
        ('title = "Tables"', "", "lacks title"),
        ("aligned_ratio = [0.5] }", "aligned_ratio = [] }", "not empty"),
        ("seeds = [5, 15, 25]", "seeds = [-5]", "seed"),
        ("minutes = 1", "minutes = 0", "minutes"),
        ("minutes = { wiki = 30, default = 7 }", "minutes = { wiki = 30 }", "default"),
        ('reason = "no such view"', 'because = "no"', "reason"),
        ('paper = "toy"', 'paper = "other"', "expected 'toy'"),
        ('method = "Toy"', "", "lacks method"),
        ("[experiment.quick]", "[experiment.quick", "no TOML"),
    ],
)
def test_a_wrong_plan_says_what_is_wrong(tmp_path, old, new, message):
    project(tmp_path, PLAN.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        load_plan("toy", tmp_path)


def test_an_unknown_parameter_is_refused_with_the_nearest(tmp_path):
    root = project(tmp_path, PLAN)
    parameters = "profile = 'quick'\ndatasets = 'wiki'\naligned_ratio = 1.0\nseeds = [1]"
    write_notebook(root / "notebooks" / "method.ipynb", "", parameters)
    with pytest.raises(ValueError, match="parameter='dataset' .* Did you mean 'datasets'"):
        check_parameters(plan_runs("quick", ["method"], root=root), root)


def test_the_committed_plan_covers_the_papers_sets():
    assert "smart" in plan_papers()
    method = plan_runs("full", ["smart/method"])
    seeds = {tuple(run.parameters["seeds"]) for run in method}
    assert seeds == {(5,), (15,), (25,), (35,), (45,)}
    assert {run.parameters["aligned_ratio"] for run in method} == {0.5, 1.0}
    ours = {"bdgp", "handwritten", "wiki", "mnist-usps", "hdigit", "nus-wide", "reuters-dim10"}
    assert ours | {"deep-animal"} <= {run.parameters["dataset"] for run in method}
    assert plan_runs("quick")[-1].experiment == "table_clustering"


@pytest.mark.parametrize(
    ("size", "limit"), [("", None), ("limit_memory_gb = 1.5", 1.5), ("limit_memory_gb = 2", 2)]
)
def test_the_plan_says_how_much_memory_a_run_may_take(tmp_path, size, limit):
    make_project(tmp_path, experiment("method", size), {})
    (run,) = plan_runs("quick", root=tmp_path)
    assert run.limit_memory_gb == limit


@pytest.mark.parametrize("entry", ["limit_memory_gb", "limit_minutes"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "'much'", "true"])
def test_a_limit_that_is_no_positive_number_is_refused(tmp_path, entry, value):
    make_project(tmp_path, experiment("method", f"{entry} = {value}"), {})
    with pytest.raises(ValueError, match=entry):
        plan_runs("quick", root=tmp_path)


def test_a_run_reads_the_experiments_that_it_comes_after_in_its_chapter_or_in_others(tmp_path):
    plan = PLAN.replace('after = ["method"]', 'after = ["toy/method"]')
    table = plan_runs("quick", root=project(tmp_path, plan))[1]
    assert [table.reads("toy", name) for name in ("method", "last")] == [True, False]
    table = replace(table, after=("method", "other/last"))
    read = [(paper, name) for paper in ("toy", "other") for name in ("method", "last")]
    assert [table.reads(*one) for one in read] == [True, False, False, True]
