"""Encoders by name."""

from __future__ import annotations

from pathlib import Path

from mvlib.check import check_choice
from mvlib.encoders.base import Encoder


def load(
    name: str = "offline",
    *,
    device: str = "auto",
    precision: str = "float32",
    pretrained: str | Path | None = None,
    cache: str | Path | bool | None = None,
) -> Encoder:
    """Return an encoder of images and texts.

    Parameters
    ----------
    name : str, default="offline"
        "offline": EfficientNet-Lite2 and MiniLM joined by two trained heads, all from
        installed packages. Its image tower is supervised on ImageNet: it is not CLIP, and
        none of its numbers stands beside those of a CLIP paper.
        "openclip:ARCH/TAG": any model of open_clip, such as "openclip:ViT-B-32/openai".
    device : str, default="auto"
        As for `mvlib.ops.resolve_device`.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Of the frozen towers. TAC runs CLIP in float16 on a GPU.
    pretrained : str or Path, optional
        A checkpoint on disk. For open_clip: the weights, in place of its hub. For
        "offline": heads that `Heads.save` wrote, in place of those that ship.
    cache : str, Path, bool or None, default=None
        Where features are kept, so that the same images or texts are encoded once. None:
        `MVLIB_CACHE`, else the user's cache folder. False: nowhere.

    Returns
    -------
    Encoder

    Raises
    ------
    ValueError
        If a name is unknown, the device cannot be used, or a checkpoint does not fit.
    FileNotFoundError
        If weights are missing and cannot be downloaded. The message says what to do.
    ModuleNotFoundError
        If mvlib was installed without its extra `vision`.
    """
    from mvlib.encoders.openclip import PREFIX, OpenCLIPEncoder
    from mvlib.ops.device import resolve_device

    is_openclip = isinstance(name, str) and name.startswith(PREFIX)
    if not is_openclip:
        check_choice("name", name, ("offline", f"{PREFIX}ARCH/TAG"))
    where = resolve_device(device)
    try:
        if is_openclip:
            return OpenCLIPEncoder(name, where, precision, pretrained, cache)
        from mvlib.encoders.offline import OfflineEncoder

        return OfflineEncoder(where, precision, pretrained, cache)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the encoder {name!r} needs the package {error.name}: install mvlib[vision]",
            name=error.name,
        ) from error
