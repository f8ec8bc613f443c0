"""What runs left, what papers claim, and how the two compare."""

from mvlib.files import attach

_BY_MODULE = {
    "evidence": "Benchmark Fault Ratio load_benchmarks load_faults save_benchmark save_faults",
    "keys": "run_key staleness",
    "plan": "PlannedRun load_plan plan_papers plan_runs",
    "published": "load_claims load_published published_text",
    "readme": "readme_table update_readme",
    "recorder": "Recorder",
    "statistics": "differences_by_set paired_comparisons rank_table variance_shares",
    "store": "latest_records load_records records_frame save_record",
    "tables": "comparison_table results_frame results_table score_table summarise to_markdown",
    "verdicts": "VERDICT_RULES Verdict verdict",
    "versions": "method_of recorded_versions versions_of",
}
_EXPORTS = {
    name: f"mvlib.records.{module}"
    for module, names in _BY_MODULE.items()
    for name in names.split()
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
