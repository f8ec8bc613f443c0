"""Real data sets of views or images, fetched with checksums; words; partial alignment."""

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
    "load_images": "mvlib.data.image_sets",
    "ImageDataset": "mvlib.data.image_sets",
    "list_image_sets": "mvlib.data.image_registry",
    "image_card": "mvlib.data.image_registry",
    "image_fingerprint": "mvlib.data.image_registry",
    "ImageCard": "mvlib.data.image_registry",
    "all_names": "mvlib.data.catalogue",
    "describe": "mvlib.data.catalogue",
    "fingerprint_of": "mvlib.data.catalogue",
    "is_at_hand": "mvlib.data.catalogue",
    "fetch_all": "mvlib.data.catalogue",
    "nouns": "mvlib.data.words",
    "captions": "mvlib.data.words",
    "PROMPTS": "mvlib.data.words",
    "shift_images": "mvlib.data.image_shifts",
    "SHIFTS": "mvlib.data.image_shifts",
    "openclipart_pairs": "mvlib.data.openclipart",
    "ImageTextPairs": "mvlib.data.openclipart",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
