"""Images and texts into one space: vision-language encoders behind one interface."""

from mvlib.files import attach

_EXPORTS = {
    "load": "mvlib.encoders.base",
    "Encoder": "mvlib.encoders.base",
    "TextBank": "mvlib.encoders.banks",
    "noun_bank": "mvlib.encoders.banks",
    "noun_rows": "mvlib.encoders.banks",
    "caption_bank": "mvlib.encoders.banks",
    "read_image": "mvlib.data.images",
    "MAX_PIXELS": "mvlib.data.images",
    "OfflineEncoder": "mvlib.encoders.offline",
    "OpenCLIPEncoder": "mvlib.encoders.openclip",
    "Heads": "mvlib.encoders.heads",
    "train_heads": "mvlib.encoders.heads",
    "TrainingFeatures": "mvlib.encoders.shipped",
    "training_features": "mvlib.encoders.shipped",
    "RidgeMap": "mvlib.encoders.heads",
    "ridge_map": "mvlib.encoders.heads",
    "imagenet_ridge_map": "mvlib.encoders.heads",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
