"""The version of each method's numbers, from 1: raised with each change of what it computes.

`tests/golden` holds numbers of each version; a change of numbers without one of the version
fails there. Named as the files there: a method, or a
variant with numbers of its own.
"""

VERSIONS = {
    "alignment_baselines": 1,
    "alignment_without_pairs": 1,
    "cae": 1,
    "clip_kmeans": 1,
    "cluster_naming": 1,
    "floors": 1,
    "mvcln": 1,
    "ntk_spectral": 1,
    "set_clip": 1,
    "sic": 1,
    "smart": 1,
    "tac": 1,
    "tac_trained": 1,
    "zero_shot": 1,
}
