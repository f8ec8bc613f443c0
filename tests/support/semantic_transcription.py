"""The equations of TAC and CAE written out slowly, a loop at a time, in float64."""

import numpy as np


def unit(v):
    return np.asarray(v, dtype=np.float64) / np.linalg.norm(np.asarray(v, dtype=np.float64))


def softmax(values):
    e = np.exp(np.asarray(values) - max(values))
    return e / e.sum()


def plain_filter(nouns, centres, top):
    groups = {}
    for j, noun in enumerate(nouns):
        p = softmax([float(unit(noun) @ unit(centre)) for centre in centres])
        groups.setdefault(int(p.argmax()), []).append((-p.max(), j))
    return sorted(j for group in groups.values() for _, j in sorted(group)[:top])


def plain_softmax_counterpart(X, nouns, temperature):
    rows = []
    for x in X:
        p = softmax([float(unit(x) @ unit(u)) / temperature for u in nouns])
        rows.append(unit(sum(p_j * unit(u) for p_j, u in zip(p, nouns, strict=True))))
    return np.array(rows)


def plain_plan(X, words, epsilon, n_iter=2000, b=None):
    n, m = len(X), len(words)
    K = np.array([[np.exp(-(1 - unit(x) @ unit(u)) / epsilon) for u in words] for x in X])
    a = np.full(n, 1 / n)
    b = np.full(m, 1 / m) if b is None else b
    v = np.ones(m)
    for _ in range(n_iter):
        u = a / (K @ v)
        v = b / (K.T @ u)
    return u[:, None] * K * v


def plain_counterpart(X, words, plan, similarity=True):
    rows = []
    for i, x in enumerate(X):
        total = np.zeros(len(x))
        for j, word in enumerate(words):
            s = float(unit(x) @ unit(word)) if similarity else 1.0
            total += plan[i, j] / plan[i].sum() * s * unit(word)
        rows.append(total)
    return np.array(rows)


def plain_fusion(modalities, gamma, adaptive, concatenated):
    fused, weights = [], []
    for vectors in zip(*modalities, strict=True):
        vectors = [unit(v) for v in vectors]
        p = sum(vectors) / len(vectors)
        w = softmax([float(v @ unit(p)) / gamma for v in vectors])
        if not adaptive:
            w = np.full(len(vectors), 1 / len(vectors))
        parts = [w_m * v for w_m, v in zip(w, vectors, strict=True)]
        fused.append(unit(np.concatenate(parts) if concatenated else sum(parts)))
        weights.append(w)
    return np.array(fused), np.array(weights)


def plain_distillation(P, Q, temperature):
    """Stack both heads' columns: 2K rows, each against the 2K - 1 others, partner positive."""
    K = P.shape[1]
    stack = [unit(P[:, k]) for k in range(K)] + [unit(Q[:, k]) for k in range(K)]
    total = 0.0
    for row in range(2 * K):
        candidates = [other for other in range(2 * K) if other != row]
        logits = [float(stack[row] @ stack[other]) / temperature for other in candidates]
        partner = row + K if row < K else row - K
        total -= np.log(softmax(logits)[candidates.index(partner)])
    return total / (2 * K)


def plain_consistency(P, Q):
    with np.errstate(divide="ignore"):
        logs = [np.log(sum(p * q)) for p, q in zip(P, Q, strict=True)]
    return -np.mean([max(log, -100) for log in logs])


def plain_entropy(P, floor=1e-9):
    return -sum(p * np.log(max(p, floor)) for p in P.mean(axis=0))


def plain_sic_space(nouns, centres, n_nearest, max_cosine):
    batches = [nouns[i : i + 128].mean(axis=0) for i in range(0, len(nouns), 128)]
    mean = sum(batches) / len(batches)
    near = set()
    for centre in centres:
        cosines = [float(unit(centre) @ unit(noun)) for noun in nouns]
        near |= set(np.argsort(cosines)[::-1][:n_nearest].tolist())
    return sorted(j for j in near if float(unit(nouns[j]) @ unit(mean)) < max_cosine)


def plain_sic_labels(logits, X, nouns, share, n_texts):
    n, K = logits.shape
    size = int(share * (n // K))
    centres = []
    for k in range(K):
        surest = sorted(range(n), key=lambda i: -logits[i, k])[:size]
        image = unit(sum(X[i] for i in surest) / size)
        texts = sorted(range(len(nouns)), key=lambda j: -float(image @ unit(nouns[j])))
        centres.append(unit(sum(nouns[j] for j in texts[:n_texts]) / n_texts))
    return np.array([int(np.argmax([x @ c for c in centres])) for x in X]), np.array(centres)


def plain_specificity(mass):
    mass = np.asarray(mass, dtype=np.float64)
    shares = [row / row.sum() for row in mass]
    mean = sum(shares) / len(shares)
    return np.array(
        [
            [0.0 if p == 0 else p * np.log(p / q) for p, q in zip(r, mean, strict=True)]
            for r in shares
        ]
    )


def toy(n_per_class=40, n_classes=4, d=24, noise=0.1, word_noise=0.05, others=20, seed=0):
    """Images around class directions, words near them, words of nothing; and the classes."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(d, d)))[0][:n_classes]
    y = np.repeat(np.arange(n_classes), n_per_class)
    images = directions[y] + noise * rng.normal(size=(len(y), d))
    meant = np.repeat(np.arange(n_classes), 6)
    words = directions[meant] + word_noise * rng.normal(size=(len(meant), d))
    stray = rng.normal(size=(others, d)) / np.sqrt(d)
    names = [f"class {k} word {j}" for j, k in enumerate(meant)]
    names += [f"stray {j}" for j in range(others)]
    return images, np.vstack([words, stray]), names, y
