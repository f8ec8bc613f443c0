"""NTK spectral clustering written out plainly, all matrices in full: a check and a clock."""

from itertools import combinations

import numpy as np
from sklearn.cluster import spectral_clustering


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def kernel(Z, W, tau):
    Z, W = unit(Z), unit(W)
    S = softmax(Z @ W.T / tau)
    return (Z @ Z.T) * (S @ S.T) / tau**2


def neighbor_graph(K, q, rule="mutual"):
    K = K.copy()
    np.fill_diagonal(K, -np.inf)
    nearest = np.argpartition(-K, q - 1, axis=1)[:, :q]
    listed = np.zeros(K.shape, dtype=bool)
    np.put_along_axis(listed, nearest, True, axis=1)
    kept = listed & listed.T if rule == "mutual" else listed | listed.T
    return np.where(kept, K, 0).astype(K.dtype)


def transition(A, floor=0.0):
    d = np.maximum(A.sum(axis=1), floor)
    scale = np.where(d > 0, 1 / np.sqrt(np.where(d > 0, d, 1)), 0).astype(A.dtype)
    return scale[:, None] * A * scale


def smoothness(A, S):
    return float((A * A).sum() - (A * (S @ A @ S.T)).sum())


def objective(A, Ss, beta, mu, lam):
    H = np.array([smoothness(A, S) for S in Ss])
    return beta @ H + mu * ((A - np.eye(len(A))) ** 2).sum() + lam / 2 * beta @ beta


def best_weights(H, lam):
    """Every set of prompts in turn: the stationary point on its face, if it lies inside."""
    best, found = np.inf, None
    for size in range(1, len(H) + 1):
        for face in combinations(range(len(H)), size):
            beta = np.zeros(len(H))
            h = H[list(face)]
            beta[list(face)] = (1 + h.sum() / lam) / size - h / lam
            value = beta @ H + lam / 2 * beta @ beta
            if beta.min() >= 0 and value < best:
                best, found = value, beta
    return found


def diffusion(Ss, mu=0.1, lam=10.0, rounds=5, steps=8, tol=1e-4):
    identity = np.eye(Ss[0].shape[0], dtype=Ss[0].dtype)
    A, beta = identity.copy(), np.full(len(Ss), 1 / len(Ss))
    for _ in range(rounds):
        for _ in range(steps):
            old = A
            moved = sum(
                b.astype(A.dtype) * (S @ A @ S.T) for b, S in zip(beta, Ss, strict=True)
            )
            A = moved / (1 + mu) + mu / (1 + mu) * identity
            if np.linalg.norm(A - old) < tol * np.linalg.norm(old):
                break
        beta = best_weights(np.array([smoothness(A, S) for S in Ss]), lam)
    return A, beta


def pieces(A):
    piece = np.full(len(A), -1)
    for start in range(len(A)):
        queue = [start] if piece[start] < 0 else []
        while queue:
            i = queue.pop()
            if piece[i] < 0:
                piece[i] = start
                queue += np.flatnonzero(A[i] != 0).tolist()
    return piece


def tied(A, K, q):
    """Small pieces joined to the rest: ours, as the paper says nothing of them."""
    while True:
        piece = pieces(A)
        small = [p for p in np.unique(piece) if (piece == p).sum() <= q]
        if not small or len(np.unique(piece)) == 1:
            return A
        A = A.copy()
        for p in small:
            best = (0, None, None)
            for i in np.flatnonzero(piece == p):
                order = np.argsort(-np.delete(K[i], i))[:q]
                listed = np.delete(np.arange(len(K)), i)[order]
                best = max([best, *((K[i, j], i, j) for j in listed if piece[j] != p)])
            if best[0] > 0:
                A[best[1], best[2]] = A[best[2], best[1]] = best[0]


def cluster(
    Z, Ws, n_clusters, tau=0.04, q=30, rule="mutual", seed=0, rounds=5, held=np.asarray
):
    """`held` may hold a transition, full of zeros, in another way."""
    Ss = []
    for W in Ws:
        K = kernel(Z, W, tau)
        Ss.append(held(transition(tied(neighbor_graph(K, q, rule), K, q))))
        del K
    A, beta = diffusion(Ss, rounds=rounds)
    labels = spectral_clustering(
        A, n_clusters=n_clusters, assign_labels="discretize", random_state=seed
    )
    return labels, A, beta


def planted(n=300, n_classes=4, d=32, n_prompts=3, noise=0.8, seed=0):
    """Images and nouns of one space: a cone each, classes in it, prompts that differ."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(size=shape) / np.sqrt(d)

    y = rng.permutation(np.arange(n) % n_classes)
    means = unit(draw(n_classes, d))
    Z = unit(0.8 * draw(d) + 0.5 * means[y] + noise * draw(n, d)).astype(np.float32)
    of = np.repeat(np.arange(n_classes), 6)
    nouns = 0.8 * draw(d) + 0.6 * means[of] + 0.3 * draw(len(of), d)
    Ws = [
        unit(nouns + 0.1 * draw(d) + 0.2 * draw(len(of), d)).astype(np.float32)
        for _ in range(n_prompts)
    ]
    return Z, Ws, y
