"""The catalogue: one line a method, from which tables, pages, versions and runs take it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mvlib.check import check_choice

VIEWS, MODALITIES, WORDS = TASKS = ("views", "modalities", "images with words")


@dataclass(frozen=True)
class Method:
    """One method, and all that is told of it outside its own file.

    Attributes
    ----------
    name : str
        In plans and in `load`.
    title : str
        As tables and records print it.
    estimator : str
        Its file in `mvlib/methods` and its class, `file.Class` or `folder.file.Class`.
    task : {"views", "modalities", "images with words"}
        Whose problems it takes.
    needs : str
        What it needs of them.
    source : str
        Key in the bibliography, empty where there is nothing to cite.
    version : int
        Of its numbers, from 1: raised with each change of what it computes.
    golden : str
        Its file of numbers in `tests/golden`, `name` by default.
    recorded : tuple of str
        The names that records have it under, or how those begin: `title` by default.
    """

    name: str
    title: str
    estimator: str
    task: str
    needs: str
    source: str = ""
    version: int = 1
    golden: str = ""
    recorded: tuple[str, ...] = ()


_FLOOR: dict[str, Any] = {"golden": "baselines", "source": "pedregosa2011scikit"}
_CLASSIC: dict[str, Any] = {"golden": "classics"}
_KMEANS: dict[str, Any] = {"recorded": ("k-means",)}
_SPECTRAL: dict[str, Any] = {"recorded": ("spectral",)}
_ENCODED: dict[str, Any] = {"recorded": ("auto-encoder",)}
_OF_LOSSES: dict[str, Any] = {"recorded": ("Set-CLIP", "S-CLIP", "CLIP")}
_PAIRED, _NOUNS = "rows paired, rightly or not", "features of images and of nouns"
_IMAGES = "features of images"
_NODES = "attributes of nodes and their graph, or two views; rows paired rightly"

# fmt: off
# ruff: noqa: E501
CATALOGUE = (
    Method("smart", "SMART", "smart.SMART", VIEWS, "two or more views, some rows known to be partners", "peng2025smart"),
    Method("pvc", "PVC", "views.pvc.PVC", VIEWS, "two views of some thousand rows, some known to be partners", "huang2020pvc"),
    Method("mvcln", "MvCLN", "views.mvcln.MvCLN", VIEWS, "two views, by default 34 rows known to be partners", "yang2021mvcln"),
    Method("sure", "SURE", "views.sure.SURE", VIEWS, "two views, some rows missing, by default 34 complete ones known to be partners", "yang2023sure"),
    Method("divide", "DIVIDE", "views.divide.DIVIDE", VIEWS, "two views, rows paired rightly; a sample may lack one", "lu2024divide"),
    Method("candy", "CANDY", "views.candy.CANDY", VIEWS, f"two views, {_PAIRED}", "guo2024candy"),
    Method("corregen", "CorreGen", "views.corregen.CorreGen", VIEWS, f"two views, {_PAIRED}", "zhou2026corregen"),
    Method("completer", "COMPLETER", "views.completer.COMPLETER", VIEWS, "two views, rows paired rightly; a sample may lack one", "lin2021completer"),
    Method("camera", "CAMERA", "views.camera.CAMERA", VIEWS, "two views, rows shuffled or missing, pairs or none", "li2025camera"),
    Method("dcp", "DCP", "views.completer.DCP", VIEWS, "two or more views, rows paired rightly; by default 257 samples with all", "lin2023dcp"),
    Method("smile", "SMILE", "views.smile.SMILE", VIEWS, "two views, rows shuffled or missing, pairs or none", "zeng2023smile"),
    Method("vital", "VITAL", "views.vital.VITAL", VIEWS, "two views, some rows known to be partners, features from 0 to 1", "he2024vital"),
    Method("unaligned_nmf", "unaligned NMF", "views.unaligned_nmf.UnalignedNMF", VIEWS, "two or more views without negative values", "unaligned2022nmf"),
    Method("dstl", "DSTL", "views.dstl.DSTL", VIEWS, f"two or more views, {_PAIRED}", "xu2024dstl"),
    Method("wah", "WAH", "views.wah.WAH", VIEWS, "two or more views, rows paired rightly", "wah2026"),
    Method("capimac", "CAPIMAC", "views.capimac.CAPIMAC", VIEWS, "two views, rows shuffled or missing, by default 30 complete ones known to be partners", "capimac2025"),
    Method("scgc", "SCGC", "neighbours.scgc.SCGC", VIEWS, _NODES, "kulatilleke2022scgc"),
    Method("pamc", "PamC", "neighbours.scgc.PamC", VIEWS, _NODES, "kulatilleke2022pamc", golden="scgc"),
    Method("sscc", "SSCC's loss on views", "neighbours.sscc.SSCCViews", VIEWS, "two views, rows paired rightly", "sscc2021"),
    Method("genksc", "GenKSC's losses on a view", "neighbours.genksc.GenKSC", VIEWS, "one view", "genksc2025"),
    Method("magnetic", "magnetic phase ablation", "neighbours.magnetic.MagneticPhaseAblation", VIEWS, _PAIRED, "fanuel2016magnetic"),
    Method("adssc_views", "A-DSSC, mean graph", "images.dssc.ADSSCViews", VIEWS, _PAIRED, "lim2020dssc", golden="dssc"),
    Method("ensemble_views", "LWGP of views", "images.ensemble.ViewEnsemble", VIEWS, _PAIRED, "huang2018lwgp", golden="ensemble"),
    Method("ssc_omp", "SSC-OMP", "images.subspace.SSCOMP", WORDS, "features of images", "you2016omp", golden="subspace"),
    Method("ensc", "EnSC", "images.subspace.EnSC", WORDS, "features of images", "you2016ensc", golden="subspace"),
    Method("adssc", "A-DSSC", "images.dssc.ADSSC", WORDS, "features of images", "lim2020dssc", golden="dssc"),
    Method("jdssc", "J-DSSC", "images.dssc.JDSSC", WORDS, "features of a few hundred images", "lim2020dssc", golden="dssc"),
    Method("ensemble_images", "LWGP", "images.ensemble.ImageEnsemble", WORDS, "features of images, one kind or several", "huang2018lwgp", golden="ensemble"),
    Method("kmeans_view", "k-means, view 1", "baselines.KMeansView", VIEWS, "one view", **_FLOOR, **_KMEANS),
    Method("kmeans_concatenation", "k-means, concatenation as given", "baselines.KMeansConcatenation", VIEWS, _PAIRED, **_FLOOR, **_KMEANS),
    Method("spectral_concatenation", "spectral, concatenation as given", "baselines.SpectralConcatenation", VIEWS, _PAIRED, **_FLOOR, **_SPECTRAL),
    Method("autoencoder_kmeans", "auto-encoder + k-means", "baselines.AutoencoderKMeans", VIEWS, _PAIRED, **_FLOOR, **_ENCODED),
    Method("autoencoder_hungarian", "auto-encoder + Hungarian + k-means", "baselines.AutoencoderHungarian", VIEWS, "some rows known to be partners", **_FLOOR, **_ENCODED),
    Method("set_clip", "Set-CLIP", "set_clip.SetCLIP", MODALITIES, "rows of two modalities, pairs or none", "song2024setclip", **_OF_LOSSES),
    Method("cca", "CCA", "classics.CCA", MODALITIES, "pairs", "hotelling1936cca", **_CLASSIC),
    Method("procrustes", "Procrustes", "classics.Procrustes", MODALITIES, "pairs", "schonemann1966procrustes", **_CLASSIC),
    Method("gromov_wasserstein", "Gromov-Wasserstein", "classics.GromovWasserstein", MODALITIES, "no pair", "memoli2011gromov", **_CLASSIC),
    Method("chance", "chance", "classics.Chance", MODALITIES, "nothing", **_CLASSIC),
    Method("cae", "CAE", "cae.CAE", WORDS, "features of images, and of nouns or captions", "zhu2025cae"),
    Method("tac", "TAC", "tac.TAC", WORDS, _NOUNS, "li2024tac", version=2),
    Method("tac_trained", "TAC, trained", "tac.TrainedTAC", WORDS, _NOUNS, "li2024tac", version=2),
    Method("sic", "SIC", "sic.SIC", WORDS, _NOUNS, "cai2023sic", version=2),
    Method("ntk_spectral", "NTK", "ntk_spectral.NTKSpectralClustering", WORDS, _NOUNS, "peng2026ntk"),
    Method("clip_kmeans", "k-means of images", "baselines.CLIPKMeans", WORDS, _IMAGES, "radford2021clip", **_KMEANS),
    Method("zero_shot", "zero-shot", "baselines.ZeroShot", WORDS, "features of images and of the classes' names", "radford2021clip"),
    Method("gradnorm", "GradNorm", "images.gradnorm.GradNorm", WORDS, _NOUNS, "peng2025gradnorm"),
    Method("tac_temperature", "TAC with temperature", "images.gradnorm.TACWithTemperature", WORDS, _NOUNS, "peng2025gradnorm"),
    Method("seic", "SEIC, stage 1", "images.seic.SEIC", WORDS, _NOUNS, "li2026seic"),
    Method("sac", "SAC after VLM4Cluster", "images.sac.SAC", WORDS, _NOUNS, "vlm4cluster2026"),
    Method("magic", "MAGIC after VLM4Cluster", "images.magic.MAGIC", WORDS, _NOUNS, "vlm4cluster2026"),
    Method("temi", "TEMI", "images.temi.TEMI", WORDS, _IMAGES, "adaloglou2023temi"),
    Method("turtle", "TURTLE", "images.turtle.TURTLE", WORDS, _IMAGES, "gadetsky2024turtle"),
    Method("cpp", "CPP", "images.cpp.CPP", WORDS, _IMAGES, "chu2024cpp"),
    Method("pro_dsc", "PRO-DSC", "images.pro_dsc.PRODSC", WORDS, _IMAGES, "meng2025prodsc"),
    Method("protogcd", "ProtoGCD head", "images.protogcd.ProtoGCD", WORDS, "features of images; labels of some, if known", "protogcd2025"),
    Method("scan", "SCAN step", "images.scan.SCAN", WORDS, _IMAGES, "vangansbeke2020scan"),
)
# fmt: on

# Of the numbers in `tests/golden`, by the names of the files there: of several methods in one
# file the highest. The naming of clusters is no method, and has numbers of its own.
VERSIONS = {"cluster_naming": 2} | {
    method.golden or method.name: method.version
    for method in sorted(CATALOGUE, key=lambda method: method.version)
}


def find(name: str) -> Method:
    """Return a method's line of the catalogue.

    Raises
    ------
    ValueError
        If there is none, with the nearest name.
    """
    lines = {method.name: method for method in CATALOGUE}
    return lines[check_choice("method", name, lines)]


def load(name: str) -> type[Any]:
    """Return the class of a method's estimator.

    Parameters
    ----------
    name : str
        As the catalogue has it, such as "mvcln".

    Raises
    ------
    ValueError
        If the catalogue has no such method, with the nearest name.

    Examples
    --------
    >>> from mvlib import methods
    >>> methods.load("mvcln")(n_clusters=10)
    MvCLN(n_clusters=10)
    """
    file, _, estimator = find(name).estimator.rpartition(".")
    return getattr(import_module(f"mvlib.methods.{file}"), estimator)
