"""Figures of the notebooks, in one style."""

from mvlib.files import attach

_EXPORTS = {
    "use_style": "mvlib.plots.style",
    "plot_accuracy_by_epoch": "mvlib.plots.smart",
    "plot_accuracy_by_ratio": "mvlib.plots.smart",
    "plot_critical_difference": "mvlib.plots.statistics",
    "plot_digit_pairs": "mvlib.plots.smart",
    "plot_costs": "mvlib.plots.sweeps",
    "plot_edges": "mvlib.plots.sweeps",
    "plot_heatmaps": "mvlib.plots.sweeps",
    "plot_measures": "mvlib.plots.sweeps",
    "plot_trend": "mvlib.plots.sweeps",
    "plot_forest": "mvlib.plots.statistics",
    "plot_graph": "mvlib.plots.smart",
    "plot_losses": "mvlib.plots.smart",
    "plot_scores": "mvlib.plots.smart",
    "plot_clouds": "mvlib.plots.alignment",
    "plot_curves": "mvlib.plots.vision",
    "plot_gain": "mvlib.plots.vision",
    "plot_landscape": "mvlib.plots.alignment",
    "plot_loss": "mvlib.plots.vision",
    "plot_groups": "mvlib.plots.vision",
    "plot_parts": "mvlib.plots.alignment",
    "plot_pile": "mvlib.plots.vision",
    "plot_recall": "mvlib.plots.alignment",
    "plot_weights": "mvlib.plots.vision",
    "plot_affinities": "mvlib.plots.ntk",
    "plot_diffusion": "mvlib.plots.ntk",
    "plot_growth": "mvlib.plots.ntk",
    "plot_settings": "mvlib.plots.ntk",
    "plot_transitions": "mvlib.plots.ntk",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
