"""The loss that CLIP is trained with, on full and on partly paired batches."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mvlib.check import check_number


def clip_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    temperature: float | torch.Tensor,
    pairs: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the symmetric InfoNCE loss of the pairs of a batch, all its rows being candidates.

    With s_ij the cosine of image i and text j, tau the temperature and P the pairs,

        L = -(1/2|P|) sum_{(i,j) in P} [ log( e^{s_ij/tau} / sum_k e^{s_ik/tau} )
                                       + log( e^{s_ij/tau} / sum_k e^{s_kj/tau} ) ].

    Parameters
    ----------
    image_features, text_features : Tensor of shape (n_images or n_texts, n_features)
        The rows are L2-normalised here.
    temperature : float or Tensor of shape ()
        Divides the cosines. A tensor may be learnt.
    pairs : Tensor of shape (n_pairs, 2), int64, optional
        Known partners: a row of the images, a row of the texts. By default row i of both for
        all i, which must then be of one number.

    Returns
    -------
    Tensor of shape ()
        The mean over the pairs, halved: log(n_pairs) where every row is paired and the
        features tell nothing; 0 if there is no pair.

    Raises
    ------
    ValueError
        If the features are not 2-d, empty or differ in shape (with `pairs`: in width),
        `pairs` is not (n_pairs, 2) or points outside, or the temperature is not above 0.

    Notes
    -----
    Source: Radford et al., "Learning transferable visual models from natural language
    supervision" (ICML 2021), Figure 3. With `pairs`, what is not paired is a negative.
    """
    images, texts = image_features, text_features
    first = 0 if pairs is None else 1
    if not images.ndim == texts.ndim == 2 or images.shape[first:] != texts.shape[first:]:
        raise ValueError(
            f"image_features and text_features have shapes {tuple(images.shape)} and "
            f"{tuple(texts.shape)}: expected (n_images, n_features) and (n_texts, n_features), "
            "as many rows in both unless pairs are given"
        )
    if 0 in images.shape or 0 in texts.shape:
        raise ValueError(
            "image_features or text_features is empty: expected at least one row and one "
            "feature"
        )
    number = temperature.item() if isinstance(temperature, torch.Tensor) else temperature
    check_number("temperature", number, low=0, open_low=True)
    if pairs is None:
        logits = F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T / temperature
        of_image = of_text = torch.arange(len(images), device=images.device)
        return (F.cross_entropy(logits, of_text) + F.cross_entropy(logits.T, of_image)) / 2
    of_image, of_text = _ends(pairs, len(images), len(texts))
    if not len(of_image):
        return images.new_zeros(())
    return contrast_of_pairs(images, texts, temperature, of_image, of_text)


def contrast_of_pairs(
    images: torch.Tensor,
    texts: torch.Tensor,
    temperature: float | torch.Tensor,
    of_image: torch.Tensor,
    of_text: torch.Tensor,
) -> torch.Tensor:
    """Return `clip_loss` of pairs that are known to be rows: no number is waited for."""
    logits = F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T / temperature
    to_texts = F.cross_entropy(logits[of_image], of_text)
    return (to_texts + F.cross_entropy(logits.T[of_text], of_image)) / 2


def _ends(
    pairs: torch.Tensor, n_images: int, n_texts: int
) -> tuple[torch.Tensor, torch.Tensor]:
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"pairs has shape {tuple(pairs.shape)}: expected (n_pairs, 2)")
    ends = torch.tensor([n_images, n_texts], device=pairs.device)
    if bool(((pairs < 0) | (pairs >= ends)).any()):
        raise ValueError(
            f"pairs points outside the {n_images} images and {n_texts} texts: expected row "
            "numbers from 0"
        )
    return pairs[:, 0], pairs[:, 1]
