"""A folder of images into named groups, with a report that a browser opens offline."""

from mvlib.files import attach

_EXPORTS = {
    "cluster_folder": "mvlib.report.clustering",
    "FolderClustering": "mvlib.report.output",
    "GroupName": "mvlib.methods.cluster_naming",
    "ImageFolder": "mvlib.report.image_folder",
    "NumberOfClusters": "mvlib.report.groups",
    "SkippedFile": "mvlib.report.image_folder",
    "choose_n_clusters": "mvlib.report.groups",
    "export_groups": "mvlib.report.curate.export",
    "find_images": "mvlib.report.image_folder",
    "group_confidence": "mvlib.report.groups",
    "load_groups": "mvlib.report.curate.keep",
    "open_images": "mvlib.report.image_folder",
    "report_html": "mvlib.report.html",
    "search_folder": "mvlib.report.curate.find",
    "take_back": "mvlib.report.curate.export",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
