"""A problem of each task, and the runs of its methods."""

from mvlib.files import MergedModules, attach

_EXPORTS = {
    "Modalities": "mvlib.tasks.modalities",
    "list_modalities": "mvlib.tasks.modalities",
    "load_modalities": "mvlib.tasks.modalities",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
MergedModules(
    __name__,
    {
        "modality_problems": "modalities",
        "modality_runs": "modalities",
        "encoder_quality": "images_with_words",
    },
)
