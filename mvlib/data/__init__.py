"""Real multi-view data sets, fetched with their checksums, and partial alignment of views."""

from mvlib._lazy import attach

_EXPORTS = {
    "load": "mvlib.data.datasets",
    "Dataset": "mvlib.data.datasets",
    "list_datasets": "mvlib.data.registry",
    "card": "mvlib.data.registry",
    "fingerprint": "mvlib.data.registry",
    "Card": "mvlib.data.registry",
    "View": "mvlib.data.registry",
    "DataFile": "mvlib.data.registry",
    "fetch": "mvlib.data.download",
    "is_available": "mvlib.data.download",
    "data_folder": "mvlib.data.download",
    "DownloadError": "mvlib.data.download",
    "partially_align": "mvlib.data.alignment",
    "PartialAlignment": "mvlib.data.alignment",
    "min_max_scale": "mvlib.data.scaling",
    "pack_handwritten": "mvlib.data.packing",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
