"""Planning runs, keeping their records, and judging them by the papers'.

A *run* is one execution of one notebook with given parameters. It leaves one *record*, one
line of JSON that says what came out, how long it took, and of which versions it is the work.
`mvlib.run` runs them; what it exports has its earlier names here, too.
"""

from mvlib.files import attach

_EXPORTS = {
    "Benchmark": "mvlib.experiments.benchmarks",
    "Fault": "mvlib.experiments.faults",
    "Ratio": "mvlib.experiments.benchmarks",
    "Modalities": "mvlib.experiments.modalities",
    "Recorder": "mvlib.experiments.recorder",
    "PlannedRun": "mvlib.experiments.plan",
    "VERDICT_RULES": "mvlib.experiments.verdicts",
    "Verdict": "mvlib.experiments.verdicts",
    "comparison_table": "mvlib.experiments.tables",
    "latest_records": "mvlib.experiments.records",
    "load_benchmarks": "mvlib.experiments.benchmarks",
    "list_modalities": "mvlib.experiments.modalities",
    "load_claims": "mvlib.experiments.published",
    "load_faults": "mvlib.experiments.faults",
    "load_modalities": "mvlib.experiments.modalities",
    "load_plan": "mvlib.experiments.plan",
    "load_published": "mvlib.experiments.published",
    "load_records": "mvlib.experiments.records",
    "differences_by_set": "mvlib.experiments.statistics",
    "paired_comparisons": "mvlib.experiments.statistics",
    "plan_papers": "mvlib.experiments.plan",
    "plan_runs": "mvlib.experiments.plan",
    "published_text": "mvlib.experiments.published",
    "rank_table": "mvlib.experiments.statistics",
    "readme_table": "mvlib.experiments.readme",
    "records_frame": "mvlib.experiments.records",
    "results_frame": "mvlib.experiments.tables",
    "results_table": "mvlib.experiments.tables",
    "run_key": "mvlib.experiments.keys",
    "save_benchmark": "mvlib.experiments.benchmarks",
    "save_faults": "mvlib.experiments.faults",
    "save_record": "mvlib.experiments.records",
    "score_table": "mvlib.experiments.scores",
    "staleness": "mvlib.experiments.keys",
    "summarise": "mvlib.experiments.scores",
    "to_markdown": "mvlib.experiments.markdown",
    "update_readme": "mvlib.experiments.readme",
    "variance_shares": "mvlib.experiments.statistics",
    "verdict": "mvlib.experiments.verdicts",
}

# Where they are now: in a room above this one.
_MOVED = {
    "RunExecutor": "mvlib.run.engines",
    "RunLostError": "mvlib.run.engines",
    "Summary": "mvlib.run.outcomes",
    "run_all": "mvlib.run.runner",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS | _MOVED)
