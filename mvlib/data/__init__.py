"""Real data sets of views, images or pairs, with checksums; words; partial alignment."""

from mvlib.files import attach

_EXPORTS = {
    "load": "mvlib.data.loading",
    "load_images": "mvlib.data.loading",
    "load_pairs": "mvlib.data.loading",
    "Dataset": "mvlib.data.loading",
    "ImageDataset": "mvlib.data.loading",
    "CaptionedImages": "mvlib.data.loading",
    "PairedFeatures": "mvlib.data.loading",
    "all_names": "mvlib.data.cards",
    "describe": "mvlib.data.cards",
    "fingerprint_of": "mvlib.data.cards",
    "Card": "mvlib.data.cards",
    "View": "mvlib.data.cards",
    "DataFile": "mvlib.data.cards",
    "fetch": "mvlib.data.download",
    "is_at_hand": "mvlib.data.download",
    "data_folder": "mvlib.data.download",
    "DownloadError": "mvlib.data.download",
    "misalign": "mvlib.data.alignment",
    "partially_align": "mvlib.data.alignment",
    "mismatch": "mvlib.data.problems",
    "hide_views": "mvlib.data.problems",
    "corrupt": "mvlib.data.problems",
    "ViewsProblem": "mvlib.data.problems",
    "ViewScaler": "mvlib.data.scaling",
    "min_max_scale": "mvlib.data.scaling",
    "pack_handwritten": "mvlib.data.readers.views",
    "noun_kinds": "mvlib.data.words",
    "nouns": "mvlib.data.words",
    "captions": "mvlib.data.words",
    "PROMPTS": "mvlib.data.words",
    "shift_images": "mvlib.data.shifts",
    "SHIFTS": "mvlib.data.shifts",
    "openclipart_pairs": "mvlib.data.openclipart",
    "ImageTextPairs": "mvlib.data.openclipart",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(
    __name__,
    _EXPORTS,
    renamed={
        "list_datasets": "all_names:views",
        "list_image_sets": "all_names:images",
        "list_pair_sets": "all_names:pairs",
        **dict.fromkeys(("card", "image_card", "pair_card"), "describe"),
        **dict.fromkeys(("ImageCard", "PairCard"), "Card"),
        **dict.fromkeys(
            ("fingerprint", "image_fingerprint", "pair_fingerprint"), "fingerprint_of"
        ),
        "PartialAlignment": "ViewsProblem",
        "fetch_all": "fetch",
        "is_available": "is_at_hand",
    },
)
