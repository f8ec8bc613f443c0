"""The loss that CLIP is trained with, on full and on partly paired batches."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mvlib._validation import check_number


def clip_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    temperature: float | torch.Tensor,
) -> torch.Tensor:
    """Return the symmetric InfoNCE loss of a batch of pairs.

    With s_ij the cosine of image i and text j and tau the temperature,

        L = -(1/2n) sum_i [ log( e^{s_ii/tau} / sum_j e^{s_ij/tau} )
                          + log( e^{s_ii/tau} / sum_j e^{s_ji/tau} ) ].

    Parameters
    ----------
    image_features : Tensor of shape (n_pairs, n_features)
        Row i is an image. The rows are L2-normalised here.
    text_features : Tensor of shape (n_pairs, n_features)
        Row i is the text of image i; the other rows are its negatives.
    temperature : float or Tensor of shape ()
        Divides the cosines. A tensor may be learnt.

    Returns
    -------
    Tensor of shape ()
        The mean over the images and over the texts, halved; log(n_pairs) where the
        features tell nothing.

    Raises
    ------
    ValueError
        If the two differ in shape or are not 2-d, there is no pair, or the temperature is
        not above 0.

    Notes
    -----
    Source: Radford et al., "Learning transferable visual models from natural language
    supervision" (ICML 2021), Figure 3.
    """
    if image_features.shape != text_features.shape or image_features.ndim != 2:
        raise ValueError(
            f"image_features and text_features have shapes {tuple(image_features.shape)} and "
            f"{tuple(text_features.shape)}: expected the same (n_pairs, n_features)"
        )
    if 0 in image_features.shape:
        raise ValueError(
            f"image_features has shape {tuple(image_features.shape)}: expected at least one "
            "pair and one feature"
        )
    check_number("temperature", torch.as_tensor(temperature).item(), low=0, open_low=True)
    cosines = F.normalize(image_features, dim=1) @ F.normalize(text_features, dim=1).T
    logits = cosines / temperature
    partners = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, partners) + F.cross_entropy(logits.T, partners)) / 2


def partial_clip_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    pairs: torch.Tensor,
    temperature: float | torch.Tensor,
) -> torch.Tensor:
    """Return the InfoNCE loss of the pairs of a batch, all its rows being candidates.

    With s_ij the cosine of image i and text j, tau the temperature and P the pairs,

        L = -(1/2|P|) sum_{(i,j) in P} [ log( e^{s_ij/tau} / sum_k e^{s_ik/tau} )
                                       + log( e^{s_ij/tau} / sum_k e^{s_kj/tau} ) ].

    Parameters
    ----------
    image_features : Tensor of shape (n_images, n_features)
        The rows are L2-normalised here.
    text_features : Tensor of shape (n_texts, n_features)
        Likewise. There may be more or fewer than images.
    pairs : Tensor of shape (n_pairs, 2), int64
        Known partners: a row of the images, a row of the texts.
    temperature : float or Tensor of shape ()
        Divides the cosines. A tensor may be learnt.

    Returns
    -------
    Tensor of shape ()
        As `clip_loss` where row i is the partner of row i for all i; 0 if there is no pair.

    Raises
    ------
    ValueError
        If the features are not 2-d, empty or differ in width, `pairs` is not (n_pairs, 2) or
        points outside, or the temperature is not above 0.

    Notes
    -----
    Source: the code of Set-CLIP (arXiv 2406.05766), whose batches hold 21 or 22 pairs in 64
    rows: what is not paired counts as a negative.
    """
    images, texts = image_features, text_features
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1]:
        raise ValueError(
            f"image_features and text_features have shapes {tuple(images.shape)} and "
            f"{tuple(texts.shape)}: expected (n_images, n_features) and (n_texts, n_features)"
        )
    if 0 in images.shape or 0 in texts.shape:
        raise ValueError("image_features or text_features is empty: expected at least one row")
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"pairs has shape {tuple(pairs.shape)}: expected (n_pairs, 2)")
    check_number("temperature", torch.as_tensor(temperature).item(), low=0, open_low=True)
    if len(pairs) == 0:
        return images.new_zeros(())
    ends = torch.tensor([len(images), len(texts)], device=pairs.device)
    if bool(((pairs < 0) | (pairs >= ends)).any()):
        raise ValueError(
            f"pairs points outside the {len(images)} images and {len(texts)} texts: expected "
            "row numbers from 0"
        )
    logits = F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T / temperature
    of_image, of_text = pairs.unbind(dim=1)
    to_texts = F.cross_entropy(logits[of_image], of_text)
    return (to_texts + F.cross_entropy(logits.T[of_text], of_image)) / 2
