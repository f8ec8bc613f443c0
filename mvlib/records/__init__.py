"""Records of runs, and of which version of their methods they are."""

from mvlib._lazy import attach

_EXPORTS = {
    "method_of": "mvlib.records.versions",
    "recorded_versions": "mvlib.records.versions",
    "versions_of": "mvlib.records.versions",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
