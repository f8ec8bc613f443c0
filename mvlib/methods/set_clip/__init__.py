"""Set-CLIP: aligning two modalities with few known pairs or none."""

from mvlib.files import attach

_EXPORTS = {
    "NINETEEN_BANDWIDTHS": "mvlib.methods.set_clip.equations",
    "ONE_BANDWIDTH": "mvlib.methods.set_clip.equations",
    "Objective": "mvlib.methods.set_clip.equations",
    "PAPER_SETTINGS": "mvlib.methods.set_clip.estimator",
    "ProjectionHead": "mvlib.methods.set_clip.network",
    "SetCLIP": "mvlib.methods.set_clip.estimator",
    "density": "mvlib.methods.set_clip.equations",
    "mmd": "mvlib.ops.discrepancy",
    "pseudo_label_loss": "mvlib.methods.set_clip.equations",
    "pseudo_label_plan": "mvlib.methods.set_clip.equations",
    "self_supervised_contrastive_loss": "mvlib.methods.set_clip.equations",
    "semantic_density_distribution_loss": "mvlib.methods.set_clip.equations",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
