"""ACC, NMI and ARI of a million samples in a thousand clusters, against scikit-learn."""

import time

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn import metrics
from sklearn.metrics.cluster import contingency_matrix

from mvlib.metrics import clustering_scores


def with_scikit_learn(y, labels):
    table = contingency_matrix(y, labels)
    acc = table[linear_sum_assignment(table, maximize=True)].sum() / table.sum()
    nmi = metrics.normalized_mutual_info_score(y, labels)
    return acc, nmi, metrics.adjusted_rand_score(y, labels)


def test_scores_of_a_million_samples(benchmark, report_ratio):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 1000, 1_000_000)
    labels = np.where(rng.random(len(y)) < 0.6, y, rng.integers(0, 1000, len(y)))
    scores = benchmark.pedantic(clustering_scores, args=(y, labels), rounds=5, warmup_rounds=1)
    times, expected = [], with_scikit_learn(y, labels)
    for function in (with_scikit_learn, clustering_scores):
        start = time.process_time()
        function(y, labels)
        times.append(time.process_time() - start)
    assert np.allclose([scores["acc"], scores["nmi"], scores["ari"]], expected, atol=1e-12)
    report_ratio("scores, scikit-learn / mvlib", times[0] / times[1], ">= 10")
