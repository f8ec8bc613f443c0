"""What runs left, what papers claim, and how the two compare."""

from mvlib.files import attach

_EXPORTS = {
    "Benchmark": "mvlib.records.evidence",
    "Fault": "mvlib.records.evidence",
    "PlannedRun": "mvlib.records.plan",
    "Ratio": "mvlib.records.evidence",
    "Recorder": "mvlib.records.recorder",
    "VERDICT_RULES": "mvlib.records.verdicts",
    "Verdict": "mvlib.records.verdicts",
    "comparison_table": "mvlib.records.tables",
    "differences_by_set": "mvlib.records.statistics",
    "latest_records": "mvlib.records.store",
    "load_benchmarks": "mvlib.records.evidence",
    "load_claims": "mvlib.records.published",
    "load_faults": "mvlib.records.evidence",
    "load_plan": "mvlib.records.plan",
    "load_published": "mvlib.records.published",
    "load_records": "mvlib.records.store",
    "paired_comparisons": "mvlib.records.statistics",
    "plan_papers": "mvlib.records.plan",
    "plan_runs": "mvlib.records.plan",
    "published_text": "mvlib.records.published",
    "rank_table": "mvlib.records.statistics",
    "readme_table": "mvlib.records.readme",
    "records_frame": "mvlib.records.store",
    "results_frame": "mvlib.records.tables",
    "results_table": "mvlib.records.tables",
    "run_key": "mvlib.records.keys",
    "save_benchmark": "mvlib.records.evidence",
    "save_faults": "mvlib.records.evidence",
    "save_record": "mvlib.records.store",
    "score_table": "mvlib.records.tables",
    "staleness": "mvlib.records.keys",
    "summarise": "mvlib.records.tables",
    "to_markdown": "mvlib.records.tables",
    "update_readme": "mvlib.records.readme",
    "variance_shares": "mvlib.records.statistics",
    "verdict": "mvlib.records.verdicts",
    "method_of": "mvlib.records.versions",
    "recorded_versions": "mvlib.records.versions",
    "versions_of": "mvlib.records.versions",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
