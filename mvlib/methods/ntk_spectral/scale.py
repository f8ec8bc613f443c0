"""A million images: explicit features of the kernel, eigenvectors from their Gram matrix."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import linalg
from tqdm import tqdm

from mvlib._validation import check_choice, check_n_clusters, check_number
from mvlib.methods.ntk_spectral.equations import (
    AFFINITIES,
    SEMANTIC,
    assignments,
    kernel_block,
)
from mvlib.methods.semantic_inputs import check_features, check_same_space
from mvlib.ops import resolve_device

SKETCHES = ("nystrom", "tensorsketch")
BLOCK_BYTES = 1 << 26
# Directions of the landmarks' kernel below this share of its largest are noise.
RANK_TOLERANCE = 1e-6


def explicit_features(
    Z: np.ndarray,
    banks: list[np.ndarray] | None = None,
    n_features: int = 1024,
    *,
    temperature: float = 0.04,
    affinity: str = "ntk",
    sketch: str = "nystrom",
    device: str = "auto",
    random_state: int | None = None,
) -> np.ndarray:
    """Return features whose inner products are near to the affinity.

    The affinity is that of `ntk_affinity`, averaged over the prompts.

    - "nystrom": K(z, L) K(L, L)^-1/2 for landmarks L, drawn at random from the images. Exact
      on the landmarks; the error falls as fast as the kernel's spectrum.
    - "tensorsketch": the count sketches of z and of s, convolved: a sketch of s (x) z whose
      inner products are right on average, with an error of the order of n_features^-1/2
      whatever the spectrum. For "ntk" alone.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features_in)
        Image features.
    banks : list of array-like, each (n_nouns, n_features_in), optional
        Text features of the positive nouns, one array a prompt, for "ntk" and "semantic".
    n_features : int, default=1024
        Width of what is returned; less for "nystrom" where the landmarks' kernel has a
        smaller rank.
    temperature : float, default=0.04
        tau.
    affinity : {"ntk", "visual", "semantic", "rbf"}, default="ntk"
        As in `ntk_affinity`.
    sketch : {"nystrom", "tensorsketch"}, default="nystrom"
        Which.
    device : str, default="auto"
        Where to compute.
    random_state : int, optional
        Seed of the landmarks or of the hashes.

    Returns
    -------
    ndarray of shape (n_samples, n_features), float32

    Raises
    ------
    ValueError
        If nouns are missing, widths differ, values are not finite, there are more landmarks
        than images, or a parameter is out of range.

    Notes
    -----
    Ours; the paper has no such step. Sources: Pham and Pagh, "Fast and scalable polynomial
    kernels via explicit feature maps", KDD 2013; Williams and Seeger, "Using the Nystrom
    method to speed up kernel machines", NIPS 2000. Reads the images once, in blocks of 64 MB.
    """
    check_choice("affinity", affinity, AFFINITIES)
    check_choice("sketch", sketch, SKETCHES)
    check_number("temperature", temperature, low=0, open_low=True)
    Z = check_features("Z", Z)
    check_number("n_features", n_features, low=1, integer=True)
    if affinity in SEMANTIC:
        if not banks:
            raise ValueError(f"affinity={affinity!r} needs banks, the nouns of each prompt")
        banks = [check_features(f"banks[{b}]", W) for b, W in enumerate(banks)]
        check_same_space(images=Z, **{f"banks[{b}]": W for b, W in enumerate(banks)})
    else:
        banks = None
    on = resolve_device(device)
    rng = np.random.default_rng(random_state)
    if sketch == "tensorsketch":
        if affinity != "ntk":
            raise ValueError(f"affinity={affinity!r} is no product: expected 'ntk' to sketch")
        mapped = _tensor_sketch(Z, banks, n_features, temperature, rng, on)
        width = n_features
    else:
        mapped, width = _nystrom(Z, banks, n_features, temperature, affinity, rng, on)
    result = np.empty((len(Z), width), dtype=np.float32)
    nouns = sum(len(W) for W in banks) if banks else 0
    step = max(1, BLOCK_BYTES // (4 * (Z.shape[1] + 2 * nouns + 2 * n_features)))
    for start in tqdm(range(0, len(Z), step), desc="features", leave=False, disable=None):
        rows = slice(start, start + step)
        points = F.normalize(torch.as_tensor(Z[rows], device=on), dim=1)
        result[rows] = mapped(points).cpu().numpy()
    return result


def feature_embedding(features: np.ndarray, n_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the spectral embedding of A = F F^T from the Gram matrix of its features.

    The eigenvectors of D^-1/2 F F^T D^-1/2 are those of the r x r matrix F^T D^-1 F, mapped
    by D^-1/2 F: 2 n r^2 operations and r^2 numbers, never n x n.

    Parameters
    ----------
    features : ndarray of shape (n_samples, n_features), float32
        F.
    n_clusters : int
        Number of eigenvectors.

    Returns
    -------
    embedding : ndarray of shape (n_samples, n_clusters), float64
        As of `spectral_embedding`.
    eigenvalues : ndarray of shape (n_clusters,), float64

    Raises
    ------
    ValueError
        If the features are not a finite matrix, narrower than `n_clusters`, or of a row
        whose degree is not positive.

    Notes
    -----
    *Deviations*. The diagonal of A counts here; against the sum of n entries it is small.
    """
    F_ = np.asarray(features)
    if F_.ndim != 2 or 0 in F_.shape or not np.isfinite(F_.sum(dtype=np.float64)):
        raise ValueError(
            f"features of shape {F_.shape} are not usable: expected a finite matrix"
        )
    check_n_clusters(n_clusters, len(F_))
    if F_.shape[1] < n_clusters:
        raise ValueError(
            f"features have width {F_.shape[1]}: expected at least n_clusters={n_clusters}"
        )
    total = F_.sum(axis=0, dtype=np.float64)
    step = max(1, BLOCK_BYTES // (8 * F_.shape[1]))
    blocks = [slice(start, start + step) for start in range(0, len(F_), step)]
    degrees = np.concatenate([F_[rows] @ total for rows in blocks])
    if not (degrees > 0).all():
        row = int(degrees.argmin())
        raise ValueError(
            f"features give row {row} the degree {degrees[row]:.3g}: expected positive "
            "degrees; take more features"
        )
    scale = 1 / np.sqrt(degrees)
    gram = np.zeros((F_.shape[1], F_.shape[1]))
    for rows in blocks:
        block = torch.from_numpy(F_[rows] * scale[rows, None].astype(np.float32))
        gram += (block.T @ block).numpy()
    last = [len(gram) - n_clusters, len(gram) - 1]
    values, vectors = linalg.eigh(gram, subset_by_index=last)
    values, vectors = values[::-1], vectors[:, ::-1]
    embedding = np.empty((len(F_), n_clusters))
    turned = vectors.astype(np.float32) / np.sqrt(np.maximum(values, 1e-30)).astype(np.float32)
    for rows in blocks:
        # Once by D^-1/2 for the features, once for the embedding.
        embedding[rows] = (F_[rows] @ turned) / degrees[rows, None]
    return embedding, values


def _nystrom(Z, banks, n_features, temperature, affinity, rng, on):
    if n_features > len(Z):
        raise ValueError(
            f"n_features={n_features} is more than the {len(Z)} images: expected at most one "
            "landmark an image"
        )
    chosen = np.sort(rng.choice(len(Z), n_features, replace=False))
    landmarks = F.normalize(torch.as_tensor(Z[chosen], device=on), dim=1)
    shares = assignments(landmarks, banks, temperature) if banks else None
    inner = kernel_block(landmarks, shares, landmarks, shares, affinity, temperature)
    values, vectors = torch.linalg.eigh(inner.double())
    kept = values > RANK_TOLERANCE * values[-1]
    root = (vectors[:, kept] / values[kept].sqrt()).float()

    def mapped(points: torch.Tensor) -> torch.Tensor:
        own = assignments(points, banks, temperature) if banks else None
        return kernel_block(points, own, landmarks, shares, affinity, temperature) @ root

    return mapped, root.shape[1]


def _tensor_sketch(Z, banks, n_features, temperature, rng, on):
    hashes = []
    for width in (Z.shape[1], sum(len(W) for W in banks)):
        column = torch.as_tensor(rng.integers(0, n_features, width), device=on)
        sign = torch.as_tensor(rng.choice(np.float32([-1, 1]), width), device=on)
        hashes.append((column, sign))

    def counted(X: torch.Tensor, column: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
        return X.new_zeros(len(X), n_features).index_add_(1, column, X * sign)

    def mapped(points: torch.Tensor) -> torch.Tensor:
        own = assignments(points, banks, temperature)
        spectra = [
            torch.fft.rfft(counted(X, *pair), dim=1)
            for X, pair in zip((points, own), hashes, strict=True)
        ]
        return torch.fft.irfft(spectra[0] * spectra[1], n=n_features, dim=1) / temperature

    return mapped
