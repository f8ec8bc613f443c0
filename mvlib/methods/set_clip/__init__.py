"""Set-CLIP: aligning two modalities with few known pairs or none."""

from mvlib._lazy import attach

_EXPORTS = {
    "NINETEEN_BANDWIDTHS": "mvlib.methods.set_clip.discrepancy",
    "PAPER_SETTINGS": "mvlib.methods.set_clip.settings",
    "ProjectionHead": "mvlib.methods.set_clip.network",
    "SetCLIP": "mvlib.methods.set_clip.estimator",
    "ONE_BANDWIDTH": "mvlib.methods.set_clip.discrepancy",
    "density": "mvlib.methods.set_clip.semantic_density",
    "mmd": "mvlib.methods.set_clip.discrepancy",
    "pseudo_label_loss": "mvlib.methods.set_clip.contrast",
    "pseudo_label_plan": "mvlib.methods.set_clip.contrast",
    "self_supervised_contrastive_loss": "mvlib.methods.set_clip.contrast",
    "semantic_density_distribution_loss": "mvlib.methods.set_clip.semantic_density",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
