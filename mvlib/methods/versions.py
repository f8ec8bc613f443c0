"""The version of each method's numbers, from 1: raised with each change of what it computes.

`tests/golden` holds numbers of each version; a change of numbers without one of the version
fails there. Named as the files there; the versions themselves stand in the catalogue.
"""

from mvlib.methods.catalogue import CATALOGUE

# The naming of clusters is no method of the catalogue, and has numbers of its own. Of several
# methods in one file of numbers the highest version holds.
VERSIONS = {"cluster_naming": 1} | {
    method.golden or method.name: method.version
    for method in sorted(CATALOGUE, key=lambda method: method.version)
}
