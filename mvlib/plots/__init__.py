"""Figures of the notebooks, in one style."""

from mvlib.files import attach

_EXPORTS = {
    "use_style": "mvlib.plots.style",
    "plot_pile": "mvlib.plots.images",
    "plot_groups": "mvlib.plots.images",
    "plot_weights": "mvlib.plots.images",
    "plot_digit_pairs": "mvlib.plots.images",
    "plot_affinities": "mvlib.plots.matrices",
    "plot_graph": "mvlib.plots.matrices",
    "plot_transitions": "mvlib.plots.matrices",
    "plot_heatmaps": "mvlib.plots.matrices",
    "plot_clouds": "mvlib.plots.matrices",
    "plot_parts": "mvlib.plots.lines",
    "plot_losses": "mvlib.plots.lines",
    "plot_loss": "mvlib.plots.lines",
    "plot_accuracy_by_epoch": "mvlib.plots.lines",
    "plot_diffusion": "mvlib.plots.lines",
    "plot_landscape": "mvlib.plots.lines",
    "plot_accuracy_by_ratio": "mvlib.plots.lines",
    "plot_trend": "mvlib.plots.lines",
    "plot_curves": "mvlib.plots.lines",
    "plot_growth": "mvlib.plots.lines",
    "plot_costs": "mvlib.plots.lines",
    "plot_settings": "mvlib.plots.lines",
    "plot_recall": "mvlib.plots.lines",
    "plot_scores": "mvlib.plots.scores",
    "plot_measures": "mvlib.plots.scores",
    "plot_edges": "mvlib.plots.scores",
    "plot_gain": "mvlib.plots.scores",
    "plot_critical_difference": "mvlib.plots.scores",
    "plot_forest": "mvlib.plots.scores",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
